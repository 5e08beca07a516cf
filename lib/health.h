/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_HEALTH_H
#define VRNG_HEALTH_H

/*
 * Continuous health tests of a noise source's raw bytes, NIST SP 800-90B §4.4: the repetition
 * count test and the adaptive proportion test, with cut-offs from the min-entropy that is claimed
 * for the source.
 *
 * They notice a source that breaks down (a stuck value, a strong bias), not one that is weak or
 * predictable. Whether bytes may be used is the caller's matter: it hands them on only after they
 * were tested.
 *
 * The chance that a sound source fails one test of one sample or window is 2^-60, below the range
 * that §4.4 recommends (2^-20 to 2^-40): at a gigabyte a second, 2^-40 would be a false alarm
 * every 18 minutes. Below 60/512 bits in a byte a whole window of one value is no proof, and the
 * repetition count is all that is left.
 *
 * Thread safety: none. One thread uses a struct health at a time.
 */

#include <stddef.h>
#include <stdint.h>

#define HEALTH_WINDOW	       512  /* samples of one adaptive proportion test (§4.4.2) */
#define HEALTH_STARTUP_SAMPLES 1024 /* to be tested before the first is used (§4.3) */
#define HEALTH_ALPHA_BITS      60   /* -log2 of the false alarm rate of one test */

/*
 * One bit of entropy in the unit of all entropies here, 10^-18 bit ("abit"): with it each decimal
 * number of bits is an integer, and cut-offs are exact. A double has no 0.15 and no 0.3.
 */
#define HEALTH_BIT_PLACES 18
#define HEALTH_BIT	  UINT64_C(1000000000000000000)

#define HEALTH_ENTROPY_MIN (HEALTH_BIT / 1000000)
#define HEALTH_ENTROPY_MAX (8 * HEALTH_BIT)

enum health_result {
	HEALTH_OK,
	HEALTH_REPETITION, /* the same byte too often in a row */
	HEALTH_PROPORTION, /* one byte too often in a window */
};

struct health {
	/* Fixed by health_init() */
	unsigned repetition_cutoff, proportion_cutoff;

	uint64_t samples; /* tested since health_restart() */
	unsigned run;	  /* how often 'last' came in a row, up to now */
	uint8_t last;
	uint8_t proportion_value; /* of the current window */
	unsigned proportion_count, proportion_seen;
};

/**
 * @param entropy_abits  claimed min-entropy of a byte: HEALTH_ENTROPY_MIN to HEALTH_ENTROPY_MAX
 * @return               0; -EINVAL if it is out of range
 */
int health_init(struct health *h, uint64_t entropy_abits);

/** Return ceil(total_bits / entropy_abits): the number of bytes that have 'total_bits' bits. */
uint64_t health_bytes_with(unsigned total_bits, uint64_t entropy_abits);

/** Forget all samples: after a failure, or when the source is another one. */
void health_restart(struct health *h);

/**
 * Test the next bytes of the source. After a failure the bytes are to be discarded, and the next
 * call is health_restart().
 */
enum health_result health_test(struct health *h, const uint8_t *data, size_t len_bytes);

/** A name for a log: "repetition count". */
const char *health_test_name(enum health_result result);

#endif
