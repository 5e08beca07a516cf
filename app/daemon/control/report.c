/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report.h"

#include "clock.h"
#include "control/request.h"
#include "control/snapshot.h"
#include "names.h"
#include "sandbox/refused.h"

#include <unistd.h>

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *limit(uint64_t amount)
{
	return amount == UINT64_MAX ? json_null() : number(amount);
}

static json_t *value_of(const struct field *f, const void *value)
{
	const char *text;

	switch (f->kind) {
	case FIELD_NUMBER:
		return number(*(const uint64_t *)value);
	case FIELD_LIMIT:
		return limit(*(const uint64_t *)value);
	case FIELD_YES:
		return json_boolean(*(const bool *)value);
	default:
		text = *(const char *const *)value;
		if (text == NULL)
			return json_null();
		return f->kind == FIELD_PATH ? request_text(text) : json_string(text);
	}
}

static json_t *report(const struct field *fields, const void *snapshot)
{
	json_t *object = json_object();

	for (; fields->name != NULL; fields++)
		json_object_set_new(object, fields->name,
			value_of(fields, (const char *)snapshot + fields->at));
	return object;
}

json_t *report_guest(const struct guest *g)
{
	struct guest_snapshot s;
	json_t *guest;

	snapshot_guest(g, &s);
	guest = report(guest_fields, &s);
	json_object_set_new(guest, "counters", report(guest_counter_fields, &s.counters));
	return guest;
}

static json_t *report_lcores(const struct daemon *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < service_n_workers(d->service); i++) {
		struct lcore_snapshot s;

		snapshot_lcore(d, i, &s);
		json_array_append_new(list, report(lcore_fields, &s));
	}
	return list;
}

static json_t *report_sources(const struct daemon *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < service_n_sources(d->service); i++) {
		struct source_snapshot s;

		snapshot_source(d, i, &s);
		json_array_append_new(list, report(source_fields, &s));
	}
	return list;
}

static json_t *report_budget(const struct daemon *d)
{
	struct budget_snapshot s;

	snapshot_budget(d, &s);
	return report(budget_fields, &s);
}

/* What the process gave up, part by part. */
static json_t *report_sandbox(const struct sandbox_report *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < SANDBOX_PARTS; i++) {
		const bool in_force = r->parts[i].in_force;
		const char *state = in_force ? "in-force" : r->parts[i].wanted ? "missing" : "off";
		const bool has_reason = !in_force && r->parts[i].wanted;

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o}", "part", sandbox_part_name(i), "state",
				      state, "why",
				      has_reason ? json_string(r->parts[i].why_not) : json_null()));
	}
	return list;
}

static json_t *report_guest_counts(const struct daemon *d)
{
	const struct guest_table *t = guests_table(d->guests);
	unsigned connected = 0, served = 0;

	for (unsigned i = 0; i < t->n; i++) {
		enum guest_state state = guest_state(t->all[i]);

		connected += state != GUEST_ALONE;
		served += state == GUEST_SERVED;
	}
	return json_pack("{s:o, s:o, s:o}", "all", number(t->n), "connected", number(connected),
		"served", number(served));
}

json_t *report_status(const struct daemon *d)
{
	const struct options *opt = &d->opt;

	return json_pack("{s:i, s:o, s:o, s:b, s:o, s:s, s:o, s:o, s:s, s:o, s:o}", "pid",
		(int)getpid(), "uptime_s",
		number((clock_now_ns() - service_epoch_ns(d->service)) / 1000000000u), "guests",
		report_guest_counts(d), "draining", d->draining, "budget", report_budget(d),
		"source-mode", opt->drbg ? "drbg" : "passthrough", "sources", report_sources(d),
		"lcores", report_lcores(d), "log-level", names_log_level(opt->log_level), "sandbox",
		report_sandbox(&d->sandbox), "refused-calls", number(refused_count()));
}
