/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The budget with terms that the original does not have: fair sharing, weights, caps, bursts,
 * limits of requests, smooth refill; and guests on several lcores. What lib/budget does is tested
 * there; this is whether the daemon does it.
 */
#include "watched.h"

#include <string.h>

#define PERIOD_MS 50
#define PERIOD	  "50"

/* What one does not use, the other gets: about twice its share, and never more. */
static void fair_share_of_idle(struct watch *fx, const char *const *args)
{
	uint64_t most, least;

	daemon_start(&fx->daemon, 3, args);
	watched_add(fx, 1, 1000);
	watched_for(fx, 20 * PERIOD_MS);
	watched_assert_within_shares(fx, WATCHED_GUESTS, 90000, PERIOD_MS);
	most = fx->watched[0].bytes;
	least = 90000 * 20 / 3;
	/* A busy machine may miss the end of a period now and then. */
	if (most < least * 2)
		fail_msg("%llu bytes, its own share is %llu", (unsigned long long)most,
			(unsigned long long)least);
}

static void test_fair(void **state)
{
	fair_share_of_idle(
		*state, (const char *[]){"-m", "90000", "-p", PERIOD, "--sharing", "fair", NULL});
}

/* The same, when the shares that are lent lie on another lcore. */
static void test_fair_over_lcores(void **state)
{
	fair_share_of_idle(*state, (const char *[]){"-m", "90000", "-p", PERIOD, "--sharing",
					   "fair", "--lcores", "0,1", NULL});
}

static void test_fair_and_smooth(void **state)
{
	fair_share_of_idle(*state, (const char *[]){"-m", "90000", "-p", PERIOD, "--sharing",
					   "fair", "--refill", "smooth", NULL});
}

/* Two that want all get by weight; each answer is all of a share. */
static void test_weights(void **state)
{
	struct watch *fx = *state;

	daemon_start(&fx->daemon, 2,
		(const char *[]){"-m", "40000", "-p", PERIOD, "--guest", "1,weight=3", NULL});
	watched_add(fx, 0, 64 << 10);
	watched_add(fx, 1, 64 << 10);
	watched_until(fx, 10);
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_int_equal(
			fx->answers[i].len_bytes, fx->answers[i].guest == 0 ? 10000 : 30000);
	watched_assert_within_shares(fx, 0, 10000, PERIOD_MS);
	watched_assert_within_shares(fx, 1, 30000, PERIOD_MS);
}

/* A cap without any other limit, and a guest without one beside it. */
static void test_cap(void **state)
{
	struct watch *fx = *state;

	daemon_start(&fx->daemon, 2, (const char *[]){"-p", PERIOD, "--guest", "0,cap=5000", NULL});
	watched_add(fx, 0, 64 << 10);
	watched_until(fx, 10);
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_int_equal(fx->answers[i].len_bytes, 5000);
	watched_assert_within_shares(fx, 0, 5000, PERIOD_MS);
	watched_add(fx, 1, 64);
	guest_assert_served(&fx->watched[1].guest);
}

/* What was not used is kept, so far; and what is given once is there once. */
static void test_bursts(void **state)
{
	struct watch *fx = *state;
	struct driver_used used;
	struct watched *w;

	daemon_start(&fx->daemon, 1,
		(const char *[]){"-m", "1000", "-p", PERIOD, "--burst", "3000", "--burst-once",
			"10000", NULL});
	w = watched_add(fx, 0, 64 << 10);
	guest_request(&w->guest, w->gpa, w->buf_bytes, 0);
	guest_must_take(&w->guest, &used);
	/* Its first share, and perhaps a second one came before it was asked for. */
	assert_in_range(used.len_bytes, 11000, 12000);
	for (unsigned i = 1; i < 4; i++) {
		sleep_ms(6 * PERIOD_MS);
		guest_request(&w->guest, w->gpa, w->buf_bytes, i);
		guest_must_take(&w->guest, &used);
		assert_in_range(used.len_bytes, 3000, 4000);
	}
}

/* So many requests in a period, whatever their size. */
static void test_requests(void **state)
{
	struct watch *fx = *state;

	daemon_start(&fx->daemon, 2, (const char *[]){"--max-requests", "20", "-p", PERIOD, NULL});
	watched_add(fx, 0, 100);
	watched_until(fx, 60);
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_int_equal(fx->answers[i].len_bytes, 100);
	watched_assert_within_shares(fx, 0, 10 * 100, PERIOD_MS);
}

/* What can have come so long after the daemon's start: 70,000 in the first 875 ms of each second.
 */
static uint64_t come_by(int64_t us)
{
	uint64_t in_this = (uint64_t)(us % 1000000) * 80 / 1000;

	return (uint64_t)(us / 1000000) * 70000 + (in_this < 70000 ? in_this : 70000);
}

/* Smooth: by no time more than has come, however late this test or the daemon is. */
static void test_smooth(void **state)
{
	int64_t before_us = now_us();
	struct watch *fx = *state;
	uint64_t bytes = 0;

	daemon_start(&fx->daemon, 1,
		(const char *[]){"-m", "70000", "-p", "1000", "--refill", "smooth", NULL});
	watched_add(fx, 0, 100);
	watched_for(fx, 1500);
	for (unsigned i = 0; i < fx->nr_answers; i++) {
		bytes += fx->answers[i].len_bytes;
		if (bytes > come_by(fx->answers[i].before_us - before_us))
			fail_msg("%llu bytes after %lld us", (unsigned long long)bytes,
				(long long)(fx->answers[i].before_us - before_us));
	}
	assert_true(bytes > 70000);
}

/* Guests on two lcores: their shares are one budget. */
static void test_lcores(void **state)
{
	struct watch *fx = *state;

	daemon_start(&fx->daemon, 3,
		(const char *[]){"-m", "100", "-p", PERIOD, "--lcores", "0,1", NULL});
	for (unsigned i = 0; i < 3; i++)
		watched_add(fx, i, 64 << 10);
	watched_until(fx, 10);
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_in_range(fx->answers[i].len_bytes, 33, 34);
	watched_assert_within_shares(fx, WATCHED_GUESTS, 100, PERIOD_MS);
	assert_true(daemon_said(&fx->daemon, "served by lcore 1"));
	assert_true(daemon_said(&fx->daemon, "served by lcore 2"));
}

#define TERMS_TEST(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TERMS_TEST(test_fair),
		TERMS_TEST(test_fair_over_lcores),
		TERMS_TEST(test_fair_and_smooth),
		TERMS_TEST(test_weights),
		TERMS_TEST(test_cap),
		TERMS_TEST(test_bursts),
		TERMS_TEST(test_requests),
		TERMS_TEST(test_smooth),
		TERMS_TEST(test_lcores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
