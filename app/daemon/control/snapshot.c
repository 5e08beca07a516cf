/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/snapshot.h"

#include "clock.h"
#include "lcore/sleeper.h"
#include "lcore/worker.h"
#include "names.h"

#define NONE UINT64_MAX

/* Guests */

#define AT(field) offsetof(struct guest_snapshot, field)

const struct field guest_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"socket", FIELD_PATH, AT(socket)},
	{"mode", FIELD_TEXT, AT(mode)},
	{"state", FIELD_TEXT, AT(state)},
	{"broken", FIELD_TEXT, AT(broken)},
	{"waits_for", FIELD_TEXT, AT(waits_for)},
	{"lcore", FIELD_NUMBER, AT(lcore)},
	{"pinned", FIELD_YES, AT(pinned)},
	{"weight", FIELD_NUMBER, AT(weight)},
	{"cap", FIELD_LIMIT, AT(cap)},
	{"burst", FIELD_NUMBER, AT(burst)},
	{"draining", FIELD_YES, AT(draining)},
	{"age_s", FIELD_NUMBER, AT(age_s)},
	{NULL, 0, 0},
};

#undef AT
#define AT(field) offsetof(struct guest_counters, field)

const struct field guest_counter_fields[] = {
	{"requests", FIELD_NUMBER, AT(requests)},
	{"bytes", FIELD_NUMBER, AT(bytes)},
	{"short", FIELD_NUMBER, AT(short_reqs)},
	{"calls", FIELD_NUMBER, AT(calls)},
	{"kicks", FIELD_NUMBER, AT(kicks)},
	{"throttled", FIELD_NUMBER, AT(throttled)},
	{"throttled_ns", FIELD_NUMBER, AT(throttled_ns)},
	{"starved", FIELD_NUMBER, AT(starved)},
	{"starved_ns", FIELD_NUMBER, AT(starved_ns)},
	{"broken", FIELD_NUMBER, AT(broken)},
	{NULL, 0, 0},
};

#undef AT

static void read_counters(const struct guest *g, struct guest_counters *c, const char **waits_for)
{
	static const char *const names[WAITING_KINDS] = {
		[WAITING_FOR_TOKENS] = "tokens", [WAITING_FOR_BYTES] = "bytes"};
	const struct rng_stats *stats = &g->dev.stats;
	uint64_t ns[WAITING_KINDS];

	*waits_for = names[waiting_read(&g->waiting, clock_now_ns(), ns)];
	*c = (struct guest_counters){
		.requests = stats_read(&stats->requests),
		.bytes = stats_read(&stats->bytes),
		.short_reqs = stats_read(&stats->short_reqs),
		.calls = stats_read(&stats->calls),
		.kicks = stats_read(&stats->kicks),
		.throttled = stats_read(&stats->throttled),
		.throttled_ns = ns[WAITING_FOR_TOKENS],
		.starved = stats_read(&stats->starved),
		.starved_ns = ns[WAITING_FOR_BYTES],
		.broken = stats_read(&stats->broken),
	};
}

void snapshot_guest(const struct guest *g, struct guest_snapshot *s)
{
	const struct spec *spec = &g->spec;

	*s = (struct guest_snapshot){
		.name = spec->name,
		.socket = spec->path,
		.mode = spec->client ? "client" : "server",
		.state = names_guest_state(guest_state(g)),
		.broken = guest_fault(g),
		.lcore = guest_lcore(g),
		.pinned = spec->lcore != SPEC_ANY_LCORE,
		.weight = spec->weight,
		.cap = spec->cap,
		.burst = spec->burst,
		.draining = guest_is_draining(g),
		.age_s = (clock_now_ns() - g->added_ns) / 1000000000u,
	};
	read_counters(g, &s->counters, &s->waits_for);
}

/* Lcores */

#define AT(field) offsetof(struct lcore_snapshot, field)

const struct field lcore_fields[] = {
	{"lcore", FIELD_NUMBER, AT(lcore)},
	{"cpu", FIELD_LIMIT, AT(cpu)},
	{"guests", FIELD_NUMBER, AT(guests)},
	{"reseeds", FIELD_NUMBER, AT(reseeds)},
	{"generated", FIELD_NUMBER, AT(generated)},
	{"overdue", FIELD_YES, AT(overdue)},
	{"drawn", FIELD_LIMIT, AT(drawn)},
	{"busy_ns", FIELD_NUMBER, AT(busy_ns)},
	{"spinning_ns", FIELD_NUMBER, AT(spinning_ns)},
	{"pausing_ns", FIELD_NUMBER, AT(pausing_ns)},
	{"sleeping_ns", FIELD_NUMBER, AT(sleeping_ns)},
	{"blocked_ns", FIELD_NUMBER, AT(blocked_ns)},
	{"sleeps", FIELD_NUMBER, AT(sleeps)},
	{"blocks", FIELD_NUMBER, AT(blocks)},
	{"wakes", FIELD_NUMBER, AT(wakes)},
	{NULL, 0, 0},
};

#undef AT

void snapshot_lcore(const struct daemon *d, unsigned i, struct lcore_snapshot *s)
{
	const struct worker *w = service_workers(d->service)[i];
	const struct entropy_stats *entropy = worker_entropy_stats(w);
	const struct intake_stats *tap = service_tap(d->service, i);
	const struct sleeper_latency *latency = worker_latency(w);
	int cpu = eal_lcore_cpu(worker_lcore(w));
	struct idle_stats times;

	worker_times(w, &times);
	*s = (struct lcore_snapshot){
		.lcore = worker_lcore(w),
		.cpu = cpu >= 0 ? (uint64_t)cpu : NONE,
		.guests = worker_load(w),
		.reseeds = stats_read(&entropy->reseeds),
		.generated = stats_read(&entropy->generated),
		.overdue = stats_read(&entropy->overdue) != 0,
		.drawn = tap != NULL ? stats_read(&tap->bytes) : NONE,
		.busy_ns = times.ns[IDLE_BUSY],
		.spinning_ns = times.ns[IDLE_SPINNING],
		.pausing_ns = times.ns[IDLE_PAUSING],
		.sleeping_ns = times.ns[IDLE_SLEEPING],
		.blocked_ns = times.ns[IDLE_BLOCKED],
		.sleeps = times.sleeps,
		.blocks = times.blocks,
		.wakes = latency != NULL ? latency_count(&latency->wake) : 0,
	};
}

/* Sources */

#define AT(field) offsetof(struct source_snapshot, field)

const struct field source_fields[] = {
	{"file", FIELD_PATH, AT(file)},
	{"state", FIELD_TEXT, AT(state)},
	{"bytes", FIELD_NUMBER, AT(bytes)},
	{"unwell", FIELD_NUMBER, AT(unwell)},
	{"errors", FIELD_NUMBER, AT(errors)},
	{NULL, 0, 0},
};

#undef AT

void snapshot_source(const struct daemon *d, unsigned i, struct source_snapshot *s)
{
	struct intake_stats sum;

	service_source(d->service, i, &sum);
	*s = (struct source_snapshot){
		.file = d->opt.sources[i],
		.state = names_intake_state(sum.state),
		.bytes = sum.bytes,
		.unwell = sum.unwell,
		.errors = sum.errors,
	};
}

/* The budget */

#define AT(field) offsetof(struct budget_snapshot, field)

const struct field budget_fields[] = {
	{"max-bytes", FIELD_LIMIT, AT(max_bytes)},
	{"max-requests", FIELD_LIMIT, AT(max_requests)},
	{"period_ms", FIELD_NUMBER, AT(period_ms)},
	{"sharing", FIELD_TEXT, AT(sharing)},
	{"refill", FIELD_TEXT, AT(refill)},
	{"guests", FIELD_NUMBER, AT(guests)},
	{"weights", FIELD_NUMBER, AT(weights)},
	{NULL, 0, 0},
};

#undef AT

void snapshot_budget(const struct daemon *d, struct budget_snapshot *s)
{
	const struct guest_table *t = guests_table(d->guests);
	const struct limits *limits = guests_limits(d->guests);

	*s = (struct budget_snapshot){
		.max_bytes = limits->max_bytes,
		.max_requests = limits->max_requests,
		.period_ms = d->opt.period_ms,
		.sharing = d->opt.fair ? "fair" : "strict",
		.refill = d->opt.smooth ? "smooth" : "period",
		.guests = t->n,
	};
	for (unsigned i = 0; i < t->n; i++)
		s->weights += t->all[i]->spec.weight;
}
