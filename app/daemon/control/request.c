/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/request.h"

#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What an errno is called in an answer. */
static const char *code_of(int err)
{
	switch (err) {
	case -EPROTO:
	case -EINVAL:
		return "bad-request";
	case -ENOSYS:
		return "unknown-command";
	case -ENOENT:
		return "not-found";
	case -EEXIST:
	case -EADDRINUSE:
		return "exists";
	default:
		return "failed";
	}
}

static int check_version(const struct request *r, struct why *why)
{
	const json_t *version = json_object_get(r->root, "version");

	if (version == NULL ||
		(json_is_integer(version) && json_integer_value(version) == REQUEST_VERSION))
		return 0;
	return why_set(why, -EPROTO, "\"version\" is not %d, the only one that this daemon knows",
		REQUEST_VERSION);
}

int request_parse(const char *line, size_t len, struct request *r, struct why *why)
{
	json_error_t error;
	const json_t *command;

	memset(r, 0, sizeof(*r));
	/* Without JSON_ALLOW_NUL: no string has a 0 in it, which C could not hold. */
	r->root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (r->root == NULL)
		return why_set(
			why, -EPROTO, "not JSON: %s, at byte %d", error.text, error.position);
	if (!json_is_object(r->root))
		return why_set(why, -EPROTO, "not a JSON object: send {\"command\": ...}");
	r->id = json_object_get(r->root, "id");
	command = json_object_get(r->root, "command");
	if (!json_is_string(command))
		return why_set(why, -EPROTO, "\"command\" is missing, or is not a string");
	r->command = json_string_value(command);
	return check_version(r, why);
}

void request_fini(struct request *r)
{
	json_decref(r->root);
	memset(r, 0, sizeof(*r));
}

bool request_has(const struct request *r, const char *key)
{
	return json_object_get(r->root, key) != NULL;
}

static bool is_among(const char *key, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		if (strcmp(key, *keys) == 0)
			return true;
	return false;
}

int request_only(const struct request *r, const char *const *keys, struct why *why)
{
	static const char *const always[] = {"command", "id", "version", NULL};
	const char *key;
	json_t *value;

	json_object_foreach(r->root, key, value)
	{
		if (is_among(key, keys) || is_among(key, always))
			continue;
		return why_set(why, -EINVAL, "\"%s\" is nothing that %s takes", key, r->command);
	}
	return 0;
}

int request_string(const struct request *r, const char *key, const char **value, struct why *why)
{
	const json_t *v = json_object_get(r->root, key);
	struct why reason;

	if (!json_is_string(v))
		return why_set(why, -EINVAL, "%s needs \"%s\", a string", r->command, key);
	*value = json_string_value(v);
	if (text_check(*value, &reason) != 0)
		return why_set(why, -EINVAL, "\"%s\" %s", key, reason.text);
	return 0;
}

int request_number(const struct request *r, const char *key, uint64_t min, uint64_t max,
	uint64_t *value, struct why *why)
{
	const json_t *v = json_object_get(r->root, key);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		(uint64_t)json_integer_value(v) < min || (uint64_t)json_integer_value(v) > max)
		return why_set(why, -EINVAL,
			"\"%s\" is not a whole number from %" PRIu64 " to %" PRIu64, key, min, max);
	*value = (uint64_t)json_integer_value(v);
	return 0;
}

int request_number_or_null(const struct request *r, const char *key, uint64_t min, uint64_t max,
	uint64_t null, uint64_t *value, struct why *why)
{
	if (!json_is_null(json_object_get(r->root, key)))
		return request_number(r, key, min, max, value, why);
	*value = null;
	return 0;
}

int request_bool(const struct request *r, const char *key, bool *value, struct why *why)
{
	const json_t *v = json_object_get(r->root, key);

	if (v == NULL)
		return 0;
	if (!json_is_boolean(v))
		return why_set(why, -EINVAL, "\"%s\" is not true or false", key);
	*value = json_is_true(v);
	return 0;
}

json_t *request_text(const char *text)
{
	json_t *string = json_string(text);
	char *copy;

	if (string != NULL)
		return string;
	copy = strdup(text);
	for (char *p = copy; p != NULL && *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	string = json_string(copy);
	free(copy);
	return string;
}

/* json_dumps() leaves parts out when its buffer cannot grow. @return a line, or NULL: no memory */
static char *dump(const json_t *answer)
{
	const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII;
	size_t len = json_dumpb(answer, NULL, 0, flags);
	char *line = len > 0 ? malloc(len + 2) : NULL;

	if (line == NULL)
		return NULL;
	if (json_dumpb(answer, line, len, flags) != len) {
		free(line);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}

char *request_answer(const struct request *r, int err, json_t *result, const struct why *why)
{
	json_t *answer = json_pack("{s:i, s:b}", "version", REQUEST_VERSION, "ok", err == 0);
	char *line = NULL;
	int bad = 0;

	if (r->id != NULL)
		bad |= json_object_set(answer, "id", r->id);
	if (err == 0)
		bad |= json_object_set_new(
			answer, "result", result != NULL ? result : json_object());
	else
		bad |= json_object_set_new(answer, "error",
			json_pack("{s:s, s:o}", "code", code_of(err), "message",
				request_text(why->text)));
	if (answer != NULL && bad == 0)
		line = dump(answer);
	json_decref(answer);
	return line;
}
