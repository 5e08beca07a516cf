/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BUDGET_EXCHANGE_H
#define VRNG_BUDGET_EXCHANGE_H

/*
 * Where lcores lend to each other in a period of the budget: a pot that any of them puts into and
 * takes from, and what each of them says it wants. What is left of another period is void.
 *
 * Thread safety: all lcores may call at a time, each with its own index. No locks.
 */

#include <stdbool.h>
#include <stdint.h>

/** Lcores that can lend to each other. */
#define BUDGET_LCORES_MAX 128

/** Zeroed before use, aligned to a cache line. */
struct budget_exchange {
	/* Any lcore: rw. The period (its last 20 bits) and what was left there in it (44 bits). */
	_Alignas(64) uint64_t pot;
	/* Lcore i: rw, others: ro. The period (its last 32 bits) and the weight that wants more. */
	struct {
		_Alignas(64) uint64_t wanted;
	} lcores[BUDGET_LCORES_MAX];
};

/**
 * Leave an amount for the other lcores.
 *
 * @return  what there was room for
 */
uint64_t budget_exchange_put(struct budget_exchange *x, uint64_t period, uint64_t amount);

/**
 * Take mine / all of what is in the pot, rounded up.
 *
 * @param last  there is no time to come back for the rest: take it all
 */
uint64_t budget_exchange_take(
	struct budget_exchange *x, uint64_t period, uint64_t mine, uint64_t all, bool last);

/**
 * Say what weight wants more here, in every period at least once.
 *
 * @param lcore     who says it, below n_lcores
 * @param n_lcores  that use the exchange
 * @return          the weight that wants more elsewhere
 */
uint64_t budget_exchange_want(struct budget_exchange *x, uint64_t period, unsigned lcore,
	unsigned n_lcores, uint32_t weight);

#endif
