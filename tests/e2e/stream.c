/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include "util.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN 0x9e3779b97f4a7c15ull

/* A bijection of 64-bit numbers that leaves no pattern; unmix() is its inverse. */
static uint64_t mix(uint64_t x)
{
	x += GOLDEN;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

static uint64_t unmix(uint64_t x)
{
	const uint64_t inverse = 0xcfee444d8b59a89bull; /* of the factor, modulo 2^64 */

	x ^= x >> 32;
	x *= inverse;
	x ^= x >> 32;
	x *= inverse;
	x ^= x >> 32;
	return x - GOLDEN;
}

/* Word number 'i' of the stream, STREAM_POISON replaced. */
static uint64_t stream_word(uint64_t i)
{
	const uint64_t ones = 0x0101010101010101ull;
	uint64_t word = mix(i), diff = word ^ (STREAM_POISON * ones);

	/* The classic test for a byte of 0. */
	if (((diff - ones) & ~diff & (0x80 * ones)) == 0)
		return word;
	for (unsigned shift = 0; shift < 64; shift += 8) {
		if ((uint8_t)(word >> shift) == STREAM_POISON)
			word ^= 0xffull << shift;
	}
	return word;
}

void stream_bytes(uint64_t from, uint8_t *dst, size_t len_bytes)
{
	while (len_bytes > 0) {
		uint64_t word = stream_word(from / 8);
		size_t skip = from % 8, n = len_bytes < 8 - skip ? len_bytes : 8 - skip;

		memcpy(dst, (uint8_t *)&word + skip, n);
		dst += n;
		from += n;
		len_bytes -= n;
	}
}

/* Does the stream have these bytes at 'from'? Looks at a few: no chance finds so many. */
static bool is_at(uint64_t from, const uint8_t *data, size_t len_bytes)
{
	uint8_t want[24];
	size_t n = len_bytes < sizeof(want) ? len_bytes : sizeof(want);

	if (from >> 62 != 0)
		return false;
	stream_bytes(from, want, n);
	return memcmp(want, data, n) == 0;
}

/* The place 'at' bytes before a word, whichever of its bytes were replaced ones; or -1. */
static int64_t place_by(uint64_t word, size_t at, const uint8_t *data, size_t len_bytes)
{
	for (unsigned replaced = 0; replaced < 256; replaced++) {
		uint64_t was = word, from;
		bool can_be = true;

		for (unsigned i = 0; i < 8; i++) {
			if (!(replaced & 1u << i))
				continue;
			can_be &= (uint8_t)(word >> 8 * i) == (uint8_t)~STREAM_POISON;
			was ^= 0xffull << 8 * i;
		}
		from = unmix(was) * 8 - at;
		if (can_be && is_at(from, data, len_bytes))
			return (int64_t)from;
	}
	return -1;
}

int64_t stream_locate(const uint8_t *data, size_t len_bytes)
{
	/* Any aligned word names its place. */
	for (size_t at = 0; at + 8 <= len_bytes && at < 1024; at++) {
		uint64_t word;
		int64_t from;

		memcpy(&word, data + at, 8);
		from = place_by(word, at, data, len_bytes);
		if (from >= 0)
			return from;
	}
	return -1;
}

void stream_append(const char *path, uint64_t from, size_t len_bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	uint8_t *bytes = malloc(len_bytes);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	stream_bytes(from, bytes, len_bytes);
	assert_int_equal(write(fd, bytes, len_bytes), len_bytes);
	free(bytes);
	close(fd);
}
