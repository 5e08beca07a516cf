/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include "budget.h"
#include "clock.h"
#include "idle.h"
#include "names.h"
#include "refused.h"
#include "request.h"
#include "stats.h"
#include "worker.h"

#include <unistd.h>

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *counter(const uint64_t *c)
{
	return number(stats_read(c));
}

static json_t *limit(uint64_t amount)
{
	return amount == BUDGET_UNLIMITED ? json_null() : number(amount);
}

static json_t *report_counters(const struct rng_stats *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "requests", counter(&s->requests),
		"bytes", counter(&s->bytes), "short", counter(&s->short_reqs), "calls",
		counter(&s->calls), "throttled", counter(&s->throttled), "starved",
		counter(&s->starved), "broken", counter(&s->broken));
}

json_t *report_guest(const struct guest *g)
{
	const struct spec *spec = &g->spec;
	const char *fault = guest_fault(g);
	json_t *guest = json_pack(
		"{s:s, s:o, s:s, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "name",
		spec->name, "socket", request_text(spec->path), "mode",
		spec->client ? "client" : "server", "state", names_guest_state(guest_state(g)),
		"lcore", number(guest_lcore(g)), "pinned", spec->lcore != SPEC_ANY_LCORE, "weight",
		number(spec->weight), "cap", limit(spec->cap), "burst", number(spec->burst),
		"age_s", number((clock_now_ns() - g->added_ns) / 1000000000u), "broken",
		fault != NULL ? json_string(fault) : json_null(), "draining", g->draining,
		"counters", report_counters(&g->dev.stats));

	return guest;
}

/* Nanoseconds in each state; null: they are not counted. */
static void report_times(json_t *lcore, const struct idle_stats *s)
{
	static const char *const names[IDLE_STATES] = {
		[IDLE_BUSY] = "busy_ns",
		[IDLE_SPINNING] = "spinning_ns",
		[IDLE_PAUSING] = "pausing_ns",
		[IDLE_SLEEPING] = "sleeping_ns",
		[IDLE_BLOCKED] = "blocked_ns",
	};

	for (unsigned i = 0; i < IDLE_STATES; i++)
		json_object_set_new(lcore, names[i], s != NULL ? counter(&s->ns[i]) : json_null());
}

static json_t *report_lcores(const struct daemon *d)
{
	struct worker *const *workers = service_workers(d->service);
	json_t *list = json_array();

	for (unsigned i = 0; i < service_n_workers(d->service); i++) {
		const struct entropy_stats *s = worker_entropy_stats(workers[i]);
		const struct intake_stats *tap = service_tap(d->service, i);
		int cpu = eal_lcore_cpu(worker_lcore(workers[i]));

		json_t *lcore = json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "lcore",
			number(worker_lcore(workers[i])), "cpu",
			cpu >= 0 ? json_integer(cpu) : json_null(), "guests",
			number(worker_load(workers[i])), "reseeds", counter(&s->reseeds),
			"generated", counter(&s->generated), "overdue",
			stats_read(&s->overdue) != 0, "drawn",
			tap != NULL ? counter(&tap->bytes) : json_null());

		report_times(lcore, worker_idle_stats(workers[i]));
		json_array_append_new(list, lcore);
	}
	return list;
}

static json_t *report_sources(const struct daemon *d)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < service_n_sources(d->service); i++) {
		struct intake_stats s;

		service_source(d->service, i, &s);
		json_array_append_new(
			list, json_pack("{s:o, s:s, s:o, s:o, s:o}", "file",
				      request_text(d->opt.sources[i]), "state",
				      names_intake_state(s.state), "bytes", number(s.bytes),
				      "unwell", number(s.unwell), "errors", number(s.errors)));
	}
	return list;
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
	const struct limits *limits = guests_limits(d->guests);
	const struct options *opt = &d->opt;

	return json_pack(
		"{s:i, s:o, s:o, s:b, s:{s:o, s:o, s:o, s:s, s:s}, s:s, s:o, s:o, s:s, s:o, s:o}",
		"pid", (int)getpid(), "uptime_s",
		number((clock_now_ns() - service_epoch_ns(d->service)) / 1000000000u), "guests",
		report_guest_counts(d), "draining", d->draining, "budget", "max-bytes",
		limit(limits->max_bytes), "max-requests", limit(limits->max_requests), "period_ms",
		number(opt->period_ms), "sharing", opt->fair ? "fair" : "strict", "refill",
		opt->smooth ? "smooth" : "period", "source-mode",
		opt->drbg ? "drbg" : "passthrough", "sources", report_sources(d), "lcores",
		report_lcores(d), "log-level", names_log_level(opt->log_level), "sandbox",
		report_sandbox(&d->sandbox), "refused-calls", number(refused_count()));
}
