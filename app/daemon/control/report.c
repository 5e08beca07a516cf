/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report.h"

#include "clock.h"
#include "control/request.h"
#include "lcore/sleeper.h"
#include "lcore/worker.h"
#include "log_level.h"
#include "sandbox/refused.h"

#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

/* JSON */

struct item {
	const char *name;
	json_t *value; /* NULL: no memory */
};

/* Takes the values over, of which the last one has no name. */
static json_t *object(const struct item *items)
{
	json_t *object = json_object();
	bool whole = object != NULL;

	for (; items->name != NULL; items++)
		whole &= json_object_set_new(object, items->name, items->value) == 0;
	if (whole)
		return object;
	json_decref(object);
	return NULL;
}

/* A list of the reports number 0 to 'n' - 1. */
static json_t *list(
	const struct daemon *d, unsigned n, json_t *(*report)(const struct daemon *d, unsigned i))
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n && list != NULL; i++) {
		if (json_array_append_new(list, report(d, i)) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Null: there is none. */
static json_t *limit(uint64_t amount)
{
	return amount == UINT64_MAX ? json_null() : number(amount);
}

static json_t *text(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

static json_t *counter(const uint64_t *counter)
{
	return number(stats_read(counter));
}

/* Guests */

static const char *const guest_states[] = {
	[GUEST_ALONE] = "alone",
	[GUEST_CONNECTED] = "connected",
	[GUEST_SERVED] = "served",
};

static const char *const waits_for[WAITING_KINDS] = {
	[WAITING_FOR_TOKENS] = "tokens",
	[WAITING_FOR_BYTES] = "bytes",
};

static json_t *report_counters(const struct guest *g, const uint64_t waited_ns[WAITING_KINDS])
{
	const struct rng_stats *stats = &g->dev.stats;
	const struct item items[] = {
		{"requests", counter(&stats->requests)},
		{"bytes", counter(&stats->bytes)},
		{"short", counter(&stats->short_reqs)},
		{"calls", counter(&stats->calls)},
		{"kicks", counter(&stats->kicks)},
		{"throttled", counter(&stats->throttled)},
		{"throttled_ns", number(waited_ns[WAITING_FOR_TOKENS])},
		{"starved", counter(&stats->starved)},
		{"starved_ns", number(waited_ns[WAITING_FOR_BYTES])},
		{"broken", counter(&stats->broken)},
		{NULL, NULL},
	};

	return object(items);
}

json_t *report_guest(const struct guest *g)
{
	uint64_t now_ns = clock_now_ns(), waited_ns[WAITING_KINDS];
	enum waiting_for waits = waiting_read(&g->waiting, now_ns, waited_ns);
	const struct spec *spec = &g->spec;
	const struct item items[] = {
		{"name", text(spec->name)},
		{"socket", request_text(spec->path)},
		{"mode", text(spec->client ? "client" : "server")},
		{"state", text(guest_states[guest_state(g)])},
		{"broken", text(guest_fault(g))},
		{"waits_for", text(waits_for[waits])},
		{"lcore", number(guest_lcore(g))},
		{"pinned", json_boolean(spec->lcore != SPEC_ANY_LCORE)},
		{"weight", number(spec->weight)},
		{"cap", limit(spec->cap)},
		{"burst", number(spec->burst)},
		{"draining", json_boolean(guest_is_draining(g))},
		{"age_s", number((now_ns - g->added_ns) / SECOND_NS)},
		{"counters", report_counters(g, waited_ns)},
		{NULL, NULL},
	};

	return object(items);
}

static json_t *report_guest_number(const struct daemon *d, unsigned i)
{
	return report_guest(guests_table(d->guests)->all[i]);
}

json_t *report_guests(const struct daemon *d)
{
	return list(d, guests_table(d->guests)->n, report_guest_number);
}

/* What makes bytes */

static struct idle_stats times_of(const struct worker *w)
{
	struct idle_stats times;

	worker_times(w, &times);
	return times;
}

json_t *report_lcore(const struct daemon *d, unsigned i)
{
	const struct worker *w = service_workers(d->service)->all[i];
	const struct entropy_stats *entropy = worker_entropy_stats(w);
	const struct intake_stats *tap = service_tap(d->service, i);
	const struct sleeper_latency *latency = worker_latency(w);
	const struct idle_stats times = times_of(w);
	int cpu = eal_lcore_cpu(worker_lcore(w));
	const struct item items[] = {
		{"lcore", number(worker_lcore(w))},
		{"cpu", cpu >= 0 ? number((uint64_t)cpu) : json_null()},
		{"guests", number(worker_load(w))},
		{"reseeds", counter(&entropy->reseeds)},
		{"generated", counter(&entropy->generated)},
		{"overdue", json_boolean(stats_read(&entropy->overdue) != 0)},
		{"failed", json_boolean(stats_read(&entropy->failed) != 0)},
		{"drawn", tap != NULL ? counter(&tap->bytes) : json_null()},
		{"busy_ns", number(times.ns[IDLE_BUSY])},
		{"spinning_ns", number(times.ns[IDLE_SPINNING])},
		{"pausing_ns", number(times.ns[IDLE_PAUSING])},
		{"sleeping_ns", number(times.ns[IDLE_SLEEPING])},
		{"blocked_ns", number(times.ns[IDLE_BLOCKED])},
		{"sleeps", number(times.sleeps)},
		{"blocks", number(times.blocks)},
		{"wakes", number(latency != NULL ? latency_count(&latency->wake) : 0)},
		{NULL, NULL},
	};

	return object(items);
}

static const char *const source_states[] = {
	[INTAKE_OK] = "ok",
	[INTAKE_STARTING] = "starting",
	[INTAKE_NOT_YET] = "waiting",
	[INTAKE_ENDED] = "ended",
	[INTAKE_FAILED] = "failed",
	[INTAKE_UNWELL] = "unwell",
};

json_t *report_source(const struct daemon *d, unsigned i)
{
	struct intake_stats sum;

	service_source(d->service, i, &sum);
	return json_pack("{s:o, s:s, s:o, s:o, s:o}", "file", request_text(d->opt.sources[i]),
		"state", source_states[sum.state], "bytes", number(sum.bytes), "unwell",
		number(sum.unwell), "errors", number(sum.errors));
}

const char *report_source_mode(const struct daemon *d)
{
	return d->opt.drbg ? "drbg" : "passthrough";
}

/* All of it */

json_t *report_budget(const struct daemon *d)
{
	const struct limits *limits = guests_limits(d->guests);
	const struct guest_counts n = guests_count(d->guests);
	const struct item items[] = {
		{"max-bytes", limit(limits->max_bytes)},
		{"max-requests", limit(limits->max_requests)},
		{"period_ms", number(d->opt.period_ms)},
		{"sharing", text(d->opt.fair ? "fair" : "strict")},
		{"refill", text(d->opt.smooth ? "smooth" : "period")},
		{"guests", number(n.all)},
		{"weights", number(n.weights)},
		{NULL, NULL},
	};

	return object(items);
}

/* What the process gave up. */
static json_t *report_sandbox_part(const struct daemon *d, unsigned i)
{
	const struct sandbox_report *r = &d->sandbox;
	const bool in_force = r->parts[i].in_force, missing = r->parts[i].wanted && !in_force;

	return json_pack("{s:s, s:s, s:s?}", "part", sandbox_part_name(i), "state",
		in_force  ? "in-force"
		: missing ? "missing"
			  : "off",
		"why", missing ? r->parts[i].why_not : NULL);
}

static json_t *report_guest_counts(const struct daemon *d)
{
	const struct guest_counts n = guests_count(d->guests);

	return json_pack(
		"{s:i, s:i, s:i}", "all", n.all, "connected", n.connected, "served", n.served);
}

json_t *report_status(const struct daemon *d)
{
	uint64_t up_ns = clock_now_ns() - service_epoch_ns(d->service);
	const struct item items[] = {
		{"pid", number((uint64_t)getpid())},
		{"uptime_s", number(up_ns / SECOND_NS)},
		{"guests", report_guest_counts(d)},
		{"draining", json_boolean(d->draining)},
		{"budget", report_budget(d)},
		{"source-mode", text(report_source_mode(d))},
		{"sources", list(d, d->opt.n_sources, report_source)},
		{"lcores", list(d, service_workers(d->service)->n, report_lcore)},
		{"log-level", text(log_level_name(d->opt.log_level))},
		{"sandbox", list(d, SANDBOX_PARTS, report_sandbox_part)},
		{"refused-calls", number(refused_count())},
		{NULL, NULL},
	};

	return object(items);
}
