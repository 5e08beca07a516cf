/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_H
#define UNIT_H

/*
 * What all unit tests use: cmocka with what it wants included before it, and random numbers that
 * can be had again. A test with random cases prints its seed; VRNG_SEED=<seed> replays it.
 */

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/** splitmix64: every seed is a good one. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/** 0 to n - 1, n > 0. The bias is nothing to a test. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return random_next(state) % n;
}

/** True once in n times. */
static inline bool random_once_in(uint64_t *state, uint64_t n)
{
	return random_below(state, n) == 0;
}

/** Any magnitude up to 'bits' bits, small numbers as often as large ones. */
static inline uint64_t random_magnitude(uint64_t *state, unsigned bits)
{
	return random_next(state) >> (64 - bits + random_below(state, bits));
}

/** VRNG_SEED, or a new seed; it is printed. */
static inline uint64_t random_seed(const char *test)
{
	const char *given = getenv("VRNG_SEED");
	uint64_t seed;

	if (given != NULL)
		seed = strtoull(given, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		fail_msg("getrandom failed");
	print_message("# %s: VRNG_SEED=%#llx\n", test, (unsigned long long)seed);
	return seed;
}

/** Is every byte 'value'? */
static inline bool is_filled(const void *bytes, size_t len, uint8_t value)
{
	const uint8_t *b = bytes;

	return len == 0 || (b[0] == value && memcmp(b, b + 1, len - 1) == 0);
}

/** Return the number of open descriptors, and one more: the directory's own. */
static inline unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

#endif
