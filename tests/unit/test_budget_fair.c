/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fair sharing: what some leave goes to those who want more, by weight; together never more than B,
 * and all of it when it is wanted. Simulated: guests ask at every step of a clock, as on an lcore.
 */
#include "bank.h"

#define PERIOD_NS 6400000u
#define CRUMB	  64

static const uint32_t equal[BANK_GUESTS] = {[0 ... BANK_GUESTS - 1] = 1};

static struct bank k;

static void init(unsigned n_lcores, bool smooth)
{
	const struct budget_config cfg = {
		.period_ns = PERIOD_NS, .smooth = smooth, .fair = true, .crumb = CRUMB};

	bank_init(&k, n_lcores, &cfg);
}

/* What each wants in a period, from when on, and gets. */
struct demand {
	uint64_t want, got, from_ns;
};

/* One period in which all who want something ask at every step; in no fixed order. */
static uint64_t run_period(struct demand *d, uint64_t period, uint64_t *seed)
{
	uint64_t start = period * PERIOD_NS, sum = 0;

	for (unsigned g = 0; g < k.n_guests; g++)
		d[g].got = 0;
	for (uint64_t t = 0; t < PERIOD_NS; t += 10000 + random_below(seed, 30000)) {
		unsigned first = (unsigned)random_below(seed, k.n_guests);

		for (unsigned l = 0; l < k.n_lcores; l++)
			budget_advance(&k.lcores[l], start + t);
		for (unsigned i = 0; i < k.n_guests; i++) {
			unsigned g = (first + i) % k.n_guests;
			uint64_t n = d[g].want - d[g].got;

			if (t < d[g].from_ns || n == 0)
				continue;
			n = bank_take(&k, g, n, start + t);
			d[g].got += n;
			sum += n;
		}
	}
	assert_true(sum <= k.terms.per_period);
	return sum;
}

/* One of 64 wants something: it gets all. */
static void test_one_greedy(void **state)
{
	uint64_t seed = random_seed("one_greedy");

	for (unsigned n_lcores = 1; n_lcores <= 4; n_lcores++) {
		for (unsigned smooth = 0; smooth < 2; smooth++) {
			struct demand d[BANK_GUESTS] = {0};

			init(n_lcores, smooth);
			bank_fill(&k, 1000003, equal, 64);
			d[5].want = UINT64_MAX;
			for (uint64_t p = 0; p < 5; p++)
				assert_int_equal(run_period(d, p, &seed), 1000003);
		}
	}
}

/* The most that each can get of 'amount' without another getting less than it: in doubles. */
static void max_min(const struct demand *d, const uint32_t *weights, double amount, double *due)
{
	bool full[BANK_GUESTS] = {false};
	unsigned n_full, before;

	do {
		double left = amount, weight = 0;

		before = n_full = 0;
		for (unsigned g = 0; g < k.n_guests; g++) {
			if (full[g])
				left -= due[g] = (double)d[g].want;
			else
				weight += weights[g];
			before += full[g];
		}
		for (unsigned g = 0; g < k.n_guests; g++) {
			if (!full[g])
				due[g] = left * weights[g] / weight;
			if (!full[g] && due[g] >= (double)d[g].want)
				full[g] = true;
		}
		for (unsigned g = 0; g < k.n_guests; g++)
			n_full += full[g];
	} while (n_full > before && n_full < k.n_guests);
	for (unsigned g = 0; g < k.n_guests; g++)
		if (full[g])
			due[g] = (double)d[g].want;
}

/*
 * All ask from the period's start, each for an amount of its own: what they get is max-min fair by
 * weight, within one request.
 */
static void test_max_min(void **state)
{
	uint64_t seed = random_seed("max_min");

	for (unsigned turn = 0; turn < 1000; turn++) {
		struct demand d[BANK_GUESTS] = {0};
		uint32_t weights[BANK_GUESTS];
		double due[BANK_GUESTS];
		uint64_t bytes = 20000 + random_magnitude(&seed, 40), wanted = 0, sum;
		unsigned n = 1 + (unsigned)random_below(&seed, BANK_GUESTS);

		for (unsigned g = 0; g < n; g++)
			weights[g] = 1 + (uint32_t)random_below(&seed, 8);
		init(1, turn % 2);
		bank_fill(&k, bytes, weights, n);
		for (unsigned g = 0; g < n; g++) {
			d[g].want = random_below(&seed, 4 * bytes / n);
			wanted += d[g].want;
		}
		max_min(d, weights, (double)bytes, due);
		sum = run_period(d, turn, &seed);
		assert_int_equal(sum, wanted < bytes ? wanted : bytes);
		for (unsigned g = 0; g < n; g++) {
			double off = (double)d[g].got - due[g];

			assert_true(off > -CRUMB && off < CRUMB);
		}
	}
}

/*
 * On several lcores, with guests that come late: never more than B; all of it, when that is wanted
 * from the start; and whoever wants its share from the start on gets it.
 */
static void test_lcores(void **state)
{
	uint64_t seed = random_seed("lcores");

	for (unsigned turn = 0; turn < 1000; turn++) {
		struct demand d[BANK_GUESTS] = {0};
		uint32_t weights[BANK_GUESTS];
		uint64_t bytes = 1 + random_magnitude(&seed, 50), early = 0, sum;
		unsigned n = 1 + (unsigned)random_below(&seed, BANK_GUESTS);

		for (unsigned g = 0; g < n; g++)
			weights[g] = 1 + (uint32_t)random_below(&seed, 8);
		init(2 + (unsigned)random_below(&seed, 3), turn % 2);
		bank_fill(&k, bytes, weights, n);
		for (unsigned g = 0; g < n; g++) {
			d[g].want = random_below(&seed, 4 * bytes / n + 1);
			if (random_once_in(&seed, 3))
				d[g].want = UINT64_MAX;
			if (random_once_in(&seed, 3))
				d[g].from_ns = random_below(&seed, PERIOD_NS);
			else if (__builtin_add_overflow(early, d[g].want, &early))
				early = UINT64_MAX;
		}
		sum = run_period(d, turn, &seed);
		if (early >= bytes)
			assert_int_equal(sum, bytes);
		for (unsigned g = 0; g < n; g++) {
			uint64_t share = budget_share(&k.guests[g].terms, turn);

			if (d[g].from_ns == 0)
				assert_true(d[g].got >= (d[g].want < share ? d[g].want : share));
		}
	}
}

/* Whoever comes in the middle of a period has what is left of its share at an even pace. */
static void test_late_guest(void **state)
{
	uint64_t seed = random_seed("late_guest");

	for (uint64_t p = 0; p < 16; p++) {
		struct demand d[BANK_GUESTS] = {{.want = UINT64_MAX}, {.want = UINT64_MAX}};

		init(1, p % 2);
		bank_fill(&k, 1000000, equal, 2);
		d[1].from_ns = p * PERIOD_NS / 16;
		assert_int_equal(run_period(d, p, &seed), 1000000);
		assert_true(d[1].got >= 500000 * (15 - p) / 16);
		if (p > 1)
			assert_true(d[0].got > 500000);
	}
}

/* One byte for many: each has it in its turn, in fair sharing too. */
static void test_nobody_starves(void **state)
{
	uint64_t seed = random_seed("nobody_starves"), got[BANK_GUESTS] = {0};
	struct demand d[BANK_GUESTS];

	init(2, false);
	bank_fill(&k, 1, equal, 50);
	for (unsigned g = 0; g < 50; g++)
		d[g].want = UINT64_MAX;
	for (uint64_t p = 0; p < 500; p++) {
		for (unsigned g = 0; g < 50; g++)
			d[g].from_ns = 0;
		assert_int_equal(run_period(d, p, &seed), 1);
		for (unsigned g = 0; g < 50; g++)
			got[g] += d[g].got;
	}
	for (unsigned g = 0; g < 50; g++)
		assert_int_equal(got[g], 10);
}

/* What a cap keeps a guest from, the others have at once. */
static void test_cap(void **state)
{
	uint64_t seed = random_seed("cap");
	struct demand d[BANK_GUESTS] = {{.want = UINT64_MAX}, {.want = UINT64_MAX}};

	init(1, false);
	bank_fill(&k, 1000000, equal, 2);
	k.guests[0].terms.cap = 1000;
	for (uint64_t p = 0; p < 3; p++) {
		assert_int_equal(run_period(d, p, &seed), 1000000);
		assert_int_equal(d[0].got, 1000);
		assert_int_equal(d[1].got, 999000);
	}
	/* Two with caps: the rest is nobody's. */
	k.guests[1].terms.cap = 5000;
	assert_int_equal(run_period(d, 3, &seed), 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_greedy),
		cmocka_unit_test(test_max_min),
		cmocka_unit_test(test_lcores),
		cmocka_unit_test(test_late_guest),
		cmocka_unit_test(test_nobody_starves),
		cmocka_unit_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
