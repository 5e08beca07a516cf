/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/source.h"

#include "source/kernel_rng.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* epoll refuses files that have no poll operation, for which poll() would always say "ready". */
static bool is_pollable(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);
	bool pollable;

	if (ep < 0)
		return false;
	pollable = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0;
	close(ep);
	return pollable;
}

/* Character devices 1:8 and 1:9. */
bool source_is_kernel(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 &&
	       (minor(st->st_rdev) == 8 || minor(st->st_rdev) == 9);
}

int source_check(const char *path, bool *is_kernel)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISSOCK(st.st_mode))
		return -ENOTSUP;
	*is_kernel = source_is_kernel(&st);
	return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

/* open(2) says ENXIO of a socket, as of a device that is gone. */
static int open_error(const char *path, int err)
{
	struct stat st;

	if (err == ENXIO && stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		return -ENOTSUP;
	return -err;
}

int source_open(struct source *s, const char *path)
{
	struct stat st;
	int fd, err;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return open_error(path, errno);
	if (fstat(fd, &st) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return -EISDIR;
	}
	*s = (struct source){
		.path = path,
		.fd = fd,
		.type = st.st_mode & S_IFMT,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.pollable = is_pollable(fd),
		.is_kernel = source_is_kernel(&st),
	};
	s->is_ready = !s->is_kernel || kernel_rng_is_ready();
	if (s->is_kernel)
		kernel_rng_open(&s->door); /* else it is read */
	return 0;
}

void source_close(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	kernel_rng_close(s->door);
	s->door = NULL;
}

static enum source_state draw(struct source *s, void *buf, size_t len_bytes, size_t *got_bytes)
{
	int err = kernel_rng_read(s->door, buf, len_bytes);

	*got_bytes = err == 0 ? len_bytes : 0;
	s->error = -err;
	return err == 0 ? SOURCE_OK : SOURCE_FAILED;
}

enum source_state source_read(struct source *s, void *buf, size_t len_bytes, size_t *got_bytes)
{
	ssize_t n;

	if (!s->is_ready)
		s->is_ready = kernel_rng_is_ready();
	if (!s->is_ready) {
		*got_bytes = 0;
		return SOURCE_NOT_YET;
	}
	if (s->door != NULL)
		return draw(s, buf, len_bytes, got_bytes);
	do
		n = read(s->fd, buf, len_bytes);
	while (n < 0 && errno == EINTR);

	*got_bytes = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return SOURCE_OK;
	if (n == 0)
		return SOURCE_ENDED;
	if (errno == EAGAIN)
		return SOURCE_NOT_YET;
	s->error = errno;
	return SOURCE_FAILED;
}

bool source_follow(struct source *s, bool failed)
{
	struct source next;
	struct stat st;

	if (stat(s->path, &st) != 0)
		return false; /* the open file goes on */
	if (st.st_dev == s->dev && st.st_ino == s->ino && (!failed || s->type == S_IFREG)) {
		s->follow_error = 0;
		return false;
	}
	s->follow_error = -source_open(&next, s->path);
	if (s->follow_error != 0)
		return false;
	source_close(s);
	*s = next;
	return true;
}
