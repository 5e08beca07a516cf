/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The health tests on any bytes, cut in any way, against SP 800-90B §4.4.1 and §4.4.2 taken word
 * for word over all samples since the last restart.
 */
#include "fuzz.h"

#include "health.h"

#include <errno.h>

#define SAMPLES_MAX 8192

/* §4.4.1: is one of the samples from 'from' on the last of 'cutoff' equal ones? */
static bool repeats(const uint8_t *samples, size_t from, size_t n, unsigned cutoff)
{
	unsigned run = 0;

	for (size_t i = 0; i < n; i++) {
		run = i > 0 && samples[i] == samples[i - 1] ? run + 1 : 1;
		if (i >= from && run >= cutoff)
			return true;
	}
	return false;
}

/* §4.4.2: with one of them, has a window its first sample 'cutoff' times? */
static bool prevails(const uint8_t *samples, size_t from, size_t n, unsigned cutoff)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++) {
		if (i % HEALTH_WINDOW == 0)
			count = 0;
		count += samples[i] == samples[i - i % HEALTH_WINDOW];
		if (i >= from && count >= cutoff)
			return true;
	}
	return false;
}

/* From the start of a window on, its first value about as often as the test forbids. */
static size_t make_proportion(
	struct fuzz_input *in, const struct health *h, uint8_t *to, size_t n, size_t max)
{
	unsigned often = h->proportion_cutoff + fuzz_below(in, 3) - 1;
	size_t len = 0;

	if (n % HEALTH_WINDOW != 0 || 2 * often > HEALTH_WINDOW || 2 * often > max)
		return 0;
	for (unsigned i = 0; i < often; i++) {
		to[len++] = 0x55;
		to[len++] = (uint8_t)(0x80 | i);
	}
	return len - 1;
}

/* Some bytes: as the input has them, or one of them again and again, or counting. */
static size_t make_samples(struct fuzz_input *in, uint8_t *to, size_t max)
{
	unsigned how = fuzz_u8(in);
	size_t n = how & 4 ? fuzz_u16(in) % 2048 : 1 + fuzz_u8(in) % 64;
	uint8_t value = fuzz_u8(in);

	n = n < max ? n : max;
	for (size_t i = 0; i < n; i++) {
		if ((how & 3) == 0)
			value = fuzz_u8(in);
		else if ((how & 3) == 1)
			value += 1 + (how >> 3);
		to[i] = (how & 3) == 3 && i % (2 + (how >> 3)) == 0 ? (uint8_t)(i / 2) : value;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t samples[SAMPLES_MAX];
	struct fuzz_input in = {data, size};
	const unsigned __int128 alpha_abits = (unsigned __int128)HEALTH_ALPHA_BITS * HEALTH_BIT;
	uint64_t abits = fuzz_u16(&in) * (HEALTH_BIT / 8000);
	size_t n = 0;
	struct health h;

	if (health_init(&h, abits) != 0) {
		FUZZ_CHECK(abits < HEALTH_ENTROPY_MIN || abits > HEALTH_ENTROPY_MAX);
		return 0;
	}
	FUZZ_CHECK(abits >= HEALTH_ENTROPY_MIN && abits <= HEALTH_ENTROPY_MAX);
	/* §4.4.1: C = 1 + ceil(-log2(alpha) / H), exactly. */
	n = h.repetition_cutoff - 1;
	FUZZ_CHECK((unsigned __int128)n * abits >= alpha_abits);
	FUZZ_CHECK((unsigned __int128)(n - 1) * abits < alpha_abits);
	n = 0;
	while (fuzz_more(&in) && n < SAMPLES_MAX) {
		size_t len = fuzz_below(&in, 8) == 0
				     ? make_proportion(&in, &h, samples + n, n, SAMPLES_MAX - n)
				     : make_samples(&in, samples + n, SAMPLES_MAX - n);
		bool run = repeats(samples, n, n + len, h.repetition_cutoff);
		bool much = prevails(samples, n, n + len, h.proportion_cutoff);
		enum health_result r = health_test(&h, samples + n, len);

		if (r == HEALTH_OK) {
			FUZZ_CHECK(!run && !much);
			n += len;
			FUZZ_CHECK(h.samples == n);
			continue;
		}
		/* Of two failures either may be told. */
		FUZZ_CHECK(r == HEALTH_REPETITION ? run : much);
		FUZZ_CHECK(health_test_name(r) != NULL);
		health_restart(&h);
		FUZZ_CHECK(h.samples == 0);
		n = 0;
	}
	return 0;
}
