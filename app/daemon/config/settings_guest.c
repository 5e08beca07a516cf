/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest's own section in the configuration file can say. */
#include "config/settings.h"

#include "config/spec.h"

#include <errno.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define AT(field)                                    \
	.at = offsetof(struct options_guest, field), \
	.size = sizeof(((struct options_guest *)0)->field)

/* It has a name already, and no source of its own: say where those are. */
static int refuse_name(const struct setting *s, void *to, const char *value, struct why *why)
{
	(void)s;
	(void)to;
	return why_set(why, -EINVAL,
		"'%s' is not here: a guest's name is in its section's, [guest %s]", value, value);
}

static int refuse_source(const struct setting *s, void *to, const char *value, struct why *why)
{
	(void)s;
	(void)to;
	return why_set(why, -EINVAL,
		"'%s' is not possible: all guests of a process are served from the sources of "
		"[daemon], in 'filename'; start another dpdk-vhost-rng for another source",
		value);
}

/* clang-format off */
static const struct setting settings[] = {
	{"socket", .set = setting_text, .print = setting_print_text, AT(socket),
		.what = "a path such as /run/rng-vm1.sock"},
	{"mode", .set = setting_word, .print = setting_print_word, AT(client),
		.words = {"server", "client"}},
	{"socket-mode", .set = setting_mode, .print = setting_print_mode, AT(mode)},
	{"socket-group", .set = setting_text, .print = setting_print_text, AT(group),
		.what = "a group's name or number", .otherwise = "the process's"},
	{"weight", .set = setting_number, .print = setting_print_number, AT(weight),
		.min = 1, .max = OPTIONS_WEIGHT_MAX},
	{"cap", .set = setting_bytes, .print = setting_print_number, AT(cap),
		.min = 1, .max = INT64_MAX, .otherwise = "no limit"},
	{"burst", .set = setting_bytes, .print = setting_print_number, AT(burst),
		.max = INT64_MAX},
	{"burst-once", .set = setting_bytes, .print = setting_print_number, AT(burst_once),
		.max = INT64_MAX},
	{"lcore", .set = setting_number, .print = setting_print_number, AT(lcore),
		.max = UINT16_MAX, .otherwise = "any"},
	{"name", .set = refuse_name},
	{"source", .set = refuse_source},
	{"filename", .set = refuse_source},
};
/* clang-format on */

int settings_set_guest(
	struct options_guest *g, const char *name, const char *value, struct why *why)
{
	const struct setting *s = setting_find(settings, LENGTH(settings), name);

	if (s == NULL)
		return why_set(why, -ENOENT,
			"is nothing that a guest has: there are socket, mode, socket-mode, "
			"socket-group, weight, cap, burst, burst-once and lcore");
	return s->set(s, (char *)g + s->at, value, why);
}

void settings_print_guest(const struct options *opt, const struct options_guest *guest, FILE *file)
{
	struct options_guest g = *guest;

	/* What it does not say is said for all. */
	g.client = options_guest_is_client(opt, guest);
	if (g.mode == OPTIONS_MODE_AS_IT_WAS)
		g.mode = opt->socket_mode;
	if (g.group == NULL)
		g.group = opt->socket_group;
	if (g.burst == OPTIONS_AS_IT_WAS)
		g.burst = opt->burst;
	if (g.burst_once == OPTIONS_AS_IT_WAS)
		g.burst_once = opt->burst_once;
	for (unsigned i = 0; i < LENGTH(settings); i++) {
		const struct setting *s = &settings[i];
		const bool is_right = s->at == offsetof(struct options_guest, mode) ||
				      s->at == offsetof(struct options_guest, group);

		if (s->print != NULL && !(is_right && g.client != 0))
			s->print(s, (const char *)&g + s->at, file);
	}
}
