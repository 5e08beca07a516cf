/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The bench's clock: the time stamp counter where it runs at a constant rate, measured against
 * CLOCK_MONOTONIC; that clock itself elsewhere. A stamp costs some 10 ns, so take one per burst.
 *
 * Thread-safety: a struct ticks is constant after ticks_init().
 */
#ifndef BENCH_TICKS_H
#define BENCH_TICKS_H

#include "clock.h"

#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct ticks {
	bool tsc;
	double ns_per_tick;
};

/** Choose the clock and measure its rate: takes 20 ms. */
void ticks_init(struct ticks *t);

static inline uint64_t ticks_now(const struct ticks *t)
{
#if defined(__x86_64__)
	if (t->tsc)
		return __rdtsc();
#endif
	return clock_now_ns();
}

/** A difference of two stamps in nanoseconds; 0 for one that is negative. */
static inline uint64_t ticks_to_ns(const struct ticks *t, uint64_t difference)
{
	return (int64_t)difference < 0 ? 0 : (uint64_t)((double)difference * t->ns_per_tick);
}

static inline uint64_t ticks_from_ns(const struct ticks *t, uint64_t ns)
{
	return (uint64_t)((double)ns / t->ns_per_tick);
}

#endif
