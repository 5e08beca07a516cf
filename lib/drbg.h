/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_DRBG_H
#define VRNG_DRBG_H

/*
 * CTR_DRBG of NIST SP 800-90A Rev. 1, §10.2.1, with AES-256 and the derivation function; security
 * strength 256 bits, no prediction resistance of its own (reseed for it).
 *
 * It fails closed: whatever goes wrong, no output is to be used, and after an error of the cipher
 * the DRBG must be instantiated anew. The state moves on before output is written, so that an
 * output that is never finished (a fault in the memory it goes to) cannot come a second time.
 * drbg_uninstantiate() and errors wipe the state.
 *
 * Thread safety: one thread uses a DRBG at a time. The caller locks its memory and keeps it out of
 * core dumps. No system calls, no allocation.
 */

#include "keystream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define DRBG_SEED_BYTES 48 /* seedlen: key and block (table 3) */

/** At least as much entropy input, whatever its density (table 3: security_strength, 256 bits). */
#define DRBG_ENTROPY_BYTES_MIN 32

/** At most so much in one Generate (table 3: 2^19 bits). */
#define DRBG_REQUEST_BYTES_MAX 65536

/** Generates between two reseeds (table 3: 2^48). Callers reseed far more often. */
#define DRBG_RESEED_INTERVAL (UINT64_C(1) << 48)

/** A string of bytes that goes into the state; { NULL, 0 } is the empty one. */
struct drbg_input {
	const void *data;
	size_t len_bytes;
};

struct drbg {
	struct keystream *ks;
	uint8_t key[KEYSTREAM_KEY_BYTES];
	uint8_t v[KEYSTREAM_BLOCK_BYTES];
	uint64_t reseed_counter; /* 0: not instantiated */
	bool keyed;		 /* 'ks' has 'key' */
};

/**
 * CTR_DRBG_Instantiate_algorithm, §10.2.1.3.2.
 *
 * @param ks       used by this DRBG alone, and outlives it
 * @param entropy  DRBG_ENTROPY_BYTES_MIN or more
 * @param nonce    half as much, or anything that does not repeat (§8.6.7)
 * @param pers     personalisation string; may be empty
 * @return         0; -EINVAL when there is too little entropy input; -EIO when the cipher failed
 */
int drbg_instantiate(struct drbg *d, struct keystream *ks, struct drbg_input entropy,
	struct drbg_input nonce, struct drbg_input pers);

/**
 * CTR_DRBG_Reseed_algorithm, §10.2.1.4.2.
 *
 * @return  0; -EINVAL when not instantiated, or there is too little entropy input; -EIO
 */
int drbg_reseed(struct drbg *d, struct drbg_input entropy, struct drbg_input additional);

/**
 * CTR_DRBG_Generate_algorithm, §10.2.1.5.2, its output scattered over several pieces of memory.
 *
 * @param segs  where to write; DRBG_REQUEST_BYTES_MAX bytes at most altogether
 * @return      0; -EINVAL when not instantiated; -EMSGSIZE when that is too much; -EAGAIN when
 *              DRBG_RESEED_INTERVAL is reached: reseed; -EIO. Nothing that was written is to be
 *              used unless it is 0.
 */
int drbg_generate(
	struct drbg *d, const struct iovec *segs, unsigned n_segs, struct drbg_input additional);

/**
 * Health test, §11.3: all functions against a known answer, what they must refuse, that nothing is
 * left of a state, and long output of the keystream. To be passed before the first use, and again
 * now and then; it takes some 20 microseconds, and 2 KiB of stack.
 *
 * @param d   zeroed, or instantiated with 'ks', which it goes on using; uninstantiated on failure
 * @return    0; -EILSEQ when an answer was wrong; -EIO when the cipher failed
 */
int drbg_self_test(struct drbg *d, struct keystream *ks);

/** Wipe the state (§9.4). */
void drbg_uninstantiate(struct drbg *d);

#endif
