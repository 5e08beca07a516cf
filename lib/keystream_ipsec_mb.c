/* SPDX-License-Identifier: BSD-3-Clause */
#include "keystream_provider.h"
#include "wipe.h"

#include <intel-ipsec-mb.h>

#include <endian.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPANDED_KEY_BYTES (15 * 16) /* 14 rounds and the whitening key */

struct ipsec_mb {
	struct keystream base;
	_Alignas(64) uint8_t encrypt_key[EXPANDED_KEY_BYTES];
	uint8_t decrypt_key[EXPANDED_KEY_BYTES]; /* the library expands both */
	IMB_MGR *manager;
	IMB_JOB job;				/* all that does not change from call to call */
	uint8_t counter[KEYSTREAM_BLOCK_BYTES]; /* of the next block, while one is made */
	char name[64];
};

static const char *const archs[IMB_ARCH_NUM] = {
	[IMB_ARCH_SSE] = "SSE",
#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0) /* from then on it does without */
	[IMB_ARCH_AVX] = "AVX",
#endif
	[IMB_ARCH_AVX2] = "AVX2",
	[IMB_ARCH_AVX512] = "AVX512",
};

/* Of the library that has 'function': let go of its code, which comes back when it is run. */
static int let_go_of_code(struct dl_phdr_info *info, size_t size, void *function)
{
	const uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);

	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD || segment->p_flags != (PF_R | PF_X) ||
			(uintptr_t)function - from >= segment->p_memsz)
			continue;
		madvise((void *)(from & page_mask), segment->p_memsz + (from & ~page_mask),
			MADV_DONTNEED);
		return 1;
	}
	return 0;
}

/*
 * Fastest: with AVX-512 and VAES it was measured at 2.6 times the rate of libcrypto 3.0; with
 * 128-bit AES instructions alone (AVX2: an AMD Zen 3) libcrypto is 5 % ahead.
 */
static int mb_open(struct keystream *ks, bool if_fastest)
{
	struct ipsec_mb *s = (struct ipsec_mb *)ks;
	IMB_ARCH arch = IMB_ARCH_NONE;

	s->manager = alloc_mb_mgr(0);
	if (s->manager == NULL)
		return -ENOMEM;
	init_mb_mgr_auto(s->manager, &arch);
	/* The library tests each of its ciphers and hashes then, in their variants: 3 MB of code,
	 * which no one runs again. */
	dl_iterate_phdr(let_go_of_code, (void *)init_mb_mgr_auto);
	if (imb_get_errno(s->manager) != 0 || (if_fastest && arch != IMB_ARCH_AVX512))
		return -ENOTSUP;
	snprintf(s->name, sizeof(s->name), "libipsec-mb %s (%s)", imb_get_version_str(),
		arch < IMB_ARCH_NUM && archs[arch] != NULL ? archs[arch] : "?");
	ks->name = s->name;
	ks->has_key = true;
	s->job = (IMB_JOB){
		.enc_keys = s->encrypt_key,
		.dec_keys = s->decrypt_key,
		.key_len_in_bytes = KEYSTREAM_KEY_BYTES,
		.iv = s->counter,
		.iv_len_in_bytes = KEYSTREAM_BLOCK_BYTES,
		.src = keystream_zeros,
		.cipher_mode = IMB_CIPHER_CNTR,
		.cipher_direction = IMB_DIR_ENCRYPT,
		.hash_alg = IMB_AUTH_NULL,
		.chain_order = IMB_ORDER_CIPHER_HASH,
	};
	return 0;
}

static void mb_close(struct keystream *ks)
{
	struct ipsec_mb *s = (struct ipsec_mb *)ks;

	if (s->manager != NULL)
		free_mb_mgr(s->manager);
}

static int mb_set_key(struct keystream *ks, const uint8_t *key)
{
	struct ipsec_mb *s = (struct ipsec_mb *)ks;

	IMB_AES_KEYEXP_256(s->manager, key, s->encrypt_key, s->decrypt_key);
	return 0;
}

/* How many bytes until the low 32 bits of the counter wrap: up to there the library counts right.
 */
static size_t bytes_to_wrap(const uint8_t *counter)
{
	uint32_t low;

	memcpy(&low, counter + 12, sizeof(low));
	return (size_t)((UINT64_C(1) << 32) - be32toh(low)) * KEYSTREAM_BLOCK_BYTES;
}

/* Whole blocks, but for the last one, which may be cut. */
static int go_on(struct ipsec_mb *s, uint8_t *dst, size_t len_bytes)
{
	while (len_bytes > 0) {
		size_t n = len_bytes < KEYSTREAM_ZEROS_BYTES ? len_bytes : KEYSTREAM_ZEROS_BYTES;
		size_t to_wrap = bytes_to_wrap(s->counter);

		if (n > to_wrap)
			n = to_wrap;
		s->job.dst = dst;
		s->job.msg_len_to_cipher_in_bytes = n;
		if (IMB_SUBMIT_CIPHER_BURST_NOCHECK(s->manager, &s->job, 1, IMB_CIPHER_CNTR,
			    IMB_DIR_ENCRYPT, IMB_KEY_256_BYTES) != 1)
			return -EIO;
		dst += n;
		len_bytes -= n;
		keystream_counter_add(
			s->counter, (n + KEYSTREAM_BLOCK_BYTES - 1) / KEYSTREAM_BLOCK_BYTES);
	}
	return 0;
}

static int mb_generate(
	struct keystream *ks, const uint8_t *start, const struct iovec *segs, unsigned n_segs)
{
	struct ipsec_mb *s = (struct ipsec_mb *)ks;
	uint8_t block[KEYSTREAM_BLOCK_BYTES]; /* that a piece ended in */
	size_t block_left = 0;		      /* its last bytes are not yet used */
	int err = 0;

	memcpy(s->counter, start, sizeof(s->counter));
	for (unsigned i = 0; i < n_segs && err == 0; i++) {
		uint8_t *dst = segs[i].iov_base;
		size_t len = segs[i].iov_len, n = len < block_left ? len : block_left;

		memcpy(dst, block + sizeof(block) - block_left, n);
		block_left -= n;
		dst += n;
		len -= n;

		n = len - len % sizeof(block);
		err = go_on(s, dst, n);
		dst += n;
		len -= n;
		if (len > 0 && err == 0) {
			err = go_on(s, block, sizeof(block));
			memcpy(dst, block, len);
			block_left = sizeof(block) - len;
		}
	}
	wipe(block, sizeof(block));
	wipe(s->counter, sizeof(s->counter));
	return err;
}

const struct keystream_ops keystream_ipsec_mb = {
	.id = KEYSTREAM_IPSEC_MB,
	.state_bytes = sizeof(struct ipsec_mb),
	.open = mb_open,
	.close = mb_close,
	.set_key = mb_set_key,
	.generate = mb_generate,
};
