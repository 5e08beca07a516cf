/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Judges answers by what lies in the guest's memory.
 *
 * Before a request its buffers are filled with poison, a word of 8 bytes that is new each time.
 * After the answer these are errors:
 *  - an aligned word, or the last 8 bytes, of what was claimed still hold poison: chance explains
 *    it once in 2^64 words;
 *  - the first byte claimed, or the last, holds poison in 8 answers of a guest in a row: 1 in 2^64;
 *  - a byte between the buffers, or a descriptor of a split queue, has changed: never by chance. A
 *    stray write of what was there is not seen;
 *  - no bytes at all: virtio 1.3 §5.4.6.1 wants one at least;
 *  - a block of 32 bytes, aligned in its buffer, that was seen before, for whichever guest. Two of
 *    random ones are equal once in 2^256. Of the blocks seen, the first 131072 or so and the last
 *    131072 or so are remembered: 8 MiB.
 * That a device writes behind what it claims, inside the buffer, is legal and only counted.
 *
 * Thread-safety: one thread.
 */
#ifndef BENCH_VERIFY_H
#define BENCH_VERIFY_H

#include "player.h"

#include <stdint.h>

struct verify;

struct verify_counts {
	uint64_t answers;
	uint64_t words;	 /* compared with poison */
	uint64_t blocks; /* compared with those seen before */
	uint64_t behind; /* answers with more written than claimed */
};

/** @return 0 or -ENOMEM */
int verify_create(uint64_t seed, struct verify **out);
void verify_destroy(struct verify *v);

/** Poison the buffers of a chain that is about to be offered. */
void verify_prepare(struct verify *v, struct player *p, uint16_t id);

/**
 * Judge an answer whose id and length are legal.
 *
 * @return 0; -EILSEQ and what is wrong in *why
 */
int verify_answer(
	struct verify *v, struct player *p, uint16_t id, uint32_t len_bytes, struct why *why);

/** Judge all that lies around the buffers, once the queue is stopped. As verify_answer(). */
int verify_surroundings(struct verify *v, struct player *p, struct why *why);

struct verify_counts verify_counts(const struct verify *v);

#endif
