/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a keystream keeps its key: only where keystream_secret() says, which the daemon locks and
 * keeps out of core dumps. All memory of the process that can be written to is searched for it.
 *
 * Nothing here uses libcrypto before the keystream does: see keystream_libcrypto.c.
 */
#include "providers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keys stay masked, so that the search does not find the test's own. */
#define MASK 0x5a

static const uint8_t masked[2][KEYSTREAM_KEY_BYTES] = {
	"an expanded key begins with its ", "own bytes, in AES-256: two words"};

static void set_key(struct keystream *ks, unsigned which)
{
	uint8_t key[KEYSTREAM_KEY_BYTES];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = masked[which][i] ^ MASK;
	assert_int_equal(keystream_set_key(ks, key), 0);
	explicit_bzero(key, sizeof(key));
}

/* All memory is looked at, also what a sanitizer has poisoned. */
#define ANY_MEMORY __attribute__((no_sanitize("address")))

/* A sanitizer's shadow memory has terabytes. */
#define MAPPING_BYTES_MAX (256ul << 20)

ANY_MEMORY static bool is_key(const uint8_t *at, unsigned which)
{
	for (unsigned i = 0; i < KEYSTREAM_KEY_BYTES; i++)
		if ((at[i] ^ MASK) != masked[which][i])
			return false;
	return true;
}

/* Count the keys in a piece of memory, and those of them that are in the secret. */
ANY_MEMORY static void search(const uint8_t *from, const uint8_t *to, unsigned which,
	const uint8_t *secret, size_t secret_bytes, unsigned found[2])
{
	for (const uint8_t *at = from; at + KEYSTREAM_KEY_BYTES <= to; at++) {
		if (!is_key(at, which))
			continue;
		found[(uintptr_t)at - (uintptr_t)secret < secret_bytes]++;
	}
}

static void search_all(
	unsigned which, const uint8_t *secret, size_t secret_bytes, unsigned found[2])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	found[0] = found[1] = 0;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx rw", &from, &to) == 2 && strstr(line, " rw") != NULL &&
			to - from < MAPPING_BYTES_MAX)
			search((const uint8_t *)from, (const uint8_t *)to, which, secret,
				secret_bytes, found);
	}
	fclose(maps);
}

static void test_key_is_in_the_secret_alone(void **state)
{
	struct keystream *ks = the_provider(state);
	size_t len, changed = 0;
	uint8_t *before, *secret = keystream_secret(ks, &len);
	unsigned found[2];

	assert_non_null(secret);
	set_key(ks, 0);
	before = malloc(len);
	memcpy(before, secret, len);
	set_key(ks, 1);
	for (size_t i = 0; i < len; i++)
		changed += before[i] != secret[i];
	/* 15 round keys of 16 bytes, of which some bytes may be the same in both. */
	assert_in_range(changed, 200, len);
	explicit_bzero(before, len);
	free(before);
	search_all(1, secret, len, found);
	assert_int_equal(found[0], 0);
	if (found[1] == 0)
		print_message("# this CPU's AES has another form of the key\n");
	search_all(0, secret, len, found);
	assert_int_equal(found[0] + found[1], 0); /* the key before */
	keystream_clear(ks);
	search_all(1, secret, len, found);
	assert_int_equal(found[0] + found[1], 0);
}

/* Many at once, made and destroyed in another order: each has its own. */
static void test_many(void **state)
{
	static struct keystream *all[200];
	uint8_t block[2][64];
	size_t len;

	if (keystream_create(KEYSTREAM_LIBCRYPTO, &all[0]) != 0)
		fail_msg("no libcrypto");
	for (unsigned i = 1; i < ARRAY_LEN(all); i++)
		assert_int_equal(keystream_create(KEYSTREAM_LIBCRYPTO, &all[i]), 0);
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		const struct iovec seg = {block[i > 0], sizeof(block[0])};
		const uint8_t start[KEYSTREAM_BLOCK_BYTES] = {1};

		assert_non_null(keystream_secret(all[i], &len));
		set_key(all[i], 0);
		assert_int_equal(keystream_generate(all[i], start, &seg, 1), 0);
		assert_memory_equal(block[0], block[i > 0], sizeof(block[0]));
	}
	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		keystream_destroy(all[i * 7 % ARRAY_LEN(all)]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_EACH_PROVIDER(test_key_is_in_the_secret_alone),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
