/* SPDX-License-Identifier: BSD-3-Clause */
#include "spring.h"

#include "stream.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 16384
#define LOOK_MS	    50
#define PLACED_MIN  24 /* bytes that name their place in the stream, whatever they are */

/* Bytes [from, from + CHUNK_BYTES) are about to be written: nobody has them. */
static void announce(struct spring *s, uint64_t from)
{
	for (uint64_t i = from; i < from + CHUNK_BYTES; i += 64)
		__atomic_store_n(&s->given[i % SPRING_WINDOW_BYTES / 64], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->written, from + CHUNK_BYTES, __ATOMIC_RELEASE);
}

static bool write_all(struct spring *s, const uint8_t *bytes, size_t len)
{
	struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};

	while (len > 0 && !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		ssize_t n;

		if (poll(&pfd, 1, LOOK_MS) <= 0)
			continue;
		n = write(s->fd, bytes, len);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return len == 0;
}

static void *run(void *arg)
{
	uint8_t bytes[CHUNK_BYTES];
	struct spring *s = arg;
	uint64_t at = 0;

	do {
		stream_bytes(at, bytes, sizeof(bytes));
		announce(s, at);
		at += sizeof(bytes);
	} while (write_all(s, bytes, sizeof(bytes)));
	return NULL;
}

void spring_start(struct spring *s, const char *path)
{
	*s = (struct spring){0};
	s->given = calloc(SPRING_WINDOW_BYTES / 64, sizeof(s->given[0]));
	assert_non_null(s->given);
	assert_int_equal(mkfifo(path, 0600), 0);
	/* Also for reading: so it stays open, with all that is in it, while there is no daemon. */
	s->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(s->fd >= 0);
	assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
	s->running = true;
}

/* @return whether nobody had any of them */
static bool give(struct spring *s, uint64_t from, uint32_t len_bytes)
{
	while (len_bytes > 0) {
		uint64_t skip = from % 64, n = 64 - skip < len_bytes ? 64 - skip : len_bytes;
		uint64_t mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << skip;
		uint64_t had = __atomic_fetch_or(
			&s->given[from % SPRING_WINDOW_BYTES / 64], mask, __ATOMIC_ACQ_REL);

		if (had & mask)
			return false;
		from += n;
		len_bytes -= (uint32_t)n;
	}
	return true;
}

static bool is_stream(const uint8_t *bytes, uint64_t from, uint32_t len_bytes)
{
	uint8_t want[256];

	for (uint32_t n; len_bytes > 0; bytes += n, from += n, len_bytes -= n) {
		n = len_bytes < sizeof(want) ? len_bytes : sizeof(want);
		stream_bytes(from, want, n);
		if (memcmp(bytes, want, n) != 0)
			return false;
	}
	return true;
}

const char *spring_judge(struct spring *s, const uint8_t *bytes, uint32_t len_bytes)
{
	uint64_t written = __atomic_load_n(&s->written, __ATOMIC_ACQUIRE);
	int64_t at = stream_locate(bytes, len_bytes);

	if (at < 0 && len_bytes < PLACED_MIN) {
		__atomic_fetch_add(&s->unplaced, len_bytes, __ATOMIC_RELAXED);
		return NULL;
	}
	if (at < 0 || (uint64_t)at + len_bytes > written ||
		!is_stream(bytes, (uint64_t)at, len_bytes))
		return "an answer has bytes that are not the source's";
	if ((uint64_t)at + SPRING_WINDOW_BYTES < written + SPRING_WINDOW_BYTES / 16)
		return "an answer has bytes that the source gave long ago";
	if (!give(s, (uint64_t)at, len_bytes))
		return "an answer has bytes that were given before";
	return NULL;
}

void spring_fini(struct spring *s)
{
	if (s->running) {
		__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
		pthread_join(s->thread, NULL);
		close(s->fd);
	}
	free(s->given);
	*s = (struct spring){0};
}
