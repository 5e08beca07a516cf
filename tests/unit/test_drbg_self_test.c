/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DRBG's self-test notices a cipher that is wrong, in whatever way, and what uses the DRBG then
 * gives nothing. The keystream here is OpenSSL's AES, with a fault to order: these functions take
 * the place of lib/keystream.c's.
 */
#include "entropy.h"

#include "unit.h"

#include <openssl/evp.h>

#include <errno.h>

enum fault {
	NONE,
	NO_KEY,	      /* the library cannot set a key */
	OLD_KEY,      /* a new key is not taken */
	BIT_IN_FIRST, /* one bit of the output is wrong: in the first block */
	BIT_IN_LAST,  /* in the last one, of long output alone */
	SAME_BLOCK,   /* the counter stands still */
	NO_CARRY,     /* the counter's lower 64 bits wrap alone */
	STUCK_OUTPUT, /* nothing is written */
	N_FAULTS
};

struct keystream {
	EVP_CIPHER_CTX *ecb;
	uint8_t counter[KEYSTREAM_BLOCK_BYTES];
	uint8_t block[KEYSTREAM_BLOCK_BYTES];
	unsigned used; /* of 'block' */
	enum fault fault;
	unsigned n_keys; /* that were set */
};

void keystream_counter_add(uint8_t counter[KEYSTREAM_BLOCK_BYTES], uint64_t n)
{
	while (n-- > 0)
		for (int i = KEYSTREAM_BLOCK_BYTES - 1; i >= 0 && ++counter[i] == 0; i--)
			;
}

int keystream_set_key(struct keystream *ks, const uint8_t key[KEYSTREAM_KEY_BYTES])
{
	if (ks->fault == NO_KEY)
		return -EIO;
	if (ks->fault == OLD_KEY && ks->n_keys++ > 0)
		return 0;
	return EVP_EncryptInit_ex2(ks->ecb, EVP_aes_256_ecb(), key, NULL, NULL) == 1 ? 0 : -EIO;
}

static void next_block(struct keystream *ks)
{
	uint8_t high[8];
	int len;

	assert_int_equal(EVP_EncryptUpdate(ks->ecb, ks->block, &len, ks->counter, 16), 1);
	memcpy(high, ks->counter, sizeof(high));
	if (ks->fault != SAME_BLOCK)
		keystream_counter_add(ks->counter, 1);
	if (ks->fault == NO_CARRY)
		memcpy(ks->counter, high, sizeof(high));
	ks->used = 0;
}

static void next(struct keystream *ks, uint8_t *dst, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes && ks->fault != STUCK_OUTPUT; i++) {
		if (ks->used == sizeof(ks->block))
			next_block(ks);
		dst[i] = ks->block[ks->used++];
	}
	if (ks->fault == BIT_IN_FIRST && len_bytes > 0)
		dst[0] ^= 1;
	if (ks->fault == BIT_IN_LAST && len_bytes > 1024)
		dst[len_bytes - 1] ^= 0x80;
}

int keystream_generate(struct keystream *ks, const uint8_t start[KEYSTREAM_BLOCK_BYTES],
	const struct iovec *segs, unsigned n_segs)
{
	memcpy(ks->counter, start, sizeof(ks->counter));
	ks->used = sizeof(ks->block);
	for (unsigned i = 0; i < n_segs; i++)
		next(ks, segs[i].iov_base, segs[i].iov_len);
	return 0;
}

void keystream_clear(struct keystream *ks)
{
	ks->n_keys = 0;
}

static struct keystream keystream;

static int set_up(void **state)
{
	memset(&keystream, 0, sizeof(keystream));
	keystream.ecb = EVP_CIPHER_CTX_new();
	return keystream.ecb != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	EVP_CIPHER_CTX_free(keystream.ecb);
	return 0;
}

static void test_sound_cipher(void **state)
{
	struct drbg d = {0};

	assert_int_equal(drbg_self_test(&d, &keystream), 0);
}

static void test_each_fault_is_noticed(void **state)
{
	for (enum fault fault = NONE + 1; fault < N_FAULTS; fault++) {
		struct drbg d = {0};

		keystream.fault = fault;
		if (drbg_self_test(&d, &keystream) != (fault == NO_KEY ? -EIO : -EILSEQ))
			fail_msg("fault %d was not noticed", (int)fault);
	}
}

/* The DRBG goes on after a test as if there had been none. */
static void test_state_is_kept(void **state)
{
	const uint8_t seed[DRBG_SEED_BYTES] = {1, 2, 3};
	const struct drbg_input entropy = {seed, sizeof(seed)}, none = {NULL, 0};
	uint8_t got[2][100];

	for (unsigned i = 0; i < 2; i++) {
		const struct iovec seg = {got[i], sizeof(got[i])};
		struct drbg d = {0};

		assert_int_equal(drbg_instantiate(&d, &keystream, entropy, none, none), 0);
		assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);
		if (i == 1)
			assert_int_equal(drbg_self_test(&d, &keystream), 0);
		assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);
	}
	assert_memory_equal(got[0], got[1], sizeof(got[0]));
}

static void test_failure_uninstantiates(void **state)
{
	const uint8_t seed[DRBG_SEED_BYTES] = {1, 2, 3}, zeros[DRBG_SEED_BYTES] = {0};
	const struct drbg_input entropy = {seed, sizeof(seed)}, none = {NULL, 0};
	const struct iovec empty = {NULL, 0};
	struct drbg d = {0};

	assert_int_equal(drbg_instantiate(&d, &keystream, entropy, none, none), 0);
	keystream.fault = BIT_IN_LAST;
	assert_int_equal(drbg_self_test(&d, &keystream), -EILSEQ);
	assert_int_equal(drbg_generate(&d, &empty, 1, none), -EINVAL);
	assert_memory_equal(d.key, zeros, sizeof(d.key));
	assert_memory_equal(d.v, zeros, sizeof(d.v));
}

#define RING_BYTES 1024
#define SEED_BYTES 48

static struct entropy e;
static struct byte_ring ring;
static const struct entropy_config entropy_cfg = {.ring = &ring,
	.keystream = &keystream,
	.seed_bytes = SEED_BYTES,
	.reseed_bytes = 1 << 20,
	.continue_unseeded = true};

static void ring_init(void)
{
	static uint8_t data[RING_BYTES];

	assert_int_equal(byte_ring_init(&ring, data, sizeof(data)), 0);
}

/* A cipher that breaks: an entropy that begins with it is refused; one that has begun gives nothing
 * after the next reseed, for good, and takes no more seeds. */
static void test_entropy_gives_nothing(void **state)
{
	size_t room;

	ring_init();
	keystream.fault = BIT_IN_FIRST;
	assert_int_equal(entropy_init(&e, &entropy_cfg), -EILSEQ);
	keystream.fault = NONE;
	assert_int_equal(entropy_init(&e, &entropy_cfg), 0);
	byte_ring_room(&ring, 0, &room);
	byte_ring_produce(&ring, 4 * SEED_BYTES);
	assert_int_equal(entropy_avail(&e, 64), 64);
	assert_int_equal(e.stats.reseeds, 1);
	keystream.fault = BIT_IN_LAST;
	entropy_want_reseed(&e, true);
	assert_int_equal(entropy_avail(&e, 64), 0);
	assert_int_equal(e.stats.failed, 1);
	keystream.fault = NONE;
	entropy_want_reseed(&e, true);
	assert_int_equal(entropy_avail(&e, 64), 0);
	assert_int_equal(e.stats.reseeds, 1);
	assert_true(byte_ring_avail(&ring, SIZE_MAX) >= SEED_BYTES);
	entropy_fini(&e);
}

/* A cipher that failed is tested before the DRBG is instantiated anew (§11.3.2). */
static void test_a_second_life_is_tested(void **state)
{
	uint8_t got[64];
	const struct iovec seg = {got, sizeof(got)};

	ring_init();
	assert_int_equal(entropy_init(&e, &entropy_cfg), 0);
	for (unsigned i = 1; i <= 2; i++) {
		byte_ring_produce(&ring, SEED_BYTES);
		assert_int_equal(entropy_avail(&e, 64), 64);
		assert_int_equal(e.stats.reseeds, i);
		keystream.fault = NO_KEY;
		assert_int_equal(entropy_fill(&e, &seg, 1, sizeof(got)), -EIO);
		keystream.fault = NONE;
		assert_int_equal(entropy_avail(&e, 64), 0); /* without a seed */
	}
	keystream.fault = BIT_IN_LAST;
	byte_ring_produce(&ring, SEED_BYTES);
	assert_int_equal(entropy_avail(&e, 64), 0);
	assert_int_equal(e.stats.failed, 1);
	assert_int_equal(e.stats.reseeds, 2);
	entropy_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sound_cipher, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_each_fault_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_state_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_uninstantiates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_entropy_gives_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_second_life_is_tested, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
