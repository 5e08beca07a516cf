/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * drbg.c against OpenSSL's EVP_RAND CTR-DRBG, fed with the same entropy: random sequences of
 * instantiate, reseed and generate, bit for bit. And what drbg.c must refuse.
 *
 * VRNG_SEED repeats a run, VRNG_DRBG_SEQUENCES changes its length (40,000).
 */

#include "providers.h"

#include "drbg.h"
#include "openssl_drbg.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OPS_MAX	  6
#define INPUT_MAX 300

static uint64_t rng_state;

static uint64_t rnd(uint64_t below)
{
	return random_below(&rng_state, below);
}

struct random_input {
	uint8_t data[INPUT_MAX];
	size_t len;
};

static struct drbg_input fill(struct random_input *in, size_t min, size_t max)
{
	in->len = min + rnd(max - min + 1);
	for (size_t i = 0; i < in->len; i++)
		in->data[i] = (uint8_t)rnd(256);
	return (struct drbg_input){in->data, in->len};
}

/* Cut 'len' bytes at 'dst' into random pieces. */
static unsigned cut(struct iovec *segs, unsigned max, uint8_t *dst, size_t len)
{
	unsigned n = 0;

	while (n + 1 < max && len > 0 && rnd(4) != 0) {
		size_t piece = rnd(len / 3 + 2);

		piece = piece < len ? piece : len;
		segs[n++] = (struct iovec){dst, piece};
		dst += piece;
		len -= piece;
	}
	segs[n++] = (struct iovec){dst, len};
	return n;
}

static void one_sequence(struct keystream *ks, const struct openssl *openssl)
{
	static uint8_t theirs[DRBG_REQUEST_BYTES_MAX], ours[DRBG_REQUEST_BYTES_MAX];
	struct random_input e, n, p, a;
	struct drbg_input entropy = fill(&e, 32, 150), nonce = fill(&n, 16, 80), additional;
	struct drbg_input pers = fill(&p, 0, 100);
	struct iovec segs[32];
	struct openssl_drbg o;
	struct drbg d;

	assert_true(openssl_drbg_open(&o, openssl, entropy, nonce, pers));
	assert_int_equal(drbg_instantiate(&d, ks, entropy, nonce, pers), 0);
	for (unsigned ops = 1 + (unsigned)rnd(OPS_MAX); ops > 0; ops--) {
		additional = fill(&a, 0, rnd(2) ? 0 : INPUT_MAX);
		if (rnd(4) == 0) {
			entropy = fill(&e, 32, 150);
			assert_true(openssl_drbg_reseed(&o, entropy, additional));
			assert_int_equal(drbg_reseed(&d, entropy, additional), 0);
		} else {
			size_t len = 1 + rnd(rnd(50) ? 500 : DRBG_REQUEST_BYTES_MAX);

			assert_true(openssl_drbg_generate(&o, theirs, len, additional));
			assert_int_equal(
				drbg_generate(&d, segs, cut(segs, 32, ours, len), additional), 0);
			assert_memory_equal(ours, theirs, len);
		}
	}
	drbg_uninstantiate(&d);
	openssl_drbg_close(&o);
}

static void same_as_openssl(void **state)
{
	struct keystream *ks = the_provider(state);
	const char *count = getenv("VRNG_DRBG_SEQUENCES");
	unsigned long n = count != NULL ? strtoul(count, NULL, 0) : 40000;
	struct openssl openssl;

	assert_true(openssl_fetch(&openssl));
	rng_state = random_seed("same_as_openssl");
	while (n-- > 0)
		one_sequence(ks, &openssl);
	openssl_free(&openssl);
}

static const struct drbg_input none = {NULL, 0};
static const uint8_t seed_bytes[64] = {1};
static const struct drbg_input seed32 = {seed_bytes, 32};

/* Too little entropy, no state, too much output, an interval that is over. */
static void refusals(void **state)
{
	static uint8_t out[DRBG_REQUEST_BYTES_MAX + 1];
	struct iovec seg = {out, 64}, large[] = {{out, DRBG_REQUEST_BYTES_MAX}, {out, 1}};
	struct drbg_input short_seed = {seed_bytes, DRBG_ENTROPY_BYTES_MIN - 1};
	struct keystream *ks = the_provider(state);
	struct drbg d;

	assert_int_equal(drbg_instantiate(&d, ks, short_seed, seed32, none), -EINVAL);
	assert_int_equal(drbg_generate(&d, &seg, 1, none), -EINVAL);
	assert_int_equal(drbg_reseed(&d, seed32, none), -EINVAL);
	assert_int_equal(drbg_instantiate(&d, ks, seed32, seed32, none), 0);
	assert_int_equal(drbg_reseed(&d, short_seed, none), -EINVAL);
	assert_int_equal(drbg_generate(&d, large, 2, none), -EMSGSIZE);
	assert_int_equal(drbg_generate(&d, large, 1, none), 0);
	d.reseed_counter = DRBG_RESEED_INTERVAL;
	assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);
	assert_int_equal(drbg_generate(&d, &seg, 1, none), -EAGAIN);
	assert_int_equal(drbg_reseed(&d, seed32, none), 0);
	assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);
	drbg_uninstantiate(&d);
	assert_int_equal(drbg_generate(&d, &seg, 1, none), -EINVAL);
}

static void state_is_wiped(void **state)
{
	const uint8_t zeros[sizeof(((struct drbg *)0)->key)] = {0};
	struct keystream *ks = the_provider(state);
	struct drbg d;

	assert_int_equal(drbg_instantiate(&d, ks, seed32, seed32, none), 0);
	assert_memory_not_equal(d.key, zeros, sizeof(d.key));
	drbg_uninstantiate(&d);
	assert_memory_equal(d.key, zeros, sizeof(d.key));
	assert_memory_equal(d.v, zeros, sizeof(d.v));
}

static sigjmp_buf out_of_fault;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(out_of_fault, 1);
}

/*
 * A fault in the middle of a generate, left by a jump: the same bytes never come again, and what
 * comes next is what would have come after a generate that was finished.
 */
static void fault_in_generate(void **state)
{
	static uint8_t first[4096], second[4096], again[4096];
	struct iovec seg = {first, sizeof(first)};
	struct sigaction action = {.sa_handler = on_fault}, before;
	struct keystream *ks = the_provider(state);
	uint8_t *memory =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct drbg d;

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mprotect(memory + 4096, 4096, PROT_NONE), 0);
	assert_int_equal(drbg_instantiate(&d, ks, seed32, seed32, none), 0);
	assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);
	seg.iov_base = second;
	assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);

	assert_int_equal(drbg_instantiate(&d, ks, seed32, seed32, none), 0);
	seg.iov_base = memory + 2048; /* its second half is not there */
	sigaction(SIGSEGV, &action, &before);
	if (sigsetjmp(out_of_fault, 1) == 0) {
		drbg_generate(&d, &seg, 1, none);
		fail_msg("there was no fault");
	}
	sigaction(SIGSEGV, &before, NULL);
	seg.iov_base = again;
	assert_int_equal(drbg_generate(&d, &seg, 1, none), 0);
	assert_memory_not_equal(again, first, sizeof(first));
	assert_memory_equal(again, second, sizeof(second));
	munmap(memory, 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_EACH_PROVIDER(same_as_openssl),
		FOR_EACH_PROVIDER(refusals),
		FOR_EACH_PROVIDER(state_is_wiped),
		FOR_EACH_PROVIDER(fault_in_generate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
