/* SPDX-License-Identifier: BSD-3-Clause */
#include "keystream_provider.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The library allocates the expanded key itself, in its cipher context, and has no function that
 * says where. So its allocator is replaced (CRYPTO_set_mem_functions), and while a context is made,
 * what it allocates comes from an arena within the keystream's own state, which the caller locks
 * and keeps out of core dumps: keystream_secret(). All else that the library allocates, such as the
 * fetched cipher, which outlives a keystream, is malloc()'s.
 *
 * The hooks are the process's, and a call into the library has no argument for them: the arena of
 * the call that the thread is in is the one global here, for each thread.
 *
 * The library accepts no allocator after its first allocation, which another user of the library in
 * this process may have caused. The key is then on the heap, and keystream_secret() reports it.
 */

/* libcrypto 3.0 needs 800 bytes or so. */
#define ARENA_BYTES 4096
#define ARENA_ALIGN 16

struct libcrypto {
	struct keystream base;
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *ctx;
	bool allocates; /* while the context is made; later calls are given no more of the arena */
	bool is_full;	/* the library has asked for more than the arena has */
	size_t used_bytes;
	_Alignas(ARENA_ALIGN) uint8_t arena[ARENA_BYTES];
};

static _Thread_local struct libcrypto *current; /* that this thread calls the library for */

static bool is_in_arena(const void *mem)
{
	return current != NULL && (uintptr_t)mem - (uintptr_t)current->arena < ARENA_BYTES;
}

static void *hook_malloc(size_t size, const char *file, int line)
{
	struct libcrypto *s = current;
	void *mem;

	if (s == NULL || !s->allocates)
		return malloc(size);
	if (size > ARENA_BYTES - s->used_bytes) {
		s->is_full = true;
		return NULL;
	}
	mem = s->arena + s->used_bytes;
	s->used_bytes += (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	return mem;
}

/* Memory of the arena is not reused: the keystream is wiped as a whole. */
static void hook_free(void *mem, const char *file, int line)
{
	if (!is_in_arena(mem))
		free(mem);
}

static void *hook_realloc(void *old, size_t size, const char *file, int line)
{
	size_t old_max;
	void *mem;

	if (!is_in_arena(old))
		return old == NULL ? hook_malloc(size, file, line) : realloc(old, size);
	/* The old size is not known; all behind it is the arena's, too. */
	old_max = (size_t)(current->arena + ARENA_BYTES - (uint8_t *)old);
	mem = hook_malloc(size, file, line);
	if (mem != NULL)
		memmove(mem, old, size < old_max ? size : old_max);
	return mem;
}

/* Whether the library takes its memory from the hooks. */
static bool has_hooks(void)
{
	CRYPTO_malloc_fn malloc_fn;
	CRYPTO_realloc_fn realloc_fn;
	CRYPTO_free_fn free_fn;

	if (CRYPTO_set_mem_functions(hook_malloc, hook_realloc, hook_free) == 1)
		return true;
	CRYPTO_get_mem_functions(&malloc_fn, &realloc_fn, &free_fn);
	return malloc_fn == hook_malloc;
}

static int make_context(struct libcrypto *s)
{
	s->ctx = EVP_CIPHER_CTX_new();
	return s->ctx != NULL && EVP_EncryptInit_ex2(s->ctx, s->cipher, keystream_zeros,
					 keystream_zeros, NULL) == 1
		       ? 0
		       : -ENOTSUP;
}

/* It is always there, and the last choice. */
static int crypto_open(struct keystream *ks, bool if_fastest)
{
	struct libcrypto *s = (struct libcrypto *)ks;
	bool hooked = has_hooks();
	int err;

	ks->name = OpenSSL_version(OPENSSL_VERSION);
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	if (s->cipher == NULL)
		return -ENOTSUP;
	/* The first one allocates, too, what the library makes once in a process or thread. */
	err = make_context(s);
	if (err != 0 || !hooked)
		return err;
	EVP_CIPHER_CTX_free(s->ctx);
	s->ctx = NULL;
	/* All that is allocated is allocated here: later calls only set key and counter. */
	current = s;
	s->allocates = true;
	err = make_context(s);
	s->allocates = false;
	current = NULL;
	ks->has_key = err == 0;
	return s->is_full ? -ENOBUFS : err;
}

static void crypto_close(struct keystream *ks)
{
	struct libcrypto *s = (struct libcrypto *)ks;

	current = s;
	EVP_CIPHER_CTX_free(s->ctx); /* wipes the key */
	current = NULL;
	EVP_CIPHER_free(s->cipher);
}

static int crypto_set_key(struct keystream *ks, const uint8_t *key)
{
	struct libcrypto *s = (struct libcrypto *)ks;
	int done;

	current = s;
	done = EVP_EncryptInit_ex2(s->ctx, NULL, key, NULL, NULL);
	current = NULL;
	return done == 1 ? 0 : -EIO;
}

static int generate(
	struct libcrypto *s, const uint8_t *start, const struct iovec *segs, unsigned n_segs)
{
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

static int crypto_generate(
	struct keystream *ks, const uint8_t *start, const struct iovec *segs, unsigned n_segs)
{
	int err;

	current = (struct libcrypto *)ks;
	err = generate(current, start, segs, n_segs);
	current = NULL;
	return err;
}

const struct keystream_ops keystream_libcrypto = {
	.id = KEYSTREAM_LIBCRYPTO,
	.state_bytes = sizeof(struct libcrypto),
	.open = crypto_open,
	.close = crypto_close,
	.set_key = crypto_set_key,
	.generate = crypto_generate,
};
