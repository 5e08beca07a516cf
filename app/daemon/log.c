/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int log_type;

/*
 * Count one more line.
 *
 * @param left_out  set to the number of lines that were left out before this one, which may pass
 * @return          whether the line may be written
 */
static bool limit_pass(struct log_limit *limit, unsigned *left_out)
{
	struct timespec now;

	*left_out = 0;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if ((uint64_t)now.tv_sec != limit->second) {
		*left_out = limit->left_out;
		*limit = (struct log_limit){.second = (uint64_t)now.tv_sec};
	}
	if (limit->lines == LOG_LIMIT_LINES) {
		limit->left_out++;
		return false;
	}
	limit->lines++;
	return true;
}

#define PREFIX_MAX  4			    /* "<N>" */
#define LINE_SIZE   (PIPE_BUF - PREFIX_MAX) /* longer lines are written in pieces */
#define END_WAIT_MS 1000		    /* for room for the reason why the program ends */

/* Fixed by log_open() and log_limit_libraries(), before there are threads that log. */
static bool is_journal;	      /* stderr is a stream of systemd's journal */
static bool limits_libraries; /* from the end of rte_eal_init() on */

static bool is_debug; /* MAIN: w, all: r */

/*
 * Whether stderr is the stream that the service manager connected to the journal: it gives the
 * device and inode number in JOURNAL_STREAM (systemd.exec(5)). A stderr that was redirected later
 * has other ones.
 */
static bool find_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;
	struct stat st;

	return text != NULL && sscanf(text, "%ju:%ju", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* "<N>" is the syntax of sd-daemon(3) for a line's priority: syslog's, as RTE_LOG_EMERG - 1 is. */
static int print_priority(char *text, int level)
{
	return is_journal ? snprintf(text, PREFIX_MAX, "<%d>", level - 1) : 0;
}

/*
 * Whether stderr takes up to PIPE_BUF bytes. When the reader of a pipe, a socket or a terminal has
 * stopped, write() would block the calling thread for as long as the reader likes.
 */
static bool has_room(int wait_ms)
{
	struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&fd, 1, wait_ms) != 0; /* on an error, write() fails at once */
}

/* Write the number of lines that were left out, and why. A failure cannot be reported anywhere. */
static void write_left_out(unsigned n, const char *why)
{
	char prefix[PREFIX_MAX] = "";

	if (!has_room(0))
		return;
	print_priority(prefix, RTE_LOG_WARNING);
	dprintf(STDERR_FILENO, "%svhost-rng: %u lines were left out: %s\n", prefix, n, why);
}

/* Whether a line can be written without waiting. Context: under the stream's lock. */
static bool find_room(void)
{
	static unsigned lost;

	if (!has_room(0)) {
		lost++;
		return false;
	}
	if (lost == 0)
		return true;
	write_left_out(lost, "the reader of standard error has stopped reading");
	lost = 0;
	return find_room();
}

/*
 * Whether a line of DPDK's libraries may be written. The libraries log each error of a front-end,
 * which can cause any number of them; the daemon's own lines are limited by LOG_LIMITED.
 */
static bool pass_line(const char *line, size_t len)
{
	static const char own[] = "vhost-rng: ";
	static struct log_limit limit; /* under the stream's lock */
	unsigned left_out;

	if (!limits_libraries || __atomic_load_n(&is_debug, __ATOMIC_RELAXED) ||
		(len >= sizeof(own) - 1 && memcmp(line, own, sizeof(own) - 1) == 0))
		return true;
	if (!limit_pass(&limit, &left_out))
		return false;
	if (left_out > 0)
		write_left_out(left_out, "DPDK's libraries logged more than ten in a second");
	return true;
}

/* Write a line, or a part of one, with one system call. A failure cannot be reported anywhere. */
static void write_line(const char *line, size_t len, bool starts)
{
	char text[LINE_SIZE + PREFIX_MAX];
	size_t n = starts ? (size_t)print_priority(text, rte_log_cur_msg_loglevel()) : 0;

	memcpy(text + n, line, len);
	(void)!write(STDERR_FILENO, text, n + len);
}

/* The write function of the log's stream. Context: any, under the stream's lock. */
static ssize_t write_text(void *cookie, const char *text, size_t len)
{
	static bool in_line, left_out; /* the last piece did not end its line; was not written */

	for (size_t done = 0; done < len;) {
		size_t rest = len - done, n = rest < LINE_SIZE ? rest : LINE_SIZE;
		const char *line = text + done, *end = memchr(line, '\n', n);

		n = end != NULL ? (size_t)(end - line) + 1 : n;
		if (!in_line)
			left_out = !pass_line(line, n) || !find_room();
		if (!left_out)
			write_line(line, n, !in_line);
		in_line = end == NULL;
		done += n;
	}
	return (ssize_t)len;
}

void log_set_level(int level)
{
	rte_log_set_level_pattern("lib.*", level == RTE_LOG_DEBUG ? RTE_LOG_DEBUG : RTE_LOG_ERR);
	rte_log_set_level((uint32_t)log_type, (uint32_t)level);
	__atomic_store_n(&is_debug, level == RTE_LOG_DEBUG, __ATOMIC_RELAXED);
}

void log_open(void)
{
	/* A stream that has to allocate its buffer and cannot writes lines in pieces. */
	static char buffer[LINE_SIZE];
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_text});

	is_journal = find_journal();
	if (stream != NULL) {
		setvbuf(stream, buffer, _IOLBF, sizeof(buffer));
		rte_openlog_stream(stream);
	}
	log_type = rte_log_register("vhost_rng");
	if (log_type < 0)
		log_type = RTE_LOGTYPE_USER1;
	rte_log_set_global_level(RTE_LOG_DEBUG);
}

void log_limit_libraries(void)
{
	limits_libraries = true;
}

void log_error(const char *text)
{
	char prefix[PREFIX_MAX] = "";

	print_priority(prefix, RTE_LOG_ERR);
	if (has_room(END_WAIT_MS))
		dprintf(STDERR_FILENO, "%sdpdk-vhost-rng: %s\n", prefix, text);
}

bool log_limit_pass(struct log_limit *limit)
{
	unsigned left_out;

	if (!limit_pass(limit, &left_out))
		return false;
	if (left_out > 0)
		LOG(WARNING, "%u more lines like the next one were left out", left_out);
	return true;
}
