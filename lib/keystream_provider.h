/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_KEYSTREAM_PROVIDER_H
#define VRNG_KEYSTREAM_PROVIDER_H

/*
 * What a cipher library must do for keystream.c, which makes and wipes the memory, and keeps count
 * of whether there is a key.
 */

#include "keystream.h"

#include <stdbool.h>

/** A provider's own state begins with this. */
struct keystream {
	_Alignas(64) const struct keystream_ops *ops;
	const char *name; /* open() sets it; it is the library's, or in the state */
	bool keyed;
	bool has_key; /* open() sets it: the state holds the expanded key; else it is on the heap */
};

struct keystream_ops {
	enum keystream_provider id;
	size_t state_bytes;

	/**
	 * Allocate all that is needed, on a state that is all 0.
	 *
	 * @param if_fastest  only where this provider is faster on this CPU than those after it
	 * @return            0; -ENOTSUP; -ENOBUFS; -ENOMEM. close() follows in any case
	 */
	int (*open)(struct keystream *ks, bool if_fastest);
	void (*close)(struct keystream *ks);

	/* As keystream_set_key() and keystream_generate(); there is a key for the latter. */
	int (*set_key)(struct keystream *ks, const uint8_t *key);
	int (*generate)(struct keystream *ks, const uint8_t *start, const struct iovec *segs,
		unsigned n_segs);
};

extern const struct keystream_ops keystream_ipsec_mb;
extern const struct keystream_ops keystream_libcrypto;

/** Source of the zeros that are encrypted to get the keystream; providers go over it in pieces. */
#define KEYSTREAM_ZEROS_BYTES 16384
extern const uint8_t keystream_zeros[KEYSTREAM_ZEROS_BYTES];

#endif
