/* SPDX-License-Identifier: BSD-3-Clause */
#include "terms.h"

#include "unit.h"

static struct options options(unsigned n_sockets)
{
	return (struct options){.socket_count = n_sockets,
		.max_bytes = 1000,
		.max_requests = 10,
		.burst = 5,
		.burst_once = 6};
}

/* Without --guest all have the same, and lie side by side. */
static void test_equal(void **state)
{
	struct options opt = options(3);

	for (unsigned i = 0; i < 3; i++) {
		struct terms t;

		terms_of(&opt, i, &t);
		assert_int_equal(t.bytes.per_period, 1000);
		assert_int_equal(t.bytes.weight_lo, i);
		assert_int_equal(t.bytes.weight_hi, i + 1);
		assert_int_equal(t.bytes.weight_total, 3);
		assert_true(t.bytes.cap == BUDGET_UNLIMITED);
		assert_int_equal(t.bytes.depth, 5);
		assert_int_equal(t.once_bytes, 6);
		assert_int_equal(t.requests.per_period, 10);
		assert_int_equal(t.requests.weight_lo, i);
		assert_int_equal(t.requests.depth, 0);
	}
}

/* Rules say what differs; of two that say the same the later one. The line has no gap. */
static void test_rules(void **state)
{
	static const uint32_t weights[] = {1, 2, 7, 2};
	struct options opt = options(4);
	uint32_t lo = 0;

	opt.rules[opt.n_rules++] = (struct options_rule){1, 3, 2, 99, OPTIONS_AS_IT_WAS, 0};
	opt.rules[opt.n_rules++] =
		(struct options_rule){2, 2, 7, OPTIONS_AS_IT_WAS, 50, OPTIONS_AS_IT_WAS};
	for (unsigned i = 0; i < 4; i++) {
		struct terms t;

		terms_of(&opt, i, &t);
		assert_int_equal(t.bytes.weight_lo, lo);
		lo += weights[i];
		assert_int_equal(t.bytes.weight_hi, lo);
		assert_int_equal(t.bytes.weight_total, 12);
		assert_true(t.bytes.cap == (i == 0 ? BUDGET_UNLIMITED : 99));
		assert_int_equal(t.bytes.depth, i == 2 ? 50 : 5);
		assert_int_equal(t.once_bytes, i == 0 ? 6 : 0);
		assert_true(t.requests.cap == BUDGET_UNLIMITED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
