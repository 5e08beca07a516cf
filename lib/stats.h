/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_STATS_H
#define VRNG_STATS_H

/*
 * Counters that one thread writes and others read while it does, each by itself.
 */

#include <stdint.h>

/** Count 'n' more. Context: the writer. A plain add that readers never see half done. */
static inline void stats_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/** Context: any thread. */
static inline uint64_t stats_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
