/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config_file.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The text of a file that is not regular, while it is taken. */
struct taken_text {
	const char *path;
	int fd;
	bool is_fifo;
	uint64_t deadline_ns;
	unsigned wait_ms;
	char *text;
	size_t len, size;
};

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "a FIFO or pipe";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "a special file";
	}
}

/* Wait for bytes or for the end. @param hung_up  set to whether the last writer has closed it */
static int wait_for_text(const struct taken_text *t, bool *hung_up, struct why *why)
{
	uint64_t now_ns = clock_now_ns();
	struct timespec left =
		clock_timespec(now_ns < t->deadline_ns ? t->deadline_ns - now_ns : 0);
	struct pollfd fd = {.fd = t->fd, .events = POLLIN};
	sigset_t mask;
	int n;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGINT);
	sigdelset(&mask, SIGTERM);
	n = ppoll(&fd, 1, &left, &mask);
	if (n < 0 && errno != EINTR)
		return why_set(why, -errno, "--config %s: cannot wait for its text: %s", t->path,
			strerror(errno));
	if (n == 0)
		return why_set(why, -ETIMEDOUT,
			"--config %s: no end of the text within %u ms (%zu bytes came); the writer has "
			"to write all of it and close it, or give a regular file",
			t->path, t->wait_ms, t->len);
	*hung_up = (fd.revents & POLLHUP) != 0;
	return 0;
}

static int make_room(struct taken_text *t, struct why *why)
{
	size_t size = t->size > 0 ? 2 * t->size : 4096;
	char *text;

	if (t->len < t->size)
		return 0;
	if (size > CONFIG_FILE_BYTES_MAX)
		return why_set(why, -EINVAL, "--config %s: %u bytes or more: not a configuration",
			t->path, CONFIG_FILE_BYTES_MAX);
	text = realloc(t->text, size);
	if (text == NULL)
		return why_set(why, -ENOMEM, "--config %s: no memory", t->path);
	t->text = text;
	t->size = size;
	return 0;
}

/*
 * Take all of it. A FIFO without a writer reads as ended: it has ended only if a writer has written
 * to it or, as POLLHUP says, has been there since it was opened.
 */
static int take_text(struct taken_text *t, struct why *why)
{
	bool hung_up = !t->is_fifo;
	int err = make_room(t, why);

	while (err == 0) {
		ssize_t n = read(t->fd, t->text + t->len, t->size - t->len);

		if (n == 0 && (t->len > 0 || hung_up))
			return 0;
		if (n > 0) {
			t->len += (size_t)n;
			err = make_room(t, why);
			if (err == 0 && clock_now_ns() < t->deadline_ns)
				continue;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return why_set(why, -errno, "cannot read --config %s: %s", t->path,
				strerror(errno));
		}
		if (err == 0)
			err = wait_for_text(t, &hung_up, why);
	}
	return err;
}

static int open_text(const char *path, int fd, mode_t mode, unsigned wait_ms,
	struct config_file *cf, struct why *why)
{
	struct taken_text t = {
		.path = path,
		.fd = fd,
		.is_fifo = S_ISFIFO(mode),
		.deadline_ns = clock_now_ns() + wait_ms * UINT64_C(1000000),
		.wait_ms = wait_ms,
	};
	int err;

	if (wait_ms == 0)
		return why_set(why, -EINVAL,
			"--config %s: is %s, which is not read again: put a regular file there, or "
			"start the daemon anew",
			path, type_name(mode));
	err = take_text(&t, why);
	cf->text = t.text;
	if (err != 0)
		return err;
	cf->file = fmemopen(t.text, t.len, "r");
	return cf->file != NULL ? 0 : why_set(why, -ENOMEM, "--config %s: no memory", path);
}

static int open_fd(
	const char *path, int fd, unsigned wait_ms, struct config_file *cf, struct why *why)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return why_set(why, -errno, "cannot open --config %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return why_set(why, -EISDIR, "cannot open --config %s: %s", path, strerror(EISDIR));
	if (!S_ISREG(st.st_mode))
		return open_text(path, fd, st.st_mode, wait_ms, cf, why);
	cf->file = fdopen(fd, "r");
	return cf->file != NULL ? 0 : why_set(why, -ENOMEM, "--config %s: no memory", path);
}

int config_file_open(const char *path, unsigned wait_ms, struct config_file *cf, struct why *why)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), err;

	*cf = (struct config_file){0};
	if (fd < 0)
		return why_set(why, -errno, "cannot open --config %s: %s", path, strerror(errno));
	err = open_fd(path, fd, wait_ms, cf, why);
	if (cf->file == NULL || cf->text != NULL)
		close(fd); /* else it is the stream's */
	if (err != 0)
		config_file_close(cf);
	return err;
}

void config_file_close(struct config_file *cf)
{
	if (cf->file != NULL)
		fclose(cf->file);
	free(cf->text);
	*cf = (struct config_file){0};
}
