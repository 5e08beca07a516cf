/* SPDX-License-Identifier: BSD-3-Clause */
#include "parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Decimal digits. @param end  what comes after them */
static int parse_digits(const char *s, char **end, uint64_t *value)
{
	unsigned long long v;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, end, 10);
	if (errno != 0)
		return -ERANGE;
	*value = v;
	return 0;
}

int parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;
	int err = parse_digits(s, &end, value);

	if (err == 0 && *end != '\0')
		err = -EINVAL;
	if (err == 0 && (*value < min || *value > max))
		err = -ERANGE;
	return err;
}

/* Multiply by what the suffix says. */
static int apply_suffix(const char *suffix, uint64_t *value)
{
	static const char prefixes[] = "kMGT";
	const char *prefix = strchr(prefixes, *suffix == 'K' ? 'k' : *suffix);
	unsigned base = suffix[1] == 'i' ? 1024 : 1000;

	if (prefix == NULL || suffix[base == 1024 ? 2 : 1] != '\0')
		return -EINVAL;
	for (unsigned power = (unsigned)(prefix - prefixes) + 1; power > 0; power--)
		if (__builtin_mul_overflow(*value, base, value))
			return -ERANGE;
	return 0;
}

int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *bytes)
{
	char *end;
	int err = parse_digits(s, &end, bytes);

	if (err == 0 && *end != '\0')
		err = apply_suffix(end, bytes);
	if (err == 0 && (*bytes < min || *bytes > max))
		err = -ERANGE;
	return err;
}

/* Append a decimal digit. */
static int append_digit(uint64_t *value, unsigned digit)
{
	if (__builtin_mul_overflow(*value, 10, value) ||
		__builtin_add_overflow(*value, digit, value))
		return -ERANGE;
	return 0;
}

int parse_decimal(const char *s, unsigned places, uint64_t *value)
{
	size_t whole = strspn(s, "0123456789"), fraction = 0;
	int err = 0;

	if (s[whole] == '.')
		fraction = strspn(s + whole + 1, "0123456789");
	if (whole == 0 || (s[whole] == '.' && fraction == 0) ||
		s[whole + (fraction > 0) + fraction] != '\0')
		return -EINVAL;
	if (fraction > places)
		return -ERANGE;
	*value = 0;
	for (size_t i = 0; i < whole && err == 0; i++)
		err = append_digit(value, (unsigned)(s[i] - '0'));
	for (size_t i = 0; i < places && err == 0; i++)
		err = append_digit(value, i < fraction ? (unsigned)(s[whole + 1 + i] - '0') : 0);
	return err;
}

/* The span that 's' begins with. */
static int parse_first_span(const char *s, char **end, uint64_t *first, uint64_t *last)
{
	if (parse_digits(s, end, first) != 0)
		return -EINVAL;
	*last = *first;
	if (**end == '-' && parse_digits(*end + 1, end, last) != 0)
		return -EINVAL;
	return *first <= *last ? 0 : -EINVAL;
}

int parse_span(const char *s, uint64_t *first, uint64_t *last)
{
	char *end;
	int err = parse_first_span(s, &end, first, last);

	return err == 0 && *end != '\0' ? -EINVAL : err;
}

int parse_list(const char *s, unsigned *list, unsigned max, unsigned *n)
{
	uint64_t first, last;
	char *end;

	*n = 0;
	for (;;) {
		if (parse_first_span(s, &end, &first, &last) != 0 || last > UINT16_MAX)
			return -EINVAL;
		for (; first <= last; first++) {
			for (unsigned i = 0; i < *n; i++)
				if (list[i] == first)
					return -EINVAL;
			if (*n == max)
				return -EINVAL;
			list[(*n)++] = (unsigned)first;
		}
		if (*end == '\0')
			return 0;
		if (*end != ',')
			return -EINVAL;
		s = end + 1;
	}
}
