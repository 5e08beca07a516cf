/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A histogram of durations with a known error: log-linear, as HdrHistogram's, which Debian 12 has
 * no C library of. Each power of two is cut into 128 equal buckets, so that a value that is read
 * back is within 1/256 (0.4 %) of one that was recorded; values below 128 and the greatest one are
 * exact. All of uint64_t fits, in 58 KiB.
 *
 * Thread-safety: one thread per histogram.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_SUB	   (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB)

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/** Empty it; also how to initialise one. */
void histogram_reset(struct histogram *h);

/** Add what 'other' holds. */
void histogram_merge(struct histogram *h, const struct histogram *other);

/**
 * The value that 'percent' of the recorded ones don't exceed.
 *
 * @param percent  0..100
 * @return         0 when nothing was recorded
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/** Values that bucket 'i' stands for: *lowest to *highest. 'i' is below HISTOGRAM_BUCKETS. */
void histogram_bucket_range(unsigned i, uint64_t *lowest, uint64_t *highest);

static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_SUB)
		return (unsigned)value;
	shift = 63 - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value);
	return shift * HISTOGRAM_SUB + (unsigned)(value >> shift);
}

/** Record 'value', 'n' times. */
static inline void histogram_record(struct histogram *h, uint64_t value, uint64_t n)
{
	h->count += n;
	if (value > h->max)
		h->max = value;
	h->buckets[histogram_bucket(value)] += n;
}

#endif
