/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/spec.h"

#include "budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool spec_name_is_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len < SPEC_NAME_SIZE && strspn(name, letters) == len;
}

static void apply(uint64_t *value, uint64_t said)
{
	if (said != OPTIONS_AS_IT_WAS)
		*value = said;
}

int spec_of_socket(
	const struct options *opt, const struct spec *otherwise, unsigned index, struct spec *spec)
{
	uint64_t weight = otherwise->weight;

	*spec = *otherwise;
	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *rule = &opt->rules[i];

		if (index < rule->first || index > rule->last)
			continue;
		apply(&weight, rule->weight);
		apply(&spec->cap, rule->cap);
		apply(&spec->burst, rule->burst);
		apply(&spec->burst_once, rule->burst_once);
	}
	spec->weight = (uint32_t)weight;
	snprintf(spec->name, sizeof(spec->name), "%u", index);
	return sockets_path(opt->socket_path, index, spec->path) ? 0 : -ENAMETOOLONG;
}

/* Of a guest with a section of its own; what that does not say is there, too. */
static int of_section(const struct options *opt, const struct options_guest *g, gid_t gid,
	struct spec *spec, struct why *why)
{
	*spec = (struct spec){
		.client = g->client != 0,
		.mode = g->mode,
		.gid = gid,
		.weight = (uint32_t)g->weight,
		.lcore = g->lcore,
		.cap = g->cap,
		.burst = g->burst,
		.burst_once = g->burst_once,
	};
	snprintf(spec->name, sizeof(spec->name), "%s", g->name);
	if (snprintf(spec->path, sizeof(spec->path), "%s", g->socket) >= (int)sizeof(spec->path))
		return why_set(why, -ENAMETOOLONG,
			"socket path %s of guest %s has more than the %d bytes that a Unix socket can "
			"have: choose a shorter one",
			g->socket, g->name, SOCKETS_PATH_SIZE - 1);
	/* That of all was found. */
	if (g->group == opt->socket_group || sockets_find_group(g->group, &spec->gid) == 0)
		return 0;
	return why_set(why, -ENOENT,
		"[guest %s] socket-group '%s' is no group of this system: make it (groupadd), or "
		"choose another",
		g->name, g->group);
}

static int fill(const struct options *opt, struct specs *specs, struct why *why)
{
	int err = 0;

	for (unsigned i = 0; i < opt->socket_count && err == 0; i++)
		if (spec_of_socket(opt, &specs->otherwise, i, &specs->all[i]) != 0)
			err = why_set(why, -ENAMETOOLONG,
				"socket path %s%u has more than the %d bytes that a Unix socket can "
				"have: choose a shorter --socket-path",
				opt->socket_path, i, SOCKETS_PATH_SIZE - 1);
	for (unsigned i = 0; i < opt->n_guests && err == 0; i++)
		err = of_section(opt, &opt->guests[i], specs->otherwise.gid,
			&specs->all[opt->socket_count + i], why);
	return err;
}

static int check_places(const struct specs *specs, struct why *why)
{
	unsigned places = 0;

	for (unsigned i = 0; i < specs->n; i++)
		places += spec_places(&specs->all[i]);
	if (places <= SPEC_PLACES_MAX)
		return 0;
	return why_set(why, -E2BIG,
		"%u guests are more than one process can serve, which is %d, or %d in client mode: "
		"start several, each with its own",
		specs->n, OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
}

static int check_pair(const struct spec *a, const struct spec *b, struct why *why)
{
	if (strcmp(a->name, b->name) == 0)
		return why_set(why, -EEXIST,
			"there are two guests %s, on %s and on %s: choose another name (the guests "
			"of --socket-path have numbers)",
			a->name, a->path, b->path);
	if (strcmp(a->path, b->path) == 0)
		return why_set(why, -EEXIST,
			"guests %s and %s have the same socket %s: choose another path for one",
			a->name, b->name, a->path);
	return 0;
}

static int check(const struct specs *specs, struct why *why)
{
	int err = check_places(specs, why);

	for (unsigned i = 0; i < specs->n && err == 0; i++)
		for (unsigned k = 0; k < i && err == 0; k++)
			err = check_pair(&specs->all[k], &specs->all[i], why);
	return err;
}

int specs_make(const struct options *opt, struct specs *specs, struct why *why)
{
	int err;

	*specs = (struct specs){
		.otherwise =
			{
				.client = opt->client,
				.mode = opt->socket_mode,
				.gid = (gid_t)-1,
				.weight = 1,
				.lcore = SPEC_ANY_LCORE,
				.cap = BUDGET_UNLIMITED,
				.burst = opt->burst,
				.burst_once = opt->burst_once,
			},
	};
	if (opt->socket_count > options_sockets_max(opt))
		return why_set(why, -E2BIG,
			"--socket-count %u is more than the %u sockets that one process can serve "
			"%s --client: start several, each with its own --socket-path",
			opt->socket_count, options_sockets_max(opt),
			opt->client ? "with" : "without");
	specs->n = opt->socket_count + opt->n_guests;
	specs->all = calloc(specs->n + 1, sizeof(specs->all[0]));
	if (specs->all == NULL)
		return why_set(why, -ENOMEM, "no memory for %u guests", specs->n);
	if (opt->socket_group != NULL &&
		sockets_find_group(opt->socket_group, &specs->otherwise.gid) != 0)
		return why_set(why, -ENOENT,
			"--socket-group '%s' is no group of this system: make it (groupadd), or "
			"choose another",
			opt->socket_group);
	err = fill(opt, specs, why);
	return err == 0 ? check(specs, why) : err;
}

int spec_refuse_lcore(const struct spec *spec, struct why *why)
{
	return why_set(why, -EINVAL,
		"guest %s: lcore %u does not poll: name one that does, or none (see --lcores)",
		spec->name, spec->lcore);
}

void specs_fini(struct specs *specs)
{
	free(specs->all);
	*specs = (struct specs){0};
}
