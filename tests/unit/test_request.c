/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of the control protocol: what is one, and what is refused how. */
#include "control/request.h"

#include "unit.h"

#include <errno.h>
#include <stdlib.h>

static int parse(const char *line, struct request *r, struct why *why)
{
	why->text[0] = '\0';
	return request_parse(line, strlen(line), r, why);
}

static void assert_refused(const char *line, const char *says)
{
	struct request r;
	struct why why;

	assert_int_equal(parse(line, &r, &why), -EPROTO);
	if (strstr(why.text, says) == NULL)
		fail_msg("%s: %s does not say %s", line, why.text, says);
	request_fini(&r);
}

static void must_parse(const char *line, struct request *r)
{
	struct why why;

	if (parse(line, r, &why) != 0)
		fail_msg("%s: %s", line, why.text);
}

static void test_requests(void **state)
{
	struct request r;

	must_parse("{\"command\": \"status\"}\n", &r);
	assert_string_equal(r.command, "status");
	assert_null(r.id);
	request_fini(&r);
	must_parse("{\"id\": [1], \"version\": 1, \"command\": \"guests\", \"name\": \"a\"}", &r);
	assert_string_equal(r.command, "guests");
	assert_non_null(r.id);
	assert_true(request_has(&r, "name"));
	assert_false(request_has(&r, "socket"));
	request_fini(&r);
}

static void test_no_requests(void **state)
{
	char deep[REQUEST_LINE_MAX];

	assert_refused("", "JSON");
	assert_refused("\n", "JSON");
	assert_refused("status", "JSON");
	assert_refused("{\"command\": \"status\"", "JSON");
	assert_refused("{\"command\": \"status\"} {}", "JSON");
	assert_refused("{\"command\": \"a\", \"command\": \"b\"}", "duplicate");
	assert_refused("{\"command\": \"\xff\"}", "JSON");
	assert_refused("[\"command\"]", "object");
	assert_refused("{}", "command");
	assert_refused("{\"command\": 1}", "command");
	assert_refused("{\"command\": null}", "command");
	assert_refused("{\"command\": \"status\", \"version\": 2}", "version");
	assert_refused("{\"command\": \"status\", \"version\": \"1\"}", "version");
	/* As deep as a line can be: the stack bears it. */
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_refused(deep, "JSON");
}

/* Where it is known, the id is in the answer to what was refused. */
static void test_id_of_a_refused_one(void **state)
{
	struct request r;
	struct why why;

	assert_int_equal(parse("{\"id\": 3, \"command\": 1}", &r, &why), -EPROTO);
	assert_int_equal(json_integer_value(r.id), 3);
	request_fini(&r);
}

static void test_unknown_keys(void **state)
{
	static const char *const keys[] = {"name", "weight", NULL}, *const none[] = {NULL};
	struct request r;
	struct why why;

	must_parse("{\"command\": \"set\", \"id\": 1, \"version\": 1, \"name\": 1}", &r);
	assert_int_equal(request_only(&r, keys, &why), 0);
	assert_int_equal(request_only(&r, none, &why), -EINVAL);
	assert_non_null(strstr(why.text, "\"name\""));
	assert_non_null(strstr(why.text, "set"));
	request_fini(&r);
}

static void test_strings(void **state)
{
	const char *value = NULL;
	struct request r;
	struct why why;

	must_parse("{\"command\": \"x\", \"a\": \"b\", \"n\": 1}", &r);
	assert_int_equal(request_string(&r, "a", &value, &why), 0);
	assert_string_equal(value, "b");
	assert_int_equal(request_string(&r, "n", &value, &why), -EINVAL);
	assert_non_null(strstr(why.text, "\"n\""));
	assert_int_equal(request_string(&r, "none", &value, &why), -EINVAL);
	request_fini(&r);
	must_parse(
		"{\"command\": \"x\", \"a\": \"/b\\u001bc\", \"d\": \"\\u0085\", \"\\n\": 1}", &r);
	assert_int_equal(request_string(&r, "a", &value, &why), -EINVAL);
	assert_non_null(strstr(why.text, "\"a\" has the control character \\x1b after 2 bytes"));
	assert_int_equal(request_string(&r, "d", &value, &why), -EINVAL);
	assert_non_null(strstr(why.text, "\\xc2\\x85"));
	assert_int_equal(request_only(&r, (const char *const[]){"a", "d", NULL}, &why), -EINVAL);
	assert_non_null(strstr(why.text, "\"\\x0a\""));
	request_fini(&r);
	/* With a 0 in it, what C sees is not what was sent. */
	assert_refused("{\"command\": \"x\\u0000y\"}", "JSON");
}

static void test_numbers(void **state)
{
	static const char *const bad[] = {"-1", "0", "11", "1.0", "\"5\"", "true", "null", "[5]"};
	uint64_t value = 77;
	struct request r;
	struct why why;
	char line[64];

	must_parse("{\"command\": \"x\", \"a\": 10, \"b\": null}", &r);
	assert_int_equal(request_number(&r, "none", 1, 10, &value, &why), 0);
	assert_int_equal(value, 77);
	assert_int_equal(request_number(&r, "a", 1, 10, &value, &why), 0);
	assert_int_equal(value, 10);
	assert_int_equal(request_number_or_null(&r, "b", 1, 10, 99, &value, &why), 0);
	assert_int_equal(value, 99);
	assert_int_equal(request_number_or_null(&r, "a", 1, 10, 99, &value, &why), 0);
	assert_int_equal(value, 10);
	request_fini(&r);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(line, sizeof(line), "{\"command\": \"x\", \"a\": %s}", bad[i]);
		must_parse(line, &r);
		assert_int_equal(request_number(&r, "a", 1, 10, &value, &why), -EINVAL);
		assert_non_null(strstr(why.text, "\"a\""));
		assert_non_null(strstr(why.text, "10"));
		assert_int_equal(value, 10);
		request_fini(&r);
	}
	must_parse("{\"command\": \"x\", \"a\": 9223372036854775807}", &r);
	assert_int_equal(request_number(&r, "a", 0, INT64_MAX, &value, &why), 0);
	assert_true(value == INT64_MAX);
	request_fini(&r);
	assert_refused("{\"command\": \"x\", \"a\": 9223372036854775808}", "JSON");
}

static void test_bools(void **state)
{
	bool value = false;
	struct request r;
	struct why why;

	must_parse("{\"command\": \"x\", \"a\": true, \"b\": 1}", &r);
	assert_int_equal(request_bool(&r, "none", &value, &why), 0);
	assert_false(value);
	assert_int_equal(request_bool(&r, "a", &value, &why), 0);
	assert_true(value);
	assert_int_equal(request_bool(&r, "b", &value, &why), -EINVAL);
	request_fini(&r);
}

static void assert_answer(
	const struct request *r, int err, json_t *result, const char *said, const char *expected)
{
	struct why why;
	char *line;

	why_set(&why, 0, "%s", said);
	line = request_answer(r, err, result, &why);
	assert_string_equal(line, expected);
	free(line);
}

static void test_answers(void **state)
{
	struct request r, none = {0};

	must_parse("{\"command\": \"x\", \"id\": {\"a\": \"b\"}}", &r);
	assert_answer(&r, 0, NULL, "",
		"{\"version\":1,\"ok\":true,\"id\":{\"a\":\"b\"},\"result\":{}}\n");
	request_fini(&r);
	assert_answer(&none, 0, json_pack("{s:i}", "n", 1), "",
		"{\"version\":1,\"ok\":true,\"result\":{\"n\":1}}\n");
	assert_answer(&none, -ENOENT, NULL, "there is \"no\"\nsuch thing",
		"{\"version\":1,\"ok\":false,\"error\":{\"code\":\"not-found\","
		"\"message\":\"there is \\\"no\\\"\\\\x0asuch thing\"}}\n");
	/* Bytes that are no UTF-8, such as those of a path. */
	assert_answer(&none, -EIO, NULL, "/tmp/\xff",
		"{\"version\":1,\"ok\":false,\"error\":{\"code\":\"failed\","
		"\"message\":\"/tmp/?\"}}\n");
}

static void test_codes(void **state)
{
	static const struct {
		int err;
		const char *code;
	} table[] = {{-EPROTO, "bad-request"}, {-EINVAL, "bad-request"},
		{-ENOSYS, "unknown-command"}, {-ENOENT, "not-found"}, {-EEXIST, "exists"},
		{-EADDRINUSE, "exists"}, {-EBUSY, "failed"}};
	const struct request none = {0};
	const struct why why = {.text = "w"};

	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		char *line = request_answer(&none, table[i].err, NULL, &why);

		assert_non_null(strstr(line, table[i].code));
		free(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_no_requests),
		cmocka_unit_test(test_id_of_a_refused_one),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bools),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
