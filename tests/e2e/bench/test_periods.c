/* SPDX-License-Identifier: BSD-3-Clause */
/* How a budget's periods are told from the answers alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "periods.h"

#define LENGTH 1000

/* Answers of a budget of 100 bytes that starts at 'phase': ten bursts of 10, in half a period. */
static void play(struct periods *p, uint64_t phase, unsigned n_periods, unsigned from_burst)
{
	for (unsigned i = 0; i < n_periods; i++)
		for (unsigned j = i == 0 ? from_burst : 0; j < 10; j++)
			periods_count(p, phase + i * LENGTH + j * 50, 10);
}

static void test_periods(void **state)
{
	for (uint64_t phase = 1; phase < 2 * LENGTH; phase += 77) {
		for (unsigned from = 0; from < 10; from++) {
			struct periods p = {.length = LENGTH, .n = 5};
			uint64_t least, most, sum;

			/* One that was under way, then one to begin with, and one that tells the
			 * last is over. */
			play(&p, phase, 7, from);
			assert_int_equal(periods_seen(&p), 5);
			periods_summary(&p, &least, &most, &sum);
			assert_int_equal(least, 100);
			assert_int_equal(most, 100);
			assert_int_equal(sum, 500);
		}
	}
}

/* More than a period's worth is seen, and so is less. */
static void test_too_much_and_too_little(void **state)
{
	struct periods p = {.length = LENGTH, .n = 5};
	uint64_t least, most, sum;

	play(&p, 1, 3, 0);
	periods_count(&p, 2 * LENGTH + 600, 1);
	periods_count(&p, 3 * LENGTH, 99);
	play(&p, 4 * LENGTH, 4, 0);
	periods_summary(&p, &least, &most, &sum);
	assert_int_equal(least, 99);
	assert_int_equal(most, 101);
	assert_int_equal(sum, 500);
}

/* Late by a little, or early by a jitter of the first answer, is the same period. */
static void test_jitter(void **state)
{
	struct periods p = {.length = LENGTH, .n = 4};
	uint64_t least, most, sum;

	periods_count(&p, 10, 1);
	for (unsigned i = 0; i < 6; i++)
		periods_count(&p, 1000 + i * LENGTH + (i % 2 ? 240 : 0) - (i == 4 ? 200 : 0), 7);
	periods_summary(&p, &least, &most, &sum);
	assert_int_equal(least, 7);
	assert_int_equal(most, 7);
	assert_int_equal(sum, 28);
}

/* Without a silence there is nothing to tell periods by. */
static void test_no_silence(void **state)
{
	struct periods p = {.length = LENGTH, .n = 4};

	for (uint64_t t = 1; t < 20 * LENGTH; t += LENGTH / 10)
		periods_count(&p, t, 1);
	assert_int_equal(periods_seen(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_periods),
		cmocka_unit_test(test_too_much_and_too_little),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_no_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
