/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_KEYSTREAM_PROVIDER_H
#define VRNG_KEYSTREAM_PROVIDER_H

/*
 * What a cipher library must do for keystream.c. Each function does what its namesake in
 * keystream.h says, on the provider's own state.
 */

#include "keystream.h"

#include <stdbool.h>

struct keystream_ops {
	enum keystream_provider id;
	size_t secret_bytes; /* of 'state', which holds the expanded key; 0: it is elsewhere */

	/** Should KEYSTREAM_AUTO take it on this CPU? Asked in the order of preference. */
	bool (*is_preferred)(void);
	const char *(*name)(const void *state);
	int (*create)(void **state);
	void (*destroy)(void *state);
	int (*set_key)(void *state, const uint8_t *key);
	int (*start)(void *state, const uint8_t *start);
	int (*next)(void *state, uint8_t *dst, size_t len_bytes);
	void (*clear)(void *state);
};

extern const struct keystream_ops keystream_ipsec_mb;
extern const struct keystream_ops keystream_libcrypto;

/** Source of the zeros that are encrypted to get the keystream; providers go over it in pieces. */
#define KEYSTREAM_ZEROS_BYTES 16384
extern const uint8_t keystream_zeros[KEYSTREAM_ZEROS_BYTES];

#endif
