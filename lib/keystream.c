/* SPDX-License-Identifier: BSD-3-Clause */
#include "keystream.h"

#include "keystream_provider.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the order of preference. */
static const struct keystream_ops *const providers[] = {
#ifdef HAVE_IPSEC_MB
	&keystream_ipsec_mb,
#endif
	&keystream_libcrypto,
};

#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

const uint8_t keystream_zeros[KEYSTREAM_ZEROS_BYTES];

static int create(const struct keystream_ops *ops, bool if_fastest, struct keystream **keystream)
{
	struct keystream *ks = aligned_alloc(_Alignof(struct keystream), ops->state_bytes);
	int err;

	if (ks == NULL)
		return -ENOMEM;
	memset(ks, 0, ops->state_bytes);
	ks->ops = ops;
	err = ops->open(ks, if_fastest);
	if (err == 0)
		*keystream = ks;
	else
		keystream_destroy(ks);
	return err;
}

int keystream_create(enum keystream_provider provider, struct keystream **keystream)
{
	const bool any = provider == KEYSTREAM_AUTO;
	int err = -ENOTSUP;

	for (size_t i = 0; i < N_PROVIDERS && err == -ENOTSUP; i++)
		if (any || providers[i]->id == provider)
			err = create(providers[i], any, keystream);
	return err;
}

void keystream_destroy(struct keystream *ks)
{
	if (ks == NULL)
		return;
	ks->ops->close(ks);
	explicit_bzero(ks, ks->ops->state_bytes);
	free(ks);
}

void *keystream_secret(struct keystream *ks, size_t *len_bytes)
{
	*len_bytes = ks->has_key ? ks->ops->state_bytes : 0;
	return ks->has_key ? ks : NULL;
}

const char *keystream_name(const struct keystream *ks)
{
	return ks->name;
}

int keystream_set_key(struct keystream *ks, const uint8_t key[KEYSTREAM_KEY_BYTES])
{
	int err = ks->ops->set_key(ks, key);

	ks->keyed = err == 0;
	return err;
}

int keystream_generate(struct keystream *ks, const uint8_t start[KEYSTREAM_BLOCK_BYTES],
	const struct iovec *segs, unsigned n_segs)
{
	return ks->keyed ? ks->ops->generate(ks, start, segs, n_segs) : -EIO;
}

void keystream_clear(struct keystream *ks)
{
	/* The expansion of another key takes its place. */
	ks->ops->set_key(ks, keystream_zeros);
	ks->keyed = false;
}

void keystream_counter_add(uint8_t counter[KEYSTREAM_BLOCK_BYTES], uint64_t n)
{
	uint64_t half[2];

	memcpy(half, counter, sizeof(half));
	half[1] = be64toh(half[1]);
	half[0] = be64toh(half[0]) + __builtin_add_overflow(half[1], n, &half[1]);
	half[0] = htobe64(half[0]);
	half[1] = htobe64(half[1]);
	memcpy(counter, half, sizeof(half));
}
