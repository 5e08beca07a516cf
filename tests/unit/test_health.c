/* SPDX-License-Identifier: BSD-3-Clause */
/* The health tests: their cut-offs, and each stream that they must and must not complain of. */
#include "health.h"

#include "unit.h"

#include <errno.h>

/*
 * Against the definition, byte by byte: SP 800-90B §4.4.1 and §4.4.2 as they stand there. Returns
 * the number of the sample that fails, or SIZE_MAX.
 */
static size_t reference(const struct health *h, const uint8_t *data, size_t len)
{
	unsigned run = 0, count = 0;

	for (size_t i = 0; i < len; i++) {
		run = i > 0 && data[i] == data[i - 1] ? run + 1 : 1;
		if (run >= h->repetition_cutoff)
			return i;
		if (i % HEALTH_WINDOW == 0)
			count = 0;
		count += data[i] == data[i - i % HEALTH_WINDOW];
		if (count >= h->proportion_cutoff)
			return i;
	}
	return SIZE_MAX;
}

/* In pieces, until one fails. Returns the number of the piece's first byte, or SIZE_MAX. */
static size_t in_pieces(
	struct health *h, const uint8_t *data, size_t len, uint64_t *seed, size_t *piece_len)
{
	for (size_t at = 0; at < len; at += *piece_len) {
		*piece_len = 1 + random_below(seed, random_once_in(seed, 2) ? 20 : 2000);
		if (*piece_len > len - at)
			*piece_len = len - at;
		if (health_test(h, data + at, *piece_len) != HEALTH_OK)
			return at;
	}
	return SIZE_MAX;
}

static void test_entropy_range(void **state)
{
	struct health h;

	assert_int_equal(health_init(&h, 0), -EINVAL);
	assert_int_equal(health_init(&h, -1), -EINVAL);
	assert_int_equal(health_init(&h, 8.01), -EINVAL);
	assert_int_equal(health_init(&h, 8), 0);
	assert_int_equal(health_init(&h, 0.1), 0);
}

/* 1 + ceil(60 / H); and CRITBINOM as computed by another program with 400 digits. */
static void test_cutoffs(void **state)
{
	static const struct {
		double entropy;
		unsigned repetition, proportion;
	} known[] = {{8, 9, 25}, {7.5, 9, 28}, {4, 16, 91}, {2, 31, 220}, {1, 61, 355},
		{0.5, 121, 447}, {0.1, 601, 513}};
	struct health h;

	for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
		assert_int_equal(health_init(&h, known[i].entropy), 0);
		assert_int_equal(h.repetition_cutoff, known[i].repetition);
		assert_int_equal(h.proportion_cutoff, known[i].proportion);
	}
}

/* Streams with runs and favourites of all lengths around the cut-offs, in random pieces. */
static void test_same_as_definition(void **state)
{
	static const double entropies[] = {8, 7.5, 5, 4, 2, 1, 0.5};
	uint64_t seed = random_seed("same_as_definition");
	static uint8_t data[6000];
	unsigned failures = 0;

	for (unsigned round = 0; round < 4000; round++) {
		size_t len = 1 + random_below(&seed, sizeof(data)), piece, expected, got;
		unsigned favour = (unsigned)random_below(&seed, 40);
		struct health h;

		assert_int_equal(
			health_init(&h, entropies[random_below(&seed, ARRAY_LEN(entropies))]), 0);
		for (size_t i = 0; i < len; i++) {
			data[i] = (uint8_t)random_next(&seed);
			if (random_below(&seed, 100) < favour)
				data[i] = 0x42;
		}
		if (random_once_in(&seed, 2)) {
			size_t run = h.repetition_cutoff - 2 + random_below(&seed, 4);
			size_t at = random_below(&seed, len);

			for (size_t i = at; i < len && i < at + run; i++)
				data[i] = 7;
		}
		expected = reference(&h, data, len);
		got = in_pieces(&h, data, len, &seed, &piece);
		if (expected == SIZE_MAX) {
			assert_int_equal(got, SIZE_MAX);
			assert_int_equal(h.samples, len);
			continue;
		}
		failures++;
		/* In the piece with the sample that fails. */
		assert_true(got <= expected && expected < got + piece);
	}
	assert_in_range(failures, 500, 3500); /* both kinds came */
}

static void expect_failure(uint8_t (*next)(unsigned i), enum health_result expected, unsigned by)
{
	struct health h;

	assert_int_equal(health_init(&h, 8), 0);
	for (unsigned i = 0; i < by; i++) {
		uint8_t byte = next(i);
		enum health_result r = health_test(&h, &byte, 1);

		if (r != HEALTH_OK) {
			assert_int_equal(r, expected);
			return;
		}
	}
	fail_msg("not noticed in %u samples", by);
}

static uint8_t stuck(unsigned i)
{
	return i < 300 ? (uint8_t)(i * 167) : 0x5a;
}

static uint8_t zeros(unsigned i)
{
	return 0;
}

static uint8_t biased(unsigned i)
{
	return i % 10 == 0 ? 0xff : (uint8_t)(i * 167 >> 1);
}

static uint8_t period_16(unsigned i)
{
	return (uint8_t)(i % 16);
}

static void test_sources_that_break(void **state)
{
	expect_failure(zeros, HEALTH_REPETITION, 9);
	expect_failure(stuck, HEALTH_REPETITION, 300 + 9);
	expect_failure(biased, HEALTH_PROPORTION, 2 * HEALTH_WINDOW);
	expect_failure(period_16, HEALTH_PROPORTION, 2 * HEALTH_WINDOW);
}

/* The run that a read ends with, over reads. */
static void test_run_goes_on(void **state)
{
	struct health h;

	assert_int_equal(health_init(&h, 8), 0);
	assert_int_equal(health_test(&h, (const uint8_t *)"abcc", 4), HEALTH_OK);
	assert_int_equal(h.run, 2);
	assert_int_equal(h.last, 'c');
	assert_int_equal(health_test(&h, (const uint8_t *)"cc", 2), HEALTH_OK);
	assert_int_equal(h.run, 4);
	assert_int_equal(health_test(&h, (const uint8_t *)"cccc", 4), HEALTH_OK);
	assert_int_equal(h.run, 8);
	assert_int_equal(health_test(&h, (const uint8_t *)"c", 1), HEALTH_REPETITION);
	health_restart(&h);
	assert_int_equal(h.samples, 0);
	assert_int_equal(health_test(&h, (const uint8_t *)"cccccccc", 8), HEALTH_OK);
	assert_int_equal(h.run, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entropy_range),
		cmocka_unit_test(test_cutoffs),
		cmocka_unit_test(test_same_as_definition),
		cmocka_unit_test(test_sources_that_break),
		cmocka_unit_test(test_run_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
