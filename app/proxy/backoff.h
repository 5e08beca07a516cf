/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BACKOFF_H
#define VRNG_BACKOFF_H

/*
 * Delays between attempts that fail: each is twice the one before, up to a maximum.
 *
 * Thread safety: none.
 */

#include <stdint.h>

struct backoff {
	uint64_t min_ns, max_ns, next_ns;
};

static inline void backoff_init(struct backoff *b, uint64_t min_ns, uint64_t max_ns)
{
	*b = (struct backoff){min_ns, max_ns, min_ns};
}

/** Start again with the shortest delay: an attempt has succeeded. */
static inline void backoff_reset(struct backoff *b)
{
	b->next_ns = b->min_ns;
}

/** Return the delay before the next attempt, in ns. */
static inline uint64_t backoff_next(struct backoff *b)
{
	uint64_t delay_ns = b->next_ns;

	b->next_ns = delay_ns > b->max_ns / 2 ? b->max_ns : 2 * delay_ns;
	return delay_ns;
}

#endif
