/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget.h"

#include <string.h>

/* How often in a period those who wait are looked at; not more often, nor more seldom, than this.
 */
#define STEPS	    64
#define STEP_MIN_NS UINT64_C(10000)
#define STEP_MAX_NS UINT64_C(1000000)

/* Rounds of dividing: a round may end early because of caps. */
#define ROUNDS 4

/* All of an amount, where a part of it is meant. */
#define ONE (UINT64_C(1) << 32)

/* Looks for a level; each leaves out those above it. What is not found by then is near enough. */
#define LEVELS 16

void budget_init(struct budget *b, const struct budget_config *cfg)
{
	memset(b, 0, sizeof(*b));
	b->cfg = *cfg;
}

uint64_t budget_share(const struct budget_terms *t, uint64_t period)
{
	unsigned __int128 amount = t->per_period;
	uint32_t w = t->weight_total;
	uint32_t phase = period % w;

	if (t->per_period == BUDGET_UNLIMITED)
		return BUDGET_UNLIMITED;
	/* The quotients fit 64 bits: weight <= w, so each is at most B. */
	return (uint64_t)((t->weight_hi * amount + phase) / w) -
	       (uint64_t)((t->weight_lo * amount + phase) / w);
}

void budget_open(struct budget_account *a, const struct budget_terms *terms, uint64_t once)
{
	memset(a, 0, sizeof(*a));
	a->terms = *terms;
	a->kept = once;
	a->next_from = UINT64_MAX;
}

static bool is_limited(const struct budget_terms *t)
{
	return t->per_period != BUDGET_UNLIMITED || t->cap != BUDGET_UNLIMITED;
}

void budget_join(struct budget *b, struct budget_account *a)
{
	b->cfg.accounts[b->n_accounts++] = a;
	b->limited |= is_limited(&a->terms) || (a->next_from != UINT64_MAX && is_limited(&a->next));
}

void budget_leave(struct budget *b, struct budget_account *a)
{
	for (unsigned i = 0; i < b->n_accounts; i++) {
		if (b->cfg.accounts[i] == a) {
			b->cfg.accounts[i] = b->cfg.accounts[--b->n_accounts];
			return;
		}
	}
}

/* What it holds of this period's tokens and may use itself. */
static uint64_t own(const struct budget_account *a)
{
	uint64_t room = a->terms.cap - a->used; /* never used more */

	return a->tokens < room ? a->tokens : room;
}

/*
 * What is over is kept, up to the depth, with the shares of the periods that nobody looked at; what
 * was kept beyond it (given once) is not lost.
 */
static void keep(struct budget_account *a, uint64_t period)
{
	uint64_t room, over, missed;

	if (!a->started || a->kept >= a->terms.depth)
		return;
	room = a->terms.depth - a->kept;
	over = own(a);
	missed = period - a->period - 1;
	if (__builtin_mul_overflow(missed, a->pace, &missed) ||
		__builtin_add_overflow(over, missed, &over) || over > room)
		over = room;
	a->kept += over;
}

static void refill(const struct budget *b, struct budget_account *a)
{
	/* An account that came from an lcore whose clock is ahead has had this period's share. */
	if (a->started && a->period >= b->period)
		return;
	keep(a, b->period);
	if (a->next_from != UINT64_MAX && b->period >= a->next_from) {
		a->terms = a->next;
		a->next_from = UINT64_MAX;
	}
	a->started = true;
	a->period = b->period;
	a->hungry = false;
	a->used = 0;
	a->tokens = budget_share(&a->terms, b->period);
	a->pace = own(a);
}

void budget_change(struct budget *b, struct budget_account *a, const struct budget_terms *terms,
	uint64_t from_period)
{
	/* An earlier change may be due, and not be seen yet, because the guest asked for nothing.
	 */
	if (b->started)
		refill(b, a);
	a->next = *terms;
	a->next_from = from_period;
	b->limited |= is_limited(terms);
}

/* Such a part (of ONE) of an amount, rounded down. */
static uint64_t part_of(uint64_t amount, uint64_t part)
{
	return (uint64_t)(((unsigned __int128)amount * part) >> 32);
}

/* Lending */

static uint32_t weight_of(const struct budget_account *a)
{
	return a->terms.weight_hi - a->terms.weight_lo;
}

/* What it has had in this period, or may have. */
static uint64_t had(const struct budget_account *a)
{
	uint64_t had;

	return __builtin_add_overflow(a->used, a->tokens, &had) ? BUDGET_UNLIMITED : had;
}

/* What it may still be lent. */
static uint64_t room(const struct budget_account *a)
{
	return had(a) < a->terms.cap ? a->terms.cap - had(a) : 0;
}

/* What it does not need: what its cap keeps it from, and what it lags behind. */
static uint64_t surplus(const struct budget *b, const struct budget_account *a)
{
	uint64_t reserve = a->terms.cap - a->used;

	if (a->tokens == BUDGET_UNLIMITED)
		return 0;
	if (!a->hungry) {
		/* Of its own share what is still to come, at an even pace; the rest is borrowed. */
		uint64_t left = a->pace > a->used ? a->pace - a->used : 0;
		uint64_t to_come = a->pace - part_of(a->pace, b->lent_pace);

		left = left < to_come ? left : to_come;
		reserve = reserve < left ? reserve : left;
	}
	return a->tokens > reserve ? a->tokens - reserve : 0;
}

/*
 * The level up to which 'amount' fills those who are 'filling', in 2^-32 of a unit for each unit of
 * weight: those above it are left out. 0: nobody is.
 */
static unsigned __int128 find_level(struct budget *b, uint64_t amount)
{
	unsigned __int128 level = 0;

	for (unsigned look = 0; look < LEVELS; look++) {
		unsigned __int128 sum = amount;
		uint64_t weight = 0;
		bool all = true;

		for (unsigned i = 0; i < b->n_accounts; i++) {
			const struct budget_account *a = b->cfg.accounts[i];

			if (a->filling) {
				sum += had(a);
				weight += weight_of(a);
			}
		}
		if (weight == 0)
			return 0;
		level = (sum << 32) / weight;
		for (unsigned i = 0; i < b->n_accounts; i++) {
			struct budget_account *a = b->cfg.accounts[i];

			if (a->filling && (level * weight_of(a)) >> 32 < had(a))
				a->filling = all = false;
		}
		if (all)
			break;
	}
	return level;
}

static uint64_t give(struct budget_account *a, uint64_t amount, uint64_t most)
{
	if (amount > most)
		amount = most;
	if (amount > room(a))
		amount = room(a);
	a->tokens += amount;
	return amount;
}

/* Divide 'amount' among the hungry, by weight, those first who had least. @return what is over */
static uint64_t divide(struct budget *b, uint64_t amount)
{
	for (unsigned round = 0; round < ROUNDS && amount > 0; round++) {
		uint64_t before = amount;
		unsigned __int128 level;

		for (unsigned i = 0; i < b->n_accounts; i++) {
			struct budget_account *a = b->cfg.accounts[i];

			a->filling = a->hungry && weight_of(a) > 0 && room(a) > 0;
		}
		level = find_level(b, amount);
		for (unsigned i = 0; i < b->n_accounts && level > 0; i++) {
			struct budget_account *a = b->cfg.accounts[i];
			uint64_t target;

			if (!a->filling)
				continue;
			target = (uint64_t)((level * weight_of(a)) >> 32);
			if (target > had(a))
				amount -= give(a, target - had(a), amount);
		}
		if (amount == before)
			break;
	}
	/* What rounding left: a unit each, another one first every time. */
	for (unsigned i = 0; i < b->n_accounts && amount > 0; i++) {
		struct budget_account *a =
			b->cfg.accounts[(i + b->period + b->next_ns) % b->n_accounts];

		if (a->hungry && weight_of(a) > 0)
			amount -= give(a, 1, amount);
	}
	return amount;
}

/* Take it from those who do not need it. */
static void collect(struct budget *b, uint64_t amount)
{
	for (unsigned i = 0; i < b->n_accounts && amount > 0; i++) {
		struct budget_account *a = b->cfg.accounts[i];
		uint64_t part = surplus(b, a);

		if (part > amount)
			part = amount;
		a->tokens -= part;
		amount -= part;
	}
}

/* Fair sharing: what guests do not use of their shares goes to those who want more. */
static void lend(struct budget *b)
{
	const struct budget_config *cfg = &b->cfg;
	uint64_t pool = 0, elsewhere = 0;
	uint32_t here = 0;

	for (unsigned i = 0; i < b->n_accounts; i++) {
		struct budget_account *a = cfg->accounts[i];

		refill(b, a);
		if (a->hungry && room(a) > 0)
			here += weight_of(a);
		if (__builtin_add_overflow(pool, surplus(b, a), &pool))
			pool = BUDGET_UNLIMITED;
	}
	if (cfg->exchange != NULL)
		elsewhere = budget_exchange_want(
			cfg->exchange, b->period, cfg->lcore, cfg->n_lcores, here);
	if (pool > 0 && elsewhere > 0) {
		uint64_t theirs =
			(uint64_t)((unsigned __int128)pool * elsewhere / (here + elsewhere));

		theirs = budget_exchange_put(cfg->exchange, b->period, theirs);
		collect(b, theirs);
		pool -= theirs;
	}
	if (here == 0)
		return;
	if (pool > 0)
		collect(b, pool - divide(b, pool));
	if (cfg->exchange != NULL) {
		uint64_t over = divide(b, budget_exchange_take(cfg->exchange, b->period, here,
						  here + elsewhere, b->final));

		if (over > 0)
			budget_exchange_put(cfg->exchange, b->period, over);
	}
}

/* The time */

/* How far 'at' is on the way between two times, of ONE. */
static uint64_t way(uint64_t at, uint64_t from, uint64_t to)
{
	if (at >= to)
		return ONE;
	if (at <= from)
		return 0;
	return (uint64_t)(((unsigned __int128)(at - from) << 32) / (to - from));
}

static void start_period(struct budget *b, uint64_t now_ns)
{
	uint64_t period_ns = b->cfg.period_ns;

	b->started = true;
	b->period = now_ns / period_ns;
	b->start_ns = b->period * period_ns; /* <= now_ns */
	b->end_ns = b->start_ns > UINT64_MAX - period_ns ? UINT64_MAX : b->start_ns + period_ns;
}

/* How long those who wait may be left alone; at the end there is no time to lose. */
static uint64_t step_ns(const struct budget *b)
{
	uint64_t step = b->cfg.period_ns / STEPS;

	if (step > STEP_MAX_NS)
		return STEP_MAX_NS;
	return step < STEP_MIN_NS || b->final ? STEP_MIN_NS : step;
}

bool budget_advance_now(struct budget *b, uint64_t now_ns)
{
	const struct budget_config *cfg = &b->cfg;
	uint64_t sixteenth = cfg->period_ns / 16, passed;

	if (!b->started || now_ns >= b->end_ns)
		start_period(b, now_ns);
	passed = now_ns - b->start_ns;
	b->release = cfg->smooth ? way(passed, 0, 14 * sixteenth) : ONE;
	b->lent_pace = cfg->fair ? way(passed, sixteenth, 15 * sixteenth) : 0;
	b->final = cfg->fair ? b->lent_pace == ONE : b->release == ONE;
	b->next_ns = b->end_ns;
	if ((cfg->fair || !b->final) && b->end_ns - now_ns > step_ns(b))
		b->next_ns = now_ns + step_ns(b);
	if (cfg->fair)
		lend(b);
	return true;
}

/* What a guest has and takes */

/* What of its tokens has come. */
static uint64_t released(const struct budget *b, const struct budget_account *a)
{
	uint64_t held = a->pace - part_of(a->pace, b->release);
	uint64_t tokens = own(a);

	return tokens > held ? tokens - held : 0;
}

static uint64_t allowance(const struct budget *b, const struct budget_account *a)
{
	uint64_t amount = released(b, a);

	if (__builtin_add_overflow(amount, a->kept, &amount))
		return BUDGET_UNLIMITED;
	return amount < b->cfg.crumb && !b->final ? 0 : amount;
}

uint64_t budget_allowance_limited(struct budget *b, struct budget_account *a)
{
	uint64_t amount;

	refill(b, a);
	amount = allowance(b, a);
	a->hungry = amount == 0;
	return amount;
}

void budget_charge_limited(struct budget *b, struct budget_account *a, uint64_t amount)
{
	uint64_t tokens;

	refill(b, a);
	tokens = released(b, a);
	if (tokens > amount)
		tokens = amount;
	a->used += tokens;
	if (a->tokens != BUDGET_UNLIMITED)
		a->tokens -= tokens;
	amount -= tokens;
	a->kept -= amount < a->kept ? amount : a->kept;
	/* Who used up what there was wants more, unless budget_content() says otherwise. */
	a->hungry = allowance(b, a) == 0;
}
