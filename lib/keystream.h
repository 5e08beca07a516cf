/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_KEYSTREAM_H
#define VRNG_KEYSTREAM_H

/*
 * AES-256 in counter mode, as keystream: E(K, S), E(K, S + 1), E(K, S + 2), ... with a 128-bit
 * big-endian counter (SP 800-38A §6.5, appendix B.1 with m = 128).
 *
 * The ciphers are libraries': libipsec-mb (x86-64) and OpenSSL's libcrypto. A keystream holds the
 * expanded key; keystream_clear() and keystream_destroy() wipe it.
 *
 * Thread safety: one thread uses a keystream at a time.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define KEYSTREAM_KEY_BYTES   32
#define KEYSTREAM_BLOCK_BYTES 16

enum keystream_provider {
	KEYSTREAM_AUTO, /* the one that is faster on this CPU */
	KEYSTREAM_IPSEC_MB,
	KEYSTREAM_LIBCRYPTO,
};

struct keystream;

/**
 * Allocates all that the functions below need.
 *
 * @return  0; -ENOTSUP when this build or CPU has not that provider; -ENOBUFS when the library
 * needs more memory for its state than is set aside for it; -ENOMEM
 */
int keystream_create(enum keystream_provider provider, struct keystream **keystream);

/** Wipe and free. NULL is fine. */
void keystream_destroy(struct keystream *ks);

/**
 * Where the expanded key is, for who wants to lock it.
 *
 * @param len_bytes  set to its length
 * @return           NULL when it is on the heap, because another user of the library in the process
 *                   was first: it cannot be protected then
 */
void *keystream_secret(struct keystream *ks, size_t *len_bytes);

/** What makes the keystream, for a log: "libipsec-mb 1.3.0 (AVX2)". */
const char *keystream_name(const struct keystream *ks);

/**
 * Set the key. No system calls, no allocation.
 *
 * @return  0; -EIO when the library failed: there is no key then
 */
int keystream_set_key(struct keystream *ks, const uint8_t key[KEYSTREAM_KEY_BYTES]);

/**
 * Write keystream that begins with E(K, start) over several pieces of memory, as if they were one;
 * it may end in the middle of a block. No system calls, no allocation.
 *
 * @return  0; -EIO when there is no key or the library failed: what was written is not to be used
 */
int keystream_generate(struct keystream *ks, const uint8_t start[KEYSTREAM_BLOCK_BYTES],
	const struct iovec *segs, unsigned n_segs);

/** Wipe the key. */
void keystream_clear(struct keystream *ks);

/** counter += n, as a 128-bit big-endian number that wraps. */
void keystream_counter_add(uint8_t counter[KEYSTREAM_BLOCK_BYTES], uint64_t n);

#endif
