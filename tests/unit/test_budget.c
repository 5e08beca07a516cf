/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Strict sharing: shares are exact, an account gives no more than they are, and a clock may do what
 * it likes. Fair sharing is in test_budget_fair.c.
 */
#include "bank.h"

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

static uint64_t share(
	uint64_t bytes, uint32_t total, uint32_t weight_lo, uint32_t weight_hi, uint64_t period)
{
	const struct budget_terms terms = {.per_period = bytes,
		.weight_lo = weight_lo,
		.weight_hi = weight_hi,
		.weight_total = total,
		.cap = BUDGET_UNLIMITED};

	return budget_share(&terms, period);
}

static void test_equal_shares(void **state)
{
	for (uint64_t k = 0; k < 10; k++)
		for (unsigned g = 0; g < 4; g++)
			assert_int_equal(share(1000, 4, g, g + 1, k), 250);
	assert_int_equal(share(100, 1, 0, 1, 12345), 100);
}

/* Ten bytes for three: 3, 3 and 4, and each is the one with 4 in its turn. */
static void test_remainder_rotates(void **state)
{
	for (uint64_t k = 0; k < 30; k++) {
		uint64_t sum = 0;

		for (unsigned g = 0; g < 3; g++) {
			uint64_t now = share(10, 3, g, g + 1, k);

			assert_true(now == 3 || now == 4);
			sum += now;
			now += share(10, 3, g, g + 1, k + 1) + share(10, 3, g, g + 1, k + 2);
			assert_int_equal(now, 10);
		}
		assert_int_equal(sum, 10);
	}
}

/* One byte for 300 guests: each has it once in 300 periods. */
static void test_less_bytes_than_guests(void **state)
{
	for (unsigned g = 0; g < 300; g++) {
		uint64_t got = 0;

		for (uint64_t k = 1000; k < 1300; k++)
			got += share(1, 300, g, g + 1, k);
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
		struct line l;

		line_random(&l, &seed, turn % 2 == 0 ? 1 : 20);
		for (uint64_t k = first; k < first + l.total; k++) {
			uint64_t sum = 0;

			for (unsigned g = 0; g < l.n; g++) {
				uint128 exact = (uint128)bytes * (l.hi[g] - l.lo[g]);
				uint64_t n = share(bytes, l.total, l.lo[g], l.hi[g], k);

				assert_true(n == (uint64_t)(exact / l.total) ||
					    n == (uint64_t)((exact + l.total - 1) / l.total));
				sum += n;
				got[g] += n;
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
				uint64_t k = periods[p], n = amounts[a], sum;

				assert_int_equal(share(n, w, 0, w, k), n);
				sum = share(n, w, 0, cut, k) + share(n, w, cut, w - 1, k);
				assert_int_equal(sum + share(n, w, w - 1, w, k), n);
			}
		}
	}
}

static const struct budget_config strict = {.period_ns = PERIOD_NS, .crumb = 64};

static const uint32_t equal[BANK_GUESTS] = {[0 ... BANK_GUESTS - 1] = 1};

/* A bank of one lcore and guests of equal weight. */
static struct bank *bank(const struct budget_config *cfg, uint64_t bytes, unsigned n_guests)
{
	static struct bank k;

	bank_init(&k, 1, cfg);
	bank_fill(&k, bytes, equal, n_guests);
	return &k;
}

static void test_unlimited(void **state)
{
	struct bank *k = bank(&strict, BUDGET_UNLIMITED, 1);

	assert_false(k->lcores[0].limited);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(bank_ask(k, 0, 0) == UINT64_MAX);
		assert_true(bank_take(k, 0, UINT64_MAX, 0) == UINT64_MAX);
	}
	k = bank(&strict, BYTES_MAX, 1);
	assert_true(k->lcores[0].limited);
}

static void test_period_starts_and_ends(void **state)
{
	struct bank *k = bank(&strict, 100, 1);

	assert_int_equal(bank_take(k, 0, 60, 0), 60);
	assert_int_equal(bank_ask(k, 0, PERIOD_NS - 1), 40);
	assert_int_equal(bank_take(k, 0, 1000, PERIOD_NS - 1), 40);
	assert_int_equal(bank_ask(k, 0, PERIOD_NS - 1), 0);
	assert_int_equal(bank_ask(k, 0, PERIOD_NS), 100);
	assert_int_equal(bank_take(k, 0, 1, PERIOD_NS), 1);
	assert_int_equal(bank_ask(k, 0, 2 * PERIOD_NS - 1), 99);
	/* What was left is gone. */
	assert_int_equal(bank_ask(k, 0, 2 * PERIOD_NS), 100);
}

/* Periods stand at multiples of their length, whenever the first question comes. */
static void test_periods_are_aligned(void **state)
{
	struct bank *k = bank(&strict, 100, 1);

	assert_int_equal(bank_take(k, 0, 100, 7 * PERIOD_NS + 900), 100);
	assert_int_equal(bank_ask(k, 0, 8 * PERIOD_NS - 1), 0);
	assert_int_equal(bank_ask(k, 0, 8 * PERIOD_NS), 100);
}

static void test_missed_periods_are_gone(void **state)
{
	struct bank *k = bank(&strict, 100, 1);

	assert_int_equal(bank_ask(k, 0, 0), 100);
	assert_int_equal(bank_take(k, 0, 1000, 1000000ull * PERIOD_NS + 1), 100);
	for (unsigned i = 1; i < PERIOD_NS; i += 7)
		assert_int_equal(bank_ask(k, 0, 1000000ull * PERIOD_NS + i), 0);
}

static void test_clock_goes_back(void **state)
{
	struct bank *k = bank(&strict, 100, 1);

	assert_int_equal(bank_take(k, 0, 70, 10 * PERIOD_NS), 70);
	for (int i = 9; i >= 0; i--)
		assert_int_equal(bank_ask(k, 0, (unsigned)i * PERIOD_NS), 30);
	assert_int_equal(bank_ask(k, 0, 10 * PERIOD_NS + 1), 30);
	assert_int_equal(bank_ask(k, 0, 11 * PERIOD_NS), 100);
}

/* In the last period that 64 bits hold there is one share, and no next one. */
static void test_clock_at_its_end(void **state)
{
	static const uint64_t periods_ns[] = {1, PERIOD_NS, 4294967295000000, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_LEN(periods_ns); i++) {
		const struct budget_config cfg = {.period_ns = periods_ns[i], .crumb = 64};
		uint64_t last = UINT64_MAX - UINT64_MAX % periods_ns[i];
		struct bank *k = bank(&cfg, 100, 1);

		assert_int_equal(bank_take(k, 0, 1000, last), 100);
		assert_int_equal(bank_ask(k, 0, last), 0);
		assert_int_equal(bank_ask(k, 0, UINT64_MAX - 1), 0);
		assert_int_equal(bank_ask(k, 0, UINT64_MAX), 0);
	}
}

/* A cap holds with and without a budget for all, and what it keeps a guest from is nobody's. */
static void test_cap(void **state)
{
	struct bank *k = bank(&strict, 1000, 2);

	k->guests[0].terms.cap = 30;
	assert_int_equal(bank_take(k, 0, 20, 0), 20);
	assert_int_equal(bank_take(k, 0, 20, 1), 10);
	assert_int_equal(bank_ask(k, 0, 2), 0);
	assert_int_equal(bank_ask(k, 1, 2), 500);
	assert_int_equal(bank_ask(k, 0, PERIOD_NS), 30);

	bank_init(k, 1, &strict);
	k->terms.cap = 30;
	bank_fill(k, BUDGET_UNLIMITED, equal, 1);
	assert_true(k->lcores[0].limited);
	for (uint64_t now = 0; now < 10 * PERIOD_NS; now += PERIOD_NS) {
		assert_int_equal(bank_take(k, 0, 1000, now), 30);
		assert_int_equal(bank_ask(k, 0, now + PERIOD_NS - 1), 0);
	}
}

/* What periods leave is kept up to the depth, also of those in which nobody asked. */
static void test_depth(void **state)
{
	struct bank *k = bank(&strict, 100, 1);

	k->guests[0].terms.depth = 250;
	assert_int_equal(bank_take(k, 0, 40, 0), 40);
	assert_int_equal(bank_take(k, 0, 1000, PERIOD_NS), 160);
	assert_int_equal(bank_take(k, 0, 0, 2 * PERIOD_NS), 0);
	assert_int_equal(bank_ask(k, 0, 3 * PERIOD_NS), 200);
	assert_int_equal(bank_ask(k, 0, 5 * PERIOD_NS), 350);
	assert_int_equal(bank_ask(k, 0, 6 * PERIOD_NS), 350);
	assert_int_equal(bank_ask(k, 0, 102 * PERIOD_NS), 350);
	/* Its own share first: what was kept stays. */
	assert_int_equal(bank_take(k, 0, 100, 102 * PERIOD_NS), 100);
	assert_int_equal(bank_take(k, 0, 1000, 103 * PERIOD_NS), 350);
	assert_int_equal(bank_ask(k, 0, 104 * PERIOD_NS), 100);
}

static void test_given_once(void **state)
{
	struct bank *k = bank(&strict, 100, 1);

	k->guests[0].kept = 1000;
	assert_int_equal(bank_take(k, 0, 400, 0), 400);
	assert_int_equal(bank_ask(k, 0, 1), 700);
	/* It waits, but what it leaves of its share does not add to it. */
	assert_int_equal(bank_ask(k, 0, 10 * PERIOD_NS), 800);
	assert_int_equal(bank_take(k, 0, 1000, 10 * PERIOD_NS), 800);
	assert_int_equal(bank_ask(k, 0, 11 * PERIOD_NS), 100);
}

static void test_changed_terms(void **state)
{
	struct bank *k = bank(&strict, 100, 2);

	for (unsigned g = 0; g < 2; g++) {
		struct budget_terms terms = k->guests[g].terms;

		terms.per_period = 1000;
		terms.weight_total = 4;
		terms.weight_lo = g;
		terms.weight_hi = g == 0 ? 1 : 4;
		budget_change(bank_of(k, g), &k->guests[g], &terms, 3);
	}
	for (uint64_t now = 0; now < 3 * PERIOD_NS; now += PERIOD_NS)
		for (unsigned g = 0; g < 2; g++)
			assert_int_equal(bank_take(k, g, 1000, now), 50);
	assert_int_equal(bank_ask(k, 0, 3 * PERIOD_NS), 250);
	assert_int_equal(bank_ask(k, 1, 3 * PERIOD_NS), 750);
}

/* A change that is due holds for a guest that asked for nothing since, when the next one comes. */
static void test_changed_terms_while_idle(void **state)
{
	struct bank *k = bank(&strict, 100, 2);
	struct budget_terms terms = k->guests[0].terms;

	assert_int_equal(bank_take(k, 0, 50, 0), 50);
	terms.per_period = 1000;
	budget_change(bank_of(k, 0), &k->guests[0], &terms, 1);
	budget_advance(bank_of(k, 0), PERIOD_NS);
	terms.per_period = 4000;
	budget_change(bank_of(k, 0), &k->guests[0], &terms, 2);
	assert_int_equal(bank_ask(k, 0, PERIOD_NS + 1), 500);
	assert_int_equal(bank_ask(k, 0, 2 * PERIOD_NS), 2000);
}

/* Without a limit before: it begins to count when the limit comes. */
static void test_changed_terms_to_a_limit(void **state)
{
	struct bank *k = bank(&strict, BUDGET_UNLIMITED, 1);
	struct budget_terms terms = k->guests[0].terms;

	assert_true(bank_ask(k, 0, 0) == BUDGET_UNLIMITED);
	terms.per_period = 1000;
	budget_change(bank_of(k, 0), &k->guests[0], &terms, 1);
	assert_true(bank_ask(k, 0, 1) == BUDGET_UNLIMITED);
	assert_int_equal(bank_ask(k, 0, PERIOD_NS), 1000);
}

/* An account goes to another lcore with what it holds, and gets nothing twice. */
static void test_move(void **state)
{
	static struct bank k;

	bank_init(&k, 2, &strict);
	bank_fill(&k, 1000, equal, 2);
	assert_int_equal(bank_take(&k, 0, 100, 5), 100);
	budget_leave(&k.lcores[0], &k.guests[0]);
	bank_join(&k, 0, 1);
	assert_int_equal(bank_ask(&k, 0, 6), 400);
	assert_int_equal(bank_ask(&k, 1, 6), 500);
	assert_int_equal(k.lcores[0].n_accounts, 0);
	assert_int_equal(k.lcores[1].n_accounts, 2);
	assert_int_equal(bank_ask(&k, 0, PERIOD_NS), 500);
}

/* Also to one that has not yet seen the period which the account is in. */
static void test_move_to_a_clock_that_is_behind(void **state)
{
	static struct bank k;

	bank_init(&k, 2, &strict);
	bank_fill(&k, 1000, equal, 2);
	assert_int_equal(bank_take(&k, 0, 500, PERIOD_NS), 500);
	assert_int_equal(bank_ask(&k, 1, PERIOD_NS - 1), 500);
	budget_leave(&k.lcores[0], &k.guests[0]);
	bank_join(&k, 0, 1);
	assert_int_equal(bank_ask(&k, 0, PERIOD_NS - 1), 0);
	assert_int_equal(bank_ask(&k, 0, PERIOD_NS), 0);
	assert_int_equal(bank_ask(&k, 0, 2 * PERIOD_NS), 500);
}

/* Evenly over seven eighths of the period, and not crumb by crumb. */
static void test_smooth(void **state)
{
	const struct budget_config cfg = {.period_ns = 16000000, .smooth = true, .crumb = 64};
	struct bank *k = bank(&cfg, 14000, 1);
	uint64_t got = 0;

	for (uint64_t now = 0; now < 16000000; now += 10000) {
		uint64_t due = now >= 14000000 ? 14000 : now / 1000, n;

		n = bank_take(k, 0, 1000000, now);
		got += n;
		assert_true(got <= due);
		assert_true(due - got < 64 + 250); /* a crumb, and a step */
		assert_true(n == 0 || n >= 64 || due == 14000);
		assert_int_equal(budget_is_final(&k->lcores[0]), now >= 14000000);
	}
	assert_int_equal(got, 14000);
	assert_int_equal(bank_ask(k, 0, 16000000), 0);
}

/* What a model says of an account: it is simple, since sharing is strict. */
struct model {
	bool begun;
	uint64_t period, left;
};

static void ask_one(
	struct bank *k, struct model *m, unsigned g, uint64_t *seed, uint64_t now, uint64_t *last)
{
	struct budget *b = bank_of(k, g);
	uint64_t period_ns = b->cfg.period_ns, allowance, take;

	/* Each lcore's clock does not go back. */
	if (now < *last)
		now = *last;
	*last = now;
	allowance = bank_ask(k, g, now);
	if (!m->begun || now / period_ns != m->period) {
		*m = (struct model){.begun = true, .period = now / period_ns};
		m->left = budget_share(&k->guests[g].terms, m->period);
	}
	assert_int_equal(allowance, m->left);
	take = random_once_in(seed, 3) ? allowance : random_magnitude(seed, 63);
	if (take > allowance)
		take = allowance;
	budget_charge(b, &k->guests[g], take);
	m->left -= take;
}

/*
 * Guests on several lcores that move between them, random demands, a clock that runs, stands, jumps
 * and goes back: each allowance is what the model says, which cannot give a guest more than its
 * share of a period, so that all together never have more than B.
 */
static void test_random(void **state)
{
	uint64_t seed = random_seed("random");
	static struct bank k;

	for (unsigned turn = 0; turn < 200; turn++) {
		struct budget_config cfg = {
			.period_ns = 1 + random_magnitude(&seed, 52), .crumb = 64};
		uint64_t now = 0, last[BANK_LCORES] = {0};
		struct model models[BANK_GUESTS] = {0};
		uint32_t weights[BANK_GUESTS];
		unsigned n = 1 + (unsigned)random_below(&seed, BANK_GUESTS);

		for (unsigned g = 0; g < n; g++)
			weights[g] = 1 + (uint32_t)random_below(&seed, 5);
		bank_init(&k, 1 + (unsigned)random_below(&seed, BANK_LCORES), &cfg);
		bank_fill(&k, 1 + random_magnitude(&seed, 63) % BYTES_MAX, weights, n);
		for (unsigned i = 0; i < 500; i++) {
			unsigned g = (unsigned)random_below(&seed, n), to;

			if (random_once_in(&seed, 50))
				now -= random_below(&seed, now + 1) % (5 * cfg.period_ns);
			else if (random_once_in(&seed, 50))
				now += random_magnitude(&seed, 58);
			else if (random_once_in(&seed, 4))
				now += cfg.period_ns - now % cfg.period_ns - random_below(&seed, 2);
			else
				now += random_below(&seed, cfg.period_ns / 4 + 1);
			if (random_once_in(&seed, 20)) {
				to = (unsigned)random_below(&seed, k.n_lcores);
				/* One clock for both, as on a machine. */
				if (last[to] < last[k.lcore_of[g]])
					last[to] = last[k.lcore_of[g]];
				else
					last[k.lcore_of[g]] = last[to];
				budget_leave(bank_of(&k, g), &k.guests[g]);
				bank_join(&k, g, to);
			}
			ask_one(&k, &models[g], g, &seed, now, &last[k.lcore_of[g]]);
		}
	}
}

/* All guests take all they can in every period: together exactly B, each in time exactly its due.
 */
static void test_greedy_guests_get_exactly_all(void **state)
{
	uint64_t seed = random_seed("greedy");
	static struct bank k;

	for (unsigned turn = 0; turn < 100; turn++) {
		uint64_t bytes = 1 + random_magnitude(&seed, 40);
		uint64_t got[BANK_GUESTS] = {0}, first = random_below(&seed, 1000000);
		unsigned n = 1 + (unsigned)random_below(&seed, MAX_GUESTS);
		uint32_t weights[BANK_GUESTS], total = 0;

		for (unsigned g = 0; g < n; g++)
			total += weights[g] = 1 + (uint32_t)random_below(&seed, 4);
		bank_init(&k, 2, &strict);
		bank_fill(&k, bytes, weights, n);
		for (uint64_t p = first; p < first + total; p++) {
			uint64_t sum = 0;

			for (unsigned i = 0; i < 3 * n; i++) {
				uint64_t now = p * PERIOD_NS + i, part = UINT64_MAX;

				if (i < n) /* half of it first, then the rest */
					part = bank_ask(&k, i, now) / 2;
				part = bank_take(&k, i % n, part, now);
				got[i % n] += part;
				sum += part;
			}
			assert_int_equal(sum, bytes);
		}
		for (unsigned g = 0; g < n; g++)
			assert_int_equal(got[g], bytes * weights[g]);
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
		cmocka_unit_test(test_unlimited),
		cmocka_unit_test(test_period_starts_and_ends),
		cmocka_unit_test(test_periods_are_aligned),
		cmocka_unit_test(test_missed_periods_are_gone),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_clock_at_its_end),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_given_once),
		cmocka_unit_test(test_changed_terms),
		cmocka_unit_test(test_changed_terms_while_idle),
		cmocka_unit_test(test_changed_terms_to_a_limit),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_move_to_a_clock_that_is_behind),
		cmocka_unit_test(test_smooth),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_greedy_guests_get_exactly_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
