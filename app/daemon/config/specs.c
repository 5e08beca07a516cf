/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/specs.h"

#include "budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find_group(const char *name, gid_t *gid, struct why *why)
{
	if (name == NULL)
		*gid = (gid_t)-1;
	else if (sockets_find_group(name, gid) != 0)
		return why_set(
			why, -ENOENT, "--socket-group '%s' is no group of this system", name);
	return 0;
}

int specs_default(const struct options *opt, struct spec *spec, struct why *why)
{
	*spec = (struct spec){
		.client = opt->client,
		.mode = opt->socket_mode,
		.weight = 1,
		.lcore = SPEC_ANY_LCORE,
		.cap = BUDGET_UNLIMITED,
		.burst = opt->burst,
		.burst_once = opt->burst_once,
	};
	return find_group(opt->socket_group, &spec->gid, why);
}

static int of_section(const struct options *opt, const struct options_guest *g,
	const struct spec *otherwise, struct spec *spec, struct why *why)
{
	*spec = *otherwise;
	snprintf(spec->name, sizeof(spec->name), "%s", g->name);
	if (snprintf(spec->path, sizeof(spec->path), "%s", g->socket) >= (int)sizeof(spec->path))
		return why_set(why, -ENAMETOOLONG,
			"socket path %s of guest %s has more than the %d bytes that a Unix socket can "
			"have: choose a shorter one",
			g->socket, g->name, SOCKETS_PATH_SIZE - 1);
	spec->weight = (uint32_t)g->weight;
	spec->lcore = g->lcore;
	spec->cap = g->cap;
	spec->burst = g->burst;
	spec->burst_once = g->burst_once;
	spec->client = g->client != 0;
	spec->mode = g->mode;
	return g->group != NULL ? find_group(g->group, &spec->gid, why) : 0;
}

static int fill(const struct options *opt, struct spec *specs, struct why *why)
{
	struct spec otherwise;
	int err = specs_default(opt, &otherwise, why);

	for (unsigned i = 0; i < opt->socket_count && err == 0; i++)
		if (spec_of_socket(opt, i, otherwise.gid, &specs[i]) != 0)
			err = why_set(why, -ENAMETOOLONG,
				"socket path %s%u has more than the %d bytes that a Unix socket can "
				"have: choose a shorter --socket-path",
				opt->socket_path, i, SOCKETS_PATH_SIZE - 1);
	for (unsigned i = 0; i < opt->n_guests && err == 0; i++)
		err = of_section(
			opt, &opt->guests[i], &otherwise, &specs[opt->socket_count + i], why);
	return err;
}

static int check(const struct spec *specs, unsigned n, struct why *why)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(specs[i].name, specs[k].name) == 0)
				return why_set(why, -EEXIST,
					"there are two guests %s, on %s and on %s: choose another "
					"name (the guests of --socket-path have numbers)",
					specs[i].name, specs[k].path, specs[i].path);
			if (strcmp(specs[i].path, specs[k].path) == 0)
				return why_set(why, -EEXIST,
					"guests %s and %s have the same socket %s: choose another "
					"path for one",
					specs[k].name, specs[i].name, specs[i].path);
		}
	}
	return 0;
}

static int check_places(const struct spec *specs, unsigned n, struct why *why)
{
	unsigned places = 0;

	for (unsigned i = 0; i < n; i++)
		places += spec_places(&specs[i]);
	if (places <= SPEC_PLACES_MAX)
		return 0;
	return why_set(why, -EMFILE,
		"%u guests are more than one process can serve, which is %d, or %d in client mode: "
		"start several, each with its own",
		n, OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
}

int specs_make(const struct options *opt, struct spec **specs, unsigned *n_specs, struct why *why)
{
	uint64_t n = (uint64_t)opt->socket_count + opt->n_guests;
	int err;

	if (opt->socket_count > options_sockets_max(opt))
		return why_set(why, -EMFILE,
			"--socket-count %u is more than the %u sockets that one process can serve "
			"%s --client: start several, each with its own --socket-path",
			opt->socket_count, options_sockets_max(opt),
			opt->client ? "with" : "without");
	*specs = calloc(n + 1, sizeof((*specs)[0]));
	if (*specs == NULL)
		return why_set(why, -ENOMEM, "no memory for %u guests", (unsigned)n);
	err = fill(opt, *specs, why);
	if (err == 0)
		err = check_places(*specs, (unsigned)n, why);
	if (err == 0)
		err = check(*specs, (unsigned)n, why);
	if (err != 0) {
		free(*specs);
		*specs = NULL;
		return err;
	}
	*n_specs = (unsigned)n;
	return 0;
}
