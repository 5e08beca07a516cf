/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget.h"

#include "budget_lend.h"

#include <string.h>

/* How often in a period those who wait are looked at; not more often, nor more seldom, than this.
 */
#define STEPS	    64
#define STEP_MIN_NS UINT64_C(10000)
#define STEP_MAX_NS UINT64_C(1000000)

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

void budget_refill(const struct budget *b, struct budget_account *a)
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
		budget_refill(b, a);
	a->next = *terms;
	a->next_from = from_period;
	b->limited |= is_limited(terms);
}

uint64_t budget_part(uint64_t amount, uint64_t part)
{
	return (uint64_t)(((unsigned __int128)amount * part) >> 32);
}

/* How far 'at' is on the way between two times, of BUDGET_ONE. */
static uint64_t way(uint64_t at, uint64_t from, uint64_t to)
{
	if (at >= to)
		return BUDGET_ONE;
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
	b->release = cfg->smooth ? way(passed, 0, 14 * sixteenth) : BUDGET_ONE;
	b->lent_pace = cfg->fair ? way(passed, sixteenth, 15 * sixteenth) : 0;
	b->final = cfg->fair ? b->lent_pace == BUDGET_ONE : b->release == BUDGET_ONE;
	b->next_ns = b->end_ns;
	if ((cfg->fair || !b->final) && b->end_ns - now_ns > step_ns(b))
		b->next_ns = now_ns + step_ns(b);
	if (cfg->fair)
		budget_lend(b);
	return true;
}

/* What of its tokens has come. */
static uint64_t released(const struct budget *b, const struct budget_account *a)
{
	uint64_t held = a->pace - budget_part(a->pace, b->release);
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

	budget_refill(b, a);
	amount = allowance(b, a);
	a->hungry = amount == 0;
	return amount;
}

void budget_charge_limited(struct budget *b, struct budget_account *a, uint64_t amount)
{
	uint64_t tokens;

	budget_refill(b, a);
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
