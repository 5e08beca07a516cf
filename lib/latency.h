/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LATENCY_H
#define VRNG_LATENCY_H

/*
 * A histogram of times, in buckets of which each reaches to twice the last one: enough to tell a
 * microsecond from two, in 200 bytes.
 *
 * One writer, any number of readers, who read each counter by itself.
 */

#include "stats.h"

/** The first bucket reaches to 2^8 ns, the last one to 2^31 ns. */
#define LATENCY_FIRST_BIT 8
#define LATENCY_BUCKETS	  24

/** The writer: rw, others: ro by stats_read(). */
struct latency {
	uint64_t counts[LATENCY_BUCKETS]; /* each by itself */
	uint64_t over;			  /* above the last bound */
	uint64_t sum_ns;
};

/** The upper bound of a bucket, which a time may reach. */
static inline uint64_t latency_bound_ns(unsigned bucket)
{
	return UINT64_C(1) << (LATENCY_FIRST_BIT + bucket);
}

/** Count one. Context: the writer. */
static inline void latency_add(struct latency *l, uint64_t ns)
{
	unsigned bucket = 0;

	stats_add(&l->sum_ns, ns);
	if (ns > latency_bound_ns(0)) /* the bits of ns - 1, above the first bound's */
		bucket = 64 - LATENCY_FIRST_BIT - (unsigned)__builtin_clzll(ns - 1);
	stats_add(bucket < LATENCY_BUCKETS ? &l->counts[bucket] : &l->over, 1);
}

/** How many were counted. Context: any. */
static inline uint64_t latency_count(const struct latency *l)
{
	uint64_t n = stats_read(&l->over);

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += stats_read(&l->counts[i]);
	return n;
}

#endif
