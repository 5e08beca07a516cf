/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <errno.h>
#include <string.h>

/* Return how many bytes the control character has that 'text' begins with; 0: another one. */
static size_t control_bytes(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if ((c[0] > 0 && c[0] < 0x20) || c[0] == 0x7f)
		return 1;
	return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

int text_check(const char *text, struct why *why)
{
	for (const char *c = text; *c != '\0'; c++) {
		size_t n = control_bytes(c);
		char shown[2 * sizeof("\\xNN")], character[3] = "";

		if (n == 0)
			continue;
		memcpy(character, c, n);
		text_escape(character, shown, sizeof(shown));
		return why_set(why, -EINVAL,
			"has the control character %s after %zu bytes, in '%s': use a text without "
			"one (rename a file, or give a symbolic link to it)",
			shown, (size_t)(c - text), text);
	}
	return 0;
}

static void escape_byte(unsigned char byte, char *to)
{
	static const char digits[] = "0123456789abcdef";

	to[0] = '\\';
	to[1] = 'x';
	to[2] = digits[byte >> 4];
	to[3] = digits[byte & 15];
}

void text_escape(const char *text, char *to, size_t size)
{
	size_t len = 0;

	while (*text != '\0') {
		size_t n = control_bytes(text), needed = n > 0 ? n * strlen("\\xNN") : 1;

		if (len + needed >= size)
			break;
		if (n == 0)
			to[len++] = *text++;
		for (; n > 0; n--, len += strlen("\\xNN"))
			escape_byte((unsigned char)*text++, to + len);
	}
	to[len] = '\0';
}
