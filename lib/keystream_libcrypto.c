/* SPDX-License-Identifier: BSD-3-Clause */
#include "keystream_provider.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <errno.h>
#include <stdlib.h>

struct state {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
	bool keyed, started;
};

static bool is_preferred(void)
{
	return true; /* always there: the last choice */
}

static const char *name(const void *state)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

static void destroy(void *state)
{
	struct state *s = state;

	EVP_CIPHER_CTX_free(s->ctx); /* wipes the key */
	EVP_CIPHER_free(s->cipher);
	free(s);
}

static int create(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	s->ctx = EVP_CIPHER_CTX_new();
	/* All that is allocated is allocated here: later calls only set key and counter. */
	if (s->cipher == NULL || s->ctx == NULL ||
		EVP_EncryptInit_ex2(s->ctx, s->cipher, keystream_zeros, keystream_zeros, NULL) !=
			1) {
		destroy(s);
		return -ENOTSUP;
	}
	*state = s;
	return 0;
}

static int set_key(void *state, const uint8_t *key)
{
	struct state *s = state;

	s->started = false;
	s->keyed = EVP_EncryptInit_ex2(s->ctx, NULL, key, NULL, NULL) == 1;
	return s->keyed ? 0 : -EIO;
}

static int start(void *state, const uint8_t *counter)
{
	struct state *s = state;

	s->started = s->keyed && EVP_EncryptInit_ex2(s->ctx, NULL, NULL, counter, NULL) == 1;
	return s->started ? 0 : -EIO;
}

static int next(void *state, uint8_t *dst, size_t len_bytes)
{
	struct state *s = state;
	int n, out;

	if (!s->started)
		return -EIO;
	for (; len_bytes > 0; len_bytes -= (size_t)n, dst += n) {
		n = len_bytes < KEYSTREAM_ZEROS_BYTES ? (int)len_bytes : KEYSTREAM_ZEROS_BYTES;
		if (EVP_EncryptUpdate(s->ctx, dst, &out, keystream_zeros, n) != 1 || out != n)
			return -EIO;
	}
	return 0;
}

static void clear(void *state)
{
	set_key(state, keystream_zeros);
	((struct state *)state)->keyed = false;
}

const struct keystream_ops keystream_libcrypto = {
	.id = KEYSTREAM_LIBCRYPTO,
	.is_preferred = is_preferred,
	.name = name,
	.create = create,
	.destroy = destroy,
	.set_key = set_key,
	.start = start,
	.next = next,
	.clear = clear,
};
