/* SPDX-License-Identifier: BSD-3-Clause */
#include "keystream_provider.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <errno.h>

struct libcrypto {
	struct keystream base;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
};

/* It is always there, and the last choice. */
static int crypto_open(struct keystream *ks, bool if_fastest)
{
	struct libcrypto *s = (struct libcrypto *)ks;

	ks->name = OpenSSL_version(OPENSSL_VERSION);
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	s->ctx = EVP_CIPHER_CTX_new();
	/* All that is allocated is allocated here: later calls only set key and counter. */
	if (s->cipher == NULL || s->ctx == NULL ||
		EVP_EncryptInit_ex2(s->ctx, s->cipher, keystream_zeros, keystream_zeros, NULL) != 1)
		return -ENOTSUP;
	return 0;
}

static void crypto_close(struct keystream *ks)
{
	struct libcrypto *s = (struct libcrypto *)ks;

	EVP_CIPHER_CTX_free(s->ctx); /* wipes the key */
	EVP_CIPHER_free(s->cipher);
}

static int crypto_set_key(struct keystream *ks, const uint8_t *key)
{
	struct libcrypto *s = (struct libcrypto *)ks;

	return EVP_EncryptInit_ex2(s->ctx, NULL, key, NULL, NULL) == 1 ? 0 : -EIO;
}

static int crypto_generate(
	struct keystream *ks, const uint8_t *start, const struct iovec *segs, unsigned n_segs)
{
	struct libcrypto *s = (struct libcrypto *)ks;

	if (EVP_EncryptInit_ex2(s->ctx, NULL, NULL, start, NULL) != 1)
		return -EIO;
	for (unsigned i = 0; i < n_segs; i++) {
		uint8_t *dst = segs[i].iov_base;
		size_t left = segs[i].iov_len;
		int n, out;

		for (; left > 0; left -= (size_t)n, dst += n) {
			n = left < KEYSTREAM_ZEROS_BYTES ? (int)left : KEYSTREAM_ZEROS_BYTES;
			if (EVP_EncryptUpdate(s->ctx, dst, &out, keystream_zeros, n) != 1 ||
				out != n)
				return -EIO;
		}
	}
	return 0;
}

const struct keystream_ops keystream_libcrypto = {
	.id = KEYSTREAM_LIBCRYPTO,
	.state_bytes = sizeof(struct libcrypto),
	.open = crypto_open,
	.close = crypto_close,
	.set_key = crypto_set_key,
	.generate = crypto_generate,
};
