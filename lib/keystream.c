/* SPDX-License-Identifier: BSD-3-Clause */
#include "keystream.h"

#include "keystream_provider.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct keystream_ops *const providers[] = {
#ifdef HAVE_IPSEC_MB
	&keystream_ipsec_mb,
#endif
	&keystream_libcrypto,
};

#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

const uint8_t keystream_zeros[KEYSTREAM_ZEROS_BYTES];

struct keystream {
	const struct keystream_ops *ops;
	void *state;
};

int keystream_create(enum keystream_provider provider, struct keystream **keystream)
{
	struct keystream *ks = calloc(1, sizeof(*ks));
	int err = -ENOTSUP;

	if (ks == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < N_PROVIDERS && err == -ENOTSUP; i++) {
		if (provider == KEYSTREAM_AUTO ? !providers[i]->is_preferred()
					       : providers[i]->id != provider)
			continue;
		ks->ops = providers[i];
		err = ks->ops->create(&ks->state);
	}
	if (err != 0) {
		free(ks);
		return err;
	}
	*keystream = ks;
	return 0;
}

void keystream_destroy(struct keystream *ks)
{
	if (ks == NULL)
		return;
	ks->ops->destroy(ks->state);
	free(ks);
}

void *keystream_secret(struct keystream *ks, size_t *len_bytes)
{
	*len_bytes = ks->ops->secret_bytes;
	return *len_bytes > 0 ? ks->state : NULL;
}

const char *keystream_name(const struct keystream *ks)
{
	return ks->ops->name(ks->state);
}

int keystream_set_key(struct keystream *ks, const uint8_t key[KEYSTREAM_KEY_BYTES])
{
	return ks->ops->set_key(ks->state, key);
}

int keystream_start(struct keystream *ks, const uint8_t start[KEYSTREAM_BLOCK_BYTES])
{
	return ks->ops->start(ks->state, start);
}

int keystream_next(struct keystream *ks, uint8_t *dst, size_t len_bytes)
{
	return ks->ops->next(ks->state, dst, len_bytes);
}

int keystream_generate(struct keystream *ks, const uint8_t start[KEYSTREAM_BLOCK_BYTES],
	uint8_t *dst, size_t len_bytes)
{
	int err = keystream_start(ks, start);

	return err == 0 ? keystream_next(ks, dst, len_bytes) : err;
}

void keystream_clear(struct keystream *ks)
{
	ks->ops->clear(ks->state);
}

void keystream_counter_add(uint8_t counter[KEYSTREAM_BLOCK_BYTES], uint64_t n)
{
	uint64_t high, low;

	memcpy(&high, counter, 8);
	memcpy(&low, counter + 8, 8);
	high = be64toh(high);
	low = be64toh(low);
	high += __builtin_add_overflow(low, n, &low);
	high = htobe64(high);
	low = htobe64(low);
	memcpy(counter, &high, 8);
	memcpy(counter + 8, &low, 8);
}
