/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VMM does to a device while its guest uses it: stop and restart, pause, die, come back.
 * Memory tables have their own file, test_memory.c.
 */
#include "daemon.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIG_BYTES (64u << 10)
#define DEPTH	  48
#define POISON	  0xa5

struct fixture {
	struct daemon daemon;
	struct guest guest;
	struct honest honest;
};

static int start(void **state)
{
	((struct daemon *)daemon_fixture(state, sizeof(struct fixture)))->inspected = true;
	return 0;
}

/* One daemon for all tests, unless one of them ends it. */
static int setup(void **state)
{
	struct fixture *fx = *state;

	if (!daemon_is_alive(&fx->daemon))
		daemon_start(&fx->daemon, 2, NULL);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	honest_fini(&fx->honest);
	guest_fini(&fx->guest);
	return 0;
}

static void fill_queue(struct guest *g, uint64_t gpa)
{
	while (g->drv.nr_offered < DEPTH)
		guest_ask(g, gpa + g->drv.nr_offered * (uint64_t)BIG_BYTES, BIG_BYTES, 0);
	guest_show(g);
}

/* Take what has been answered, then what is still to come. @return how many */
static unsigned drain(struct guest *g)
{
	struct driver_used used;
	unsigned n = 0;

	for (; g->drv.nr_offered > 0; n++)
		guest_must_take(g, &used);
	return n;
}

/*
 * Once a stop is answered, guest memory doesn't change: not the buffers (the device is stopped in
 * the middle of 3 MiB of them), not the used ring. What was not answered is, after the restart.
 */
static void test_nothing_is_written_after_stop(void **state)
{
	struct guest_cfg cfg = {.region_bytes = 8 << 20, .start_idx = 65000};
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	unsigned nr_early = 0;
	uint8_t *shadow;
	uint64_t gpa;

	guest_init(g, &cfg);
	gpa = guest_alloc(g, 0, (uint64_t)DEPTH * BIG_BYTES);
	guest_connect(g, fx->daemon.socket[0]);
	shadow = malloc(cfg.region_bytes);
	for (unsigned turn = 0; turn < 60; turn++) {
		uint16_t asked;
		int late;

		fill_queue(g, gpa);
		asked = g->drv.avail_next;
		guest_stop(g);
		memcpy(shadow, g->ram.regions[0].host, cfg.region_bytes);
		nr_early += g->base != asked;
		sleep_ms(5);
		late = memcmp(shadow, g->ram.regions[0].host, cfg.region_bytes);
		assert_int_equal(late, 0);
		guest_restart(g);
		(void)drain(g);
	}
	free(shadow);
	print_message("# %u of 60 stops came before all was answered\n", nr_early);
	assert_int_not_equal(nr_early, 0); /* else this test shows nothing */
}

/* The same stop, 200 times at depth 1 and in quick succession: the base is right each time. */
static void test_stop_and_restart_in_a_row(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct driver_used used;

	guest_init(g, &(struct guest_cfg){.event_idx = true, .start_idx = 65500});
	guest_connect(g, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 200; i++) {
		guest_request(g, g->scratch_gpa, 64, i);
		guest_stop(g);
		guest_restart(g);
		guest_must_take(g, &used);
		assert_int_equal(used.cookie, i);
	}
}

/* A request that is published while the ring is stopped waits, and is served without a kick. */
static void test_request_while_stopped(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct driver_used used;

	guest_init(g, &(struct guest_cfg){0});
	guest_connect(g, fx->daemon.socket[0]);
	guest_assert_served(g);
	for (unsigned i = 0; i < 10; i++) {
		guest_stop(g);
		guest_ask(g, g->scratch_gpa, 64, 1);
		driver_publish(&g->drv);
		guest_assert_quiet(g, 10);
		guest_restart(g);
		guest_must_take(g, &used);
	}
}

/* A guest that reboots: ring stopped, queue made anew from index 0, its old requests forgotten. */
static void test_guest_reboots(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t gpa;

	guest_init(g, &(struct guest_cfg){.region_bytes = 8 << 20});
	gpa = guest_alloc(g, 0, (uint64_t)DEPTH * BIG_BYTES);
	guest_connect(g, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 30; i++) {
		fill_queue(g, gpa);
		assert_int_equal(frontend_enable_ring(g->fe, false), 0);
		guest_stop(g);
		driver_reset(&g->drv);
		assert_int_equal(
			guest_ram_fill(&g->ram, gpa, (uint64_t)DEPTH * BIG_BYTES, POISON), 0);
		g->base = driver_start_base(&g->drv);
		guest_restart(g);
		guest_assert_served(g);
		assert_int_equal(
			guest_ram_check(&g->ram, gpa, (uint64_t)DEPTH * BIG_BYTES, POISON, NULL),
			0);
	}
}

static void test_pause(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct driver_used used;

	guest_init(g, &(struct guest_cfg){0});
	guest_connect(g, fx->daemon.socket[0]);
	guest_assert_served(g);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(frontend_enable_ring(g->fe, false), 0);
		guest_request(g, g->scratch_gpa, 64, i);
		guest_assert_quiet(g, 20);
		assert_int_equal(frontend_enable_ring(g->fe, true), 0);
		guest_must_take(g, &used);
		assert_int_equal(used.cookie, i);
	}
}

/* The VMM dies with a full queue; a new one goes on from the used index. No request is lost. */
static void test_front_end_dies(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t gpa;

	honest_start(&fx->honest, fx->daemon.socket[1]);
	guest_init(g, &(struct guest_cfg){.region_bytes = 8 << 20, .event_idx = true});
	gpa = guest_alloc(g, 0, (uint64_t)DEPTH * BIG_BYTES);
	guest_connect(g, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 30; i++) {
		int64_t deadline_ms = now_ms() + LIVENESS_MS;
		uint16_t used_idx;

		fill_queue(g, gpa);
		guest_die(g);
		/* The kernel has told the daemon; wait until it has let go of the memory. */
		do {
			used_idx = driver_resume_base(&g->drv);
			sleep_ms(10);
			assert_true(now_ms() < deadline_ms);
		} while (used_idx != driver_resume_base(&g->drv));
		guest_connect(g, fx->daemon.socket[0]);
		assert_int_equal(drain(g), DEPTH);
		guest_assert_served(g);
		honest_check(&fx->honest);
	}
	honest_stop(&fx->honest);
}

/* Politely or not, a hundred guests one after the other; each served, nothing left behind. */
static void test_reconnect_100_times(void **state)
{
	int64_t deadline_ms = now_ms() + 3 * LIVENESS_MS;
	struct fixture *fx = *state;
	unsigned before = 0;

	for (unsigned i = 0; i < 100; i++) {
		guest_init(&fx->guest, &(struct guest_cfg){.nr_regions = 2});
		guest_connect(&fx->guest, fx->daemon.socket[0]);
		guest_assert_served(&fx->guest);
		if (i == 0)
			before = daemon_count_fds(&fx->daemon);
		if (i % 2 == 0)
			guest_stop(&fx->guest);
		guest_fini(&fx->guest);
	}
	/* The last one's descriptors may be on their way out, those of 99 others may not. */
	while (daemon_count_fds(&fx->daemon) > before) {
		assert_true(now_ms() < deadline_ms);
		sleep_ms(10);
	}
}

/* A front-end that connects and says nothing, or half of what it should, and goes away. */
static void test_unfinished_conversations(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct frontend_cfg cfg = {.socket_path = fx->daemon.socket[0]};

	honest_start(&fx->honest, fx->daemon.socket[1]);
	guest_init(g, &(struct guest_cfg){0});
	for (unsigned step = 0; step < 40; step++) {
		assert_int_equal(frontend_create(&cfg, &g->fe), 0);
		if (step % 4 > 0)
			assert_int_equal(frontend_negotiate(g->fe, 0, NULL), 0);
		if (step % 4 > 1)
			assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		if (step % 4 > 2)
			assert_int_equal(frontend_set_ring_addr(g->fe, &g->drv), 0);
		guest_die(g);
	}
	guest_connect(g, fx->daemon.socket[0]);
	guest_assert_served(g);
	honest_check(&fx->honest);
	honest_stop(&fx->honest);
}

/* A driver that polls is served without SET_VRING_CALL, and is called once that message comes. */
static void test_late_call(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;

	guest_init(g, &(struct guest_cfg){.without_call = true});
	guest_connect(g, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 10; i++) {
		guest_assert_served(g);
		assert_int_equal(frontend_renew_call(g->fe), 0);
		guest_assert_served(g);
		assert_true(frontend_wait_call(g->fe, LIVENESS_MS) > 0);
		guest_stop(g);
		guest_restart(g);
	}
}

/* Without PROTOCOL_FEATURES a ring is enabled when SET_VRING_KICK starts it, call or no call. */
static void test_ring_starts_enabled(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t features = 1ull << VIRTIO_F_VERSION_1;

	for (unsigned i = 0; i < 4; i++) {
		struct frontend_cfg cfg = {.socket_path = fx->daemon.socket[0]};

		guest_init(g, &(struct guest_cfg){.without_call = i % 2 == 0});
		if (g->cfg.packed)
			features |= GUEST_PACKED;
		assert_int_equal(frontend_create(&cfg, &g->fe), 0);
		assert_int_equal(frontend_set(g->fe, VHOST_USER_SET_FEATURES, &features,
					 sizeof(features), NULL, 0),
			0);
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		g->base = driver_start_base(&g->drv);
		guest_restart(g);
		guest_assert_served(g);
		guest_stop(g);
		guest_request(g, g->scratch_gpa, 64, 1);
		guest_assert_quiet(g, 20);
		guest_fini(g);
	}
}

/* RESET_OWNER takes memory and ring away; the front-end can set up everything again. */
static void test_reset_owner(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;

	for (unsigned i = 0; i < 4; i++) {
		guest_init(g, &(struct guest_cfg){.without_call = i % 2 == 0});
		guest_connect(g, fx->daemon.socket[0]);
		guest_assert_served(g);
		assert_int_equal(frontend_set(g->fe, VHOST_USER_RESET_OWNER, NULL, 0, NULL, 0), 0);
		guest_request(g, g->scratch_gpa, 64, 1);
		guest_assert_quiet(g, 20);
		driver_reset(&g->drv);
		g->base = driver_start_base(&g->drv);
		assert_int_equal(
			frontend_negotiate(g->fe, g->cfg.packed ? GUEST_PACKED : 0, NULL), 0);
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		guest_restart(g);
		guest_assert_served(g);
		guest_fini(g);
	}
}

/* At its end the daemon detaches a ring that rte_vhost never called ready, then unmaps memory. */
static void test_daemon_ends_without_call(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t gpa;

	for (unsigned i = 0; i < 5; i++) {
		setup(state);
		guest_init(g, &(struct guest_cfg){.region_bytes = 8 << 20, .without_call = true});
		gpa = guest_alloc(g, 0, (uint64_t)DEPTH * BIG_BYTES);
		guest_connect(g, fx->daemon.socket[0]);
		fill_queue(g, gpa);
		assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
		guest_fini(g);
	}
}

#define LIFECYCLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIFECYCLE_TEST(test_nothing_is_written_after_stop),
		LIFECYCLE_TEST(test_stop_and_restart_in_a_row),
		LIFECYCLE_TEST(test_request_while_stopped),
		LIFECYCLE_TEST(test_guest_reboots),
		LIFECYCLE_TEST(test_pause),
		LIFECYCLE_TEST(test_front_end_dies),
		LIFECYCLE_TEST(test_reconnect_100_times),
		LIFECYCLE_TEST(test_unfinished_conversations),
		LIFECYCLE_TEST(test_late_call),
		LIFECYCLE_TEST(test_ring_starts_enabled),
		LIFECYCLE_TEST(test_reset_owner),
		LIFECYCLE_TEST(test_daemon_ends_without_call),
	};

	return cmocka_run_group_tests(tests, start, daemon_fixture_end);
}
