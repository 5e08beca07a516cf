/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#include <math.h>
#include <string.h>

void histogram_reset(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

void histogram_merge(struct histogram *h, const struct histogram *other)
{
	h->count += other->count;
	if (other->max > h->max)
		h->max = other->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->buckets[i] += other->buckets[i];
}

void histogram_bucket_range(unsigned i, uint64_t *lowest, uint64_t *highest)
{
	unsigned shift = i < 2 * HISTOGRAM_SUB ? 0 : i / HISTOGRAM_SUB - 1;

	*lowest = (uint64_t)(i - shift * HISTOGRAM_SUB) << shift;
	*highest = *lowest + ((1ull << shift) - 1);
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	uint64_t wanted = (uint64_t)ceil((double)h->count * percent / 100);
	uint64_t seen = 0, lowest, highest;

	if (h->count == 0)
		return 0;
	if (wanted == 0)
		wanted = 1;
	if (wanted >= h->count)
		return h->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen < wanted)
			continue;
		histogram_bucket_range(i, &lowest, &highest);
		lowest += (highest - lowest) / 2;
		return lowest < h->max ? lowest : h->max;
	}
	return h->max;
}
