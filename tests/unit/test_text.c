/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include "unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void test_texts_without_control_characters(void **state)
{
	static const char *const good[] = {"", "/run/rng.sock", " ~", "\xc3\xa4", "\xc2\xa0",
		"\xff\xfe", "\xc2", "a\x80", "\xc3"};
	struct why why;
	char escaped[64];

	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(text_check(good[i], &why), 0);
		text_escape(good[i], escaped, sizeof(escaped));
		assert_string_equal(escaped, good[i]);
	}
}

/* Each of them is refused and named, and the error itself has none. */
static void test_each_control_character(void **state)
{
	for (unsigned c = 1; c < 0xa0; c++) {
		bool is_wide = c >= 0x80;
		char text[8], shown[16];
		struct why why;

		snprintf(text, sizeof(text), is_wide ? "ab\xc2%c" : "ab%c", (int)c);
		snprintf(shown, sizeof(shown), is_wide ? "\\xc2\\x%02x" : "\\x%02x", c);
		if (c >= 0x20 && c < 0x7f) {
			assert_int_equal(text_check(text, &why), 0);
			continue;
		}
		assert_int_equal(text_check(text, &why), -EINVAL);
		assert_non_null(strstr(why.text, "after 2 bytes"));
		assert_non_null(strstr(why.text, shown));
		assert_int_equal(text_check(why.text, &why), 0);
	}
}

static void test_escape(void **state)
{
	char to[12];

	text_escape("a\nb\x1b", to, sizeof(to));
	assert_string_equal(to, "a\\x0ab\\x1b");
	/* Cut before an escape that does not fit, not within it. */
	text_escape("abcdefgh\nx", to, sizeof(to));
	assert_string_equal(to, "abcdefgh");
	text_escape("abcdefghijklmn", to, sizeof(to));
	assert_string_equal(to, "abcdefghijk");
	text_escape("a", to, 1);
	assert_string_equal(to, "");
}

/* An error that shows a refused text has no control character, and is cut where its room ends. */
static void test_errors_are_escaped(void **state)
{
	char text[WHY_SIZE + 1];
	struct why why;

	assert_int_equal(why_set(&why, -EIO, "no '%s'", "a\nvhost-rng: forged"), -EIO);
	assert_string_equal(why.text, "no 'a\\x0avhost-rng: forged'");
	memset(text, '\n', WHY_SIZE);
	text[WHY_SIZE] = '\0';
	why_set(&why, -EIO, "%s", text);
	assert_int_equal(strlen(why.text), WHY_SIZE - WHY_SIZE % 4 - 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_without_control_characters),
		cmocka_unit_test(test_each_control_character),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_errors_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
