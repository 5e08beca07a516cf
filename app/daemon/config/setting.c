/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/setting.h"

#include "parse.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* A line of a file has at most so many bytes: see config.c. */
#define LINE_BYTES_MAX 198

static void *field(const struct setting *s, void *object)
{
	return (char *)object + s->at;
}

static const void *field_of(const struct setting *s, const void *object)
{
	return (const char *)object + s->at;
}

/* Texts */

int setting_text(const struct setting *s, void *object, const char *value, struct why *why)
{
	if (value[0] == '\0')
		return why_set(why, -EINVAL, "is empty: give %s", s->what);
	*(const char **)field(s, object) = value;
	return 0;
}

static bool has_comment(const char *text)
{
	for (; *text != '\0'; text++)
		if (isspace((unsigned char)text[0]) && text[1] == ';')
			return true;
	return false;
}

/* In a file, white space around a value is not part of it, and a comment may follow one. */
static bool is_sayable(const struct setting *s, const char *text)
{
	size_t len = strlen(text);

	return len > 0 && strlen(s->name) + strlen("=") + len <= LINE_BYTES_MAX &&
	       !isspace((unsigned char)text[0]) && strchr("\";", text[0]) == NULL &&
	       !isspace((unsigned char)text[len - 1]) && strchr(text, '\n') == NULL &&
	       !has_comment(text);
}

void setting_print_line(const struct setting *s, const char *text, FILE *file)
{
	size_t len = strlen(s->name) + strlen(" = ") + strlen(text);

	if (is_sayable(s, text))
		fprintf(file, "%s%s%s\n", s->name, len <= LINE_BYTES_MAX ? " = " : "=", text);
	else
		fprintf(file, "# %s: what the command line says cannot be said in a file\n",
			s->name);
}

void setting_print_nothing(const struct setting *s, FILE *file)
{
	fprintf(file, "# %s: %s\n", s->name, s->otherwise);
}

void setting_print_text(const struct setting *s, const void *object, FILE *file)
{
	const char *text = *(const char *const *)field_of(s, object);

	if (text == NULL)
		setting_print_nothing(s, file);
	else
		setting_print_line(s, text, file);
}

int setting_texts(const struct setting *s, void *object, const char *value, struct why *why)
{
	unsigned *n = (unsigned *)((char *)object + s->n_at);

	if (*n == s->max)
		return why_set(
			why, -EINVAL, "'%s' is one more than the %u there can be", value, *n);
	if (value[0] == '\0')
		return why_set(why, -EINVAL, "is empty: give %s", s->what);
	((const char **)field(s, object))[(*n)++] = value;
	return 0;
}

void setting_print_texts(const struct setting *s, const void *object, FILE *file)
{
	unsigned n = *(const unsigned *)((const char *)object + s->n_at);

	for (unsigned i = 0; i < n; i++)
		setting_print_line(s, ((const char *const *)field_of(s, object))[i], file);
}

/* Numbers */

uint64_t setting_value(const struct setting *s, const void *object)
{
	const void *from = field_of(s, object);
	uint64_t v64;
	uint32_t v32;

	if (s->size == sizeof(bool))
		return *(const bool *)from;
	if (s->size == sizeof(v64)) {
		memcpy(&v64, from, sizeof(v64));
		return v64;
	}
	memcpy(&v32, from, sizeof(v32));
	return v32 == UINT32_MAX && s->otherwise != NULL ? UINT64_MAX : v32;
}

static void store(const struct setting *s, void *object, uint64_t value)
{
	uint32_t v32 = (uint32_t)value;
	void *to = field(s, object);

	if (s->size == sizeof(bool))
		*(bool *)to = value != 0;
	else if (s->size == sizeof(value))
		memcpy(to, &value, sizeof(value));
	else
		memcpy(to, &v32, sizeof(v32));
}

static uint64_t scale_of(const struct setting *s)
{
	return s->scale > 0 ? s->scale : 1;
}

/* "2^63-1" rather than 9223372036854775807. */
static const char *show_limit(const struct setting *s, char *text, size_t size)
{
	if (s->limit != NULL)
		return s->limit;
	if (s->max == INT64_MAX)
		return "2^63-1";
	snprintf(text, size, "%" PRIu64, s->max);
	return text;
}

int setting_bytes(const struct setting *s, void *object, const char *value, struct why *why)
{
	char max[24];
	uint64_t v;

	if (parse_bytes(value, s->min, s->max, &v) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not a number of bytes from %" PRIu64
			" to %s, such as 512, 64k or 1Mi",
			value, s->min, show_limit(s, max, sizeof(max)));
	store(s, object, v);
	return 0;
}

int setting_number(const struct setting *s, void *object, const char *value, struct why *why)
{
	char max[24];
	uint64_t v;

	if (parse_range(value, s->min, s->max, &v) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not a whole number%s%s from %" PRIu64 " to %s", value,
			s->what != NULL ? " of " : "", s->what != NULL ? s->what : "", s->min,
			show_limit(s, max, sizeof(max)));
	store(s, object, v * scale_of(s));
	return 0;
}

void setting_print_number(const struct setting *s, const void *object, FILE *file)
{
	uint64_t v = setting_value(s, object);

	if (v == UINT64_MAX)
		setting_print_nothing(s, file);
	else
		fprintf(file, "%s = %" PRIu64 "\n", s->name, v / scale_of(s));
}

/* Words */

int setting_word(const struct setting *s, void *object, const char *value, struct why *why)
{
	const char *const *w = s->words;

	for (unsigned i = 0; w[i] != NULL; i++) {
		if (strcmp(w[i], value) != 0)
			continue;
		store(s, object, i);
		return 0;
	}
	if (w[2] == NULL)
		return why_set(why, -EINVAL, "'%s' is not %s or %s", value, w[0], w[1]);
	return why_set(why, -EINVAL, "'%s' is not %s, %s or %s", value, w[0], w[1], w[2]);
}

void setting_print_word(const struct setting *s, const void *object, FILE *file)
{
	fprintf(file, "%s = %s\n", s->name, s->words[setting_value(s, object)]);
}

/* Access rights */

int setting_mode(const struct setting *s, void *object, const char *value, struct why *why)
{
	unsigned long v = 0;
	char *end = NULL;

	if (value[0] >= '0' && value[0] <= '7')
		v = strtoul(value, &end, 8);
	if (end == NULL || *end != '\0' || v > 0777)
		return why_set(why, -EINVAL,
			"'%s' is not an octal mode from 0 to 0777, such as 0660", value);
	*(mode_t *)field(s, object) = (mode_t)v;
	return 0;
}

void setting_print_mode(const struct setting *s, const void *object, FILE *file)
{
	fprintf(file, "%s = %04o\n", s->name, (unsigned)*(const mode_t *)field_of(s, object));
}

/* Tables */

int setting_set(const struct setting *s, void *object, const char *value, struct why *why)
{
	int err = text_check(value, why);

	return err == 0 ? s->set(s, object, value, why) : err;
}

const struct setting *setting_find(const struct setting_table *t, const char *name)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct setting *s = &t->rows[i];

		if (strcmp(s->name, name) == 0 || (s->alias != NULL && strcmp(s->alias, name) == 0))
			return s;
	}
	return NULL;
}

uint64_t setting_bit(const struct setting_table *t, const struct setting *s)
{
	return UINT64_C(1) << (s - t->rows);
}

void setting_print_all(const struct setting_table *t, const void *object, FILE *file)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct setting *s = &t->rows[i];

		if (s->print != NULL && !s->line_only &&
			(s->only == NULL || s->only->holds(object)))
			s->print(s, object, file);
	}
}

bool setting_is_same(const struct setting *s, const void *a, const void *b)
{
	char *text = NULL;
	size_t size, half;
	FILE *file;
	bool same;

	if (s->print == NULL)
		return true;
	file = open_memstream(&text, &size);
	if (file == NULL)
		return false;
	s->print(s, a, file);
	fflush(file);
	half = size;
	s->print(s, b, file);
	same = fclose(file) == 0 && size == 2 * half && memcmp(text, text + half, half) == 0;
	free(text);
	return same;
}
