/* SPDX-License-Identifier: BSD-3-Clause */
/* Guests come, go, are parked and looked at again: each is where it belongs, with its own watch. */
#include "lcore/roster.h"

#include "unit.h"

#define N_GUESTS 7
#define N_STEPS	 20000

enum place { ABSENT, LOOKED_AT, PARKED };

static struct guest guests[N_GUESTS];
static struct vring_avail rings[N_GUESTS];
static enum place places[N_GUESTS];

static unsigned count(enum place place)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_GUESTS; i++)
		n += places[i] == place;
	return n;
}

static void judge(const struct roster *r)
{
	unsigned seen = 0;

	assert_int_equal(r->n_active, count(LOOKED_AT));
	assert_int_equal(r->n_guests, count(LOOKED_AT) + count(PARKED));
	for (unsigned i = 0; i < r->n_guests; i++) {
		unsigned g = (unsigned)(r->guests[i] - guests);

		assert_false(seen & 1u << g);
		seen |= 1u << g;
		assert_int_equal(places[g], i < r->n_active ? LOOKED_AT : PARKED);
		if (i < r->n_active)
			assert_ptr_equal(r->watches[i].word, &rings[g].idx);
	}
}

/* One thing that may happen to a guest. */
static void step(struct roster *r, uint64_t *seed)
{
	unsigned g = (unsigned)random_below(seed, N_GUESTS), i;

	switch (random_below(seed, 4)) {
	case 0:
		if (places[g] == ABSENT)
			roster_add(r, &guests[g]);
		places[g] = places[g] == ABSENT ? LOOKED_AT : places[g];
		break;
	case 1:
		roster_remove(r, &guests[g]);
		places[g] = ABSENT;
		break;
	case 2:
		if (r->n_active == 0)
			break;
		i = (unsigned)random_below(seed, r->n_active);
		places[r->guests[i] - guests] = PARKED;
		roster_park(r, i);
		break;
	default:
		if (!random_once_in(seed, 4))
			break;
		roster_unpark(r);
		for (i = 0; i < N_GUESTS; i++)
			places[i] = places[i] == PARKED ? LOOKED_AT : places[i];
		break;
	}
}

static void test_each_is_where_it_belongs(void **state)
{
	uint64_t seed = random_seed("roster");
	struct roster r;

	assert_int_equal(roster_init(&r, N_GUESTS), 0);
	for (unsigned i = 0; i < N_GUESTS; i++)
		guests[i].dev.vq.cfg.avail = &rings[i];
	for (unsigned i = 0; i < N_STEPS; i++) {
		step(&r, &seed);
		judge(&r);
	}
	roster_fini(&r);
}

/* Who is new, or was parked, is looked at at once, whatever its ring says; then when it has work.
 */
static void test_watches(void **state)
{
	struct roster r;

	assert_int_equal(roster_init(&r, N_GUESTS), 0);
	guests[0].dev.vq.cfg.avail = &rings[0];
	roster_add(&r, &guests[0]);
	assert_true(virtq_watch_fired(&r.watches[0]));
	roster_watch(&r, 0);
	assert_false(virtq_watch_fired(&r.watches[0]));
	rings[0].idx = 1;
	assert_true(virtq_watch_fired(&r.watches[0]));
	rings[0].idx = 0;
	roster_park(&r, 0);
	roster_unpark(&r);
	assert_true(virtq_watch_fired(&r.watches[0]));
	guests[0].dev.call_owed = true;
	roster_watch(&r, 0);
	assert_true(virtq_watch_fired(&r.watches[0]));
	roster_fini(&r);
}

static bool is_second(const struct guest *g)
{
	return g == &guests[1];
}

static void test_finds(void **state)
{
	struct roster r;

	assert_int_equal(roster_init(&r, N_GUESTS), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_null(roster_find(&r, is_second));
		guests[i].dev.vq.cfg.avail = &rings[i];
		if (i != 1)
			roster_add(&r, &guests[i]);
	}
	roster_add(&r, &guests[1]);
	assert_ptr_equal(roster_find(&r, is_second), &guests[1]);
	roster_park(&r, 2);
	assert_ptr_equal(roster_find(&r, is_second), &guests[1]);
	roster_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_where_it_belongs),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
