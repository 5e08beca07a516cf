/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TEST_OPENSSL_DRBG_H
#define VRNG_TEST_OPENSSL_DRBG_H

/* OpenSSL's CTR_DRBG, with AES-256 and a derivation function, which gets the inputs it is told. */

#include "drbg.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <stdbool.h>
#include <stdint.h>

/* What all of them are made from. */
struct openssl {
	EVP_RAND *test_rand, *ctr_drbg;
};

/* One DRBG, and the test source that it takes entropy and nonce from. */
struct openssl_drbg {
	EVP_RAND_CTX *source, *drbg;
};

static inline bool openssl_fetch(struct openssl *o)
{
	o->test_rand = EVP_RAND_fetch(NULL, "TEST-RAND", NULL);
	o->ctr_drbg = EVP_RAND_fetch(NULL, "CTR-DRBG", NULL);
	return o->test_rand != NULL && o->ctr_drbg != NULL;
}

static inline void openssl_free(struct openssl *o)
{
	EVP_RAND_free(o->test_rand);
	EVP_RAND_free(o->ctr_drbg);
}

static inline bool openssl_drbg_set(struct openssl_drbg *d, const char *name, struct drbg_input in)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)in.data, in.len_bytes),
		OSSL_PARAM_construct_end()};

	return EVP_RAND_CTX_set_params(d->source, params) == 1;
}

static inline bool openssl_drbg_open(struct openssl_drbg *d, const struct openssl *o,
	struct drbg_input entropy, struct drbg_input nonce, struct drbg_input pers)
{
	unsigned strength = 256;
	int df = 1;
	OSSL_PARAM source_params[] = {
		OSSL_PARAM_construct_uint(OSSL_RAND_PARAM_STRENGTH, &strength),
		OSSL_PARAM_construct_end()};
	OSSL_PARAM drbg_params[] = {OSSL_PARAM_construct_utf8_string(OSSL_DRBG_PARAM_CIPHER,
					    (char *)(uintptr_t) "AES-256-CTR", 0),
		OSSL_PARAM_construct_int(OSSL_DRBG_PARAM_USE_DF, &df), OSSL_PARAM_construct_end()};

	d->source = EVP_RAND_CTX_new(o->test_rand, NULL);
	d->drbg = EVP_RAND_CTX_new(o->ctr_drbg, d->source);
	return EVP_RAND_CTX_set_params(d->source, source_params) == 1 &&
	       EVP_RAND_CTX_set_params(d->drbg, drbg_params) == 1 &&
	       openssl_drbg_set(d, OSSL_RAND_PARAM_TEST_ENTROPY, entropy) &&
	       openssl_drbg_set(d, OSSL_RAND_PARAM_TEST_NONCE, nonce) &&
	       EVP_RAND_instantiate(d->source, 256, 0, NULL, 0, NULL) == 1 &&
	       EVP_RAND_instantiate(d->drbg, 256, 0, pers.data, pers.len_bytes, NULL) == 1;
}

static inline bool openssl_drbg_reseed(
	struct openssl_drbg *d, struct drbg_input entropy, struct drbg_input additional)
{
	return openssl_drbg_set(d, OSSL_RAND_PARAM_TEST_ENTROPY, entropy) &&
	       EVP_RAND_reseed(d->drbg, 0, NULL, 0, additional.data, additional.len_bytes) == 1;
}

static inline bool openssl_drbg_generate(
	struct openssl_drbg *d, uint8_t *out, size_t len_bytes, struct drbg_input additional)
{
	return EVP_RAND_generate(
		       d->drbg, out, len_bytes, 256, 0, additional.data, additional.len_bytes) == 1;
}

static inline void openssl_drbg_close(struct openssl_drbg *d)
{
	EVP_RAND_CTX_free(d->drbg);
	EVP_RAND_CTX_free(d->source);
	*d = (struct openssl_drbg){NULL, NULL};
}

#endif
