/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control protocol: any lines. Each gets one answer, a line of JSON with what docs/control.md
 * says; and what a command does with the daemon, which is none here, keeps to the bounds that its
 * functions ask for.
 */
#include "fuzz.h"

#include "budget.h"
#include "control/commands.h"
#include "control/reload.h"
#include "control/report.h"
#include "daemon.h"
#include "log.h"
#include "log_level.h"

#include <rte_version.h>

#include <errno.h>

#define LINES_MAX 64

/* The daemon */

static struct daemon daemon_of_all;
static struct guest_table table;
static struct guest known[2]; /* guests that there are: "a" and "b" */
static struct limits limits;

/* Has a command done something? A request that is refused has not. */
static bool done;

struct guest_table *guests_table(struct guests *gs)
{
	return &table;
}

const struct limits *guests_limits(const struct guests *gs)
{
	return &limits;
}

struct guest *guest_table_by_name(const struct guest_table *t, const char *name)
{
	for (unsigned i = 0; i < t->n; i++)
		if (strcmp(t->all[i]->spec.name, name) == 0)
			return t->all[i];
	return NULL;
}

static void check_spec(const struct spec *spec)
{
	FUZZ_CHECK(spec_name_is_valid(spec->name));
	FUZZ_CHECK(spec->path[0] == '/' && memchr(spec->path, '\0', sizeof(spec->path)) != NULL);
	FUZZ_CHECK(spec->weight >= 1 && spec->weight <= OPTIONS_WEIGHT_MAX);
	FUZZ_CHECK(spec->cap == BUDGET_UNLIMITED || (spec->cap >= 1 && spec->cap <= INT64_MAX));
	FUZZ_CHECK(spec->burst <= INT64_MAX && spec->burst_once <= INT64_MAX);
	FUZZ_CHECK(spec->lcore == SPEC_ANY_LCORE || spec->lcore <= UINT16_MAX);
}

int guests_add(struct guests *gs, const struct spec *spec, bool by_control, struct why *why)
{
	check_spec(spec);
	FUZZ_CHECK(by_control);
	if (guest_table_by_name(&table, spec->name) != NULL)
		return why_set(why, -EEXIST, "there is a guest %s", spec->name);
	if (table.n == 2)
		return why_set(why, -EMFILE, "too many");
	/* Slot 0 or 1: the one that is free. */
	table.all[table.n] = table.n > 0 && table.all[0] == &known[0] ? &known[1] : &known[0];
	table.all[table.n++]->spec = *spec;
	done = true;
	return 0;
}

void guests_remove(struct guests *gs, struct guest *g)
{
	FUZZ_CHECK(table.n > 0 && (g == &known[0] || g == &known[1]));
	if (g == table.all[0])
		table.all[0] = table.all[1];
	table.n--;
	done = true;
}

int guests_change(struct guests *gs, struct guest *g, const struct spec *spec, struct why *why)
{
	check_spec(spec);
	FUZZ_CHECK(strcmp(spec->name, g->spec.name) == 0 && strcmp(spec->path, g->spec.path) == 0);
	if (spec->lcore == 7)
		return why_set(why, -EINVAL, "lcore 7 does not poll");
	g->spec = *spec;
	done = true;
	return 0;
}

void guests_limit(struct guests *gs, const struct limits *to)
{
	FUZZ_CHECK(to->max_bytes >= 1 && to->max_requests >= 1);
	FUZZ_CHECK(to->max_bytes == BUDGET_UNLIMITED || to->max_bytes <= INT64_MAX);
	FUZZ_CHECK(to->max_requests == BUDGET_UNLIMITED || to->max_requests <= INT64_MAX);
	limits = *to;
	done = true;
}

void guests_drain(struct guests *gs, struct guest *g, bool draining)
{
	FUZZ_CHECK(g == &known[0] || g == &known[1]);
	done = true;
}

void daemon_drain(struct daemon *d, bool draining)
{
	d->draining = draining;
	done = true;
}

void service_reseed(struct service *s, bool due)
{
	FUZZ_CHECK(daemon_of_all.opt.drbg && !due);
	done = true;
}

int reload(struct daemon *d, bool *applied, struct why *why)
{
	FUZZ_CHECK(d->opt.config != NULL);
	if (strcmp(d->opt.config, "/bad") == 0)
		return why_set(why, -EINVAL, "/bad:1: it says nothing");
	done = true;
	return 0;
}

void log_set_level(int level)
{
	FUZZ_CHECK(log_level_name(level) != NULL);
	done = true;
}

json_t *report_status(const struct daemon *d)
{
	return json_pack("{s:b}", "draining", d->draining);
}

json_t *report_guest(const struct guest *g)
{
	return json_pack("{s:s, s:o}", "name", g->spec.name, "socket", request_text(g->spec.path));
}

json_t *report_guests(const struct daemon *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < table.n; i++)
		json_array_append_new(list, report_guest(table.all[i]));
	return list;
}

const char *rte_version(void)
{
	return "none";
}

static void start(uint8_t how)
{
	memset(&daemon_of_all, 0, sizeof(daemon_of_all));
	memset(known, 0, sizeof(known));
	memset(&table, 0, sizeof(table));
	daemon_of_all.opt.drbg = how & 1;
	if (how & 2)
		daemon_of_all.opt.config = how & 4 ? "/good" : "/bad";
	limits = (struct limits){BUDGET_UNLIMITED, BUDGET_UNLIMITED};
	table.n = 1;
	table.all[0] = &known[0];
	daemon_of_all.specs.otherwise =
		(struct spec){.weight = 1, .lcore = SPEC_ANY_LCORE, .cap = BUDGET_UNLIMITED};
	known[0].spec = daemon_of_all.specs.otherwise;
	strcpy(known[0].spec.name, "a");
	strcpy(known[0].spec.path, "/a");
}

/* The protocol */

static void check_error(const json_t *answer)
{
	static const char *const codes[] = {
		"bad-request", "unknown-command", "not-found", "exists", "failed"};
	const json_t *error = json_object_get(answer, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	bool found = false;

	FUZZ_CHECK(code != NULL);
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		found |= strcmp(code, codes[i]) == 0;
	FUZZ_CHECK(found);
	FUZZ_CHECK(json_string_length(json_object_get(error, "message")) > 0);
	FUZZ_CHECK(json_object_get(answer, "result") == NULL);
}

static void check_answer(const char *line, int err, const json_t *id)
{
	json_t *answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	FUZZ_CHECK(strchr(line, '\n') == line + strlen(line) - 1);
	FUZZ_CHECK(json_is_object(answer));
	FUZZ_CHECK(json_integer_value(json_object_get(answer, "version")) == REQUEST_VERSION);
	FUZZ_CHECK(json_is_boolean(json_object_get(answer, "ok")));
	FUZZ_CHECK(json_is_true(json_object_get(answer, "ok")) == (err == 0));
	FUZZ_CHECK((id == NULL) == (json_object_get(answer, "id") == NULL));
	if (json_is_integer(id) || json_is_string(id))
		FUZZ_CHECK(json_equal(id, json_object_get(answer, "id")));
	if (err == 0)
		FUZZ_CHECK(json_is_object(json_object_get(answer, "result")));
	else
		check_error(answer);
	json_decref(answer);
}

static void handle(const char *line, size_t len)
{
	struct why why = {.text = "nothing was said"};
	json_t *result = NULL;
	struct request r;
	char *answer;
	int err = request_parse(line, len, &r, &why);

	FUZZ_CHECK(err == 0 || err == -EPROTO);
	done = false;
	if (err == 0)
		err = commands_do(&daemon_of_all, &r, &result, &why);
	FUZZ_CHECK(err <= 0);
	FUZZ_CHECK(err == 0 || (!done && result == NULL));
	answer = request_answer(&r, err, result, &why);
	FUZZ_CHECK(answer != NULL);
	check_answer(answer, err, r.id);
	free(answer);
	request_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;

	start(size > 0 ? data[0] : 0);
	for (unsigned n = 0; n < LINES_MAX && at < end; n++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline != NULL ? newline : end) - at);

		handle(at, len < REQUEST_LINE_MAX ? len : REQUEST_LINE_MAX);
		at += len + 1;
	}
	return 0;
}
