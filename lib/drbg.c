/* SPDX-License-Identifier: BSD-3-Clause */
#include "drbg.h"

#include "wipe.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Section numbers are those of SP 800-90A Rev. 1. */

#define BLOCK_BYTES KEYSTREAM_BLOCK_BYTES
#define SEED_BLOCKS (DRBG_SEED_BYTES / BLOCK_BYTES)

static void xor_into(uint8_t *dst, const uint8_t *src, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		dst[i] ^= src[i];
}

/* One block through the cipher: a keystream of one block that starts at it. */
static int encrypt_block(struct keystream *ks, uint8_t block[BLOCK_BYTES])
{
	uint8_t in[BLOCK_BYTES];
	int err;

	memcpy(in, block, sizeof(in));
	err = keystream_generate(ks, in, &(struct iovec){block, BLOCK_BYTES}, 1);
	wipe(in, sizeof(in));
	return err;
}

/*
 * The BCC chains of the derivation function (§10.3.3): the same data under three IVs, which is to
 * say three CBC-MACs side by side.
 */
struct df {
	struct keystream *ks;
	uint8_t chain[SEED_BLOCKS][BLOCK_BYTES];
	uint8_t block[BLOCK_BYTES];
	size_t fill;
};

static int df_block(struct df *df)
{
	for (unsigned i = 0; i < SEED_BLOCKS; i++) {
		int err;

		xor_into(df->chain[i], df->block, BLOCK_BYTES); /* BCC step 4.1 */
		err = encrypt_block(df->ks, df->chain[i]);	/* BCC step 4.2 */
		if (err != 0)
			return err;
	}
	df->fill = 0;
	return 0;
}

static int df_put(struct df *df, const void *data, size_t len_bytes)
{
	const uint8_t *src = data;
	int err = 0;

	while (len_bytes > 0 && err == 0) {
		size_t n = BLOCK_BYTES - df->fill;

		if (n > len_bytes)
			n = len_bytes;
		memcpy(df->block + df->fill, src, n);
		df->fill += n;
		src += n;
		len_bytes -= n;
		if (df->fill == BLOCK_BYTES)
			err = df_block(df);
	}
	return err;
}

/* The data of §10.3.2 steps 1 to 5: L || N || input || 0x80, padded with zeros. */
static int df_put_all(struct df *df, const struct drbg_input *inputs, unsigned n_inputs)
{
	static const uint8_t padding[BLOCK_BYTES] = {0x80};
	uint32_t head[2];
	size_t total = 0;
	int err;

	for (unsigned i = 0; i < n_inputs; i++)
		if (__builtin_add_overflow(total, inputs[i].len_bytes, &total))
			return -EINVAL;
	if (total > UINT32_MAX)
		return -EINVAL;
	head[0] = htobe32((uint32_t)total);
	head[1] = htobe32(DRBG_SEED_BYTES);
	err = df_put(df, head, sizeof(head));
	for (unsigned i = 0; i < n_inputs && err == 0; i++)
		err = df_put(df, inputs[i].data, inputs[i].len_bytes);
	if (err == 0)
		err = df_put(df, padding, BLOCK_BYTES - df->fill);
	return err;
}

/* Block_Cipher_df, §10.3.2. Leaves 'ks' with another key. */
static int derive(struct keystream *ks, const struct drbg_input *inputs, unsigned n_inputs,
	uint8_t seed[DRBG_SEED_BYTES])
{
	uint8_t key[KEYSTREAM_KEY_BYTES], temp[DRBG_SEED_BYTES];
	struct df df = {.ks = ks};
	uint8_t *x = temp + KEYSTREAM_KEY_BYTES;
	int err;

	for (unsigned i = 0; i < sizeof(key); i++) /* step 8 */
		key[i] = (uint8_t)i;
	err = keystream_set_key(ks, key);
	for (unsigned i = 0; i < SEED_BLOCKS && err == 0; i++) {
		/* Steps 7 and 9.1: the IV is i and zeros; it is the first block of the chain. */
		df.chain[i][3] = (uint8_t)i;
		err = encrypt_block(ks, df.chain[i]);
	}
	if (err == 0)
		err = df_put_all(&df, inputs, n_inputs); /* steps 1 to 5, 9.2 */
	memcpy(temp, df.chain, sizeof(temp));
	if (err == 0)
		err = keystream_set_key(ks, temp); /* steps 10 and 11 */
	for (unsigned i = 0; i < SEED_BLOCKS && err == 0; i++) {
		err = encrypt_block(ks, x); /* step 13.1 */
		memcpy(seed + i * BLOCK_BYTES, x, BLOCK_BYTES);
	}
	wipe(key, sizeof(key));
	wipe(temp, sizeof(temp));
	wipe(&df, sizeof(df));
	return err;
}

/* Give the cipher the key of the state, if it has another one. */
static int key_up(struct drbg *d)
{
	int err = d->keyed ? 0 : keystream_set_key(d->ks, d->key);

	d->keyed = err == 0;
	return err;
}

/*
 * CTR_DRBG_Update, §10.2.1.2, as if the counter had already gone on by 'blocks'. Leaves the cipher
 * with the old key, which the state no longer has.
 */
static int update(struct drbg *d, const uint8_t provided[DRBG_SEED_BYTES], uint64_t blocks)
{
	uint8_t temp[DRBG_SEED_BYTES], counter[BLOCK_BYTES];
	const struct iovec all = {temp, sizeof(temp)};
	int err = key_up(d);

	memcpy(counter, d->v, sizeof(counter));
	keystream_counter_add(counter, blocks + 1); /* step 2.1 */
	if (err == 0)
		err = keystream_generate(d->ks, counter, &all, 1); /* steps 2.2, 2.3 */
	if (err == 0) {
		xor_into(temp, provided, sizeof(temp));		   /* step 4 */
		memcpy(d->key, temp, sizeof(d->key));		   /* step 5 */
		memcpy(d->v, temp + sizeof(d->key), sizeof(d->v)); /* step 6 */
		d->keyed = false;
	}
	wipe(temp, sizeof(temp));
	wipe(counter, sizeof(counter));
	return err;
}

/* Fail closed: without a state there is no output. */
static int fail(struct drbg *d, int err)
{
	drbg_uninstantiate(d);
	return err;
}

/* What Instantiate and Reseed end with: all 'inputs' go into the state. */
static int seed(struct drbg *d, const struct drbg_input *inputs, unsigned n_inputs)
{
	uint8_t material[DRBG_SEED_BYTES];
	int err;

	d->keyed = false;
	err = derive(d->ks, inputs, n_inputs, material);
	if (err == 0)
		err = update(d, material, 0);
	wipe(material, sizeof(material));
	if (err != 0)
		return fail(d, err);
	d->reseed_counter = 1;
	return 0;
}

int drbg_instantiate(struct drbg *d, struct keystream *ks, struct drbg_input entropy,
	struct drbg_input nonce, struct drbg_input pers)
{
	const struct drbg_input inputs[] = {entropy, nonce, pers};

	memset(d, 0, sizeof(*d)); /* steps 3 and 4: key and V are 0 */
	d->ks = ks;
	if (entropy.len_bytes < DRBG_ENTROPY_BYTES_MIN)
		return -EINVAL;
	return seed(d, inputs, 3); /* steps 1, 2, 5, 6 */
}

int drbg_reseed(struct drbg *d, struct drbg_input entropy, struct drbg_input additional)
{
	const struct drbg_input inputs[] = {entropy, additional};

	if (d->reseed_counter == 0 || entropy.len_bytes < DRBG_ENTROPY_BYTES_MIN)
		return -EINVAL;
	return seed(d, inputs, 2); /* steps 1 to 4 */
}

int drbg_generate(
	struct drbg *d, const struct iovec *segs, unsigned n_segs, struct drbg_input additional)
{
	uint8_t provided[DRBG_SEED_BYTES] = {0}, counter[BLOCK_BYTES];
	size_t total = 0;
	int err = 0;

	if (d->reseed_counter == 0)
		return -EINVAL;
	for (unsigned i = 0; i < n_segs; i++) {
		if (segs[i].iov_len > DRBG_REQUEST_BYTES_MAX - total)
			return -EMSGSIZE;
		total += segs[i].iov_len;
	}
	if (d->reseed_counter > DRBG_RESEED_INTERVAL) /* step 1 */
		return -EAGAIN;
	if (additional.len_bytes > 0) { /* step 2 */
		d->keyed = false;
		err = derive(d->ks, &additional, 1, provided); /* step 2.1 */
		if (err == 0)
			err = update(d, provided, 0); /* step 2.2 */
	}
	if (err == 0)
		err = key_up(d);

	/* Step 6 before step 4: the cipher keeps the old key for the output of step 4, while the
	 * state has moved on, whatever becomes of that output. */
	memcpy(counter, d->v, sizeof(counter));
	keystream_counter_add(counter, 1);
	if (err == 0)
		err = update(d, provided, (total + BLOCK_BYTES - 1) / BLOCK_BYTES);
	if (err == 0) {
		d->reseed_counter++;					/* step 7 */
		err = keystream_generate(d->ks, counter, segs, n_segs); /* steps 3 to 5 */
	}
	/* The old key goes now, not with the next Generate: backtracking resistance (§8.8). */
	if (err == 0)
		err = key_up(d);
	wipe(provided, sizeof(provided));
	wipe(counter, sizeof(counter));
	return err == 0 ? 0 : fail(d, err);
}

void drbg_uninstantiate(struct drbg *d)
{
	if (d->ks != NULL)
		keystream_clear(d->ks);
	wipe(d->key, sizeof(d->key));
	wipe(d->v, sizeof(d->v));
	d->reseed_counter = 0;
	d->keyed = false;
}
