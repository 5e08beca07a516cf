/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon dies, by kill -9, and is started again: no guest notices more than a pause. The
 * number of times is VRNG_RESTARTS (10); scripts/campaign.sh has more of them, and reads what is
 * printed here.
 */
#include "daemon.h"
#include "honest.h"
#include "util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUESTS_MAX 2

struct fixture {
	struct daemon daemon;
	struct honest guests[GUESTS_MAX];
};

static int setup(void **state)
{
	daemon_fixture(state, sizeof(struct fixture));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < GUESTS_MAX; i++)
		honest_fini(&fx->guests[i]);
	return daemon_fixture_end(state);
}

/* Start the daemon and wait for nothing. */
static void run_daemon(struct fixture *fx, bool client, bool drbg)
{
	const char *args[] = {"-s", fx->daemon.prefix, "-c", "2", "--source-mode",
		drbg ? "drbg" : "passthrough", client ? "--client" : NULL, NULL};

	daemon_run(&fx->daemon, args);
}

/* Some time in which something happens, 1 to 'max_ms' ms, another each time. */
static void linger(int max_ms)
{
	sleep_ms(1 + rand() % max_ms);
}

struct gaps {
	int64_t longest_us, sum_us;
};

/*
 * Kill and start again n times while guest 0 is served; what it then waits for is the time from
 * the start of the daemon to its next answer.
 */
static void restart_often(struct fixture *fx, bool client, bool drbg, unsigned n, struct gaps *gaps)
{
	struct honest *h = &fx->guests[0];

	for (unsigned i = 0; i < n; i++) {
		int64_t started_us, took_us;
		uint64_t answers;

		linger(30);
		assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
		linger(5);
		answers = honest_answers(h);
		started_us = now_us();
		run_daemon(fx, client, drbg);
		honest_wait_answer(h, answers);
		took_us = now_us() - started_us;
		gaps->sum_us += took_us;
		if (took_us > gaps->longest_us)
			gaps->longest_us = took_us;
	}
}

static void restarts(struct fixture *fx, const struct honest_cfg *cfg, bool drbg)
{
	unsigned n = env_number("VRNG_RESTARTS", 10);
	struct honest *h = &fx->guests[0];
	struct gaps gaps = {0};

	honest_start_as(h, cfg);
	run_daemon(fx, cfg->listen, drbg);
	honest_wait_answer(h, 0);
	restart_often(fx, cfg->listen, drbg, n, &gaps);
	honest_stop(h);
	assert_true(h->nr_connections > n);
	print_message("# restarts=%u mode=%s source=%s depth=%u size=%u requests=%llu answers=%llu "
		      "start_to_answer_mean_ms=%.0f start_to_answer_max_ms=%.0f "
		      "longest_gap_ms=%.0f\n",
		n, cfg->listen ? "client" : "server", drbg ? "drbg" : "passthrough", cfg->depth,
		cfg->size_bytes, (unsigned long long)h->nr_offered,
		(unsigned long long)h->nr_answers, (double)gaps.sum_us / n / 1000,
		(double)gaps.longest_us / 1000, (double)h->longest_gap_us / 1000);
}

static void test_client_depth_1(void **state)
{
	struct fixture *fx = *state;

	restarts(fx,
		&(struct honest_cfg){
			.path = fx->daemon.socket[0], .listen = true, .depth = 1, .size_bytes = 64},
		true);
}

static void test_client_depth_64(void **state)
{
	struct fixture *fx = *state;

	restarts(fx,
		&(struct honest_cfg){.path = fx->daemon.socket[0],
			.listen = true,
			.depth = 64,
			.size_bytes = 4096},
		true);
}

/* With the source's own bytes, where the lcore may wait for them when it dies. */
static void test_client_passthrough(void **state)
{
	struct fixture *fx = *state;

	restarts(fx,
		&(struct honest_cfg){.path = fx->daemon.socket[0],
			.listen = true,
			.depth = 64,
			.size_bytes = 16384,
			.may_be_short = true},
		false);
}

/* In server mode it depends on the front-end: this one connects again. */
static void test_server(void **state)
{
	struct fixture *fx = *state;

	restarts(fx,
		&(struct honest_cfg){.path = fx->daemon.socket[0], .depth = 64, .size_bytes = 4096},
		true);
}

/* Killed at any moment of its start, also before anybody is served: the one that stays serves. */
static void test_killed_while_starting(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < GUESTS_MAX; i++)
		honest_start_as(&fx->guests[i], &(struct honest_cfg){.path = fx->daemon.socket[i],
							.listen = true,
							.depth = 8,
							.size_bytes = 1024});
	for (unsigned i = 0; i < 2 * env_number("VRNG_RESTARTS", 10); i++) {
		run_daemon(fx, true, true);
		linger(400);
		assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
	}
	run_daemon(fx, true, true);
	for (unsigned i = 0; i < GUESTS_MAX; i++) {
		honest_wait_answer(&fx->guests[i], honest_answers(&fx->guests[i]));
		honest_stop(&fx->guests[i]);
	}
}

#define RESTART_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RESTART_TEST(test_client_depth_1),
		RESTART_TEST(test_client_depth_64),
		RESTART_TEST(test_client_passthrough),
		RESTART_TEST(test_server),
		RESTART_TEST(test_killed_while_starting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
