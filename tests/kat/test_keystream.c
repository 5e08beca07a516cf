/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The keystream providers against AES of libcrypto, block by block, above all where the counter's
 * low 32, 64 and 128 bits wrap: libipsec-mb's own counter has 32 bits.
 */

#include "providers.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN_MAX 70000

static uint8_t got[LEN_MAX + 1], want[LEN_MAX];

/* AES-256 of one counter after the other, each by itself. */
static void reference(const uint8_t *key, const uint8_t *start, uint8_t *dst, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t counter[16], block[16];
	int n;

	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL, key, NULL), 1);
	memcpy(counter, start, 16);
	for (size_t at = 0; at < len; at += 16) {
		assert_int_equal(EVP_EncryptUpdate(ctx, block, &n, counter, 16), 1);
		memcpy(dst + at, block, len - at < 16 ? len - at : 16);
		for (int i = 15; i >= 0 && ++counter[i] == 0; i--)
			;
	}
	EVP_CIPHER_CTX_free(ctx);
}

static void check(struct keystream *ks, const uint8_t *start, size_t len)
{
	/* In uneven pieces, of which one or two may be empty. */
	const size_t cut[] = {len / 3, len - len / 5};
	const struct iovec segs[] = {
		{got, cut[0]}, {got + cut[0], cut[1] - cut[0]}, {got + cut[1], len - cut[1]}};
	uint8_t key[32];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)rand();
	memset(got, 0xa5, sizeof(got));
	assert_int_equal(keystream_set_key(ks, key), 0);
	assert_int_equal(keystream_generate(ks, start, segs, 3), 0);
	reference(key, start, want, len);
	assert_memory_equal(got, want, len);
	assert_int_equal(got[len], 0xa5);
}

static void lengths(void **state)
{
	static const size_t lens[] = {
		1, 15, 16, 17, 64, 255, 256, 4096, 16383, 16384, 16385, 65536, LEN_MAX};
	const uint8_t start[16] = {1, 2, 3};
	struct keystream *ks = the_provider(state);

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		check(ks, start, lens[i]);
}

/* Start so that the wrap comes in the first block, after it, in the middle, at a piece's end. */
static void wraps(void **state)
{
	static const unsigned before[] = {0, 1, 2, 7, 8, 9, 1000, 1023, 1024, 1025, 4095};
	static const unsigned bytes[] = {4, 8, 16};
	struct keystream *ks = the_provider(state);

	for (unsigned b = 0; b < sizeof(bytes) / sizeof(bytes[0]); b++) {
		for (unsigned i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
			uint8_t start[16] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99};

			memset(start + 16 - bytes[b], 0xff, bytes[b]);
			/* All ones stands 1 before the wrap. */
			start[15] = (uint8_t)(0xff - before[i] % 256);
			start[14] = (uint8_t)(0xff - before[i] / 256);
			check(ks, start, LEN_MAX);
		}
	}
}

static void without_key(void **state)
{
	const struct iovec block = {got, 16};
	const uint8_t zeros[32] = {0};
	struct keystream *ks = the_provider(state);

	assert_int_equal(keystream_generate(ks, zeros, &block, 1), -EIO);
	assert_int_equal(keystream_set_key(ks, zeros), 0);
	assert_int_equal(keystream_generate(ks, zeros, &block, 1), 0);
	keystream_clear(ks);
	assert_int_equal(keystream_generate(ks, zeros, &block, 1), -EIO);
}

static void counter_add(void **state)
{
	uint8_t c[16] = {0}, all_ones[16];

	(void)state;
	keystream_counter_add(c, 0x0102030405060708);
	assert_int_equal(c[15], 8);
	assert_int_equal(c[8], 1);
	memset(all_ones, 0xff, 16);
	keystream_counter_add(all_ones, 1);
	assert_memory_equal(all_ones, (const uint8_t[16]){0}, 16);
	memset(c + 8, 0xff, 8);
	keystream_counter_add(c, 2);
	assert_int_equal(c[7], 1);
	assert_int_equal(c[15], 1);
}

#ifdef HAVE_IPSEC_MB
#define CODE_KB 1024

/* What of files is resident in this process: code, above all. */
static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kb = -1;

	assert_non_null(file);
	while (kb < 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "RssFile: %ld", &kb) != 1)
			kb = -1;
	fclose(file);
	assert_true(kb > 0);
	return kb;
}

/* The library runs 3 MB of code to test itself, which need not stay in memory. The first test. */
static void code_is_let_go_of(void **state)
{
	long before_kb = resident_kb(), after_kb;
	struct keystream *ks = NULL;

	(void)state;
	if (keystream_create(KEYSTREAM_IPSEC_MB, &ks) != 0) {
		print_message("# this CPU has not this keystream provider\n");
		skip();
	}
	assert_int_equal(keystream_set_key(ks, want), 0);
	assert_int_equal(keystream_generate(ks, want, &(struct iovec){got, LEN_MAX}, 1), 0);
	after_kb = resident_kb();
	keystream_destroy(ks);
	print_message("# %ld kB of code are resident\n", after_kb - before_kb);
	assert_true(after_kb - before_kb < CODE_KB);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_IPSEC_MB
		cmocka_unit_test(code_is_let_go_of),
#endif
		FOR_EACH_PROVIDER(lengths),
		FOR_EACH_PROVIDER(wraps),
		FOR_EACH_PROVIDER(without_key),
		cmocka_unit_test(counter_add),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
