/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/commands.h"

#include "budget.h"
#include "control/reload.h"
#include "control/report.h"
#include "daemon.h"
#include "log.h"
#include "log_level.h"
#include "version.h"

#include <rte_config.h>
#include <rte_version.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One request, and what it is about. */
struct task {
	const struct request *r;
	struct daemon *d;
	struct guest *g; /* that it names; NULL: none */
	json_t **result;
	struct why *why;
};

static int answer(const struct task *t, json_t *report)
{
	*t->result = report;
	return report != NULL ? 0 : why_set(t->why, -ENOMEM, "no memory for the answer: ask again");
}

static int do_version(const struct task *t)
{
	return answer(t, json_pack("{s:s, s:s, s:i}", "program", VRNG_VERSION, "dpdk",
				 rte_version(), "protocol", REQUEST_VERSION));
}

static int do_status(const struct task *t)
{
	return answer(t, report_status(t->d));
}

static int do_guests(const struct task *t)
{
	json_t *list = t->g != NULL ? json_pack("[o]", report_guest(t->g)) : report_guests(t->d);

	return answer(t, json_pack("{s:o}", "guests", list));
}

/* What a request says of a guest's terms and place, into what was there before. */
static int read_terms(const struct task *t, struct spec *spec)
{
	uint64_t weight = spec->weight, lcore = spec->lcore;
	int err = request_number(t->r, "weight", 1, OPTIONS_WEIGHT_MAX, &weight, t->why);

	if (err == 0)
		err = request_number_or_null(
			t->r, "cap", 1, INT64_MAX, BUDGET_UNLIMITED, &spec->cap, t->why);
	if (err == 0)
		err = request_number(t->r, "burst", 0, INT64_MAX, &spec->burst, t->why);
	if (err == 0)
		err = request_number_or_null(
			t->r, "lcore", 0, UINT16_MAX, SPEC_ANY_LCORE, &lcore, t->why);
	spec->weight = (uint32_t)weight;
	spec->lcore = (uint32_t)lcore;
	return err;
}

static int read_spec(const struct task *t, struct spec *spec)
{
	const char *name, *path;
	int err = request_string(t->r, "name", &name, t->why);

	*spec = t->d->specs.otherwise;
	if (err == 0)
		err = request_string(t->r, "socket", &path, t->why);
	if (err == 0)
		err = request_number(t->r, "burst-once", 0, INT64_MAX, &spec->burst_once, t->why);
	if (err == 0)
		err = read_terms(t, spec);
	if (err != 0)
		return err;
	if (!spec_name_is_valid(name))
		return why_set(t->why, -EINVAL, "\"name\" is not 1 to %d letters, digits and . _ -",
			SPEC_NAME_SIZE - 1);
	/* The working directory is the daemon's, not that of whoever asks. */
	if (path[0] != '/' || strlen(path) >= sizeof(spec->path))
		return why_set(t->why, -EINVAL,
			"\"socket\" is not an absolute path of at most %d bytes",
			SOCKETS_PATH_SIZE - 1);
	strcpy(spec->name, name);
	strcpy(spec->path, path);
	return 0;
}

static int do_add(const struct task *t)
{
	struct spec spec;
	int err = read_spec(t, &spec);

	if (err == 0 && t->d->draining)
		err = why_set(t->why, -ESHUTDOWN, "the daemon is being drained: no guest may come");
	if (err == 0)
		err = guests_add(t->d->guests, &spec, true, t->why);
	if (err == 0)
		*t->result =
			report_guest(guest_table_by_name(guests_table(t->d->guests), spec.name));
	return err;
}

static int do_remove(const struct task *t)
{
	guests_remove(t->d->guests, t->g);
	return 0;
}

/* Give a guest the terms and the lcore that are asked for. */
static int change_guest(const struct task *t)
{
	struct spec spec = t->g->spec;
	int err = read_terms(t, &spec);

	if (err == 0)
		err = guests_change(t->d->guests, t->g, &spec, t->why);
	if (err == 0)
		*t->result = report_guest(t->g);
	return err;
}

static int set_limits(const struct task *t)
{
	struct limits limits = *guests_limits(t->d->guests);
	int err;

	if (request_has(t->r, "weight") || request_has(t->r, "cap") || request_has(t->r, "burst"))
		return why_set(
			t->why, -EINVAL, "weight, cap and burst are of a guest: add \"name\"");
	err = request_number_or_null(
		t->r, "max-bytes", 1, INT64_MAX, BUDGET_UNLIMITED, &limits.max_bytes, t->why);
	if (err == 0)
		err = request_number_or_null(t->r, "max-requests", 1, INT64_MAX, BUDGET_UNLIMITED,
			&limits.max_requests, t->why);
	if (err == 0)
		guests_limit(t->d->guests, &limits);
	return err;
}

static int do_set(const struct task *t)
{
	bool of_all = request_has(t->r, "max-bytes") || request_has(t->r, "max-requests");

	if (t->g == NULL && !of_all)
		return why_set(t->why, -EINVAL,
			"set needs \"name\" of a guest, or \"max-bytes\" or \"max-requests\"");
	if (t->g != NULL && of_all)
		return why_set(t->why, -EINVAL,
			"max-bytes and max-requests are of all guests: leave out \"name\"");
	return of_all ? set_limits(t) : change_guest(t);
}

static int do_move(const struct task *t)
{
	if (!request_has(t->r, "lcore"))
		return why_set(t->why, -EINVAL, "move needs \"lcore\": a number, or null for any");
	return change_guest(t);
}

static int do_reseed(const struct task *t)
{
	if (!t->d->opt.drbg)
		return why_set(t->why, -ENOTSUP,
			"there is nothing to reseed: the source's own bytes are served (see "
			"--source-mode)");
	service_reseed(t->d->service, false);
	return 0;
}

static int do_reload(const struct task *t)
{
	bool applied;

	if (t->d->opt.config == NULL)
		return why_set(t->why, -ENOTSUP, "there is nothing to read: see --config");
	return reload(t->d, &applied, t->why);
}

static int do_log_level(const struct task *t)
{
	const char *name;
	int level, err = request_string(t->r, "level", &name, t->why);

	if (err != 0)
		return err;
	if (log_level_find(name, &level) != 0)
		return why_set(
			t->why, -EINVAL, "\"level\" is not error, warning, notice, info or debug");
	t->d->opt.log_level = level;
	log_set_level(level);
	return 0;
}

static int do_drain(const struct task *t)
{
	bool cancel = false;
	int err = request_bool(t->r, "cancel", &cancel, t->why);

	if (err != 0)
		return err;
	if (t->g != NULL)
		guests_drain(t->d->guests, t->g, !cancel);
	else
		daemon_drain(t->d, !cancel);
	return 0;
}

/* Does a command name a guest that there is? */
enum naming { NO, MAY, MUST };

static const struct command {
	const char *name;
	int (*fn)(const struct task *t);
	enum naming naming;
	const char *keys[8]; /* that it takes */
} commands[] = {
	{"version", do_version, NO, {NULL}},
	{"status", do_status, NO, {NULL}},
	{"guests", do_guests, MAY, {"name"}},
	{"add", do_add, NO, {"name", "socket", "weight", "cap", "burst", "burst-once", "lcore"}},
	{"remove", do_remove, MUST, {"name"}},
	{"set", do_set, MAY, {"name", "weight", "cap", "burst", "max-bytes", "max-requests"}},
	{"move", do_move, MUST, {"name", "lcore"}},
	{"reseed", do_reseed, NO, {NULL}},
	{"reload", do_reload, NO, {NULL}},
	{"log-level", do_log_level, NO, {"level"}},
	{"drain", do_drain, MAY, {"name", "cancel"}},
};

static const struct command *find_command(const char *name)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

static int find_guest(struct task *t)
{
	const char *name;
	int err = request_string(t->r, "name", &name, t->why);

	if (err != 0)
		return err;
	t->g = guest_table_by_name(guests_table(t->d->guests), name);
	return t->g != NULL ? 0 : why_set(t->why, -ENOENT, "there is no guest %s", name);
}

int commands_do(void *daemon, const struct request *r, json_t **result, struct why *why)
{
	struct task t = {.r = r, .d = daemon, .result = result, .why = why};
	const struct command *c = find_command(r->command);
	int err;

	if (c == NULL)
		return why_set(why, -ENOSYS,
			"unknown command: there are version, status, guests, add, remove, set, "
			"move, reseed, reload, log-level and drain");
	err = request_only(r, c->keys, why);
	if (err == 0 && (c->naming == MUST || (c->naming == MAY && request_has(r, "name"))))
		err = find_guest(&t);
	return err != 0 ? err : c->fn(&t);
}
