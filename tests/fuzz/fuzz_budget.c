/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The budget of several lcores, with guests that want anything at any time, come, go and move:
 *  - all guests together never get more than B in a period, and what was kept or given once;
 *  - none gets more than its cap in a period, and that;
 *  - strict sharing without keeping: none gets more than its share, and who asks for all that it
 *    is owed until the period's end gets all of it;
 *  - shares add up to B in each period, and over periods to what each is due;
 *  - fair sharing: when all want all from some moment on, whatever was lent before, all of B is
 *    given by the period's end, unless caps forbid it.
 */
#include "fuzz.h"

#include "../unit/bank.h"

#define PERIOD_NS  6400000u /* as short as it may be, about: --period has milliseconds */
#define GUESTS_MAX 8
#define OPS_MAX	   400
#define DEPTH_MAX  100000
#define STEPS	   256 /* of a period in which all want all */
#define GREEDY_MAX 8   /* such periods in an input: they take long */

static struct bank k;
static bool strict;

/* What is known of a guest. */
static struct guest {
	struct budget_terms terms, next;
	uint64_t once;	    /* not yet used of what was given once, at most */
	uint64_t depth_max; /* of all terms that it had */
	uint64_t got;	    /* in this period */
} guests[GUESTS_MAX];

static uint64_t next_from; /* when all have their next terms */

/* What all got in a period; periods come in order. */
static struct {
	uint64_t period, sum;
	uint64_t extra; /* that may come on top of B: once, and of what was kept */
} now;

/* Over as many periods as there is weight each gets what it is due, to the unit. */
static void check_rotation(const struct budget_terms *t, uint64_t period)
{
	uint64_t got = 0;

	if (t->weight_total > 64 || t->per_period > UINT32_MAX)
		return;
	for (unsigned i = 0; i < t->weight_total; i++)
		got += budget_share(t, period + i);
	FUZZ_CHECK(got == t->per_period * (t->weight_hi - t->weight_lo));
}

/* Terms for all, which divide a B among them; the first guest's place is at 0. */
static void make_terms(struct fuzz_input *in)
{
	uint64_t per_period = fuzz_magnitude(in) >> 20; /* the pot holds 44 bits of it */
	uint32_t total = 0, lo = 0, weights[GUESTS_MAX];
	unsigned allowed = fuzz_bool(in) ? 7 : 5; /* often nobody keeps anything */

	per_period += per_period == 0;
	if (fuzz_below(in, 16) == 0)
		per_period = BUDGET_UNLIMITED;
	for (unsigned g = 0; g < k.n_guests; g++)
		total += weights[g] = 1 + fuzz_below(in, k.n_guests > 4 ? 100 : 12);
	for (unsigned g = 0; g < k.n_guests; g++) {
		struct budget_terms *t = &guests[g].next;
		unsigned rules = fuzz_u8(in) & allowed;

		*t = (struct budget_terms){.per_period = per_period,
			.weight_lo = lo,
			.weight_hi = lo + weights[g],
			.weight_total = total,
			.cap = rules & 1 ? 1 + fuzz_magnitude(in) / 2 : BUDGET_UNLIMITED,
			.depth = rules & 2 ? fuzz_u16(in) : 0};
		if (rules & 4 && per_period != BUDGET_UNLIMITED) /* a little more than its share */
			t->cap = 1 + budget_share(t, 0) + fuzz_u16(in);
		lo += weights[g];
		check_rotation(t, fuzz_u16(in));
		if (t->depth > guests[g].depth_max)
			guests[g].depth_max = t->depth;
	}
}

static void set_up(struct fuzz_input *in)
{
	unsigned how = fuzz_u8(in), n_lcores = 1 + fuzz_below(in, BANK_LCORES);
	struct budget_config cfg = {.period_ns = PERIOD_NS,
		.smooth = how & 1,
		.fair = how & 2,
		.crumb = 1 + fuzz_u8(in) % 64};

	bank_init(&k, n_lcores, &cfg);
	memset(guests, 0, sizeof(guests));
	strict = !cfg.fair;
	k.n_guests = 1 + fuzz_below(in, GUESTS_MAX);
	make_terms(in);
	next_from = 0;
	for (unsigned g = 0; g < k.n_guests; g++) {
		guests[g].once = how & 4 && fuzz_bool(in) ? fuzz_u16(in) : 0;
		budget_open(&k.guests[g], &guests[g].next, guests[g].once);
		bank_join(&k, g, g % n_lcores);
	}
}

/* Other terms for all from a later period on. */
static void change(struct fuzz_input *in, uint64_t now_ns)
{
	for (unsigned l = 0; l < k.n_lcores; l++)
		budget_advance(&k.lcores[l], now_ns);
	make_terms(in);
	next_from = now.period + 1 + fuzz_below(in, 3);
	for (unsigned g = 0; g < k.n_guests; g++)
		budget_change(bank_of(&k, g), &k.guests[g], &guests[g].next, next_from);
}

static void begin_period(uint64_t period)
{
	uint64_t shares = 0;

	now.period = period;
	now.sum = 0;
	now.extra = 0;
	for (unsigned g = 0; g < k.n_guests; g++) {
		if (period >= next_from)
			guests[g].terms = guests[g].next;
		guests[g].got = 0;
		now.extra += guests[g].once + guests[g].depth_max;
		shares += budget_share(&guests[g].terms, period);
	}
	if (period >= next_from)
		next_from = UINT64_MAX;
	if (guests[0].terms.per_period != BUDGET_UNLIMITED)
		FUZZ_CHECK(shares == guests[0].terms.per_period);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void count(unsigned g, uint64_t amount)
{
	struct guest *me = &guests[g];
	uint64_t extra = me->once + me->depth_max;

	me->got += amount;
	now.sum += amount;
	/* What was kept or given once comes on top of the cap. */
	FUZZ_CHECK(me->got <= sum(me->terms.cap, extra));
	FUZZ_CHECK(now.sum <= sum(me->terms.per_period, now.extra));
	if (strict)
		FUZZ_CHECK(me->got <= sum(budget_share(&me->terms, now.period), extra));
}

static void take(struct fuzz_input *in, unsigned g, uint64_t now_ns)
{
	uint64_t may = bank_ask(&k, g, now_ns), want = fuzz_magnitude(in) >> 8;

	FUZZ_CHECK(bank_ask(&k, g, now_ns) == may); /* to ask takes nothing */
	if (want > may)
		want = may;
	budget_charge(bank_of(&k, g), &k.guests[g], want);
	if (fuzz_bool(in))
		budget_content(&k.guests[g]);
	count(g, want);
}

/* The last nanosecond of a period: all that is owed is there. */
static void take_all(unsigned g, uint64_t now_ns)
{
	struct guest *me = &guests[g];
	uint64_t share = budget_share(&me->terms, now.period), may;

	may = bank_ask(&k, g, now_ns - now_ns % PERIOD_NS + PERIOD_NS - 1);
	if (share == BUDGET_UNLIMITED || may == BUDGET_UNLIMITED)
		return;
	if (strict && me->got < share && share <= me->terms.cap)
		FUZZ_CHECK(may >= share - me->got);
	budget_charge(bank_of(&k, g), &k.guests[g], may);
	count(g, may);
}

/* Must all of B be given in this period? Not what caps forbid, or what was kept would hide. */
static bool all_is_due(void)
{
	bool free = false;

	for (unsigned g = 0; g < k.n_guests; g++) {
		if (guests[g].once > 0 || guests[g].depth_max > 0)
			return false;
		free |= guests[g].terms.cap == BUDGET_UNLIMITED;
	}
	return free && !strict && guests[0].terms.per_period != BUDGET_UNLIMITED;
}

/* To the period's end all want all that they can get. */
static void be_greedy(uint64_t now_ns)
{
	uint64_t start = now_ns - now_ns % PERIOD_NS, end = start + PERIOD_NS;
	/* What is found later than this, there may be no time to hand on. */
	bool in_time = now_ns - start < PERIOD_NS / 4 * 3;

	for (; now_ns < end; now_ns += PERIOD_NS / STEPS) {
		for (unsigned l = 0; l < k.n_lcores; l++)
			budget_advance(&k.lcores[l], now_ns);
		for (unsigned g = 0; g < k.n_guests; g++) {
			uint64_t may = bank_ask(&k, g, now_ns);

			if (may == BUDGET_UNLIMITED)
				return;
			budget_charge(bank_of(&k, g), &k.guests[g], may);
			count(g, may);
		}
	}
	if (in_time && all_is_due())
		FUZZ_CHECK(now.sum == guests[0].terms.per_period);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned n_greedy = 0;
	uint64_t now_ns = 0;

	set_up(&in);
	begin_period(0);
	for (unsigned n = 0; n < OPS_MAX && fuzz_more(&in); n++) {
		unsigned g = fuzz_below(&in, k.n_guests), what = fuzz_below(&in, 16);

		switch (what) {
		case 0:
		case 1: /* time passes, mostly a little */
			now_ns += fuzz_below(&in, 8) ? 100 * (uint64_t)fuzz_u16(&in)
						     : fuzz_magnitude(&in) >> 20;
			break;
		case 2: /* an lcore looks at the clock; it may seem to go back */
			budget_advance(&k.lcores[fuzz_below(&in, k.n_lcores)],
				now_ns - (now_ns % PERIOD_NS ? 1 : 0));
			break;
		case 3: /* to another lcore, or off and on */
			budget_leave(bank_of(&k, g), &k.guests[g]);
			bank_join(&k, g, fuzz_below(&in, k.n_lcores));
			break;
		case 4:
			take_all(g, now_ns);
			now_ns += PERIOD_NS - 1 - now_ns % PERIOD_NS;
			break;
		case 5:
			change(&in, now_ns);
			break;
		case 6:
			if (n_greedy++ == GREEDY_MAX)
				break;
			be_greedy(now_ns);
			now_ns += PERIOD_NS - 1 - now_ns % PERIOD_NS;
			break;
		default:
			take(&in, g, now_ns);
			break;
		}
		if (now_ns / PERIOD_NS != now.period)
			begin_period(now_ns / PERIOD_NS);
	}
	return 0;
}
