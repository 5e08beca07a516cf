/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that are scattered as far as can be: one byte in each descriptor. A chain may be as long
 * as a queue can be, 32768, in the queue and in a table; longer ones are lies.
 */
#include "arena.h"
#include "daemon.h"
#include "guest.h"
#include "honest.h"
#include "stream.h"
#include "util.h"

#include <stdlib.h>

#define LONGEST	     32768
#define TOO_LONG     65535
#define SOURCE_BYTES (64u << 20)

struct fixture {
	struct daemon daemon;
	struct guest guest;
	struct honest honest;
	struct arena arena;
	struct driver_buf *bufs;
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	fx->bufs = calloc(TOO_LONG, sizeof(fx->bufs[0]));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	honest_fini(&fx->honest);
	arena_fini(&fx->arena);
	guest_fini(&fx->guest);
	free(fx->bufs);
	return daemon_fixture_end(state);
}

/* Connected, and with 'n' buffers of one byte, each with a neighbour that is nobody's. */
static void up(struct fixture *fx, const struct guest_cfg *cfg, unsigned n)
{
	uint64_t gpa;

	guest_init(&fx->guest, cfg);
	gpa = guest_alloc(&fx->guest, 0, 2 * TOO_LONG);
	arena_init(&fx->arena, &fx->guest, gpa, 2 * TOO_LONG);
	for (unsigned i = 0; i < n; i++)
		fx->bufs[i] = (struct driver_buf){gpa + 2 * i, 1, true};
	guest_connect(&fx->guest, fx->daemon.socket[0]);
}

static void ask(struct fixture *fx, unsigned n, bool in_table)
{
	assert_int_equal(driver_add(&fx->guest.drv, fx->bufs, n, in_table ? 0 : n, 7), 0);
	guest_show(&fx->guest);
}

/* Every byte where it must be, and no other; in turns of any size. */
static void longest(struct fixture *fx, const struct guest_cfg *cfg, bool in_table)
{
	static const char *const turns[] = {"64", "1000", "256Ki"};
	struct driver_used used;

	stream_append(fx->daemon.source, 0, SOURCE_BYTES);
	for (unsigned i = 0; i < ARRAY_SIZE(turns); i++) {
		daemon_start(&fx->daemon, 1,
			(const char *[]){"-f", fx->daemon.source, "--turn-bytes", turns[i], NULL});
		up(fx, cfg, LONGEST);
		arena_sync(&fx->arena);
		ask(fx, LONGEST, in_table);
		guest_must_take(&fx->guest, &used);
		assert_int_equal(used.cookie, 7);
		assert_int_equal(used.len_bytes, LONGEST);
		assert_int_equal(
			arena_answered(&fx->arena, fx->bufs, LONGEST, used.len_bytes), LONGEST);
		arena_check(&fx->arena);
		arena_fini(&fx->arena);
		guest_fini(&fx->guest);
		assert_int_equal(daemon_stop(&fx->daemon, 15, NULL), 0);
	}
}

static void test_longest_in_table(void **state)
{
	longest(*state,
		&(struct guest_cfg){
			.queue_size = 4, .table_entries = LONGEST, .region_bytes = 8 << 20},
		true);
}

static void test_longest_in_queue(void **state)
{
	longest(*state, &(struct guest_cfg){.queue_size = LONGEST, .region_bytes = 8 << 20}, false);
}

/* 65,535 of them: the ring is broken, nothing is written, a neighbour does not notice. */
static void test_too_long(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;

	daemon_start(&fx->daemon, 2, NULL);
	honest_start(&fx->honest, fx->daemon.socket[1]);
	up(fx,
		&(struct guest_cfg){
			.queue_size = 4, .table_entries = TOO_LONG, .region_bytes = 8 << 20},
		TOO_LONG);
	guest_assert_served(g);
	for (unsigned i = 0; i < 3; i++) {
		ask(fx, TOO_LONG, true);
		guest_assert_quiet(g, 100);
		arena_check(&fx->arena);
		honest_check(&fx->honest);
		daemon_wait_until_said(&fx->daemon, "more than 32768 descriptors");
		guest_reset(g);
		guest_assert_served(g);
	}
	honest_stop(&fx->honest);
}

#define CHAIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHAIN_TEST(test_longest_in_table),
		CHAIN_TEST(test_longest_in_queue),
		CHAIN_TEST(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
