/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SETTINGS_H
#define VRNG_SETTINGS_H

/*
 * All that can be configured, as tables: a row is all that is needed for an option to be on the
 * command line, in the configuration file, in --help and in what --check-config prints. Pure.
 */

#include "config/options.h"
#include "config/setting.h"

/** Options, of struct options: those of the command line, and what a file says in [daemon]. */
extern const struct setting_table settings_daemon;

/** What a guest's own section says, of struct options_guest. */
extern const struct setting_table settings_guest;

/**
 * Set one option, and note that it was given.
 *
 * @param value  kept by reference, for as long as 'opt' is used
 * @return       0; -EINVAL when the value is refused
 */
int settings_set(struct options *opt, const struct setting *s, const char *value, struct why *why);

/** Does all that was given mean something? @return 0 or -EINVAL */
int settings_check(const struct options *opt, struct why *why);

/**
 * Options that differ and that cannot change while the daemon runs, as "a, b"; cut when there are
 * more than fit.
 *
 * @return  how many
 */
unsigned settings_name_fixed(
	const struct options *was, const struct options *is, char *names, size_t size);

/** The kind of value that --guest takes, of struct options: "N[-M],KEY=VALUE,...". */
int settings_rule(const struct setting *s, void *options, const char *value, struct why *why);
void settings_print_rules(const struct setting *s, const void *options, FILE *file);

#endif
