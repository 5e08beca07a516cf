/* SPDX-License-Identifier: BSD-3-Clause */
#include "parse.h"

#include "unit.h"

#include <errno.h>

static void test_bytes(void **state)
{
	static const struct {
		const char *s;
		int err;
		uint64_t bytes;
	} cases[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"007", 0, 7},
		{"1k", 0, 1000},
		{"1K", 0, 1000},
		{"2M", 0, 2000000},
		{"3G", 0, 3000000000},
		{"4T", 0, 4000000000000},
		{"1ki", 0, 1024},
		{"1Ki", 0, 1024},
		{"2Mi", 0, 2097152},
		{"3Gi", 0, 3221225472},
		{"4Ti", 0, 4398046511104},
		{"18446744073709551615", 0, UINT64_MAX},
		{"16777215Ti", 0, 16777215ull << 40},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"16777216Ti", -ERANGE, 0},
		{"18446744073709551615k", -ERANGE, 0},
		{"18446744073709552k", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"k", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1 k", -EINVAL, 0},
		{"1kk", -EINVAL, 0},
		{"1kB", -EINVAL, 0},
		{"1kib", -EINVAL, 0},
		{"1i", -EINVAL, 0},
		{"1m", -EINVAL, 0},
		{"1g", -EINVAL, 0},
		{"1t", -EINVAL, 0},
		{"1P", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1.5k", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t bytes = 0;
		int err = parse_bytes(cases[i].s, 0, UINT64_MAX, &bytes);

		if (err != cases[i].err || (err == 0 && bytes != cases[i].bytes))
			fail_msg("'%s': %d, %llu", cases[i].s, err, (unsigned long long)bytes);
	}
}

static void test_bytes_in_a_range(void **state)
{
	uint64_t v;

	assert_int_equal(parse_bytes("1k", 1000, 1000, &v), 0);
	assert_int_equal(parse_bytes("999", 1000, 2000, &v), -ERANGE);
	assert_int_equal(parse_bytes("2001", 1000, 2000, &v), -ERANGE);
}

static void test_range(void **state)
{
	uint64_t v;

	assert_int_equal(parse_range("5", 5, 5, &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(parse_range("4", 5, 6, &v), -ERANGE);
	assert_int_equal(parse_range("7", 5, 6, &v), -ERANGE);
	assert_int_equal(parse_range("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_range("5k", 0, 10000, &v), -EINVAL);
	assert_int_equal(parse_range("", 0, 1, &v), -EINVAL);
}

static void test_list(void **state)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "1,,2", "2-1", "1-", "-1", "1,1", "1-3,2", "a", "1 ", "65536"};
	unsigned list[4], n;

	assert_int_equal(parse_list("2,4-6", list, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_memory_equal(list, ((unsigned[]){2, 4, 5, 6}), sizeof(list));
	assert_int_equal(parse_list("2,4-7", list, 4, &n), -EINVAL);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_list(bad[i], list, 4, &n), -EINVAL);
}

static void test_span(void **state)
{
	static const char *const bad[] = {"", "-", "3-", "-3", "4-3", "3-4-5", "3,4", "x"};
	uint64_t first, last;

	assert_int_equal(parse_span("7", &first, &last), 0);
	assert_true(first == 7 && last == 7);
	assert_int_equal(parse_span("3-5", &first, &last), 0);
	assert_true(first == 3 && last == 5);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse_span(bad[i], &first, &last), -EINVAL);
}

static void test_decimal(void **state)
{
	static const struct {
		const char *s;
		unsigned places;
		int err;
		uint64_t value;
	} cases[] = {
		{"0", 3, 0, 0},
		{"1", 3, 0, 1000},
		{"007", 0, 0, 7},
		{"0.3", 3, 0, 300},
		{"12.345", 3, 0, 12345},
		{"0.100", 3, 0, 100},
		{"8.000000000000000001", 18, 0, UINT64_C(8000000000000000001)},
		{"18.446744073709551615", 18, 0, UINT64_MAX},
		{"18.446744073709551616", 18, -ERANGE, 0},
		{"19", 18, -ERANGE, 0},
		{"99999999999999999999999", 0, -ERANGE, 0},
		{"0.1234", 3, -ERANGE, 0},
		{"0.1000", 3, -ERANGE, 0},
		{"1.0", 0, -ERANGE, 0},
		{"", 3, -EINVAL, 0},
		{".", 3, -EINVAL, 0},
		{".5", 3, -EINVAL, 0},
		{"5.", 3, -EINVAL, 0},
		{"1..2", 3, -EINVAL, 0},
		{"1.2.3", 3, -EINVAL, 0},
		{"1e0", 3, -EINVAL, 0},
		{"-1", 3, -EINVAL, 0},
		{" 1", 3, -EINVAL, 0},
		{"1 ", 3, -EINVAL, 0},
		{"0x1", 3, -EINVAL, 0},
		{"nan", 3, -EINVAL, 0},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 0;
		int err = parse_decimal(cases[i].s, cases[i].places, &value);

		if (err != cases[i].err || (err == 0 && value != cases[i].value))
			fail_msg("'%s': %d, %llu", cases[i].s, err, (unsigned long long)value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_bytes_in_a_range),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
