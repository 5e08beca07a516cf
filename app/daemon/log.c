/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int log_type;

/* @param left_out  how many lines did not get through before this one, which does */
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

/*
 * Where DPDK's log goes: the libraries write a line for each thing that a front-end does wrong, so
 * only so many of theirs get through in a second. Ours are limited where they are written.
 */
static ssize_t write_line(void *cookie, const char *line, size_t len)
{
	static const char ours[] = "vhost-rng: ";
	static struct log_limit limit; /* under the stream's lock */
	unsigned left_out;

	if (len < sizeof(ours) - 1 || memcmp(line, ours, sizeof(ours) - 1) != 0) {
		if (!limit_pass(&limit, &left_out))
			return (ssize_t)len;
		if (left_out > 0)
			dprintf(STDERR_FILENO, "%u lines of DPDK's libraries were left out\n",
				left_out);
	}
	/* Nobody can be told when that fails. */
	(void)!write(STDERR_FILENO, line, len);
	return (ssize_t)len;
}

static FILE *open_limited(void)
{
	/* Its own: a stream that can't allocate one writes lines in pieces, which are no lines. */
	static char buffer[4096];
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_line});

	if (stream == NULL)
		return stderr;
	setvbuf(stream, buffer, _IOLBF, sizeof(buffer));
	return stream;
}

static FILE *stream; /* where it goes, but at debug */

void log_set_level(int level)
{
	rte_openlog_stream(level == RTE_LOG_DEBUG ? stderr : stream);
	rte_log_set_level_pattern("lib.*", level == RTE_LOG_DEBUG ? RTE_LOG_DEBUG : RTE_LOG_ERR);
	rte_log_set_level((uint32_t)log_type, (uint32_t)level);
}

void log_setup(int level)
{
	/* Not while the EAL starts: a person waits for what it has to say. */
	stream = stream == NULL ? stderr : open_limited();
	log_type = rte_log_register("vhost_rng");
	if (log_type < 0)
		log_type = RTE_LOGTYPE_USER1;
	rte_log_set_global_level(RTE_LOG_DEBUG);
	log_set_level(level);
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
