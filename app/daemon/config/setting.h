/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SETTING_H
#define VRNG_SETTING_H

/*
 * What can be set in an object, as a table: a row says what a value is called, what it takes, where
 * it is kept, and how it is written in a file. And the kinds of values that most rows have.
 *
 * A refusal is a sentence that goes on after the row's name: "'x' is not ...".
 *
 * Pure. Knows nothing of what the rows are about.
 */

#include "why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** When a value means something. */
struct setting_condition {
	bool (*holds)(const void *object);
	const char *otherwise; /* goes on after its name: "is for ...: add that, or leave it out" */
};

struct setting {
	const char *name;
	/**
	 * Set it in an object.
	 *
	 * @param value  kept by reference where it is a text
	 * @return       0; -EINVAL, and 'why' is said
	 */
	int (*set)(const struct setting *s, void *object, const char *value, struct why *why);
	/** As lines of a file; what cannot be said there is a comment. NULL: nothing. */
	void (*print)(const struct setting *s, const void *object, FILE *file);
	size_t at, size; /* where it is kept in the object */

	/* On the command line */
	char letter;	   /* '\0': it has none */
	const char *alias; /* another name; NULL: none */
	const char *takes; /* what --help calls the value; NULL: there is none, it says yes */
	const char *help;  /* lines; NULL: it is not on the command line */

	bool several;			      /* it may be given again, and adds to the first */
	bool line_only;			      /* it is not in a file */
	bool live;			      /* it may change while the daemon runs */
	const struct setting_condition *only; /* NULL: it always means something */

	/* For the kinds of values below, as each says */
	uint64_t min, max, scale;
	const char *limit;	  /* what a person is told for 'max'; NULL: its digits */
	size_t n_at;		  /* where the number of texts is kept in the object: unsigned */
	const char *const *words; /* two or three, and NULL */
	const char *what; /* a number of 'what', or an example of a text: "a path such as /a" */
	const char *otherwise; /* what nothing means, in words */
};

/** All that can be set in one kind of object; at most 64 rows. */
struct setting_table {
	const struct setting *rows;
	unsigned n;
	const char *unknown; /* what is said of a name that is not there */
};

/* Kinds. The macros are for rows about the fields of a struct that the file calls OBJECT. */

#define AT(field) .at = offsetof(OBJECT, field), .size = sizeof(((OBJECT *)0)->field)

/** A text that is not empty, kept by reference: const char *. Of the row: what, otherwise. */
int setting_text(const struct setting *s, void *object, const char *value, struct why *why);
void setting_print_text(const struct setting *s, const void *object, FILE *file);
#define TEXT(field) .set = setting_text, .print = setting_print_text, AT(field)

/** The same, up to 'max' of them: const char *[], and their number at 'n_at'. */
int setting_texts(const struct setting *s, void *object, const char *value, struct why *why);
void setting_print_texts(const struct setting *s, const void *object, FILE *file);
#define TEXTS(field, number, most)                                                      \
	.set = setting_texts, .print = setting_print_texts, AT(field), .several = true, \
	.n_at = offsetof(OBJECT, number), .max = (most)

/** A number of bytes, 'min' to 'max': uint64_t. UINT64_MAX is nothing. */
int setting_bytes(const struct setting *s, void *object, const char *value, struct why *why);
#define BYTES(field, least, most)                                                       \
	.set = setting_bytes, .print = setting_print_number, AT(field), .min = (least), \
	.max = (most)

/** A whole number, 'min' to 'max', kept times 'scale': uint64_t or uint32_t by 'size'. */
int setting_number(const struct setting *s, void *object, const char *value, struct why *why);
#define NUMBER(field, least, most)                                                       \
	.set = setting_number, .print = setting_print_number, AT(field), .min = (least), \
	.max = (most)

/** For both; all bits set is nothing, and called 'otherwise'. */
void setting_print_number(const struct setting *s, const void *object, FILE *file);

/** As it is kept: bytes, numbers, words. Nothing: UINT64_MAX. */
uint64_t setting_value(const struct setting *s, const void *object);

/** One of 'words': its index, uint32_t or bool by 'size'. */
int setting_word(const struct setting *s, void *object, const char *value, struct why *why);
void setting_print_word(const struct setting *s, const void *object, FILE *file);
#define WORDS(field, ...)                                            \
	.set = setting_word, .print = setting_print_word, AT(field), \
	.words = (const char *const[])                               \
	{                                                            \
		__VA_ARGS__, NULL                                    \
	}
#define FLAG(field) WORDS(field, "no", "yes")

/** Access rights, octal: mode_t. */
int setting_mode(const struct setting *s, void *object, const char *value, struct why *why);
void setting_print_mode(const struct setting *s, const void *object, FILE *file);
#define MODE(field) .set = setting_mode, .print = setting_print_mode, AT(field)

/** A line "name = text", or a comment when a file cannot say that text. */
void setting_print_line(const struct setting *s, const char *text, FILE *file);

/** A comment: nothing was said, and that means 'otherwise'. */
void setting_print_nothing(const struct setting *s, FILE *file);

/* Tables */

/**
 * Set one value. All that the command line and the configuration file say comes through here.
 *
 * @param value  kept by reference where it is a text
 * @return       0; -EINVAL: refused, also if it has a control character
 */
int setting_set(const struct setting *s, void *object, const char *value, struct why *why);

/** The row of that name; NULL: there is none. */
const struct setting *setting_find(const struct setting_table *t, const char *name);

/** The bit that stands for a row of that table. */
uint64_t setting_bit(const struct setting_table *t, const struct setting *s);

/** All that means something, as lines of a file. */
void setting_print_all(const struct setting_table *t, const void *object, FILE *file);

/** Do two objects have the same? */
bool setting_is_same(const struct setting *s, const void *a, const void *b);

#endif
