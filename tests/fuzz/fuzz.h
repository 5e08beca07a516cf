/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_H
#define FUZZ_H

/*
 * What all fuzz targets use. A target is one file with LLVMFuzzerTestOneInput(): it takes the input
 * for a list of decisions, so that every input means something, and checks what the code under test
 * did against a model. What is wrong ends the process.
 *
 * Linked with libFuzzer (-Dfuzz=true, clang) it fuzzes; linked with replay.c it goes through files,
 * with any compiler.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** As assert(), with any build type. */
#define FUZZ_CHECK(condition)                                                                     \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

/** The rest of the input. Where it has ended all decisions are 0. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

static inline bool fuzz_more(const struct fuzz_input *in)
{
	return in->left > 0;
}

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t low = fuzz_u8(in);

	return (uint16_t)(low | fuzz_u8(in) << 8);
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t low = fuzz_u16(in);

	return low | (uint32_t)fuzz_u16(in) << 16;
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t low = fuzz_u32(in);

	return low | (uint64_t)fuzz_u32(in) << 32;
}

/** 0 to n - 1; 1 to 65536 is 'n'. One byte of the input where that is enough. */
static inline unsigned fuzz_below(struct fuzz_input *in, unsigned n)
{
	return (n <= 256 ? fuzz_u8(in) : fuzz_u16(in)) % n;
}

static inline bool fuzz_bool(struct fuzz_input *in)
{
	return fuzz_u8(in) & 1;
}

/** A number of any magnitude: how many bits, then those. */
static inline uint64_t fuzz_magnitude(struct fuzz_input *in)
{
	unsigned bits = fuzz_below(in, 65);

	return bits == 0 ? 0 : fuzz_u64(in) >> (64 - bits);
}

#endif
