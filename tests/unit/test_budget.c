/* SPDX-License-Identifier: BSD-3-Clause */
/* Shares are exact, the bucket gives no more than they are, and a clock may do what it likes. */
#include "budget.h"

#include "unit.h"

#include <errno.h>

#define MAX_GUESTS 32
#define PERIOD_NS  1000u
#define BYTES_MAX  INT64_MAX

typedef unsigned __int128 uint128;

/* Guests side by side on the line of weights. */
struct line {
	unsigned n;
	uint32_t lo[MAX_GUESTS], hi[MAX_GUESTS];
	uint32_t total;
};

static void line_random(struct line *l, uint64_t *seed, unsigned max_weight)
{
	*l = (struct line){.n = 1 + (unsigned)random_below(seed, MAX_GUESTS)};
	for (unsigned i = 0; i < l->n; i++) {
		l->lo[i] = l->total;
		l->total += 1 + (uint32_t)random_below(seed, max_weight);
		l->hi[i] = l->total;
	}
}

static void shares_only(struct budget *b, uint64_t bytes, uint32_t total)
{
	budget_init(b, bytes, PERIOD_NS, total, NULL, 0);
}

static void test_equal_shares(void **state)
{
	struct budget b;

	shares_only(&b, 1000, 4);
	for (uint64_t k = 0; k < 10; k++)
		for (unsigned g = 0; g < 4; g++)
			assert_int_equal(budget_share(&b, g, g + 1, k), 250);
	shares_only(&b, 100, 1);
	assert_int_equal(budget_share(&b, 0, 1, 12345), 100);
}

/* Ten bytes for three: 3, 3 and 4, and each is the one with 4 in its turn. */
static void test_remainder_rotates(void **state)
{
	struct budget b;

	shares_only(&b, 10, 3);
	for (uint64_t k = 0; k < 30; k++) {
		uint64_t sum = 0;

		for (unsigned g = 0; g < 3; g++) {
			uint64_t share = budget_share(&b, g, g + 1, k);

			assert_true(share == 3 || share == 4);
			sum += share;
			assert_int_equal(share + budget_share(&b, g, g + 1, k + 1) +
						 budget_share(&b, g, g + 1, k + 2),
				10);
		}
		assert_int_equal(sum, 10);
	}
}

/* One byte for 300 guests: each has it once in 300 periods. */
static void test_less_bytes_than_guests(void **state)
{
	struct budget b;

	shares_only(&b, 1, 300);
	for (unsigned g = 0; g < 300; g++) {
		uint64_t got = 0;

		for (uint64_t k = 1000; k < 1300; k++)
			got += budget_share(&b, g, g + 1, k);
		assert_int_equal(got, 1);
	}
}

/*
 * For any line, any B, any stretch of W periods: the shares of a period add up to B; each is the
 * exact quotient, rounded one way or the other; over the stretch each guest has exactly B * w.
 */
static void test_shares_random(void **state)
{
	uint64_t seed = random_seed("shares_random");

	for (unsigned turn = 0; turn < 300; turn++) {
		uint64_t bytes = 1 + random_magnitude(&seed, 63) % BYTES_MAX;
		uint64_t first = random_magnitude(&seed, 63);
		uint128 got[MAX_GUESTS] = {0};
		struct budget b;
		struct line l;

		line_random(&l, &seed, turn % 2 == 0 ? 1 : 20);
		shares_only(&b, bytes, l.total);
		for (uint64_t k = first; k < first + l.total; k++) {
			uint64_t sum = 0;

			for (unsigned g = 0; g < l.n; g++) {
				uint128 exact = (uint128)bytes * (l.hi[g] - l.lo[g]);
				uint64_t share = budget_share(&b, l.lo[g], l.hi[g], k);

				assert_true(share == (uint64_t)(exact / l.total) ||
					    share == (uint64_t)((exact + l.total - 1) / l.total));
				sum += share;
				got[g] += share;
			}
			assert_int_equal(sum, bytes);
		}
		for (unsigned g = 0; g < l.n; g++)
			assert_true(got[g] == (uint128)bytes * (l.hi[g] - l.lo[g]));
	}
}

/* The largest numbers that the options let through, and beyond. */
static void test_shares_at_the_limits(void **state)
{
	static const uint32_t totals[] = {1, 2, 511, 0x7fffffff, UINT32_MAX};
	static const uint64_t amounts[] = {1, BYTES_MAX - 1, BYTES_MAX};
	static const uint64_t periods[] = {0, 1, UINT32_MAX, UINT64_MAX};

	for (unsigned t = 0; t < ARRAY_LEN(totals); t++) {
		for (unsigned a = 0; a < ARRAY_LEN(amounts); a++) {
			for (unsigned p = 0; p < ARRAY_LEN(periods); p++) {
				uint32_t w = totals[t], cut = w / 3;
				uint64_t k = periods[p], sum;
				struct budget b;

				shares_only(&b, amounts[a], w);
				assert_int_equal(budget_share(&b, 0, w, k), amounts[a]);
				sum = budget_share(&b, 0, cut, k);
				sum += budget_share(&b, cut, w - 1, k);
				sum += budget_share(&b, w - 1, w, k);
				assert_int_equal(sum, amounts[a]);
			}
		}
	}
}

static void test_add(void **state)
{
	struct budget_slot slots[2];
	struct budget b;
	unsigned slot;

	budget_init(&b, 100, PERIOD_NS, 10, slots, 2);
	assert_int_equal(budget_add(&b, 3, 3, &slot), -EINVAL);
	assert_int_equal(budget_add(&b, 4, 3, &slot), -EINVAL);
	assert_int_equal(budget_add(&b, 9, 11, &slot), -EINVAL);
	assert_int_equal(budget_add(&b, 0, 5, &slot), 0);
	assert_int_equal(slot, 0);
	assert_int_equal(budget_allowance(&b, 0, 10), 50);
	assert_int_equal(budget_add(&b, 5, 10, &slot), 0);
	assert_int_equal(slot, 1);
	assert_int_equal(budget_add(&b, 5, 10, &slot), -ENOSPC);
	/* The period was begun without it. */
	assert_int_equal(budget_allowance(&b, 1, 20), 0);
	assert_int_equal(budget_allowance(&b, 1, PERIOD_NS), 50);
	assert_int_equal(b.tokens, 100);
}

static void test_unlimited(void **state)
{
	struct budget_slot slots[1];
	struct budget b;
	unsigned slot;

	budget_init(&b, BUDGET_UNLIMITED, PERIOD_NS, 1, slots, 1);
	assert_int_equal(budget_add(&b, 0, 1, &slot), 0);
	assert_true(budget_is_unlimited(&b));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(budget_allowance(&b, slot, 0) == UINT64_MAX);
		budget_charge(&b, slot, UINT64_MAX);
	}
	budget_init(&b, BYTES_MAX, PERIOD_NS, 1, slots, 1);
	assert_false(budget_is_unlimited(&b));
}

static struct budget one_guest(struct budget_slot *slot, uint64_t bytes, uint64_t period_ns)
{
	struct budget b;
	unsigned n;

	budget_init(&b, bytes, period_ns, 1, slot, 1);
	assert_int_equal(budget_add(&b, 0, 1, &n), 0);
	return b;
}

static void test_period_starts_and_ends(void **state)
{
	struct budget_slot slot;
	struct budget b = one_guest(&slot, 100, PERIOD_NS);

	assert_int_equal(budget_allowance(&b, 0, 0), 100);
	budget_charge(&b, 0, 60);
	assert_int_equal(budget_allowance(&b, 0, PERIOD_NS - 1), 40);
	budget_charge(&b, 0, 40);
	assert_int_equal(budget_allowance(&b, 0, PERIOD_NS - 1), 0);
	assert_int_equal(budget_allowance(&b, 0, PERIOD_NS), 100);
	assert_int_equal(budget_allowance(&b, 0, PERIOD_NS), 100);
	budget_charge(&b, 0, 1);
	assert_int_equal(budget_allowance(&b, 0, 2 * PERIOD_NS - 1), 99);
	/* What was left is gone. */
	assert_int_equal(budget_allowance(&b, 0, 2 * PERIOD_NS), 100);
}

/* Periods stand at multiples of their length, whenever the first question comes. */
static void test_periods_are_aligned(void **state)
{
	struct budget_slot slot;
	struct budget b = one_guest(&slot, 100, PERIOD_NS);

	assert_int_equal(budget_allowance(&b, 0, 7 * PERIOD_NS + 900), 100);
	budget_charge(&b, 0, 100);
	assert_int_equal(budget_allowance(&b, 0, 8 * PERIOD_NS - 1), 0);
	assert_int_equal(budget_allowance(&b, 0, 8 * PERIOD_NS), 100);
}

static void test_missed_periods_are_gone(void **state)
{
	struct budget_slot slot;
	struct budget b = one_guest(&slot, 100, PERIOD_NS);

	assert_int_equal(budget_allowance(&b, 0, 0), 100);
	assert_int_equal(budget_allowance(&b, 0, 1000000ull * PERIOD_NS + 1), 100);
	budget_charge(&b, 0, 100);
	for (unsigned i = 1; i < PERIOD_NS; i += 7)
		assert_int_equal(budget_allowance(&b, 0, 1000000ull * PERIOD_NS + i), 0);
}

static void test_clock_goes_back(void **state)
{
	struct budget_slot slot;
	struct budget b = one_guest(&slot, 100, PERIOD_NS);

	assert_int_equal(budget_allowance(&b, 0, 10 * PERIOD_NS), 100);
	budget_charge(&b, 0, 70);
	for (int i = 9; i >= 0; i--)
		assert_int_equal(budget_allowance(&b, 0, (unsigned)i * PERIOD_NS), 30);
	assert_int_equal(budget_allowance(&b, 0, 10 * PERIOD_NS + 1), 30);
	assert_int_equal(budget_allowance(&b, 0, 11 * PERIOD_NS), 100);
}

/* In the last period that 64 bits hold there is one share, and no next one. */
static void test_clock_at_its_end(void **state)
{
	static const uint64_t periods_ns[] = {1, PERIOD_NS, 4294967295000000, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_LEN(periods_ns); i++) {
		uint64_t last = UINT64_MAX - UINT64_MAX % periods_ns[i];
		struct budget_slot slot;
		struct budget b = one_guest(&slot, 100, periods_ns[i]);

		assert_int_equal(budget_allowance(&b, 0, last), 100);
		budget_charge(&b, 0, 100);
		assert_int_equal(budget_allowance(&b, 0, last), 0);
		assert_int_equal(budget_allowance(&b, 0, UINT64_MAX - 1), 0);
		assert_int_equal(budget_allowance(&b, 0, UINT64_MAX), 0);
	}
}

/* One lcore's budget and what a model says of it. */
struct lcore {
	struct budget b;
	struct budget_slot slots[MAX_GUESTS];
	bool begun;
	uint64_t period; /* of the model */
	uint64_t left[MAX_GUESTS];
	unsigned guest[MAX_GUESTS]; /* on the line */
};

static void lcore_ask(struct lcore *c, const struct line *l, uint64_t *seed, uint64_t now)
{
	unsigned n = c->b.n_slots, slot;
	uint64_t allowance, take, sum = 0;

	if (n == 0)
		return;
	if (!c->begun || now / c->b.period_ns > c->period) {
		c->begun = true;
		c->period = now / c->b.period_ns;
		for (unsigned i = 0; i < n; i++) {
			unsigned g = c->guest[i];

			c->left[i] = budget_share(&c->b, l->lo[g], l->hi[g], c->period);
		}
	}
	slot = (unsigned)random_below(seed, n);
	allowance = budget_allowance(&c->b, slot, now);
	assert_int_equal(allowance, c->left[slot]);
	take = random_once_in(seed, 3) ? allowance : random_magnitude(seed, 63);
	if (take > allowance)
		take = allowance;
	budget_charge(&c->b, slot, take);
	c->left[slot] -= take;
	for (unsigned i = 0; i < n; i++)
		sum += c->left[i];
	assert_int_equal(c->b.tokens, sum);
}

/*
 * Guests on several lcores, random demands, a clock that runs, stands, jumps and goes back: each
 * allowance is what the model says, which cannot give a guest more than its share of a period, so
 * that all together never have more than B.
 */
static void test_bucket_random(void **state)
{
	uint64_t seed = random_seed("bucket_random");

	for (unsigned turn = 0; turn < 200; turn++) {
		uint64_t bytes = 1 + random_magnitude(&seed, 63) % BYTES_MAX;
		uint64_t period_ns = 1 + random_magnitude(&seed, 52), now = 0;
		unsigned n_lcores = 1 + (unsigned)random_below(&seed, 4);
		struct lcore lcores[4] = {0};
		struct line l;

		line_random(&l, &seed, 5);
		for (unsigned i = 0; i < n_lcores; i++)
			budget_init(&lcores[i].b, bytes, period_ns, l.total, lcores[i].slots,
				MAX_GUESTS);
		for (unsigned g = 0; g < l.n; g++) {
			struct lcore *c = &lcores[random_below(&seed, n_lcores)];
			unsigned slot;

			assert_int_equal(budget_add(&c->b, l.lo[g], l.hi[g], &slot), 0);
			c->guest[slot] = g;
		}
		for (unsigned i = 0; i < 500; i++) {
			if (random_once_in(&seed, 50))
				now -= random_below(&seed, now + 1) % (5 * period_ns);
			else if (random_once_in(&seed, 50))
				now += random_magnitude(&seed, 58);
			else if (random_once_in(&seed, 4))
				now += period_ns - now % period_ns - random_below(&seed, 2);
			else
				now += random_below(&seed, period_ns / 4 + 1);
			lcore_ask(&lcores[random_below(&seed, n_lcores)], &l, &seed, now);
		}
	}
}

/* All guests take all they can in every period: together exactly B, each in time exactly its due.
 */
static void test_greedy_guests_get_exactly_all(void **state)
{
	uint64_t seed = random_seed("greedy");

	for (unsigned turn = 0; turn < 100; turn++) {
		uint64_t bytes = 1 + random_magnitude(&seed, 40);
		uint64_t got[MAX_GUESTS] = {0}, first = random_below(&seed, 1000000);
		struct lcore lcores[2] = {0};
		struct line l;

		line_random(&l, &seed, 4);
		for (unsigned i = 0; i < 2; i++)
			budget_init(&lcores[i].b, bytes, PERIOD_NS, l.total, lcores[i].slots,
				MAX_GUESTS);
		for (unsigned g = 0; g < l.n; g++) {
			unsigned slot;

			assert_int_equal(budget_add(&lcores[g % 2].b, l.lo[g], l.hi[g], &slot), 0);
			assert_int_equal(slot, g / 2);
		}
		for (uint64_t k = first; k < first + l.total; k++) {
			uint64_t sum = 0;

			for (unsigned i = 0; i < 3 * l.n; i++) {
				unsigned g = i % l.n;
				struct budget *b = &lcores[g % 2].b;
				uint64_t now = k * PERIOD_NS + i;
				uint64_t n = budget_allowance(b, g / 2, now);

				n = i < l.n ? n / 2 : n; /* half of it first, then the rest */
				budget_charge(b, g / 2, n);
				got[g] += n;
				sum += n;
			}
			assert_int_equal(sum, bytes);
		}
		for (unsigned g = 0; g < l.n; g++)
			assert_int_equal(got[g], bytes * (l.hi[g] - l.lo[g]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_shares),
		cmocka_unit_test(test_remainder_rotates),
		cmocka_unit_test(test_less_bytes_than_guests),
		cmocka_unit_test(test_shares_random),
		cmocka_unit_test(test_shares_at_the_limits),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_unlimited),
		cmocka_unit_test(test_period_starts_and_ends),
		cmocka_unit_test(test_periods_are_aligned),
		cmocka_unit_test(test_missed_periods_are_gone),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_clock_at_its_end),
		cmocka_unit_test(test_bucket_random),
		cmocka_unit_test(test_greedy_guests_get_exactly_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
