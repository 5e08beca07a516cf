/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A source that fails in every way, one after the other, and is well in between: its path is a link
 * that comes to name something else. While it is out guests wait; each byte that they get is from
 * the stream, and no byte of it comes twice.
 */
#include "daemon.h"
#include "guest.h"
#include "stream.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF_BYTES  1024
#define FILE_BYTES (64 << 10)
#define FAR	   (1ull << 30) /* from one file of the stream to the next */

struct fixture {
	struct daemon daemon;
	struct guest guest;
	uint64_t gpa;
	uint64_t stream_at; /* behind the last byte that the guest got */
};

static int setup(void **state)
{
	((struct daemon *)daemon_fixture(state, sizeof(struct fixture)))->inspected = true;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	guest_fini(&fx->guest);
	return daemon_fixture_end(state);
}

static void point_source_at(struct fixture *fx, const char *target)
{
	char next[sizeof(fx->daemon.source) + 8];

	snprintf(next, sizeof(next), "%s.next", fx->daemon.source);
	assert_int_equal(symlink(target, next), 0);
	assert_int_equal(rename(next, fx->daemon.source), 0);
}

/* What came must be the stream's, and further on than all before. */
static void judge(struct fixture *fx, const struct driver_used *used)
{
	uint8_t got[BUF_BYTES], want[BUF_BYTES];
	int64_t at;

	assert_int_equal(guest_ram_read(&fx->guest.ram, fx->gpa, got, used->len_bytes), 0);
	stream_bytes(fx->stream_at, want, used->len_bytes);
	if (memcmp(got, want, used->len_bytes) == 0) {
		fx->stream_at += used->len_bytes;
		return;
	}
	at = stream_locate(got, used->len_bytes);
	if (at < (int64_t)fx->stream_at)
		fail_msg("bytes that are not the source's, or were given before (%lld, %llu)",
			(long long)at, (unsigned long long)fx->stream_at);
	stream_bytes((uint64_t)at, want, used->len_bytes);
	assert_memory_equal(got, want, used->len_bytes);
	fx->stream_at = (uint64_t)at + used->len_bytes;
}

/* Ask, and judge what comes, until nothing came for so long. */
static void take_until_quiet(struct fixture *fx, int quiet_ms)
{
	struct driver_used used;

	do {
		if (fx->guest.drv.nr_offered == 0)
			guest_request(&fx->guest, fx->gpa, BUF_BYTES, 0);
		if (!guest_take(&fx->guest, &used, quiet_ms))
			return;
		judge(fx, &used);
	} while (true);
}

/* A new file of the stream: it is read, from its start to its end. */
static void be_well(struct fixture *fx, unsigned nr)
{
	uint64_t from = nr * FAR, end = from + FILE_BYTES;
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	char path[96];

	snprintf(path, sizeof(path), "%s.%u", fx->daemon.source, nr);
	stream_append(path, from, FILE_BYTES);
	point_source_at(fx, path);
	while (fx->stream_at != end) {
		if (now_ms() > deadline_ms)
			fail_msg("the source is well and nobody is served: at %#llx, not %#llx",
				(unsigned long long)fx->stream_at, (unsigned long long)end);
		take_until_quiet(fx, 20);
	}
}

static void wait_until_said(struct fixture *fx, const char *text)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!daemon_said(&fx->daemon, text)) {
		daemon_assert_alive(&fx->daemon);
		if (now_ms() > deadline_ms)
			fail_msg("the daemon does not say: %s", text);
		take_until_quiet(fx, 10);
	}
}

static const struct {
	const char *what, *target, *said;
} failures[] = {
	{"reading fails with EIO", "/proc/self/mem", "cannot be read: Input/output error"},
	{"a FIFO that nobody writes to", NULL, "is another file now"},
	{"the same byte for ever", "/dev/zero", "failed its"},
	{"no bytes at all", "/dev/null", "is another file now"},
};

static void test_source_fails_and_recovers(void **state)
{
	struct fixture *fx = *state;
	char fifo[96];

	snprintf(fifo, sizeof(fifo), "%s.fifo", fx->daemon.source);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	point_source_at(fx, "/dev/null");
	daemon_start(&fx->daemon, 1,
		(const char *[]){"-f", fx->daemon.source, "--sandbox-dir", "/dev", NULL});
	guest_init(&fx->guest, &(struct guest_cfg){0});
	fx->gpa = guest_alloc(&fx->guest, 0, BUF_BYTES);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	be_well(fx, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(failures); i++) {
		uint64_t before = fx->stream_at;

		assert_int_equal(truncate(fx->daemon.log, 0), 0);
		point_source_at(fx, failures[i].target != NULL ? failures[i].target : fifo);
		wait_until_said(fx, failures[i].said);
		take_until_quiet(fx, 200);
		assert_int_equal(fx->stream_at, before); /* nothing came of it */
		be_well(fx, 2 + i);
		print_message("# tried: source: %s\n", failures[i].what);
		print_message(
			"# happened: the log says \"%s\"; guests wait; then they get the next "
			"file's bytes, all and once\n",
			failures[i].said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_source_fails_and_recovers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
