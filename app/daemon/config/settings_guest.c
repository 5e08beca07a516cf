/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said of some of the guests: in their own sections of the file, and by --guest. */
#include "config/settings.h"

#include "parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Sections */

/* It has a name already, and no source of its own: say where those are. */
static int refuse_name(const struct setting *s, void *guest, const char *value, struct why *why)
{
	return why_set(why, -EINVAL,
		"'%s' is not here: a guest's name is in its section's, [guest %s]", value, value);
}

static int refuse_source(const struct setting *s, void *guest, const char *value, struct why *why)
{
	return why_set(why, -EINVAL,
		"'%s' is not possible: all guests of a process are served from the sources of "
		"[daemon], in 'filename'; start another dpdk-vhost-rng for another source",
		value);
}

static bool makes_socket(const void *guest)
{
	return ((const struct options_guest *)guest)->client == 0;
}

static const struct setting_condition with_own_socket = {makes_socket, NULL};

#define OBJECT struct options_guest

/* clang-format off */
static const struct setting rows[] = {
	{"socket", TEXT(socket), .what = "a path such as /run/rng-vm1.sock"},
	{"mode", WORDS(client, "server", "client")},
	{"socket-mode", MODE(mode), .only = &with_own_socket},
	{"socket-group", TEXT(group), .only = &with_own_socket,
		.what = "a group's name or number", .otherwise = "the process's"},
	{"weight", NUMBER(weight, 1, OPTIONS_WEIGHT_MAX)},
	{"cap", BYTES(cap, 1, INT64_MAX), .otherwise = "no limit"},
	{"burst", BYTES(burst, 0, INT64_MAX)},
	{"burst-once", BYTES(burst_once, 0, INT64_MAX)},
	{"lcore", NUMBER(lcore, 0, UINT16_MAX), .otherwise = "any"},
	{"name", .set = refuse_name},
	{"source", .set = refuse_source},
	{"filename", .set = refuse_source},
};
/* clang-format on */

const struct setting_table settings_guest = {
	.rows = rows,
	.n = LENGTH(rows),
	.unknown = "is nothing that a guest has: there are socket, mode, socket-mode, "
		   "socket-group, weight, cap, burst, burst-once and lcore",
};

/* Rules for sockets by their numbers */

#undef OBJECT
#define OBJECT struct options_rule

static const struct setting keys[] = {
	{"weight", NUMBER(weight, 1, OPTIONS_WEIGHT_MAX)},
	{"cap", BYTES(cap, 1, INT64_MAX)},
	{"burst", BYTES(burst, 0, INT64_MAX)},
	{"burst-once", BYTES(burst_once, 0, INT64_MAX)},
};

static const struct setting_table rule_keys = {.rows = keys, .n = LENGTH(keys)};

/* "KEY=VALUE" of the rule 'arg'. */
static int set_key(struct options_rule *rule, char *text, const char *arg, struct why *why)
{
	const char *key = strsep(&text, "="), *value = text != NULL ? text : "";
	const struct setting *s = setting_find(&rule_keys, key);
	struct why reason;

	if (s == NULL)
		return why_set(why, -EINVAL,
			"'%s' has a key that is not weight, cap, burst or burst-once: '%s'", arg,
			key);
	if (setting_set(s, rule, value, &reason) != 0)
		return why_set(why, -EINVAL, "'%s' has a bad value for %s: '%s'", arg, key, value);
	return 0;
}

int settings_rule(const struct setting *s, void *options, const char *value, struct why *why)
{
	struct options *opt = options;
	struct options_rule *rule = &opt->rules[opt->n_rules];
	char text[256], *rest = text;
	int err = 0;

	if (opt->n_rules == OPTIONS_RULES_MAX)
		return why_set(why, -EINVAL,
			"'%s' is one more than the %d there can be: use ranges", value,
			OPTIONS_RULES_MAX);
	if ((size_t)snprintf(text, sizeof(text), "%s", value) >= sizeof(text))
		return why_set(why, -EINVAL, "'%s' is too long", value);
	*rule = (struct options_rule){.cap = OPTIONS_AS_IT_WAS,
		.burst = OPTIONS_AS_IT_WAS,
		.burst_once = OPTIONS_AS_IT_WAS,
		.weight = OPTIONS_AS_IT_WAS};
	if (parse_span(strsep(&rest, ","), &rule->first, &rule->last) != 0 || rest == NULL)
		return why_set(why, -EINVAL,
			"'%s' does not begin with the number of a socket, or two of them, such as "
			"0,weight=2 or 4-7,cap=1M",
			value);
	while (rest != NULL && err == 0)
		err = set_key(rule, strsep(&rest, ","), value, why);
	opt->n_rules += err == 0;
	return err;
}

void settings_print_rules(const struct setting *s, const void *options, FILE *file)
{
	const struct options *opt = options;

	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *r = &opt->rules[i];

		fprintf(file, "%s = %" PRIu64 "-%" PRIu64, s->name, r->first, r->last);
		for (unsigned k = 0; k < LENGTH(keys); k++) {
			uint64_t v = setting_value(&keys[k], r);

			if (v != OPTIONS_AS_IT_WAS)
				fprintf(file, ",%s=%" PRIu64, keys[k].name, v);
		}
		fputc('\n', file);
	}
}
