/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget_exchange.h"

/* A pot: the period's last 20 bits above 44 bits of amount. */
#define POT_BITS 44
#define POT_MAX	 ((UINT64_C(1) << POT_BITS) - 1)

static bool is_of(uint64_t pot, uint64_t period)
{
	return (pot ^ period << POT_BITS) >> POT_BITS == 0;
}

/* What is in a pot; one of another period is empty. */
static uint64_t amount_in(uint64_t pot, uint64_t period)
{
	return is_of(pot, period) ? pot & POT_MAX : 0;
}

/* False: another lcore was at it; 'seen' is what it left. */
static bool replace(struct budget_exchange *x, uint64_t *seen, uint64_t period, uint64_t amount)
{
	return __atomic_compare_exchange_n(&x->pot, seen, period << POT_BITS | amount, true,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

uint64_t budget_exchange_put(struct budget_exchange *x, uint64_t period, uint64_t amount)
{
	uint64_t seen = __atomic_load_n(&x->pot, __ATOMIC_RELAXED), left, put;

	do {
		left = amount_in(seen, period);
		put = amount < POT_MAX - left ? amount : POT_MAX - left;
	} while (!replace(x, &seen, period, left + put));
	return put;
}

uint64_t budget_exchange_take(
	struct budget_exchange *x, uint64_t period, uint64_t mine, uint64_t all, bool last)
{
	uint64_t seen = __atomic_load_n(&x->pot, __ATOMIC_RELAXED), left, take;

	do {
		left = amount_in(seen, period);
		take = last ? left : (uint64_t)(((unsigned __int128)left * mine + all - 1) / all);
	} while (take > 0 && !replace(x, &seen, period, left - take));
	return take;
}

uint64_t budget_exchange_want(struct budget_exchange *x, uint64_t period, unsigned lcore,
	unsigned n_lcores, uint32_t weight)
{
	uint64_t elsewhere = 0;

	/* So that a period's number never meets the pot of an old namesake. */
	if (!is_of(__atomic_load_n(&x->pot, __ATOMIC_RELAXED), period))
		budget_exchange_put(x, period, 0);
	__atomic_store_n(&x->lcores[lcore].wanted, period << 32 | weight, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < n_lcores; i++) {
		uint64_t wanted = __atomic_load_n(&x->lcores[i].wanted, __ATOMIC_RELAXED);

		if (i != lcore && wanted >> 32 == (uint32_t)period)
			elsewhere += (uint32_t)wanted;
	}
	return elsewhere;
}
