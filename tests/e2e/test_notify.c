/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks and calls: a guest that sleeps must be woken for every answer it waits for, one that polls
 * must be left alone, and nobody needs to kick a device that polls.
 */
#include "daemon.h"
#include "driver_rude.h"
#include "guest.h"
#include "util.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct fixture {
	struct daemon daemon;
	struct guest guest;
	uint64_t gpa;
};

static int start(void **state)
{
	daemon_fixture(state, sizeof(struct fixture));
	return 0;
}

/* One daemon for all tests, unless one of them ends it. */
static int setup(void **state)
{
	struct fixture *fx = *state;

	if (!daemon_is_alive(&fx->daemon))
		daemon_start(&fx->daemon, 1, NULL);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	guest_fini(&fx->guest);
	return 0;
}

static void guest_up(struct fixture *fx, bool event_idx)
{
	struct guest_cfg cfg = {.queue_size = 16, .event_idx = event_idx, .start_idx = 60000};

	guest_init(&fx->guest, &cfg);
	fx->gpa = guest_alloc(&fx->guest, 0, 64);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	guest_assert_served(&fx->guest);
}

/* Sleep until there is an answer. A lost call shows as a sleep without end. */
static void sleep_for_answer(struct guest *g)
{
	while (!driver_calls_on(&g->drv)) {
		if (frontend_wait_call(g->fe, LIVENESS_MS) > 0)
			continue;
		if (driver_calls_on(&g->drv))
			fail_msg("an answer came without the call that was asked for");
		fail_msg("neither an answer nor a call came");
	}
}

/* 'nr' requests, 'depth' at a time, the guest asleep whenever it has nothing to do. */
static void run_asleep(struct fixture *fx, unsigned nr, unsigned depth)
{
	struct guest *g = &fx->guest;
	struct driver_used used;
	unsigned asked = 0, taken = 0;

	while (taken < nr) {
		for (; asked < nr && asked - taken < depth; asked++)
			guest_ask(g, fx->gpa, 64, asked);
		guest_show(g);
		sleep_for_answer(g);
		/* Not always all of them, so that the next sleep begins at any index. */
		for (unsigned i = 0; i <= taken % depth && guest_take(g, &used, 0); i++)
			taken++;
	}
}

static void test_asleep_with_event_idx(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, true);
	run_asleep(fx, 20000, 1);
	run_asleep(fx, 20000, 3);
	run_asleep(fx, 20000, 16);
}

static void test_asleep_with_flags(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, false);
	run_asleep(fx, 20000, 1);
	run_asleep(fx, 20000, 3);
	run_asleep(fx, 20000, 16);
}

static void poll_calls_off(struct fixture *fx)
{
	struct guest *g = &fx->guest;
	struct driver_used used;
	uint64_t calls = 0;

	driver_calls_off(&g->drv);
	guest_assert_served(g);
	sleep_ms(20); /* one that was on its way */
	(void)frontend_wait_call(g->fe, 0);
	for (unsigned i = 0; i < 50000; i++) {
		guest_request(g, fx->gpa, 64, i);
		guest_must_take(g, &used);
		if (i % 1000 == 0)
			calls += frontend_wait_call(g->fe, 0);
	}
	sleep_ms(20);
	calls += frontend_wait_call(g->fe, 0);
	assert_int_equal(calls, 0);
	run_asleep(fx, 100, 1); /* and it can have them back */
}

static void test_calls_off_with_event_idx(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, true);
	poll_calls_off(fx);
}

static void test_calls_off_with_flags(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, false);
	poll_calls_off(fx);
}

/* With event_idx a guest can ask for the call of a later answer: no call before that one. */
static void wish_for(struct guest *g, unsigned answers_on)
{
	struct driver *drv = &g->drv;

	if (!drv->packed) {
		drv->avail->ring[16] = (uint16_t)(drv->used_next + answers_on); /* used_event */
		return;
	}
	driver_rude_packed_events(drv, driver_packed_pos(drv, drv->used_next, answers_on),
		VRING_PACKED_EVENT_FLAG_DESC);
}

static void test_event_further_on(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct driver_used used;

	guest_up(fx, true);
	driver_calls_off(&g->drv);
	guest_assert_served(g);
	sleep_ms(20);
	(void)frontend_wait_call(g->fe, 0);
	for (unsigned turn = 0; turn < 20; turn++) {
		wish_for(g, 5);
		for (unsigned i = 0; i < 5; i++) {
			guest_request(g, fx->gpa, 64, i);
			guest_must_take(g, &used);
		}
		assert_int_equal(frontend_wait_call(g->fe, 10), 0);
		guest_request(g, fx->gpa, 64, 5);
		assert_int_equal(frontend_wait_call(g->fe, LIVENESS_MS), 1);
		guest_must_take(g, &used);
	}
}

static void test_no_kick_needed(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct driver_used used;

	guest_up(fx, true);
	for (unsigned i = 0; i < 1000; i++) {
		guest_ask(g, fx->gpa, 64, i);
		driver_publish(&g->drv);
		guest_must_take(g, &used);
	}
}

/* QEMU replaces the call descriptor while the ring runs, under a guest that sleeps. */
static void test_call_descriptor_replaced(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, true);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(frontend_renew_call(fx->guest.fe), 0);
		run_asleep(fx, 20, 2);
	}
}

/* A guest that has sent no call descriptor, or took it back, can poll all the same. */
static void test_call_descriptor_taken_back(void **state)
{
	struct fixture *fx = *state;
	uint64_t none = VHOST_USER_VRING_NOFD;

	guest_up(fx, true);
	assert_int_equal(
		frontend_set(fx->guest.fe, VHOST_USER_SET_VRING_CALL, &none, sizeof(none), NULL, 0),
		0);
	(void)driver_calls_on(&fx->guest.drv);
	for (unsigned i = 0; i < 1000; i++)
		guest_assert_served(&fx->guest);
	assert_int_equal(frontend_renew_call(fx->guest.fe), 0);
	run_asleep(fx, 100, 2);
}

#define NOTIFY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NOTIFY_TEST(test_asleep_with_event_idx),
		NOTIFY_TEST(test_asleep_with_flags),
		NOTIFY_TEST(test_calls_off_with_event_idx),
		NOTIFY_TEST(test_calls_off_with_flags),
		NOTIFY_TEST(test_event_further_on),
		NOTIFY_TEST(test_no_kick_needed),
		NOTIFY_TEST(test_call_descriptor_replaced),
		NOTIFY_TEST(test_call_descriptor_taken_back),
	};

	return cmocka_run_group_tests(tests, start, daemon_fixture_end);
}
