/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A budget under everything at once: guests arrive, leave, change their weights, caps and depths,
 * move between lcores whose clocks are not in step, and want now this, now that. In every period
 * all together get at most B; all of B when somebody could have used it; and, where sharing is
 * strict, nobody more than its share.
 */
#include "bank.h"

#define PERIOD_NS 3200000u
#define STEP_NS	  20000u
#define TURNS	  400
#define PERIODS	  30

static struct bank k;

struct actor {
	bool present;
	bool leaving; /* from the next period on */
	uint32_t weight, next_weight;
	uint64_t want; /* in this period */
	uint64_t got;
	bool insatiable; /* in this period, from its start */
};

static struct actor actors[BANK_GUESTS];
static uint64_t bytes;

/* Give all that are, or come, their place on the line of weights, from a period on. */
static void rearrange(uint64_t from_period, bool at_once)
{
	uint32_t total = 0, lo = 0;

	for (unsigned g = 0; g < k.n_guests; g++)
		total += actors[g].next_weight;
	for (unsigned g = 0; g < k.n_guests; g++) {
		struct budget_terms terms = {
			.per_period = bytes,
			.weight_lo = lo,
			.weight_hi = lo + actors[g].next_weight,
			.weight_total = total > 0 ? total : 1,
			.cap = BUDGET_UNLIMITED,
		};

		lo += actors[g].next_weight;
		if (at_once)
			budget_open(&k.guests[g], &terms, 0);
		else
			budget_change(bank_of(&k, g), &k.guests[g], &terms, from_period);
	}
}

/* Before a period: who comes, goes, and weighs what, from it on. */
static void churn(uint64_t *seed, uint64_t next_period)
{
	unsigned n_present = 0;

	for (unsigned g = 0; g < k.n_guests; g++) {
		struct actor *a = &actors[g];

		if (random_once_in(seed, 8))
			a->next_weight = 1 + (uint32_t)random_below(seed, 9);
		if (!a->present && random_once_in(seed, 4)) {
			struct budget_terms nothing = {
				.per_period = bytes, .weight_total = 1, .cap = BUDGET_UNLIMITED};

			/* Until the others make room for it, it weighs nothing. */
			a->present = true;
			a->next_weight = 1 + (uint32_t)random_below(seed, 9);
			budget_open(&k.guests[g], &nothing, 0);
			bank_join(&k, g, (unsigned)random_below(seed, k.n_lcores));
		} else if (a->present && random_once_in(seed, 10)) {
			a->leaving = true;
		}
		if (!a->present || a->leaving)
			a->next_weight = 0;
		n_present += a->next_weight > 0;
	}
	if (n_present == 0) {
		actors[0].leaving = false;
		actors[0].next_weight = 1;
		if (!actors[0].present)
			bank_join(&k, 0, 0);
		actors[0].present = true;
	}
	rearrange(next_period, false);
}

static void begin_period(uint64_t *seed)
{
	for (unsigned g = 0; g < k.n_guests; g++) {
		struct actor *a = &actors[g];

		if (a->leaving) {
			budget_leave(bank_of(&k, g), &k.guests[g]);
			a->present = a->leaving = false;
		}
		a->weight = a->next_weight;
		a->got = 0;
		a->insatiable = a->present && random_once_in(seed, 3);
		a->want = a->insatiable ? UINT64_MAX : random_magnitude(seed, 45);
		if (random_once_in(seed, 3))
			a->want = 0;
		a->insatiable &= a->want > 0;
	}
}

static void move_one(uint64_t *seed)
{
	unsigned g = (unsigned)random_below(seed, k.n_guests);

	if (!actors[g].present)
		return;
	budget_leave(bank_of(&k, g), &k.guests[g]);
	bank_join(&k, g, (unsigned)random_below(seed, k.n_lcores));
}

static void run_period(uint64_t period, uint64_t *seed, bool may_move)
{
	uint64_t start = period * PERIOD_NS, last = start + PERIOD_NS - 1;

	for (uint64_t t = start; t <= last; t += STEP_NS) {
		unsigned first = (unsigned)random_below(seed, k.n_guests);

		/* No two clocks are in step, but all are in the same period. */
		for (unsigned l = 0; l < k.n_lcores; l++) {
			uint64_t now = t + random_below(seed, STEP_NS);

			budget_advance(&k.lcores[l], now < last ? now : last);
		}
		if (may_move && random_once_in(seed, 10))
			move_one(seed);
		for (unsigned i = 0; i < k.n_guests; i++) {
			unsigned g = (first + i) % k.n_guests;
			struct actor *a = &actors[g];

			if (a->present && a->want > a->got)
				a->got += bank_take(&k, g, a->want - a->got, t);
		}
	}
}

/* An account that nobody asked for keeps what it was told until it is. */
static uint64_t share_of(const struct budget_account *a, uint64_t period)
{
	return budget_share(period >= a->next_from ? &a->next : &a->terms, period);
}

static void check_period(uint64_t period, bool fair)
{
	uint64_t sum = 0, shares = 0;
	bool all_wanted = false;

	for (unsigned g = 0; g < k.n_guests; g++) {
		const struct actor *a = &actors[g];
		uint64_t share = share_of(&k.guests[g], period);

		if (!a->present) {
			assert_int_equal(a->got, 0);
			continue;
		}
		shares += share;
		sum += a->got;
		all_wanted |= a->insatiable && a->weight > 0;
		if (!fair)
			assert_int_equal(a->got, a->want < share ? a->want : share);
		else
			assert_true(a->got >= (a->want < share ? a->want : share));
	}
	assert_int_equal(shares, bytes);
	assert_true(sum <= bytes);
	if (fair && all_wanted)
		assert_int_equal(sum, bytes);
}

static void run(uint64_t *seed, bool fair, bool smooth)
{
	const struct budget_config cfg = {
		.period_ns = PERIOD_NS, .smooth = smooth, .fair = fair, .crumb = 64};
	bool may_move = random_once_in(seed, 2);

	bytes = 1 + random_magnitude(seed, 44);
	memset(actors, 0, sizeof(actors));
	bank_init(&k, 1 + (unsigned)random_below(seed, BANK_LCORES), &cfg);
	k.n_guests = 1 + (unsigned)random_below(seed, 24);
	actors[0].present = true;
	actors[0].next_weight = 1;
	rearrange(0, true);
	bank_join(&k, 0, 0);
	for (uint64_t p = 0; p < PERIODS; p++) {
		begin_period(seed);
		run_period(p, seed, may_move);
		check_period(p, fair);
		churn(seed, p + 1);
	}
}

static void run_all(const char *name, bool fair)
{
	uint64_t seed = random_seed(name);

	for (unsigned turn = 0; turn < TURNS; turn++)
		run(&seed, fair, turn % 2);
}

static void test_strict(void **state)
{
	run_all("strict", false);
}

static void test_fair(void **state)
{
	run_all("fair", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
