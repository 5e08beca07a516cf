/* SPDX-License-Identifier: BSD-3-Clause */
#include "health.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/*
 * §4.4.2: 1 + CRITBINOM(W, 2^-H, 1 - alpha), CRITBINOM being the least k for which the chance of
 * more than k is at most alpha. Summed up from the far end, where the terms are small.
 */
static unsigned proportion_cutoff(double entropy_bits)
{
	double log_p = -entropy_bits * M_LN2, log_q = log1p(-exp2(-entropy_bits)), tail = 0;
	unsigned k = HEALTH_WINDOW;

	for (; k > 0; k--) {
		double log_term = lgamma(HEALTH_WINDOW + 1) - lgamma(k + 1) -
				  lgamma(HEALTH_WINDOW - k + 1) + k * log_p +
				  (HEALTH_WINDOW - k) * log_q;

		tail += exp(log_term); /* the chance of k or more */
		if (tail > exp2(-HEALTH_ALPHA_BITS))
			break;
	}
	return k + 1;
}

uint64_t health_bytes_with(unsigned total_bits, uint64_t entropy_abits)
{
	unsigned __int128 total_abits = (unsigned __int128)total_bits * HEALTH_BIT;

	return (uint64_t)((total_abits + entropy_abits - 1) / entropy_abits);
}

int health_init(struct health *h, uint64_t entropy_abits)
{
	if (entropy_abits < HEALTH_ENTROPY_MIN || entropy_abits > HEALTH_ENTROPY_MAX)
		return -EINVAL;
	memset(h, 0, sizeof(*h));
	/* §4.4.1: 1 + ceil(-log2(alpha) / H) */
	h->repetition_cutoff = 1 + (unsigned)health_bytes_with(HEALTH_ALPHA_BITS, entropy_abits);
	h->proportion_cutoff = proportion_cutoff((double)entropy_abits / (double)HEALTH_BIT);
	return 0;
}

void health_restart(struct health *h)
{
	h->samples = 0;
	h->run = 0;
	h->proportion_seen = 0;
}

/* How many bytes from the start of 'data' on are 'value'. */
static size_t leading(const uint8_t *data, size_t len_bytes, uint8_t value)
{
	size_t n = 0;

	while (n < len_bytes && data[n] == value)
		n++;
	return n;
}

/* How many bytes before 'end' are the same as the last of them. */
static size_t trailing(const uint8_t *data, size_t end)
{
	size_t n = 1;

	while (n < end && data[end - 1 - n] == data[end - 1])
		n++;
	return n;
}

/*
 * §4.4.1. A run that is too long has 'stride' neighbouring pairs of equal bytes, of which one
 * begins at a multiple of 'stride': only those are looked at, unless one is equal.
 */
static enum health_result test_repetition(struct health *h, const uint8_t *data, size_t len_bytes)
{
	size_t stride = h->repetition_cutoff - 1, run = 0;

	if (h->run > 0)
		run = leading(data, len_bytes, h->last);
	if (run > 0)
		run += h->run;
	if (run >= h->repetition_cutoff)
		return HEALTH_REPETITION;
	for (size_t i = 0; i + 1 < len_bytes; i += stride) {
		if (data[i] != data[i + 1])
			continue;
		run = trailing(data, i + 1) + leading(data + i + 1, len_bytes - i - 1, data[i]);
		if (run >= h->repetition_cutoff)
			return HEALTH_REPETITION;
	}
	run = trailing(data, len_bytes);
	if (run == len_bytes && h->run > 0 && data[0] == h->last)
		run += h->run;
	h->run = (unsigned)run; /* below the cut-off */
	h->last = data[len_bytes - 1];
	return HEALTH_OK;
}

static unsigned count(const uint8_t *data, size_t len_bytes, uint8_t value)
{
	unsigned n = 0;

	while (len_bytes > 0) {
		/* Counts that fit a byte are added up in the lanes of a vector. */
		size_t part = len_bytes < 128 ? len_bytes : 128;
		uint8_t part_n = 0;

		for (size_t i = 0; i < part; i++)
			part_n = (uint8_t)(part_n + (data[i] == value));
		n += part_n;
		data += part;
		len_bytes -= part;
	}
	return n;
}

/* §4.4.2 */
static enum health_result test_proportion(struct health *h, const uint8_t *data, size_t len_bytes)
{
	while (len_bytes > 0) {
		size_t n = HEALTH_WINDOW - h->proportion_seen;

		if (h->proportion_seen == 0) {
			h->proportion_value = data[0];
			h->proportion_count = 0;
		}
		if (n > len_bytes)
			n = len_bytes;
		h->proportion_count += count(data, n, h->proportion_value);
		if (h->proportion_count >= h->proportion_cutoff)
			return HEALTH_PROPORTION;
		h->proportion_seen = (h->proportion_seen + (unsigned)n) % HEALTH_WINDOW;
		data += n;
		len_bytes -= n;
	}
	return HEALTH_OK;
}

enum health_result health_test(struct health *h, const uint8_t *data, size_t len_bytes)
{
	enum health_result r;

	if (len_bytes == 0)
		return HEALTH_OK;
	r = test_repetition(h, data, len_bytes);
	if (r == HEALTH_OK)
		r = test_proportion(h, data, len_bytes);
	if (r == HEALTH_OK)
		h->samples += len_bytes;
	return r;
}

const char *health_test_name(enum health_result result)
{
	switch (result) {
	case HEALTH_REPETITION:
		return "repetition count";
	case HEALTH_PROPORTION:
		return "adaptive proportion";
	default:
		return "none";
	}
}
