/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BUDGET_H
#define VRNG_BUDGET_H

/*
 * The period budget: B bytes in every period for all guests together, divided by weight.
 *
 * A budget is the token bucket of one lcore. It is filled at the start of each period with the sum
 * of its guests' shares, and a guest draws from its own share of it. What is not used in a period
 * is gone (strict sharing).
 *
 * Shares are exact. The guests lie one after the other on a line of length W, the sum of all
 * weights on all lcores, guest g from lo to hi = lo + w. In period k it is owed
 *
 *	floor((hi * B + k mod W) / W) - floor((lo * B + k mod W) / W)
 *
 * so that the shares of all guests add up to exactly B in every period, and each guest gets
 * exactly its B * w over any W periods in a row: the remainder rotates. B < W is legal; then a
 * guest gets nothing in some periods, and its turn comes in others.
 *
 * Every lcore counts the same periods (they start at time 0 of the caller's clock), so a guest's
 * share in a period does not depend on the lcore that serves it.
 *
 * Thread safety: none. The lcore that owns a budget calls; time comes in as an argument.
 */

#include <stdbool.h>
#include <stdint.h>

/** For 'bytes_per_period': no limit. */
#define BUDGET_UNLIMITED UINT64_MAX

struct budget_slot {
	uint32_t weight_lo, weight_hi; /* its part of the line of all weights */
	uint64_t tokens;	       /* bytes that it may still have in this period */
};

struct budget {
	uint64_t bytes_per_period; /* B */
	uint64_t period_ns;
	uint32_t total_weight; /* W */
	uint64_t period;       /* the number of the current period */
	uint64_t refill_ns;    /* when the next one starts; UINT64_MAX: never */
	uint64_t tokens;       /* the bucket: sum of the slots' tokens */
	unsigned n_slots, max_slots;
	struct budget_slot *slots;
};

/**
 * @param bytes_per_period  for all guests on all lcores: 1 to 2^63-1, or BUDGET_UNLIMITED
 * @param period_ns         length of a period, > 0
 * @param total_weight      of all guests on all lcores, > 0
 * @param slots             the caller's memory for 'max_slots' slots, which outlives the budget
 */
void budget_init(struct budget *b, uint64_t bytes_per_period, uint64_t period_ns,
	uint32_t total_weight, struct budget_slot *slots, unsigned max_slots);

/**
 * Add a guest that lies at [weight_lo, weight_hi) on the line of weights. It owns its share of the
 * first period that is asked for afterwards, and of all later ones.
 *
 * @param slot  set to the number to name it by
 * @return      0; -ENOSPC when all slots are taken; -EINVAL when the range is empty or outside
 */
int budget_add(struct budget *b, uint32_t weight_lo, uint32_t weight_hi, unsigned *slot);

/** What the guest at [weight_lo, weight_hi) is owed in period number 'period', in bytes. Pure. */
uint64_t budget_share(
	const struct budget *b, uint32_t weight_lo, uint32_t weight_hi, uint64_t period);

/** Start the period that 'now_ns' is in. budget_allowance() calls it when it is time. */
void budget_refill(struct budget *b, uint64_t now_ns);

/**
 * How many bytes a guest may be given now.
 *
 * @param now_ns  nanoseconds of a monotonic clock that starts near 0; a value before the last one
 *                counts as no time passed, and periods that were missed are not made up for
 * @return        0 to UINT64_MAX (unlimited); cannot fail
 */
static inline uint64_t budget_allowance(struct budget *b, unsigned slot, uint64_t now_ns)
{
	if (b->bytes_per_period == BUDGET_UNLIMITED)
		return UINT64_MAX;
	if (now_ns >= b->refill_ns)
		budget_refill(b, now_ns);
	return b->slots[slot].tokens;
}

/** Is there no limit at all? Then nobody needs to read a clock. */
static inline bool budget_is_unlimited(const struct budget *b)
{
	return b->bytes_per_period == BUDGET_UNLIMITED;
}

/** Charge bytes that were delivered; at most what budget_allowance() said. */
static inline void budget_charge(struct budget *b, unsigned slot, uint64_t len_bytes)
{
	if (b->bytes_per_period == BUDGET_UNLIMITED)
		return;
	b->slots[slot].tokens -= len_bytes;
	b->tokens -= len_bytes;
}

#endif
