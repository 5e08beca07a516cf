/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends and guests that do things as fast as they can: connect and leave, kick, send memory
 * tables, send nonsense, ask with lies. A neighbour loses nothing meanwhile, the log stays short,
 * memory and descriptors stay flat. The neighbour's waiting times before and during are printed.
 * VRNG_FLOOD_SECONDS: how long it lasts.
 */
#include "daemon.h"
#include "driver_rude.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_FLOODS   5
#define HONEST	    5 /* sockets */
#define NEIGHBOUR   6
#define NR_SOCKETS  7
#define NR_SAMPLES  200000
#define LINES_PER_S 60 /* of the log: ten for each of a few kinds */
#define SLACK_KB    8192

struct flood {
	struct fixture *fx;
	unsigned socket;
	pthread_t thread;
	bool running;
	uint64_t nr; /* what it did */
};

struct fixture {
	struct daemon daemon;
	struct honest honest;
	struct guest neighbour;
	struct flood floods[NR_FLOODS];
	bool stop; /* main: w, floods: r */
	uint32_t samples[NR_SAMPLES];
};

/* The address sanitizer keeps what was freed: that is not what is measured here. */
static void keep_little_of_what_was_freed(void)
{
	const char *given = getenv("ASAN_OPTIONS");
	char options[512];

	snprintf(options, sizeof(options), "%s:quarantine_size_mb=1", given != NULL ? given : "");
	setenv("ASAN_OPTIONS", options, 1);
}

static int setup(void **state)
{
	((struct daemon *)daemon_fixture(state, sizeof(struct fixture)))->inspected = true;
	keep_little_of_what_was_freed();
	return 0;
}

static void stop_floods(struct fixture *fx)
{
	__atomic_store_n(&fx->stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < NR_FLOODS; i++) {
		if (fx->floods[i].running)
			pthread_join(fx->floods[i].thread, NULL);
		fx->floods[i].running = false;
	}
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	stop_floods(fx);
	if (fx->honest.running && fx->daemon.pid > 0)
		(void)daemon_stop(&fx->daemon, 9, NULL);
	honest_fini(&fx->honest);
	guest_fini(&fx->neighbour);
	return daemon_fixture_end(state);
}

static bool goes_on(const struct flood *f)
{
	return !__atomic_load_n(&f->fx->stop, __ATOMIC_ACQUIRE);
}

static const char *path_of(const struct flood *f)
{
	return f->fx->daemon.socket[f->socket];
}

static void *flood_connect(void *arg)
{
	struct flood *f = arg;

	for (; goes_on(f); f->nr++)
		(void)socket_answers(path_of(f));
	return NULL;
}

/* A guest that is served, for the floods below. */
static void up(struct flood *f, struct guest *g)
{
	guest_init(g, &(struct guest_cfg){.queue_size = 16});
	guest_connect(g, path_of(f));
}

static void *flood_kick(void *arg)
{
	struct flood *f = arg;
	struct guest g;

	up(f, &g);
	for (; goes_on(f); f->nr++)
		frontend_kick(g.fe);
	guest_fini(&g);
	return NULL;
}

static void *flood_tables(void *arg)
{
	struct flood *f = arg;
	struct guest g;

	up(f, &g);
	for (; goes_on(f); f->nr++) {
		/* Another size, else the library keeps the old one. */
		g.ram.regions[0].size_bytes = g.cfg.region_bytes - f->nr % 2 * 4096;
		if (frontend_set_memory(g.fe, &g.ram) != 0)
			break;
	}
	g.ram.regions[0].size_bytes = g.cfg.region_bytes;
	guest_fini(&g);
	return NULL;
}

/* Messages that make no sense, from connection after connection. */
static void *flood_nonsense(void *arg)
{
	struct flood *f = arg;
	uint8_t payload[64];

	memset(payload, 0xff, sizeof(payload));
	while (goes_on(f)) {
		struct frontend_cfg cfg = {.socket_path = path_of(f), .timeout_ms = 1000};
		struct frontend *fe;

		if (frontend_create(&cfg, &fe) != 0)
			continue;
		for (uint32_t i = 0; i < 16; i++, f->nr++) {
			struct vhost_user_header header = {.request = (uint32_t)(f->nr % 48),
				.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY,
				.size_bytes = (uint32_t)(f->nr % 5 * 8)};

			if (frontend_send_raw(fe, &header, payload, header.size_bytes, NULL, 0) !=
				0)
				break;
		}
		frontend_destroy(fe);
	}
	return NULL;
}

/* A ring that lies, is reset, and lies again. */
static void *flood_lies(void *arg)
{
	struct flood *f = arg;
	struct guest g;

	up(f, &g);
	for (; goes_on(f); f->nr++) {
		driver_rude_push(&g.drv, 0xffff);
		frontend_kick(g.fe);
		if (frontend_stop_ring(g.fe, NULL) != 0)
			break;
		driver_reset(&g.drv);
		if (frontend_start_ring(g.fe, &g.drv, 0) != 0)
			break;
	}
	guest_fini(&g);
	return NULL;
}

static const struct {
	const char *what;
	void *(*run)(void *);
} kinds[NR_FLOODS] = {
	{"connections", flood_connect},
	{"kicks", flood_kick},
	{"memory tables", flood_tables},
	{"malformed messages", flood_nonsense},
	{"lies in a ring", flood_lies},
};

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * One request at a time, polled for, until the time is over. All threads of this process are on one
 * CPU, so this one goes first, where it may, and sleeps in between: it is to wait for the daemon,
 * not for the others.
 */
static void measure(struct fixture *fx, const char *when, unsigned ms)
{
	const struct sched_param first = {.sched_priority = 1}, usual = {0};
	const struct timespec pause = {.tv_nsec = 200000};
	bool is_first = sched_setscheduler(0, SCHED_FIFO, &first) == 0;
	int64_t end_ms = now_ms() + ms;
	unsigned n = 0;

	while (n < NR_SAMPLES && now_ms() < end_ms) {
		struct driver_used used;
		int64_t from_us = now_us();

		guest_request(&fx->neighbour, fx->neighbour.scratch_gpa, 64, n);
		guest_must_take(&fx->neighbour, &used);
		fx->samples[n++] = (uint32_t)(now_us() - from_us);
		nanosleep(&pause, NULL);
	}
	sched_setscheduler(0, SCHED_OTHER, &usual);
	qsort(fx->samples, n, sizeof(fx->samples[0]), by_size);
	print_message("# %s: %u requests, p50 %u us, p99 %u us, longest %u us%s\n", when, n,
		fx->samples[n / 2], fx->samples[(size_t)n * 99 / 100], fx->samples[n - 1],
		is_first ? "" : " (the test's own waiting for a CPU included)");
}

static unsigned count_lines(const struct daemon *d)
{
	char *log = read_text(d->log);
	unsigned n = 0;

	for (const char *c = log; *c != '\0'; c++)
		n += *c == '\n';
	free(log);
	return n;
}

static void run_floods(struct fixture *fx, unsigned seconds)
{
	for (unsigned i = 0; i < NR_FLOODS; i++) {
		struct flood *f = &fx->floods[i];

		*f = (struct flood){.fx = fx, .socket = i};
		assert_int_equal(pthread_create(&f->thread, NULL, kinds[i].run, f), 0);
		f->running = true;
	}
	measure(fx, "during", seconds * 1000);
	stop_floods(fx);
	fx->stop = false;
	for (unsigned i = 0; i < NR_FLOODS; i++) {
		print_message("# %llu %s\n", (unsigned long long)fx->floods[i].nr, kinds[i].what);
		assert_int_not_equal(fx->floods[i].nr, 0);
	}
}

static void test_floods(void **state)
{
	unsigned seconds = env_number("VRNG_FLOOD_SECONDS", 2), lines, fds;
	struct fixture *fx = *state;
	int64_t from_ms, deadline_ms;
	long kb;
	int ms;

	daemon_start(&fx->daemon, NR_SOCKETS, NULL);
	honest_start(&fx->honest, fx->daemon.socket[HONEST]);
	guest_init(&fx->neighbour, &(struct guest_cfg){0});
	guest_connect(&fx->neighbour, fx->daemon.socket[NEIGHBOUR]);
	guest_assert_served(&fx->neighbour);
	run_floods(fx, 1); /* whatever is allocated once */
	sleep_ms(50);
	measure(fx, "before", 500);
	fds = daemon_count_fds(&fx->daemon);
	kb = daemon_memory_kb(&fx->daemon, "VmRSS");
	lines = count_lines(&fx->daemon);
	from_ms = now_ms();
	run_floods(fx, seconds);
	daemon_assert_alive(&fx->daemon);
	honest_check(&fx->honest);
	lines = count_lines(&fx->daemon) - lines;
	print_message("# %u lines of log, %ld KiB more memory\n", lines,
		daemon_memory_kb(&fx->daemon, "VmRSS") - kb);
	assert_true(lines <= LINES_PER_S * ((now_ms() - from_ms) / 1000 + 2));
	assert_true(daemon_memory_kb(&fx->daemon, "VmRSS") - kb < SLACK_KB);
	for (deadline_ms = now_ms() + LIVENESS_MS; daemon_count_fds(&fx->daemon) != fds;
		sleep_ms(10))
		if (now_ms() > deadline_ms)
			fail_msg("%u descriptors, before there were %u",
				daemon_count_fds(&fx->daemon), fds);
	honest_stop(&fx->honest);
	assert_int_equal(daemon_stop(&fx->daemon, 15, &ms), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_floods, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
