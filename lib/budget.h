/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BUDGET_H
#define VRNG_BUDGET_H

/*
 * The period budget: B units (bytes, or requests) in every period for all guests together.
 *
 * Each guest has an account: a bucket with a rate (its share of B, by weight), a cap and a depth
 * (what it may keep for later). Each lcore has a budget: the clock and the rules for the accounts
 * of its guests. An account moves from one lcore's budget to another's with all that it holds.
 *
 * Shares are exact. The guests lie one after the other on a line of length W, the sum of all
 * weights on all lcores, guest g from lo to hi = lo + w. In period k it is owed
 *
 *	floor((hi * B + k mod W) / W) - floor((lo * B + k mod W) / W)
 *
 * so that the shares of all guests add up to exactly B in every period, and each guest gets
 * exactly its B * w over any W periods in a row: the remainder rotates. B < W is legal; then a
 * guest gets nothing in some periods, and its turn comes in others. Every lcore counts the same
 * periods (they start at time 0 of the caller's clock), so a share does not depend on the lcore.
 *
 * Refill. By period: a share is there when its period starts. Smooth: it comes evenly, over the
 * first 7/8 of the period.
 *
 * Sharing. Strict: what a guest does not use is gone at the period's end, but for what its depth
 * keeps. Fair: a guest that lags behind the pace at which its share would be used up evenly
 * (between 1/16 and 15/16 of the period) lends what it lags to those who want more, by weight,
 * those first who got least; what is left of its share stays reserved for it. Nothing is lent twice
 * and nothing is made, so all accounts together never hold more than B. Lcores lend to each other
 * through a budget_exchange, which they look at some 64 times in a period.
 *
 * Thread safety: none, but for the exchange. The lcore that owns a budget calls; time comes in as
 * an argument. No system calls, no allocation, no locks.
 */

#include "budget_exchange.h"

#include <stdbool.h>
#include <stdint.h>

/** For an amount: no limit. */
#define BUDGET_UNLIMITED UINT64_MAX

/** What a guest is entitled to. */
struct budget_terms {
	uint64_t per_period; /* B: for all guests on all lcores: 1 to 2^63-1, or BUDGET_UNLIMITED */
	uint32_t weight_lo, weight_hi; /* its part of the line of weights: [lo, hi) */
	uint32_t weight_total;	       /* W > 0 */
	uint64_t cap;	/* of what comes in a period, whatever the share is; BUDGET_UNLIMITED */
	uint64_t depth; /* of what a period left, kept for later at most */
};

/** A guest's bucket. */
struct budget_account {
	uint64_t period; /* the one that the rest is about */
	bool started;	 /* 'period' is valid */
	bool hungry;	 /* it found too little: it may borrow */
	bool filling;	 /* scratch, while what was lent is divided */
	uint64_t tokens; /* of this period's share and loans, not yet used */
	uint64_t used;	 /* of them in this period */
	uint64_t pace;	 /* what comes evenly: its share, or its cap if that is less */
	uint64_t kept;	 /* from earlier periods, or given once */
	struct budget_terms terms;
	struct budget_terms next; /* from period 'next_from' on */
	uint64_t next_from;	  /* UINT64_MAX: no change is coming */
};

struct budget_config {
	uint64_t period_ns; /* > 0 */
	bool smooth;	    /* refill evenly */
	bool fair;	    /* lend what is not used */

	/* Smaller amounts are not given out while more is to come in the period, so that requests
	 * are not answered crumb by crumb. > 0. */
	uint64_t crumb;

	struct budget_exchange *exchange; /* NULL: nobody to lend to */
	unsigned lcore;			  /* index in the exchange */
	unsigned n_lcores;		  /* that use it */

	/* The caller's memory for the accounts that join, which outlives the budget. */
	struct budget_account **accounts;
};

struct budget {
	struct budget_config cfg;
	bool limited;	    /* some account had a limit; else nobody needs to read a clock */
	bool final;	    /* no more comes in this period */
	bool started;	    /* 'period' is valid */
	uint64_t period;    /* the current one */
	uint64_t start_ns;  /* of it */
	uint64_t end_ns;    /* UINT64_MAX: never */
	uint64_t next_ns;   /* when budget_advance() has something to do */
	uint64_t release;   /* part of a share that has come, in 2^-32 */
	uint64_t lent_pace; /* part that is lent when it is not used, in 2^-32 */
	unsigned n_accounts;
};

void budget_init(struct budget *b, const struct budget_config *cfg);

/** What a guest with these terms is owed in period number 'period'. Pure. */
uint64_t budget_share(const struct budget_terms *terms, uint64_t period);

/**
 * Open an account, empty; it has its share of the first period that it is used in.
 *
 * @param once  what may be used beyond any share, one time
 */
void budget_open(struct budget_account *a, const struct budget_terms *terms, uint64_t once);

/**
 * Change the terms of an account that has joined this budget. A change that is still to come is
 * forgotten.
 *
 * When those of all guests are changed from the same period on, their shares add up in each.
 *
 * @param from_period  later than the current one; they are counted from time 0 on
 */
void budget_change(struct budget *b, struct budget_account *a, const struct budget_terms *terms,
	uint64_t from_period);

/** Let an account draw on this budget. There is room for it, and it is in no other. */
void budget_join(struct budget *b, struct budget_account *a);

/** Take an account out: it keeps what it holds. */
void budget_leave(struct budget *b, struct budget_account *a);

/** budget_advance() when it is time. */
bool budget_advance_now(struct budget *b, uint64_t now_ns);

/**
 * Tell the time: starts periods, lets shares come, lends. Before a round of turns.
 *
 * @param now_ns  nanoseconds of a monotonic clock that starts near 0; a value before the last one
 *                counts as no time passed; of periods that were missed an account keeps what its
 *                depth has room for
 * @return        true when accounts that had nothing may have something now, or budget_is_final()
 *                has become true
 */
static inline bool budget_advance(struct budget *b, uint64_t now_ns)
{
	if (!b->limited || __builtin_expect(now_ns < b->next_ns, 1))
		return false;
	return budget_advance_now(b, now_ns);
}

/** budget_allowance() of one that is limited. */
uint64_t budget_allowance_limited(struct budget *b, struct budget_account *a);

/**
 * How much a guest that wants something may have now. One that finds 0 waits for more, and is
 * lent to.
 *
 * @return  0 to UINT64_MAX (unlimited); cannot fail
 */
static inline uint64_t budget_allowance(struct budget *b, struct budget_account *a)
{
	return b->limited ? budget_allowance_limited(b, a) : UINT64_MAX;
}

/**
 * Charge what was delivered; what goes beyond the allowance is forgiven. Who used it up is taken to
 * want more, until budget_content().
 */
void budget_charge_limited(struct budget *b, struct budget_account *a, uint64_t amount);

static inline void budget_charge(struct budget *b, struct budget_account *a, uint64_t amount)
{
	if (b->limited)
		budget_charge_limited(b, a, amount);
}

/** Once its allowance is used up, does a guest wait for the next period? */
static inline bool budget_is_final(const struct budget *b)
{
	return b->final;
}

/** It wants nothing more for now: what it has may be lent. */
static inline void budget_content(struct budget_account *a)
{
	a->hungry = false;
}

#endif
