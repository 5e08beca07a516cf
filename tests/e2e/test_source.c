/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What -f names: a regular file, a FIFO, a link that comes to name something else. Each byte is
 * given once, in the file's order; when there are none, requests wait and the daemon doesn't.
 */
#include "daemon.h"
#include "guest.h"
#include "stream.h"
#include "threads.h"
#include "util.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF_BYTES     1000
#define STARTUP_BYTES 1024 /* samples of the start-up health test */
#define QUIET_MS      200

struct fixture {
	struct daemon daemon;
	struct guest guest;
	uint64_t gpa;
	uint64_t asked, taken; /* requests */
	uint8_t *got;	       /* all bytes that the guest got, in order... */
	bool discard;	       /* ...or only their number */
	size_t got_bytes, got_room;
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	fx->got_room = 8 << 20;
	fx->got = malloc(fx->got_room);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	guest_fini(&fx->guest);
	free(fx->got);
	return daemon_fixture_end(state);
}

/* Start the daemon on its source and connect a guest. */
static void up(struct fixture *fx)
{
	daemon_start(&fx->daemon, 1, (const char *[]){"-f", fx->daemon.source, NULL});
	guest_init(&fx->guest, &(struct guest_cfg){0});
	fx->gpa = guest_alloc(&fx->guest, 0, 64ull * BUF_BYTES);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
}

static void ask(struct fixture *fx)
{
	while (fx->asked - fx->taken < 32) {
		guest_ask(&fx->guest, fx->gpa + fx->asked % 32 * BUF_BYTES, BUF_BYTES, fx->asked);
		fx->asked++;
	}
	guest_show(&fx->guest);
}

static void keep(struct fixture *fx, const struct driver_used *used)
{
	assert_true(fx->got_bytes + used->len_bytes <= fx->got_room);
	assert_int_equal(guest_ram_read(&fx->guest.ram, fx->gpa + used->cookie % 32 * BUF_BYTES,
				 fx->got + fx->got_bytes, used->len_bytes),
		0);
}

/* Keep asking, and collect what comes until the guest has 'total' bytes or 'limit_ms' are over. */
static void collect(struct fixture *fx, size_t total, int limit_ms)
{
	int64_t deadline_ms = now_ms() + limit_ms;
	struct driver_used used;

	do {
		ask(fx);
		while (guest_take(&fx->guest, &used, 1)) {
			assert_int_equal(used.cookie, fx->taken);
			if (!fx->discard)
				keep(fx, &used);
			fx->got_bytes += used.len_bytes;
			fx->taken++;
		}
	} while (fx->got_bytes < total && now_ms() < deadline_ms);
}

/* Collect, and what was collected must be these bytes of the stream. */
static void collect_stream(struct fixture *fx, uint64_t from, size_t len_bytes)
{
	size_t before = fx->got_bytes;
	uint8_t *want = malloc(len_bytes);
	int differs;

	collect(fx, before + len_bytes, LIVENESS_MS);
	stream_bytes(from, want, len_bytes);
	assert_int_equal(fx->got_bytes - before, len_bytes);
	differs = memcmp(want, fx->got + before, len_bytes);
	free(want);
	assert_int_equal(differs, 0);
}

static void test_file_is_given_once(void **state)
{
	const size_t len = 3000 * BUF_BYTES;
	struct fixture *fx = *state;

	stream_append(fx->daemon.source, 0, len);
	up(fx);
	collect_stream(fx, 0, len);
	/* The file is at its end: nothing more, and nothing from the start again. */
	collect(fx, SIZE_MAX, 2 * QUIET_MS);
	assert_int_equal(fx->got_bytes, len);
	daemon_assert_alive(&fx->daemon);
	/* What is appended goes on where the file was. */
	for (unsigned i = 0; i < 3; i++) {
		stream_append(fx->daemon.source, len + i * 50 * BUF_BYTES, 50 * BUF_BYTES);
		collect_stream(fx, len + i * 50 * BUF_BYTES, 50 * BUF_BYTES);
	}
}

/*
 * Nobody is served before the start-up test has seen its bytes; then a few are worth an answer:
 * they are not withheld until a request is full.
 */
static void test_small_file(void **state)
{
	struct fixture *fx = *state;

	stream_append(fx->daemon.source, 0, STARTUP_BYTES - 1);
	up(fx);
	collect(fx, 1, QUIET_MS);
	assert_int_equal(fx->got_bytes, 0);
	stream_append(fx->daemon.source, STARTUP_BYTES - 1, 1);
	collect_stream(fx, 0, STARTUP_BYTES);
	stream_append(fx->daemon.source, STARTUP_BYTES, 100);
	collect_stream(fx, STARTUP_BYTES, 100);
	collect(fx, SIZE_MAX, QUIET_MS);
	assert_int_equal(fx->got_bytes, STARTUP_BYTES + 100);
}

static void test_empty_file(void **state)
{
	struct fixture *fx = *state;

	write_file(fx->daemon.source, "", 0);
	up(fx);
	collect(fx, 1, QUIET_MS);
	assert_int_equal(fx->got_bytes, 0);
	stream_append(fx->daemon.source, 0, 10 * BUF_BYTES);
	collect_stream(fx, 0, 10 * BUF_BYTES);
}

static void test_file_is_replaced(void **state)
{
	char next[sizeof(((struct daemon *)0)->source) + 8];
	const uint64_t second = 1ull << 30;
	struct fixture *fx = *state;

	stream_append(fx->daemon.source, 0, 100 * BUF_BYTES);
	up(fx);
	collect_stream(fx, 0, 100 * BUF_BYTES);
	snprintf(next, sizeof(next), "%s.next", fx->daemon.source);
	stream_append(next, second, 100 * BUF_BYTES);
	assert_int_equal(rename(next, fx->daemon.source), 0);
	collect_stream(fx, second, 100 * BUF_BYTES);
}

/* The file goes away: requests wait; it comes back as another: they go on. */
static void test_file_is_removed(void **state)
{
	struct fixture *fx = *state;

	stream_append(fx->daemon.source, 0, 10 * BUF_BYTES);
	up(fx);
	collect_stream(fx, 0, 10 * BUF_BYTES);
	assert_int_equal(unlink(fx->daemon.source), 0);
	collect(fx, SIZE_MAX, QUIET_MS);
	assert_int_equal(fx->got_bytes, 10 * BUF_BYTES);
	daemon_assert_alive(&fx->daemon);
	stream_append(fx->daemon.source, 1 << 20, 10 * BUF_BYTES);
	collect_stream(fx, 1 << 20, 10 * BUF_BYTES);
}

static int open_writer(const char *fifo)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	int fd;

	/* ENXIO until the daemon has it open. */
	while ((fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
		assert_true(now_ms() < deadline_ms);
		sleep_ms(5);
	}
	return fd;
}

static void write_stream(int fd, uint64_t from, size_t len_bytes)
{
	uint8_t bytes[BUF_BYTES];

	for (; len_bytes > 0; from += BUF_BYTES, len_bytes -= BUF_BYTES) {
		stream_bytes(from, bytes, BUF_BYTES);
		assert_int_equal(write(fd, bytes, BUF_BYTES), BUF_BYTES);
	}
}

static void test_fifo(void **state)
{
	struct fixture *fx = *state;
	int fd;

	assert_int_equal(mkfifo(fx->daemon.source, 0600), 0);
	up(fx);
	collect(fx, 1, QUIET_MS); /* nobody has it open */
	assert_int_equal(fx->got_bytes, 0);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t from = i * 60 * BUF_BYTES;

		/* A writer comes, is slow, and leaves. */
		fd = open_writer(fx->daemon.source);
		write_stream(fd, from, 30 * BUF_BYTES);
		collect_stream(fx, from, 30 * BUF_BYTES);
		collect(fx, SIZE_MAX, QUIET_MS / 3);
		write_stream(fd, from + 30 * BUF_BYTES, 30 * BUF_BYTES);
		close(fd);
		collect_stream(fx, from + 30 * BUF_BYTES, 30 * BUF_BYTES);
		collect(fx, SIZE_MAX, QUIET_MS / 3);
		assert_int_equal(fx->got_bytes, (i + 1) * 60 * BUF_BYTES);
	}
}

/* While requests wait for a source that blocks, the control plane works and the daemon can end. */
static void test_blocking_source_blocks_nobody(void **state)
{
	struct fixture *fx = *state;
	int took_ms, fd;

	assert_int_equal(mkfifo(fx->daemon.source, 0600), 0);
	up(fx);
	fd = open_writer(fx->daemon.source); /* a writer that says nothing: reads block */
	ask(fx);
	for (unsigned i = 0; i < 20; i++) {
		guest_stop(&fx->guest);
		assert_int_equal(fx->guest.base, 0);
		guest_restart(&fx->guest);
		assert_int_equal(frontend_set_memory(fx->guest.fe, &fx->guest.ram), 0);
	}
	guest_assert_quiet(&fx->guest, 20);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, &took_ms), 0);
	assert_true(took_ms < 3000);
	close(fd);
}

static void point_source_at(struct fixture *fx, const char *target)
{
	char next[sizeof(fx->daemon.source) + 8];

	snprintf(next, sizeof(next), "%s.next", fx->daemon.source);
	assert_int_equal(symlink(target, next), 0);
	assert_int_equal(rename(next, fx->daemon.source), 0);
}

/* /dev/urandom, a FIFO with no writer, and back: read-ahead is used up, then all wait. */
static void test_link_is_switched(void **state)
{
	char fifo[sizeof(((struct daemon *)0)->source) + 8];
	struct fixture *fx = *state;
	int64_t deadline_ms;

	snprintf(fifo, sizeof(fifo), "%s.fifo", fx->daemon.source);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	point_source_at(fx, "/dev/urandom");
	up(fx);
	fx->discard = true;
	collect(fx, 1 << 20, LIVENESS_MS);
	for (unsigned i = 0; i < 2; i++) {
		point_source_at(fx, fifo);
		deadline_ms = now_ms() + LIVENESS_MS;
		do { /* until nothing comes any more: the daemon has noticed */
			assert_true(now_ms() < deadline_ms);
			fx->got_bytes = 0;
			collect(fx, SIZE_MAX, QUIET_MS);
		} while (fx->got_bytes != 0);
		point_source_at(fx, "/dev/urandom");
		fx->got_bytes = 0;
		collect(fx, 1 << 20, LIVENESS_MS);
		assert_true(fx->got_bytes >= 1 << 20);
	}
}

/* Where the first source is always a moment late, the next one is not asked: the feeder sleeps. */
static void test_slow_first_source(void **state)
{
	struct fixture *fx = *state;
	const char *fifo = fx->daemon.source;
	uint64_t before_ns, took_ns;
	pid_t feeder;
	int fd;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	fd = open(fifo, O_RDWR | O_CLOEXEC); /* Linux does not wait for a reader then */
	write_stream(fd, 0, 2 * BUF_BYTES);
	daemon_start(&fx->daemon, 1, (const char *[]){"-f", fifo, "-f", "/dev/urandom", NULL});
	feeder = thread_find(&fx->daemon, "vrng-feeder-");
	before_ns = thread_cpu_ns(&fx->daemon, feeder);
	for (unsigned i = 2; i < 7; i++) {
		write_stream(fd, i * BUF_BYTES, BUF_BYTES);
		sleep_ms(200);
	}
	took_ns = thread_cpu_ns(&fx->daemon, feeder) - before_ns;
	close(fd);
	assert_in_range(took_ns, 0, 100000000);
}

/* What can't be a source is refused at the start, and the message names it. */
static void test_refused_sources(void **state)
{
	struct fixture *fx = *state;
	char missing[sizeof(fx->daemon.dir) + 16];
	const char *sources[] = {missing, fx->daemon.dir};

	snprintf(missing, sizeof(missing), "%s/not-there", fx->daemon.dir);
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
		daemon_run(&fx->daemon,
			(const char *[]){"-s", fx->daemon.prefix, "-f", sources[i], NULL});
		assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
		assert_true(daemon_said(&fx->daemon, sources[i]));
		assert_int_equal(access(fx->daemon.socket[0], F_OK), -1);
	}
	if (geteuid() == 0)
		return; /* root may read everything */
	write_file(fx->daemon.source, "x", 1);
	assert_int_equal(chmod(fx->daemon.source, 0), 0);
	daemon_run(&fx->daemon,
		(const char *[]){"-s", fx->daemon.prefix, "-f", fx->daemon.source, NULL});
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
	assert_true(daemon_said(&fx->daemon, fx->daemon.source));
}

#define SOURCE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOURCE_TEST(test_file_is_given_once),
		SOURCE_TEST(test_small_file),
		SOURCE_TEST(test_empty_file),
		SOURCE_TEST(test_file_is_replaced),
		SOURCE_TEST(test_file_is_removed),
		SOURCE_TEST(test_fifo),
		SOURCE_TEST(test_blocking_source_blocks_nobody),
		SOURCE_TEST(test_link_is_switched),
		SOURCE_TEST(test_slow_first_source),
		SOURCE_TEST(test_refused_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
