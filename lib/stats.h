/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_STATS_H
#define VRNG_STATS_H

#include <stdint.h>

/*
 * What a guest was served. LCORE: rw (the lcore that owns the guest is the only writer), others:
 * ro, one counter at a time by stats_read(). The counters live as long as the guest's slot: they go
 * on over reconnects.
 */
struct rng_stats {
	uint64_t requests;   /* completed */
	uint64_t bytes;	     /* delivered */
	uint64_t short_reqs; /* completed with less than their room, for want of budget or bytes */
	uint64_t calls;	     /* call notifications sent */
	uint64_t throttled;  /* times that a guest with work came to have no allowance */
	uint64_t starved;    /* times that a guest with work found no bytes */
	uint64_t broken;     /* rings found to lie */
	uint64_t kicks;	     /* of its driver, that woke an lcore */
};

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
