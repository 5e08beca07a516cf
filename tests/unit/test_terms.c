/* SPDX-License-Identifier: BSD-3-Clause */
/* From options to guests, and from guests to the terms of their accounts. */
#include "config/terms.h"

#include "unit.h"

#include <errno.h>

#define MS UINT64_C(1000000)

static struct options options(void)
{
	return (struct options){.socket_path = "/run/s"};
}

/* What a guest has of which nothing is said. */
static const struct spec otherwise = {
	.mode = 0640,
	.gid = 42,
	.weight = 1,
	.lcore = SPEC_ANY_LCORE,
	.cap = BUDGET_UNLIMITED,
	.burst = 5,
	.burst_once = 6,
};

/* Without --guest all have the same. */
static void test_equal_guests(void **state)
{
	static const char *const names[] = {"0", "1", "2"};
	static const char *const paths[] = {"/run/s0", "/run/s1", "/run/s2"};
	struct options opt = options();

	for (unsigned i = 0; i < 3; i++) {
		struct spec spec;

		assert_int_equal(spec_of_socket(&opt, &otherwise, i, &spec), 0);
		assert_string_equal(spec.name, names[i]);
		assert_string_equal(spec.path, paths[i]);
		assert_int_equal(spec.mode, 0640);
		assert_int_equal(spec.gid, 42);
		assert_int_equal(spec.weight, 1);
		assert_int_equal(spec.lcore, SPEC_ANY_LCORE);
		assert_true(spec.cap == BUDGET_UNLIMITED);
		assert_int_equal(spec.burst, 5);
		assert_int_equal(spec.burst_once, 6);
	}
}

/* Rules say what differs; of two that say the same the later one. */
static void test_rules(void **state)
{
	static const uint32_t weights[] = {1, 2, 7, 2};
	struct options opt = options();

	opt.rules[opt.n_rules++] = (struct options_rule){1, 3, 2, 99, OPTIONS_AS_IT_WAS, 0};
	opt.rules[opt.n_rules++] =
		(struct options_rule){2, 2, 7, OPTIONS_AS_IT_WAS, 50, OPTIONS_AS_IT_WAS};
	for (unsigned i = 0; i < 4; i++) {
		struct spec spec;

		assert_int_equal(spec_of_socket(&opt, &otherwise, i, &spec), 0);
		assert_int_equal(spec.weight, weights[i]);
		assert_true(spec.cap == (i == 0 ? BUDGET_UNLIMITED : 99));
		assert_int_equal(spec.burst, i == 2 ? 50 : 5);
		assert_int_equal(spec.burst_once, i == 0 ? 6 : 0);
	}
}

static void test_long_path(void **state)
{
	char prefix[SOCKETS_PATH_SIZE];
	struct options opt = options();
	struct spec spec;

	memset(prefix, 'x', sizeof(prefix));
	prefix[SOCKETS_PATH_SIZE - 2] = '\0';
	opt.socket_path = prefix;
	assert_int_equal(spec_of_socket(&opt, &otherwise, 9, &spec), 0);
	assert_int_equal(spec_of_socket(&opt, &otherwise, 10, &spec), -ENAMETOOLONG);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"", " ", "a b", "a,b", "a]b", "a/b", "\"", "\xc3\xa4", "a=b"};
	char name[SPEC_NAME_SIZE + 1];

	assert_true(spec_name_is_valid("0"));
	assert_true(spec_name_is_valid("vm-7.example_org"));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(spec_name_is_valid(bad[i]));
	memset(name, 'x', sizeof(name));
	name[SPEC_NAME_SIZE - 1] = '\0';
	assert_true(spec_name_is_valid(name));
	name[SPEC_NAME_SIZE - 1] = 'x';
	name[SPEC_NAME_SIZE] = '\0';
	assert_false(spec_name_is_valid(name));
}

static void test_terms(void **state)
{
	const struct limits limits = {.max_bytes = 1000, .max_requests = 10};
	const struct spec spec = {.weight = 3, .cap = 99, .burst = 5};
	struct terms t;

	terms_of(&limits, &spec, 4, 9, &t);
	assert_int_equal(t.bytes.per_period, 1000);
	assert_int_equal(t.bytes.weight_lo, 4);
	assert_int_equal(t.bytes.weight_hi, 7);
	assert_int_equal(t.bytes.weight_total, 9);
	assert_int_equal(t.bytes.cap, 99);
	assert_int_equal(t.bytes.depth, 5);
	assert_int_equal(t.requests.per_period, 10);
	assert_int_equal(t.requests.weight_lo, 4);
	assert_int_equal(t.requests.weight_hi, 7);
	assert_true(t.requests.cap == BUDGET_UNLIMITED);
	assert_int_equal(t.requests.depth, 0);
}

/* Who comes has nothing of what the others share; where nothing is limited, there is no need. */
static void test_without_share(void **state)
{
	struct limits limits = {.max_bytes = 1000, .max_requests = BUDGET_UNLIMITED};
	const struct spec spec = {.weight = 3, .cap = 99, .burst = 5};
	struct terms t;

	terms_without_share(&limits, &spec, &t);
	for (uint64_t period = 0; period < 5; period++) {
		assert_int_equal(budget_share(&t.bytes, period), 0);
		assert_true(budget_share(&t.requests, period) == BUDGET_UNLIMITED);
	}
	limits.max_bytes = BUDGET_UNLIMITED;
	terms_without_share(&limits, &spec, &t);
	assert_true(budget_share(&t.bytes, 0) == BUDGET_UNLIMITED);
	assert_int_equal(t.bytes.cap, 99);
}

/* A change comes with a period, in time for all lcores to hear of it. */
static void test_change_from(void **state)
{
	uint64_t wait;

	assert_int_equal(terms_change_from(0, 1000 * MS, UINT64_MAX, &wait), 1);
	assert_int_equal(wait, 0);
	assert_int_equal(terms_change_from(5900 * MS, 1000 * MS, UINT64_MAX, &wait), 6);
	assert_int_equal(terms_change_from(5990 * MS, 1000 * MS, UINT64_MAX, &wait), 7);
	assert_int_equal(terms_change_from(5990 * MS, MS, UINT64_MAX, &wait), 6011);
	/* One that has come is no matter. */
	assert_int_equal(terms_change_from(5900 * MS, 1000 * MS, 5, &wait), 6);
	assert_int_equal(wait, 0);
}

/* Changes that follow each other do not put each other off. */
static void test_change_again(void **state)
{
	uint64_t wait;

	assert_int_equal(terms_change_from(5100 * MS, 1000 * MS, 6, &wait), 6);
	assert_int_equal(wait, 0);
	assert_int_equal(terms_change_from(5100 * MS, 1000 * MS, 8, &wait), 8);
	assert_int_equal(wait, 0);
	/* Too late for period 6: it must have come. */
	assert_int_equal(terms_change_from(5985 * MS, 1000 * MS, 6, &wait), 7);
	assert_int_equal(wait, 15 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_guests),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_without_share),
		cmocka_unit_test(test_change_from),
		cmocka_unit_test(test_change_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
