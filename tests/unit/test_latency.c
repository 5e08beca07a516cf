/* SPDX-License-Identifier: BSD-3-Clause */
/* Which bucket a time falls into. */
#include "latency.h"

#include "unit.h"

static void expect_in(uint64_t ns, unsigned bucket)
{
	struct latency l = {.sum_ns = 5};

	latency_add(&l, ns);
	assert_int_equal(l.sum_ns, 5 + ns);
	assert_int_equal(latency_count(&l), 1);
	assert_int_equal(bucket < LATENCY_BUCKETS ? l.counts[bucket] : l.over, 1);
}

/* A time that is a bound is in the bucket below it. */
static void test_bounds(void **state)
{
	expect_in(0, 0);
	expect_in(1, 0);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		expect_in(latency_bound_ns(i) - 1, i);
		expect_in(latency_bound_ns(i), i);
		expect_in(latency_bound_ns(i) + 1, i + 1);
	}
	expect_in(UINT64_C(1) << 40, LATENCY_BUCKETS);
	expect_in(UINT64_MAX - 5, LATENCY_BUCKETS);
	assert_int_equal(latency_bound_ns(0), 256);
	assert_int_equal(latency_bound_ns(LATENCY_BUCKETS - 1), UINT64_C(1) << 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
