/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SETTINGS_H
#define VRNG_SETTINGS_H

/*
 * All options, as one table: a row is all that is needed for an option to be on the command line,
 * in the configuration file, in --help and in what --check-config prints. Pure.
 *
 * A refusal is a sentence that goes on after the option's name: "'x' is not ...".
 */

#include "config/options.h"
#include "config/setting.h"

#include <getopt.h>

/** There is a bit for each in options.given. */
#define SETTINGS_MAX 64

/** Room for the letters of getopt_long(3). */
#define SETTINGS_LETTERS_SIZE 32

/** The row of an option; NULL: there is none of that name. */
const struct setting *settings_find(const char *name);

/** The row of a result of getopt_long(3) with what settings_getopt() made; NULL: none. */
const struct setting *settings_of_result(int c);

/** What getopt_long(3) wants to know of options on the command line. */
void settings_getopt(char letters[SETTINGS_LETTERS_SIZE], struct option names[SETTINGS_MAX + 1]);

/**
 * Set one option.
 *
 * @param s      a row with a value
 * @param value  kept by reference, for as long as 'opt' is used
 * @return       0; -EINVAL when the value is refused
 */
int settings_set(struct options *opt, const struct setting *s, const char *value, struct why *why);

/** Does all that was given mean something? @return 0 or -EINVAL */
int settings_check(const struct options *opt, struct why *why);

/** The options' part of --help. */
void settings_help(FILE *file);

/** As lines of a file, below [daemon]. */
void settings_print(const struct options *opt, FILE *file);

/**
 * Options that differ and that cannot change while the daemon runs, as "a, b"; cut when there are
 * more than fit.
 *
 * @return  how many
 */
unsigned settings_name_fixed(
	const struct options *was, const struct options *is, char *names, size_t size);

/* Sections of guests: settings_guest.c */

/**
 * Set what a guest's own section says. As settings_set().
 *
 * @return  0; -EINVAL when the value is refused; -ENOENT when a guest has nothing of that name
 */
int settings_set_guest(
	struct options_guest *g, const char *name, const char *value, struct why *why);

/** All that a guest has, also where the options say it for all, as lines of its section. */
void settings_print_guest(const struct options *opt, const struct options_guest *g, FILE *file);

/* Options that are lists: settings_lists.c. In a row, 'at' is 0 */

int settings_rule(const struct setting *s, void *to, const char *arg, struct why *why);
void settings_print_rules(const struct setting *s, const void *from, FILE *file);
int settings_source(const struct setting *s, void *to, const char *value, struct why *why);
void settings_print_sources(const struct setting *s, const void *from, FILE *file);
int settings_sandbox_dir(const struct setting *s, void *to, const char *value, struct why *why);
void settings_print_sandbox_dirs(const struct setting *s, const void *from, FILE *file);
int settings_lcore(const struct setting *s, void *to, const char *value, struct why *why);
void settings_print_lcores(const struct setting *s, const void *from, FILE *file);

#endif
