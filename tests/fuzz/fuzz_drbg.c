/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any sequence of calls of a CTR_DRBG, against OpenSSL's, which gets the same inputs: each byte,
 * and what must be refused.
 */
#include "fuzz.h"

#include "../kat/openssl_drbg.h"
#include "drbg.h"

#include <errno.h>

#define INPUT_MAX 300
#define SEGS_MAX  16
#define OPS_MAX	  32

static struct {
	bool made;
	struct openssl openssl;
	struct keystream *ks[2];
	unsigned n_ks;
} fx;

static void make(void)
{
	static const enum keystream_provider providers[] = {
		KEYSTREAM_LIBCRYPTO, KEYSTREAM_IPSEC_MB};

	FUZZ_CHECK(openssl_fetch(&fx.openssl));
	for (unsigned i = 0; i < 2; i++)
		fx.n_ks += keystream_create(providers[i], &fx.ks[fx.n_ks]) == 0;
	FUZZ_CHECK(fx.n_ks > 0);
	fx.made = true;
}

/* A string of up to INPUT_MAX bytes: some of the input, over and over. */
static struct drbg_input some_string(struct fuzz_input *in, uint8_t room[INPUT_MAX])
{
	size_t len = fuzz_u16(in) % (INPUT_MAX + 1);
	uint64_t pattern = fuzz_u64(in);

	for (size_t i = 0; i < len; i++)
		room[i] = (uint8_t)((pattern >> 8 * (i % 8)) + i / 8);
	return (struct drbg_input){room, len};
}

static void instantiate(struct fuzz_input *in, struct drbg *d, struct openssl_drbg *t)
{
	static uint8_t e[INPUT_MAX], n[INPUT_MAX], p[INPUT_MAX];
	struct drbg_input entropy = some_string(in, e), nonce = some_string(in, n);
	struct drbg_input pers = some_string(in, p);
	int err = drbg_instantiate(d, fx.ks[fuzz_below(in, fx.n_ks)], entropy, nonce, pers);

	openssl_drbg_close(t);
	if (entropy.len_bytes < DRBG_ENTROPY_BYTES_MIN) {
		FUZZ_CHECK(err == -EINVAL);
		return;
	}
	FUZZ_CHECK(err == 0);
	/* OpenSSL wants half the strength; that is the caller's matter in ours. */
	if (nonce.len_bytes >= 16)
		FUZZ_CHECK(openssl_drbg_open(t, &fx.openssl, entropy, nonce, pers));
}

static void reseed(struct fuzz_input *in, struct drbg *d, struct openssl_drbg *t)
{
	static uint8_t e[INPUT_MAX], a[INPUT_MAX];
	struct drbg_input entropy = some_string(in, e), additional = some_string(in, a);
	bool may = d->reseed_counter != 0 && entropy.len_bytes >= DRBG_ENTROPY_BYTES_MIN;
	int err = drbg_reseed(d, entropy, additional);

	FUZZ_CHECK(err == (may ? 0 : -EINVAL));
	if (!may || t->drbg == NULL)
		return;
	FUZZ_CHECK(openssl_drbg_reseed(t, entropy, additional));
}

static void generate(struct fuzz_input *in, struct drbg *d, struct openssl_drbg *t)
{
	static uint8_t ours[DRBG_REQUEST_BYTES_MAX + 64], theirs[DRBG_REQUEST_BYTES_MAX];
	static uint8_t a[INPUT_MAX];
	struct drbg_input additional = some_string(in, a);
	unsigned n_segs = fuzz_below(in, SEGS_MAX + 1);
	struct iovec segs[SEGS_MAX];
	size_t total = 0;
	int err;

	for (unsigned i = 0; i < n_segs; i++) {
		size_t len = fuzz_below(in, 16) ? fuzz_u8(in) : fuzz_u16(in);

		if (len > sizeof(ours) - total)
			len = sizeof(ours) - total;
		segs[i] = (struct iovec){ours + total, len};
		total += len;
	}
	if (fuzz_below(in, 32) == 0 && d->reseed_counter != 0 && t->drbg == NULL)
		d->reseed_counter = DRBG_RESEED_INTERVAL;
	if (d->reseed_counter == 0)
		err = -EINVAL;
	else if (total > DRBG_REQUEST_BYTES_MAX)
		err = -EMSGSIZE;
	else
		err = d->reseed_counter > DRBG_RESEED_INTERVAL ? -EAGAIN : 0;
	memset(ours, 0, sizeof(ours));
	FUZZ_CHECK(drbg_generate(d, segs, n_segs, additional) == err);
	if (err != 0) {
		for (size_t i = 0; i < total; i++)
			FUZZ_CHECK(ours[i] == 0);
		return;
	}
	for (size_t i = total; i < sizeof(ours); i++)
		FUZZ_CHECK(ours[i] == 0);
	if (t->drbg == NULL)
		return;
	/* OpenSSL does nothing for 0 bytes; the standard moves the state on. */
	if (total == 0) {
		openssl_drbg_close(t);
		return;
	}
	FUZZ_CHECK(openssl_drbg_generate(t, theirs, total, additional));
	FUZZ_CHECK(memcmp(ours, theirs, total) == 0);
}

/* Both providers' keystreams, from any counter, in any pieces: above all where the counter wraps.
 */
static void compare_keystreams(struct fuzz_input *in)
{
	uint8_t key[KEYSTREAM_KEY_BYTES], counter[KEYSTREAM_BLOCK_BYTES];
	static uint8_t out[2][4096];
	uint64_t seed = fuzz_u64(in), low = fuzz_u8(in) % 64;
	unsigned ones = fuzz_below(in, KEYSTREAM_BLOCK_BYTES);
	struct iovec segs[8];
	size_t total = 0;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(seed >> 8 * (i % 8));
	memset(counter, 0, sizeof(counter) - ones);
	memset(counter + sizeof(counter) - ones, 0xff, ones);
	counter[15] = (uint8_t)(0xff - low);
	for (unsigned n = 0; n < 8; n++) {
		size_t len = fuzz_u16(in) % 700;

		if (len > sizeof(out[0]) - total)
			len = sizeof(out[0]) - total;
		segs[n] = (struct iovec){out[0] + total, len};
		total += len;
	}
	for (unsigned i = 0; i < fx.n_ks; i++) {
		for (unsigned n = 0; n < 8 && i > 0; n++)
			segs[n].iov_base = (uint8_t *)segs[n].iov_base + sizeof(out[0]);
		FUZZ_CHECK(keystream_set_key(fx.ks[i], key) == 0);
		FUZZ_CHECK(keystream_generate(fx.ks[i], counter, segs, 8) == 0);
	}
	if (fx.n_ks == 2)
		FUZZ_CHECK(memcmp(out[0], out[1], total) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct openssl_drbg t = {NULL, NULL};
	struct drbg d = {.ks = NULL};

	if (!fx.made)
		make();
	for (unsigned n = 0; n < OPS_MAX && fuzz_more(&in); n++) {
		switch (fuzz_below(&in, 8)) {
		case 0:
		case 1:
			instantiate(&in, &d, &t);
			break;
		case 2:
			reseed(&in, &d, &t);
			break;
		case 3:
			drbg_uninstantiate(&d);
			openssl_drbg_close(&t);
			break;
		case 4:
			drbg_uninstantiate(&d);
			openssl_drbg_close(&t);
			compare_keystreams(&in);
			break;
		default:
			generate(&in, &d, &t);
			break;
		}
	}
	drbg_uninstantiate(&d);
	openssl_drbg_close(&t);
	return 0;
}
