/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SETTING_H
#define VRNG_SETTING_H

/*
 * A row of a table of things that can be set: what it is called, what it takes, where that is kept,
 * and how it is written in a file. And the kinds of values that most rows have.
 *
 * Pure. Knows nothing of what the rows are about.
 */

#include "why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SETTING_WORDS_MAX 3

struct options;

/** When an option means something. */
struct setting_condition {
	bool (*holds)(const struct options *opt);
	const char *otherwise; /* goes on after its name: "is for ...: add that, or leave it out" */
};

struct setting {
	const char *name;
	/**
	 * @param to  where the value is kept, 'at' bytes into the object that is set
	 * @return    0; -EINVAL, and 'why' goes on after the name: "'x' is not ..."
	 */
	int (*set)(const struct setting *s, void *to, const char *value, struct why *why);
	/** As lines of a file; what cannot be said there is a comment. NULL: nothing. */
	void (*print)(const struct setting *s, const void *from, FILE *file);
	size_t at;

	/* On the command line */
	char letter;	   /* '\0': it has none */
	const char *takes; /* what --help calls the value; NULL: there is none, it says yes */
	const char *help;  /* lines; NULL: it is not on the command line */

	bool several;			      /* it may be given again, and adds to the first */
	bool line_only;			      /* it is not in a file */
	bool live;			      /* it may change while the daemon runs */
	const struct setting_condition *only; /* NULL: it always means something */

	/* For the kinds of values below, as each says */
	size_t size;
	uint64_t min, max, scale;
	const char *words[SETTING_WORDS_MAX + 1];
	const char *what; /* a number of 'what', or an example of a text: "a path such as /a" */
	const char *otherwise; /* what nothing means, in words */
};

/** A text that is not empty, kept by reference: const char *. Of the row: what, otherwise. */
int setting_text(const struct setting *s, void *to, const char *value, struct why *why);
void setting_print_text(const struct setting *s, const void *from, FILE *file);

/** A number of bytes, 'min' to 'max': uint64_t. UINT64_MAX is nothing. */
int setting_bytes(const struct setting *s, void *to, const char *value, struct why *why);

/** A whole number, 'min' to 'max', kept times 'scale': uint64_t or uint32_t by 'size'. */
int setting_number(const struct setting *s, void *to, const char *value, struct why *why);

/** For both; all bits set is nothing, and called 'otherwise'. */
void setting_print_number(const struct setting *s, const void *from, FILE *file);

/** One of 'words': its index, an unsigned or a bool by 'size'. */
int setting_word(const struct setting *s, void *to, const char *value, struct why *why);
void setting_print_word(const struct setting *s, const void *from, FILE *file);

/** Access rights, octal: mode_t. */
int setting_mode(const struct setting *s, void *to, const char *value, struct why *why);
void setting_print_mode(const struct setting *s, const void *from, FILE *file);

/** A line "name = text", or a comment when a file cannot say that text. */
void setting_print_line(const struct setting *s, const char *text, FILE *file);

/** A comment: nothing was said, and that means 'otherwise'. */
void setting_print_nothing(const struct setting *s, FILE *file);

/** Do two objects have the same? */
bool setting_is_same(const struct setting *s, const void *a, const void *b);

/** The row of that name; NULL: there is none. */
const struct setting *setting_find(const struct setting *rows, size_t n, const char *name);

#endif
