/* SPDX-License-Identifier: BSD-3-Clause */
/* Options that are lists, or that add to one. */
#include "config/settings.h"

#include "parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Terms of some of the sockets */

/* "KEY=VALUE" of a --guest option. */
static int set_key(const char *arg, const char *key, const char *value, struct options_rule *rule,
	struct why *why)
{
	const bool is_weight = strcmp(key, "weight") == 0;
	uint64_t v, *to;
	int err;

	if (strcmp(key, "cap") == 0)
		to = &rule->cap;
	else if (strcmp(key, "burst") == 0)
		to = &rule->burst;
	else if (strcmp(key, "burst-once") == 0)
		to = &rule->burst_once;
	else if (is_weight)
		to = &rule->weight;
	else
		return why_set(why, -EINVAL,
			"'%s' has a key that is not weight, cap, burst or burst-once: '%s'", arg,
			key);
	if (is_weight)
		err = parse_range(value, 1, OPTIONS_WEIGHT_MAX, &v);
	else
		err = parse_bytes(value, to == &rule->cap, INT64_MAX, &v);
	if (err != 0)
		return why_set(why, -EINVAL, "'%s' has a bad value for %s: '%s'", arg, key, value);
	*to = v;
	return 0;
}

/* "N[-M],KEY=VALUE,...", into the next rule. */
int settings_rule(const struct setting *s, void *to, const char *arg, struct why *why)
{
	struct options *opt = to;
	struct options_rule *rule;
	char text[256], *rest = text, *key;

	(void)s;
	/* What is said on the command line replaces what the file says. */
	if (opt->rules_layer != opt->layer)
		opt->n_rules = 0;
	opt->rules_layer = opt->layer;
	if (opt->n_rules == OPTIONS_RULES_MAX)
		return why_set(why, -EINVAL,
			"'%s' is one more than the %d there can be: use ranges", arg,
			OPTIONS_RULES_MAX);
	if ((size_t)snprintf(text, sizeof(text), "%s", arg) >= sizeof(text))
		return why_set(why, -EINVAL, "'%s' is too long", arg);
	rule = &opt->rules[opt->n_rules];
	*rule = (struct options_rule){.cap = OPTIONS_AS_IT_WAS,
		.burst = OPTIONS_AS_IT_WAS,
		.burst_once = OPTIONS_AS_IT_WAS,
		.weight = OPTIONS_AS_IT_WAS};
	if (parse_span(strsep(&rest, ","), &rule->first, &rule->last) != 0 || rest == NULL)
		return why_set(why, -EINVAL,
			"'%s' does not begin with the number of a socket, or two of them, such as "
			"0,weight=2 or 4-7,cap=1M",
			arg);
	while ((key = strsep(&rest, ",")) != NULL) {
		char *value = key;
		int err;

		key = strsep(&value, "=");
		err = set_key(arg, key, value != NULL ? value : "", rule, why);
		if (err != 0)
			return err;
	}
	opt->n_rules++;
	return 0;
}

void settings_print_rules(const struct setting *s, const void *from, FILE *file)
{
	const struct options *opt = from;

	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *r = &opt->rules[i];

		fprintf(file, "%s = %" PRIu64 "-%" PRIu64, s->name, r->first, r->last);
		if (r->weight != OPTIONS_AS_IT_WAS)
			fprintf(file, ",weight=%" PRIu64, r->weight);
		if (r->cap != OPTIONS_AS_IT_WAS)
			fprintf(file, ",cap=%" PRIu64, r->cap);
		if (r->burst != OPTIONS_AS_IT_WAS)
			fprintf(file, ",burst=%" PRIu64, r->burst);
		if (r->burst_once != OPTIONS_AS_IT_WAS)
			fprintf(file, ",burst-once=%" PRIu64, r->burst_once);
		fputc('\n', file);
	}
}

/* Sources */

int settings_source(const struct setting *s, void *to, const char *value, struct why *why)
{
	struct options *opt = to;

	(void)s;
	if (opt->sources_layer != opt->layer)
		opt->n_sources = 0;
	opt->sources_layer = opt->layer;
	if (opt->n_sources == OPTIONS_SOURCES_MAX)
		return why_set(why, -EINVAL, "'%s' is one more than the %d sources there can be",
			value, OPTIONS_SOURCES_MAX);
	if (value[0] == '\0')
		return why_set(why, -EINVAL, "is empty: give a file such as /dev/urandom");
	opt->sources[opt->n_sources++] = value;
	return 0;
}

void settings_print_sources(const struct setting *s, const void *from, FILE *file)
{
	const struct options *opt = from;

	for (unsigned i = 0; i < opt->n_sources; i++)
		setting_print_line(s, opt->sources[i], file);
}

/* Directories for later */

int settings_sandbox_dir(const struct setting *s, void *to, const char *value, struct why *why)
{
	struct options *opt = to;
	struct sandbox_options *so = &opt->sandbox;

	(void)s;
	if (opt->dirs_layer != opt->layer)
		so->n_dirs = 0;
	opt->dirs_layer = opt->layer;
	if (value[0] == '\0')
		return why_set(why, -EINVAL, "is empty: give a directory");
	if (so->n_dirs == SANDBOX_DIRS_MAX)
		return why_set(why, -EINVAL, "'%s' is one more than the %d there can be", value,
			SANDBOX_DIRS_MAX);
	so->dirs[so->n_dirs++] = value;
	return 0;
}

void settings_print_sandbox_dirs(const struct setting *s, const void *from, FILE *file)
{
	const struct options *opt = from;

	for (unsigned i = 0; i < opt->sandbox.n_dirs; i++)
		setting_print_line(s, opt->sandbox.dirs[i], file);
}

/* Lcores */

int settings_lcore(const struct setting *s, void *to, const char *value, struct why *why)
{
	struct options *opt = to;

	(void)s;
	if (parse_list(value, opt->lcores, OPTIONS_LCORES_MAX, &opt->n_lcores) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not a list of at most %d different CPUs, such as 2,4-6", value,
			OPTIONS_LCORES_MAX);
	return 0;
}

void settings_print_lcores(const struct setting *s, const void *from, FILE *file)
{
	const struct options *opt = from;

	if (opt->n_lcores == 0) {
		setting_print_nothing(s, file);
		return;
	}
	fprintf(file, "%s = ", s->name);
	for (unsigned i = 0; i < opt->n_lcores; i++)
		fprintf(file, "%u%c", opt->lcores[i], i + 1 < opt->n_lcores ? ',' : '\n');
}
