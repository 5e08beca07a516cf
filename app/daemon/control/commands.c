/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/commands.h"

#include "budget.h"
#include "control/reload.h"
#include "control/report.h"
#include "daemon.h"
#include "log.h"
#include "names.h"
#include "version.h"

#include <rte_config.h>
#include <rte_version.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef int command_fn(struct daemon *d, const struct request *r, json_t **result, struct why *why);

static int find_guest(struct daemon *d, const struct request *r, struct guest **g, struct why *why)
{
	const char *name;
	int err = request_string(r, "name", &name, why);

	if (err != 0)
		return err;
	*g = guest_table_by_name(guests_table(d->guests), name);
	if (*g == NULL)
		return why_set(why, -ENOENT, "there is no guest %s", name);
	return 0;
}

static int no_memory(struct why *why)
{
	return why_set(why, -ENOMEM, "no memory for the answer: ask again");
}

static int do_version(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	*result = json_pack("{s:s, s:s, s:i}", "program", VRNG_VERSION, "dpdk", rte_version(),
		"protocol", REQUEST_VERSION);
	return *result != NULL ? 0 : no_memory(why);
}

static int do_status(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	*result = report_status(d);
	return *result != NULL ? 0 : no_memory(why);
}

static int do_guests(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	const struct guest_table *t = guests_table(d->guests);
	json_t *list;
	struct guest *g;

	if (request_has(r, "name")) {
		int err = find_guest(d, r, &g, why);

		if (err != 0)
			return err;
		*result = json_pack("{s:[o]}", "guests", report_guest(g));
		return *result != NULL ? 0 : no_memory(why);
	}
	list = json_array();
	for (unsigned i = 0; i < t->n; i++) {
		/* All of them, or none: who is not in the list is not there. */
		if (json_array_append_new(list, report_guest(t->all[i])) != 0) {
			json_decref(list);
			return no_memory(why);
		}
	}
	*result = json_pack("{s:o}", "guests", list);
	return *result != NULL ? 0 : no_memory(why);
}

/* What a request says of a guest's terms and place, into what was there before. */
static int read_terms(const struct request *r, struct spec *spec, struct why *why)
{
	uint64_t weight = spec->weight, lcore = spec->lcore;
	int err = request_number(r, "weight", 1, OPTIONS_WEIGHT_MAX, &weight, why);

	if (err == 0)
		err = request_number_or_null(
			r, "cap", 1, INT64_MAX, BUDGET_UNLIMITED, &spec->cap, why);
	if (err == 0)
		err = request_number(r, "burst", 0, INT64_MAX, &spec->burst, why);
	if (err == 0)
		err = request_number_or_null(
			r, "lcore", 0, UINT16_MAX, SPEC_ANY_LCORE, &lcore, why);
	spec->weight = (uint32_t)weight;
	spec->lcore = (uint32_t)lcore;
	return err;
}

static int read_spec(
	const struct daemon *d, const struct request *r, struct spec *spec, struct why *why)
{
	const char *name, *path;
	int err = request_string(r, "name", &name, why);

	*spec = d->otherwise;
	if (err == 0)
		err = request_string(r, "socket", &path, why);
	if (err == 0)
		err = request_number(r, "burst-once", 0, INT64_MAX, &spec->burst_once, why);
	if (err == 0)
		err = read_terms(r, spec, why);
	if (err != 0)
		return err;
	if (!spec_name_is_valid(name))
		return why_set(why, -EINVAL, "\"name\" is not 1 to %d letters, digits and . _ -",
			SPEC_NAME_SIZE - 1);
	/* The working directory is the daemon's, not that of whoever asks. */
	if (path[0] != '/' || strlen(path) >= sizeof(spec->path))
		return why_set(why, -EINVAL,
			"\"socket\" is not an absolute path of at most %d bytes",
			SOCKETS_PATH_SIZE - 1);
	snprintf(spec->name, sizeof(spec->name), "%s", name);
	snprintf(spec->path, sizeof(spec->path), "%s", path);
	return 0;
}

static int do_add(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	struct spec spec;
	int err = read_spec(d, r, &spec, why);

	if (err == 0 && d->draining)
		err = why_set(why, -ESHUTDOWN, "the daemon is being drained: no guest may come");
	if (err == 0)
		err = guests_add(d->guests, &spec, true, why);
	if (err == 0)
		*result = report_guest(guest_table_by_name(guests_table(d->guests), spec.name));
	return err;
}

static int do_remove(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	struct guest *g;
	int err = find_guest(d, r, &g, why);

	if (err == 0)
		guests_remove(d->guests, g);
	return err;
}

static int set_guest(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	struct guest *g;
	struct spec spec;
	int err = find_guest(d, r, &g, why);

	if (err != 0)
		return err;
	if (request_has(r, "max-bytes") || request_has(r, "max-requests"))
		return why_set(why, -EINVAL,
			"max-bytes and max-requests are of all guests: leave out \"name\"");
	spec = g->spec;
	err = read_terms(r, &spec, why);
	if (err == 0)
		err = guests_change(d->guests, g, &spec, why);
	if (err == 0)
		*result = report_guest(g);
	return err;
}

static int do_set(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	struct limits limits = *guests_limits(d->guests);
	int err;

	if (request_has(r, "name"))
		return set_guest(d, r, result, why);
	if (!request_has(r, "max-bytes") && !request_has(r, "max-requests"))
		return why_set(why, -EINVAL,
			"set needs \"name\" of a guest, or \"max-bytes\" or \"max-requests\"");
	if (request_has(r, "weight") || request_has(r, "cap") || request_has(r, "burst"))
		return why_set(why, -EINVAL, "weight, cap and burst are of a guest: add \"name\"");
	err = request_number_or_null(
		r, "max-bytes", 1, INT64_MAX, BUDGET_UNLIMITED, &limits.max_bytes, why);
	if (err == 0)
		err = request_number_or_null(r, "max-requests", 1, INT64_MAX, BUDGET_UNLIMITED,
			&limits.max_requests, why);
	if (err == 0)
		guests_limit(d->guests, &limits);
	return err;
}

static int do_move(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	struct guest *g;
	struct spec spec;
	int err = find_guest(d, r, &g, why);

	if (err != 0)
		return err;
	if (!request_has(r, "lcore"))
		return why_set(why, -EINVAL, "move needs \"lcore\": a number, or null for any");
	spec = g->spec;
	err = read_terms(r, &spec, why);
	if (err == 0)
		err = guests_change(d->guests, g, &spec, why);
	if (err == 0)
		*result = report_guest(g);
	return err;
}

static int do_reseed(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	if (!d->opt.drbg)
		return why_set(why, -ENOTSUP,
			"there is nothing to reseed: the source's own bytes are served (see "
			"--source-mode)");
	service_reseed(d->service, false);
	return 0;
}

static int do_reload(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	if (d->opt.config == NULL)
		return why_set(why, -ENOTSUP, "there is nothing to read: see --config");
	return reload(d, why);
}

static int do_log_level(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	const char *name;
	int level, err = request_string(r, "level", &name, why);

	if (err != 0)
		return err;
	if (names_find_log_level(name, &level) != 0)
		return why_set(
			why, -EINVAL, "\"level\" is not error, warning, notice, info or debug");
	d->opt.log_level = level;
	log_set_level(level);
	return 0;
}

static int do_drain(struct daemon *d, const struct request *r, json_t **result, struct why *why)
{
	bool cancel = false;
	struct guest *g;
	int err = request_bool(r, "cancel", &cancel, why);

	if (err != 0)
		return err;
	if (request_has(r, "name")) {
		err = find_guest(d, r, &g, why);
		if (err == 0)
			guests_drain(d->guests, g, !cancel);
		return err;
	}
	daemon_drain(d, !cancel);
	return 0;
}

static const struct command {
	const char *name;
	command_fn *fn;
	const char *keys[8]; /* that it takes */
} commands[] = {
	{"version", do_version, {NULL}},
	{"status", do_status, {NULL}},
	{"guests", do_guests, {"name"}},
	{"add", do_add, {"name", "socket", "weight", "cap", "burst", "burst-once", "lcore"}},
	{"remove", do_remove, {"name"}},
	{"set", do_set, {"name", "weight", "cap", "burst", "max-bytes", "max-requests"}},
	{"move", do_move, {"name", "lcore"}},
	{"reseed", do_reseed, {NULL}},
	{"reload", do_reload, {NULL}},
	{"log-level", do_log_level, {"level"}},
	{"drain", do_drain, {"name", "cancel"}},
};

int commands_do(void *daemon, const struct request *r, json_t **result, struct why *why)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];
		int err;

		if (strcmp(r->command, c->name) != 0)
			continue;
		err = request_only(r, c->keys, why);
		return err != 0 ? err : c->fn(daemon, r, result, why);
	}
	return why_set(why, -ENOSYS,
		"unknown command: there are version, status, guests, add, remove, set, move, "
		"reseed, reload, log-level and drain");
}
