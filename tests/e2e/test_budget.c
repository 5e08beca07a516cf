/* SPDX-License-Identifier: BSD-3-Clause */
/* The budget with the options that the original has, too; the others are in test_budget_terms.c. */
#include "watched.h"

#include <sched.h>
#include <signal.h>

static void test_one_guest(void **state)
{
	struct watch *fx = *state;

	watched_start(fx, 1, "4000", "20");
	watched_add(fx, 0, 64 << 10);
	watched_until(fx, 30);
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_int_equal(fx->answers[i].len_bytes, 4000);
	watched_assert_within_shares(fx, 0, 4000, 20);
}

/* Smaller requests are answered in full, and the one at the quota's end with what is left. */
static void test_short_answer_at_the_end(void **state)
{
	struct watch *fx = *state;
	unsigned nr_short = 0;

	watched_start(fx, 1, "100000", "20");
	watched_add(fx, 0, 4096);
	watched_until(fx, 25 * 20);
	for (unsigned i = 0; i < fx->nr_answers; i++) {
		uint32_t len = fx->answers[i].len_bytes;

		assert_true(len == 4096 || len == 100000 % 4096);
		nr_short += len != 4096;
	}
	assert_int_not_equal(nr_short, 0);
	watched_assert_within_shares(fx, 0, 100000, 20);
}

/* 100 bytes for three: 33 or 34 for each in a period, in turn, and 100 for all together. */
static void test_shares_add_up(void **state)
{
	struct watch *fx = *state;

	watched_start(fx, 3, "100", "30");
	for (unsigned i = 0; i < 3; i++)
		watched_add(fx, i, 64 << 10);
	watched_until(fx, 45);
	for (unsigned i = 0; i < 3; i++) {
		const struct watched *w = &fx->watched[i];
		unsigned nr_34 = (unsigned)(w->bytes - 33ull * w->nr_answers);

		/* One in three, if no period was missed; a busy machine may miss some. */
		assert_in_range(nr_34, w->nr_answers / 3 - 4, w->nr_answers / 3 + 4);
		watched_assert_within_shares(fx, i, 34, 30);
	}
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_in_range(fx->answers[i].len_bytes, 33, 34);
	watched_assert_within_shares(fx, WATCHED_GUESTS, 100, 30);
}

/* One byte for three guests: each gets it in its turn, nobody gets 0. */
static void test_fewer_bytes_than_guests(void **state)
{
	unsigned least = UINT32_MAX, most = 0;
	struct watch *fx = *state;

	watched_start(fx, 3, "1", "100");
	for (unsigned i = 0; i < 3; i++)
		watched_add(fx, i, 64);
	watched_until(fx, 6);
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = fx->watched[i].nr_answers;

		assert_int_equal(fx->watched[i].bytes, n);
		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	assert_true(most - least <= 3);
	watched_assert_within_shares(fx, WATCHED_GUESTS, 1, 100);
}

/* What the others don't use is not given to the one that asks. */
static void test_sharing_is_strict(void **state)
{
	struct watch *fx = *state;

	watched_start(fx, 3, "90000", "20");
	watched_add(fx, 1, 64 << 10);
	watched_until(fx, 30);
	for (unsigned i = 0; i < fx->nr_answers; i++)
		assert_int_equal(fx->answers[i].len_bytes, 30000);
	watched_assert_within_shares(fx, 0, 30000, 20);
}

/* What was not used in a period is not there in the next: six of them give no more than one. */
static void test_nothing_is_saved_up(void **state)
{
	struct watch *fx = *state;
	struct driver_used used;
	struct watched *w;

	watched_start(fx, 1, "1000", "20");
	w = watched_add(fx, 0, 64 << 10);
	for (unsigned i = 0; i < 4; i++) {
		sleep_ms(120);
		guest_request(&w->guest, w->gpa, w->buf_bytes, i);
		guest_must_take(&w->guest, &used);
		assert_int_equal(used.len_bytes, 1000);
	}
}

/* Wait for the next answer of the only guest. */
static struct watched_answer *next_answer(struct watch *fx)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	struct watched_answer *answer;

	watched_ask(&fx->watched[0]);
	while ((answer = watched_look(fx, 0)) == NULL) {
		assert_true(now_ms() < deadline_ms);
		sched_yield();
	}
	return answer;
}

/*
 * To reconnect, to restart the ring, or to reset it fills nothing up. A guest that always asks is
 * given its share at the beginning of a period, so then the next comes a period later; half of one
 * is enough to tell that from at once, and allows for a polling lcore that was held up.
 */
static void test_reconnect_does_not_refill(void **state)
{
	const unsigned period_ms = 600;
	struct watch *fx = *state;
	struct watched *w;

	watched_start(fx, 1, "1000", "600");
	w = watched_add(fx, 0, 4096);
	(void)next_answer(fx);
	for (unsigned way = 0; way < 3; way++) {
		int64_t begin_us = next_answer(fx)->after_us;
		struct watched_answer *answer;

		assert_int_equal(fx->answers[fx->nr_answers - 1].len_bytes, 1000);
		if (way == 1)
			guest_stop(&w->guest);
		if (way < 2) {
			guest_die(&w->guest);
			guest_connect(&w->guest, fx->daemon.socket[0]);
		} else {
			guest_reset(&w->guest);
		}
		answer = next_answer(fx);
		if (answer->before_us - begin_us < period_ms * 500)
			fail_msg("way %u: refilled after %lld us", way,
				(long long)(answer->before_us - begin_us));
	}
}

/*
 * One guest has used up its share of a very long period and waits. It can be stopped (its requests
 * are still in the ring), restarted, reset; the other guest is served; the daemon ends at once.
 */
static void test_throttled_guest_is_patient(void **state)
{
	struct watch *fx = *state;
	struct watched *w, *other;
	struct driver_used used;
	int took_ms;

	watched_start(fx, 2, "2000", "4294967295");
	w = watched_add(fx, 0, 4096);
	other = watched_add(fx, 1, 100);
	watched_ask(w);
	guest_must_take(&w->guest, &used);
	assert_int_equal(used.len_bytes, 1000);
	for (unsigned i = 0; i < 5; i++) {
		guest_assert_quiet(&w->guest, 20);
		guest_request(&other->guest, other->gpa, 100, i);
		guest_must_take(&other->guest, &used);
		assert_int_equal(used.len_bytes, 100);
		guest_stop(&w->guest);
		assert_int_equal(w->guest.base, 1);
		guest_restart(&w->guest);
		assert_int_equal(frontend_set_memory(w->guest.fe, &w->guest.ram), 0);
	}
	guest_reset(&w->guest);
	watched_ask(w);
	guest_assert_quiet(&w->guest, 20);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, &took_ms), 0);
	assert_true(took_ms < 3000);
}

#define BUDGET_TEST(f) cmocka_unit_test_setup_teardown(f, watched_setup, watched_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BUDGET_TEST(test_one_guest),
		BUDGET_TEST(test_short_answer_at_the_end),
		BUDGET_TEST(test_shares_add_up),
		BUDGET_TEST(test_fewer_bytes_than_guests),
		BUDGET_TEST(test_sharing_is_strict),
		BUDGET_TEST(test_nothing_is_saved_up),
		BUDGET_TEST(test_reconnect_does_not_refill),
		BUDGET_TEST(test_throttled_guest_is_patient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
