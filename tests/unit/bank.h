/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_BANK_H
#define UNIT_BANK_H

/* Some lcores' budgets and the accounts of their guests, for the tests of the budget. */

#include "budget.h"
#include "unit.h"

#define BANK_LCORES 4
#define BANK_GUESTS 64

struct bank {
	unsigned n_lcores, n_guests;
	struct budget lcores[BANK_LCORES];
	struct budget_account *joined[BANK_LCORES][BANK_GUESTS];
	struct budget_exchange exchange;
	struct budget_account guests[BANK_GUESTS];
	unsigned lcore_of[BANK_GUESTS];
	struct budget_terms terms; /* of a guest without its place on the line */
};

static inline void bank_init(struct bank *k, unsigned n_lcores, const struct budget_config *cfg)
{
	memset(k, 0, sizeof(*k));
	k->n_lcores = n_lcores;
	k->terms.cap = BUDGET_UNLIMITED;
	for (unsigned i = 0; i < n_lcores; i++) {
		struct budget_config mine = *cfg;

		mine.exchange = n_lcores > 1 ? &k->exchange : NULL;
		mine.lcore = i;
		mine.n_lcores = n_lcores;
		mine.accounts = k->joined[i];
		budget_init(&k->lcores[i], &mine);
	}
}

static inline void bank_join(struct bank *k, unsigned guest, unsigned lcore)
{
	k->lcore_of[guest] = lcore;
	budget_join(&k->lcores[lcore], &k->guests[guest]);
}

/** Guests with these weights, on the lcores in turn. */
static inline void bank_fill(
	struct bank *k, uint64_t per_period, const uint32_t *weights, unsigned n)
{
	uint32_t total = 0, lo = 0;

	for (unsigned g = 0; g < n; g++)
		total += weights[g];
	k->n_guests = n;
	k->terms.per_period = per_period;
	k->terms.weight_total = total;
	for (unsigned g = 0; g < n; g++) {
		k->terms.weight_lo = lo;
		k->terms.weight_hi = lo += weights[g];
		budget_open(&k->guests[g], &k->terms, 0);
		bank_join(k, g, g % k->n_lcores);
	}
}

static inline struct budget *bank_of(struct bank *k, unsigned guest)
{
	return &k->lcores[k->lcore_of[guest]];
}

/** What a guest may have at this time. */
static inline uint64_t bank_ask(struct bank *k, unsigned guest, uint64_t now_ns)
{
	budget_advance(bank_of(k, guest), now_ns);
	return budget_allowance(bank_of(k, guest), &k->guests[guest]);
}

/** It takes up to 'want' of what it may have. @return what it got */
static inline uint64_t bank_take(struct bank *k, unsigned guest, uint64_t want, uint64_t now_ns)
{
	uint64_t got = bank_ask(k, guest, now_ns);

	if (got > want)
		got = want;
	budget_charge(bank_of(k, guest), &k->guests[guest], got);
	if (got == want)
		budget_content(&k->guests[guest]);
	return got;
}

#endif
