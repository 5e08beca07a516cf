/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * drbg.c against NIST's known answers (the file that is named on the command line). Each answer is
 * also given with one bit flipped, and must then be rejected.
 */

#include "providers.h"

#include "drbg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_BYTES_MAX 256
#define CASES_EXPECTED	720

static const char *vectors_path;

struct bytes {
	uint8_t data[FIELD_BYTES_MAX];
	size_t len;
};

struct answer {
	struct drbg drbg;
	struct bytes entropy, nonce, pers;
	bool begun; /* instantiated */
	uint8_t output[FIELD_BYTES_MAX];
};

/* Hexadecimal up to a space or the end; returns where it stopped. */
static const char *parse_hex(const char *s, struct bytes *b)
{
	unsigned byte;

	for (b->len = 0; sscanf(s, "%2x", &byte) == 1 && *s != ' '; s += 2) {
		assert_true(b->len < FIELD_BYTES_MAX);
		b->data[b->len++] = (uint8_t)byte;
	}
	return *s == ' ' ? s + 1 : s;
}

static struct drbg_input input(const struct bytes *b)
{
	return (struct drbg_input){b->data, b->len};
}

static void begin(struct answer *a, struct keystream *ks)
{
	if (!a->begun)
		assert_int_equal(drbg_instantiate(&a->drbg, ks, input(&a->entropy),
					 input(&a->nonce), input(&a->pers)),
			0);
	a->begun = true;
}

static bool matches(const struct answer *a, const struct bytes *expected)
{
	return memcmp(a->output, expected->data, expected->len) == 0;
}

/* The output is compared; the case is over. */
static void check_output(struct answer *a, const char *hex, unsigned n)
{
	struct bytes expected;

	parse_hex(hex, &expected);
	assert_true(expected.len > 0);
	if (!matches(a, &expected))
		fail_msg("case %u differs from the known answer", n);
	expected.data[n % expected.len] ^= (uint8_t)(1u << n % 8);
	if (matches(a, &expected))
		fail_msg("case %u: a corrupted answer was accepted", n);
	drbg_uninstantiate(&a->drbg);
	memset(a, 0, sizeof(*a));
}

/* NIST's cases generate as many bytes in each generate as are compared at last: 64. */
#define OUTPUT_BYTES 64

static void run_line(struct answer *a, struct keystream *ks, const char *line, unsigned *n)
{
	const char *value = strchr(line, '=');
	struct bytes first, second;

	assert_non_null(value);
	value += value[1] == ' ' ? 2 : 1;
	if (strncmp(line, "entropy", 7) == 0) {
		parse_hex(value, &a->entropy);
	} else if (strncmp(line, "nonce", 5) == 0) {
		parse_hex(value, &a->nonce);
	} else if (strncmp(line, "pers", 4) == 0) {
		parse_hex(value, &a->pers);
	} else if (strncmp(line, "reseed", 6) == 0) {
		begin(a, ks);
		parse_hex(parse_hex(value, &first), &second);
		assert_int_equal(drbg_reseed(&a->drbg, input(&first), input(&second)), 0);
	} else if (strncmp(line, "generate", 8) == 0) {
		/* In two uneven pieces: the scatter form. */
		struct iovec segs[] = {{a->output, 23}, {a->output + 23, OUTPUT_BYTES - 23}};

		begin(a, ks);
		parse_hex(value, &first);
		assert_int_equal(drbg_generate(&a->drbg, segs, 2, input(&first)), 0);
	} else {
		assert_int_equal(strncmp(line, "output", 6), 0);
		check_output(a, value, (*n)++);
	}
}

static void known_answers(void **state)
{
	struct keystream *ks = the_provider(state);
	FILE *file = fopen(vectors_path, "r");
	struct answer a = {0};
	char *line = NULL;
	size_t size = 0;
	unsigned n = 0;

	assert_non_null(file);
	while (getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0' && line[0] != '#')
			run_line(&a, ks, line, &n);
	}
	free(line);
	fclose(file);
	assert_int_equal(n, CASES_EXPECTED);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {FOR_EACH_PROVIDER(known_answers)};

	vectors_path = argc > 1 ? argv[1] : "ctr_drbg_aes256_df.txt";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
