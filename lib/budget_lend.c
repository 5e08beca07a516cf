/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget_lend.h"

#include <stddef.h>

/* A pot: the period's last 20 bits above 44 bits of amount. */
#define POT_BITS 44
#define POT_MAX	 ((UINT64_C(1) << POT_BITS) - 1)

/* Rounds of dividing: a round may end early because of caps. */
#define ROUNDS 4

/* Looks for a level; each leaves out those above it. What is not found by then is near enough. */
#define LEVELS 16

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
		uint64_t to_come = a->pace - budget_part(a->pace, b->lent_pace);

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

/* The exchange */

static uint64_t pot_of(const struct budget *b, uint64_t amount)
{
	return b->period << POT_BITS | amount;
}

/* Is it of this period? What another period left is void. */
static bool is_current(const struct budget *b, uint64_t pot)
{
	return pot >> POT_BITS == pot_of(b, 0) >> POT_BITS;
}

/* Leave an amount for the other lcores. @return what there was room for */
static uint64_t deposit(struct budget *b, uint64_t amount)
{
	uint64_t *pot = &b->cfg.exchange->pot;
	uint64_t seen = __atomic_load_n(pot, __ATOMIC_RELAXED), left, put;

	do {
		left = is_current(b, seen) ? seen & POT_MAX : 0;
		put = amount < POT_MAX - left ? amount : POT_MAX - left;
	} while (!__atomic_compare_exchange_n(
		pot, &seen, pot_of(b, left + put), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return put;
}

/* Take mine / all of what is in the pot. */
static uint64_t withdraw(struct budget *b, uint64_t mine, uint64_t all)
{
	uint64_t *pot = &b->cfg.exchange->pot;
	uint64_t seen = __atomic_load_n(pot, __ATOMIC_RELAXED), left, take;

	do {
		if (!is_current(b, seen))
			return 0;
		left = seen & POT_MAX;
		take = (uint64_t)(((unsigned __int128)left * mine + all - 1) / all);
		if (b->final)
			take = left; /* who has no time to come back for the rest takes it now */
	} while (take > 0 && !__atomic_compare_exchange_n(pot, &seen, pot_of(b, left - take), true,
				     __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return take;
}

/* Say what weight wants more here. @return what wants more elsewhere */
static uint64_t publish(struct budget *b, uint32_t weight)
{
	struct budget_exchange *x = b->cfg.exchange;
	uint64_t elsewhere = 0;

	/* In every period, so that a period's number never meets the pot of an old namesake. */
	if (!is_current(b, __atomic_load_n(&x->pot, __ATOMIC_RELAXED)))
		deposit(b, 0);
	__atomic_store_n(
		&x->lcores[b->cfg.lcore].wanted, b->period << 32 | weight, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < b->cfg.n_lcores; i++) {
		uint64_t wanted = __atomic_load_n(&x->lcores[i].wanted, __ATOMIC_RELAXED);

		if (i != b->cfg.lcore && wanted >> 32 == (uint32_t)b->period)
			elsewhere += (uint32_t)wanted;
	}
	return elsewhere;
}

void budget_lend(struct budget *b)
{
	uint64_t pool = 0, elsewhere = 0, over;
	uint32_t here = 0;

	for (unsigned i = 0; i < b->n_accounts; i++) {
		struct budget_account *a = b->cfg.accounts[i];

		budget_refill(b, a);
		if (a->hungry && room(a) > 0)
			here += weight_of(a);
		if (__builtin_add_overflow(pool, surplus(b, a), &pool))
			pool = BUDGET_UNLIMITED;
	}
	if (b->cfg.exchange != NULL)
		elsewhere = publish(b, here);
	if (pool > 0 && elsewhere > 0) {
		uint64_t theirs =
			(uint64_t)((unsigned __int128)pool * elsewhere / (here + elsewhere));

		theirs = deposit(b, theirs);
		collect(b, theirs);
		pool -= theirs;
	}
	if (here == 0)
		return;
	if (pool > 0)
		collect(b, pool - divide(b, pool));
	if (b->cfg.exchange != NULL) {
		over = divide(b, withdraw(b, here, here + elsewhere));
		if (over > 0)
			deposit(b, over);
	}
}
