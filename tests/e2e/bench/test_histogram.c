/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct histogram h, other;

static void test_empty(void **state)
{
	histogram_reset(&h);
	assert_int_equal(histogram_percentile(&h, 50), 0);
	assert_int_equal(histogram_percentile(&h, 100), 0);
}

/* Every bucket follows the one before it, and its own limits fall into it. */
static void test_buckets_are_contiguous(void **state)
{
	uint64_t lowest, highest, next = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		histogram_bucket_range(i, &lowest, &highest);
		assert_int_equal(lowest, next);
		assert_true(highest >= lowest);
		assert_int_equal(histogram_bucket(lowest), i);
		assert_int_equal(histogram_bucket(highest), i);
		next = highest + 1;
	}
	assert_int_equal(next, 0); /* the last one ends at 2^64 - 1 */
}

/* The error that the header promises: half a bucket is at most 1/256 of any value in it. */
static void test_error_is_as_stated(void **state)
{
	uint64_t lowest, highest;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		histogram_bucket_range(i, &lowest, &highest);
		assert_true((highest - lowest) / 2 <= lowest / 256);
	}
}

static void test_small_values_are_exact(void **state)
{
	histogram_reset(&h);
	for (uint64_t v = 1; v <= 100; v++)
		histogram_record(&h, v, 1);
	assert_int_equal(histogram_percentile(&h, 0), 1);
	assert_int_equal(histogram_percentile(&h, 1), 1);
	assert_int_equal(histogram_percentile(&h, 50), 50);
	assert_int_equal(histogram_percentile(&h, 99), 99);
	assert_int_equal(histogram_percentile(&h, 99.1), 100);
	assert_int_equal(histogram_percentile(&h, 100), 100);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Against sorted values, over many magnitudes. */
static void test_percentiles_against_sorting(void **state)
{
	static uint64_t values[10000];
	static const double percents[] = {0.01, 10, 50, 90, 99, 99.9, 99.99, 100};
	uint64_t seed = 1;

	histogram_reset(&h);
	for (unsigned i = 0; i < 10000; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		values[i] = (seed >> 8) >> (seed % 50);
		histogram_record(&h, values[i], 1);
	}
	qsort(values, 10000, sizeof(values[0]), compare);
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		uint64_t right = values[(unsigned)(percents[i] * 100 + 0.5) - 1];
		uint64_t got = histogram_percentile(&h, percents[i]);

		assert_true(got <= right + right / 256 && right <= got + right / 256);
	}
	assert_int_equal(histogram_percentile(&h, 100), values[9999]);
}

static void test_counts_and_merging(void **state)
{
	histogram_reset(&h);
	histogram_reset(&other);
	histogram_record(&h, 10, 99);
	histogram_record(&other, 5000, 1);
	histogram_merge(&h, &other);
	assert_int_equal(h.count, 100);
	assert_int_equal(h.max, 5000);
	assert_int_equal(histogram_percentile(&h, 99), 10);
	assert_int_equal(histogram_percentile(&h, 99.5), 5000);
	histogram_record(&h, UINT64_MAX, 1);
	assert_int_equal(histogram_percentile(&h, 100), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_buckets_are_contiguous),
		cmocka_unit_test(test_error_is_as_stated),
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_percentiles_against_sorting),
		cmocka_unit_test(test_counts_and_merging),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
