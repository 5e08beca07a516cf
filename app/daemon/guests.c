/* SPDX-License-Identifier: BSD-3-Clause */
#include "guests.h"

#include "clock.h"
#include "lcore/worker.h"
#include "log.h"
#include "placement.h"
#include "vhost/guard.h"
#include "vhost/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

/*
 * How long nobody may be behind a front-end's socket before it is set up anew. rte_vhost tries to
 * connect every second, unless it has given the socket up.
 */
#define ABSENT_NS (5 * UINT64_C(1000000000))

struct guests {
	struct guests_config cfg;
	struct guest_table table;
	bool started;
	bool unsettled;	       /* terms have changed, and lcores do not know it */
	uint64_t changed_from; /* the period from which the last change counts; NEVER */
	struct worker_change changes[GUESTS_MAX];
};

int guests_create(const struct guests_config *cfg, struct guests **guests)
{
	struct guests *gs = calloc(1, sizeof(*gs));
	int err;

	if (gs == NULL)
		return -ENOMEM;
	gs->cfg = *cfg;
	gs->changed_from = NEVER;
	pthread_mutex_init(&gs->table.lock, NULL);
	placement_init(cfg->workers);
	err = session_init(&gs->table);
	if (err != 0) {
		free(gs);
		return err;
	}
	*guests = gs;
	return 0;
}

void guests_destroy(struct guests *gs)
{
	if (gs == NULL)
		return;
	while (gs->table.n > 0)
		guests_remove(gs, gs->table.all[gs->table.n - 1]);
	free(gs);
}

struct guest_table *guests_table(struct guests *gs)
{
	return &gs->table;
}

struct guest_counts guests_count(const struct guests *gs)
{
	struct guest_counts n = {.all = gs->table.n};

	for (unsigned i = 0; i < gs->table.n; i++) {
		enum guest_state state = guest_state(gs->table.all[i]);

		n.connected += state != GUEST_ALONE;
		n.served += state == GUEST_SERVED;
		n.weights += gs->table.all[i]->spec.weight;
	}
	return n;
}

const struct limits *guests_limits(const struct guests *gs)
{
	return &gs->cfg.limits;
}

/* Adding */

static int check_lcore(const struct guests *gs, const struct spec *spec, struct why *why)
{
	if (spec->lcore == SPEC_ANY_LCORE || workers_find(gs->cfg.workers, spec->lcore) != NULL)
		return 0;
	return spec_refuse_lcore(spec, why);
}

int guests_check(
	const struct guests *gs, const struct spec *specs, unsigned n_specs, struct why *why)
{
	int err = 0;

	for (unsigned i = 0; i < n_specs && err == 0; i++)
		err = check_lcore(gs, &specs[i], why);
	return err;
}

/* A guest of ours has it, until that is removed. */
static bool has_socket(const struct guests *gs, const char *path)
{
	const struct guest *g = gs != NULL ? guest_table_by_path(&gs->table, path) : NULL;

	return g != NULL && !g->spec.client;
}

int guests_prepare_sockets(const struct guests *gs, const struct spec *specs, unsigned n_specs,
	const char *more, unsigned wait_s, struct sockets_lock *lock, struct why *why)
{
	const char **paths = calloc(n_specs + 1, sizeof(paths[0]));
	unsigned n = 0;
	int err = 0;

	if (paths == NULL)
		return why_set(why, -ENOMEM, "no memory for %u guests", n_specs);
	for (unsigned i = 0; i < n_specs && err == 0; i++) {
		if (specs[i].client) /* it is the front-end's */
			err = sockets_check(specs[i].path, why);
		else if (!has_socket(gs, specs[i].path))
			paths[n++] = specs[i].path;
	}
	if (more != NULL)
		paths[n++] = more;
	if (err == 0)
		err = sockets_prepare(paths, n, wait_s, lock, why);
	free(paths);
	return err;
}

int guests_check_sockets(
	const struct spec *specs, unsigned n_specs, const char *more, struct why *why)
{
	gid_t checked = (gid_t)-1;
	int err = 0;

	for (unsigned i = 0; i < n_specs && err == 0; i++) {
		const struct spec *spec = &specs[i];

		if (spec->client)
			err = sockets_check(spec->path, why);
		else
			err = sockets_check_own(spec->path, why);
		/* Most have the same one. */
		if (err == 0 && !spec->client && spec->gid != checked)
			err = sockets_check_rights(NULL, spec->gid, why);
		checked = spec->gid;
	}
	if (err == 0 && more != NULL)
		err = sockets_check_own(more, why);
	return err;
}

/* A guest that is in the table and has a worker, but no socket yet. */
static struct guest *create(struct guests *gs, const struct spec *spec, const struct terms *terms)
{
	struct guest *g = aligned_alloc(_Alignof(struct guest), sizeof(*g));

	if (g == NULL)
		return NULL;
	memset(g, 0, sizeof(*g));
	g->spec = *spec;
	g->added_ns = clock_now_ns();
	budget_open(&g->dev.bytes, &terms->bytes, spec->burst_once);
	budget_open(&g->dev.requests, &terms->requests, 0);
	g->pinned = workers_find(gs->cfg.workers, spec->lcore);
	placement_join(g, &gs->table);
	guest_table_put(&gs->table, g);
	return g;
}

static void destroy(struct guests *gs, struct guest *g)
{
	guest_table_take(&gs->table, g);
	worker_leave(g->worker, g);
	free(g);
}

static int open_socket(struct guest *g, struct why *why)
{
	static struct log_limit waits;
	int err = session_add(g);

	if (err != 0 && !g->spec.client)
		return sockets_why_refused(g->spec.path, why);
	if (err != 0)
		return why_set(why, err, "cannot connect to %s: the log says more", g->spec.path);
	if (g->spec.client) {
		if (guest_state(g) == GUEST_ALONE)
			LOG_LIMITED(&waits, NOTICE, "guest %s: waiting for a front-end at %s: %s",
				g->spec.name, g->spec.path, sockets_why_absent(g->spec.path));
		return 0;
	}
	err = sockets_set_rights(g->spec.path, g->spec.mode, g->spec.gid, why);
	if (err != 0)
		session_remove(g);
	return err;
}

static int add(struct guests *gs, const struct spec *spec, const struct terms *terms,
	bool by_control, struct why *why)
{
	struct guest *g = create(gs, spec, terms);
	int err;

	if (g == NULL)
		return why_set(why, -ENOMEM, "no memory for guest %s", spec->name);
	g->by_control = by_control;
	err = open_socket(g, why);
	if (err != 0)
		destroy(gs, g);
	return err;
}

int guests_start(struct guests *gs, const struct spec *specs, unsigned n_specs, struct why *why)
{
	uint32_t total = 0, lo = 0;
	int err = 0;

	for (unsigned i = 0; i < n_specs; i++)
		total += specs[i].weight;
	for (unsigned i = 0; i < n_specs && err == 0; i++) {
		struct terms terms;

		terms_of(&gs->cfg.limits, &specs[i], lo, total, &terms);
		lo += specs[i].weight;
		err = add(gs, &specs[i], &terms, false, why);
	}
	gs->started = err == 0;
	return err;
}

static int check_one(const struct guests *gs, const struct spec *spec, struct why *why)
{
	const struct guest *g = guest_table_by_name(&gs->table, spec->name);
	unsigned places = spec_places(spec);

	if (g != NULL)
		return why_set(why, -EEXIST,
			"guest %s is there already, on %s: remove it first, or choose another name",
			spec->name, g->spec.path);
	g = guest_table_by_path(&gs->table, spec->path);
	if (g != NULL)
		return why_set(why, -EEXIST,
			"socket %s is guest %s's: choose another path for guest %s", spec->path,
			g->spec.name, spec->name);
	for (unsigned i = 0; i < gs->table.n; i++)
		places += spec_places(&gs->table.all[i]->spec);
	if (places > SPEC_PLACES_MAX)
		return why_set(why, -E2BIG,
			"more guests than one process can serve, which is %d, or %d that it connects "
			"to: start several, each with its own sockets",
			OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
	return check_lcore(gs, spec, why);
}

static void warn_of_heap(const struct guests *gs)
{
	if (gs->cfg.room == 0 || gs->table.n != gs->cfg.room + 1)
		return;
	LOG(WARNING,
		"more than %u guests: memory was set aside for so many at start, which is not enough "
		"if many of them make the largest rings; start with more in --config or "
		"--socket-count, or give the EAL -m MEBIBYTES",
		gs->cfg.room);
}

int guests_add_prepared(
	struct guests *gs, const struct spec *spec, bool by_control, struct why *why)
{
	int err = check_one(gs, spec, why);
	struct terms terms;

	if (err != 0)
		return err;
	terms_without_share(&gs->cfg.limits, spec, &terms);
	err = add(gs, spec, &terms, by_control, why);
	if (err != 0)
		return err;
	gs->unsettled = true;
	LOG(NOTICE, "guest %s: added, at %s", spec->name, spec->path);
	warn_of_heap(gs);
	return 0;
}

int guests_add(struct guests *gs, const struct spec *spec, bool by_control, struct why *why)
{
	struct sockets_lock lock = {0};
	int err = check_one(gs, spec, why);

	if (err == 0)
		err = guests_prepare_sockets(gs, spec, 1, NULL, 0, &lock, why);
	if (err != 0)
		return err;
	err = guests_add_prepared(gs, spec, by_control, why);
	sockets_unlock(&lock);
	return err;
}

/* Removing, changing */

void guests_remove(struct guests *gs, struct guest *g)
{
	session_remove(g);
	if (gs->started)
		LOG(NOTICE, "guest %s: removed, %s is %s", g->spec.name, g->spec.path,
			g->spec.client ? "its front-end's alone" : "gone");
	destroy(gs, g);
	gs->unsettled = true;
}

int guests_change(struct guests *gs, struct guest *g, const struct spec *spec, struct why *why)
{
	bool rights = !g->spec.client && (spec->mode != g->spec.mode || spec->gid != g->spec.gid);
	int err = check_lcore(gs, spec, why);

	if (err == 0 && rights)
		err = sockets_set_rights(g->spec.path, spec->mode, spec->gid, why);
	if (err != 0)
		return err;
	if (spec->weight != g->spec.weight || spec->cap != g->spec.cap ||
		spec->burst != g->spec.burst)
		gs->unsettled = true;
	if (spec->lcore != g->spec.lcore)
		session_pin(g, workers_find(gs->cfg.workers, spec->lcore));
	guest_table_lock(&gs->table);
	g->spec.mode = spec->mode;
	g->spec.gid = spec->gid;
	g->spec.weight = spec->weight;
	g->spec.lcore = spec->lcore;
	g->spec.cap = spec->cap;
	g->spec.burst = spec->burst;
	guest_table_unlock(&gs->table);
	return 0;
}

void guests_limit(struct guests *gs, const struct limits *limits)
{
	if (limits->max_bytes == gs->cfg.limits.max_bytes &&
		limits->max_requests == gs->cfg.limits.max_requests)
		return;
	guest_table_lock(&gs->table);
	gs->cfg.limits = *limits;
	guest_table_unlock(&gs->table);
	gs->unsettled = true;
}

void guests_drain(struct guests *gs, struct guest *g, bool draining)
{
	for (unsigned i = 0; i < gs->table.n; i++)
		if (g == NULL || g == gs->table.all[i])
			session_drain(gs->table.all[i], draining);
	if (draining)
		guests_tick(gs);
}

/* Telling the lcores */

/* The guests stay with their workers meanwhile. */
static void change_terms_on(struct guests *gs, struct worker *w, uint32_t total, uint64_t from)
{
	uint32_t lo = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < gs->table.n; i++) {
		struct guest *g = gs->table.all[i];
		struct terms terms;

		terms_of(&gs->cfg.limits, &g->spec, lo, total, &terms);
		lo += g->spec.weight;
		if (g->worker != w)
			continue;
		gs->changes[n++] = (struct worker_change){
			.guest = g,
			.bytes = terms.bytes,
			.requests = terms.requests,
			.from_period = from,
		};
	}
	if (n > 0)
		worker_change_terms(w, gs->changes, n);
}

uint64_t guests_settle(struct guests *gs)
{
	const struct workers *workers = gs->cfg.workers;
	uint64_t now_ns = clock_now_ns() - gs->cfg.epoch_ns, wait_ns, from;

	if (!gs->unsettled)
		return NEVER;
	from = terms_change_from(now_ns, gs->cfg.period_ns, gs->changed_from, &wait_ns);
	if (wait_ns > 0)
		return wait_ns;
	session_freeze();
	for (unsigned i = 0; i < workers->n; i++)
		change_terms_on(gs, workers->all[i], guests_count(gs).weights, from);
	session_thaw();
	gs->changed_from = from;
	gs->unsettled = false;
	return NEVER;
}

/* Now and then */

/* An lcore cannot log; so MAIN says what it found. */
static void report_fault(struct guest *g)
{
	static struct log_limit limit;
	const char *fault = guest_fault(g);

	if (fault != NULL && fault != g->told)
		LOG_LIMITED(&limit, WARNING, "guest %s: ring broken: %s; served again when its %s",
			g->spec.name, fault,
			fault == guard_fault ? "front-end connects anew" : "driver resets it");
	g->told = fault;
}

/*
 * rte_vhost gives a front-end's socket up for good when it cannot take the connection that it has
 * made: short of descriptors, of memory, of places in its event thread; or when we refused it. To
 * be told apart from a front-end that is away only by the time that it takes; and to set up a
 * socket that was well does no harm.
 */
static void look_after(struct guest *g)
{
	uint64_t now_ns = clock_now_ns();

	if (guest_state(g) != GUEST_ALONE) {
		g->absent_from_ns = 0;
	} else if (g->absent_from_ns == 0) {
		g->absent_from_ns = now_ns;
	} else if (now_ns - g->absent_from_ns >= ABSENT_NS) {
		session_remove(g);
		session_add(g); /* what it says is in the log, and it is tried again */
		g->absent_from_ns = now_ns;
	}
}

void guests_tick(struct guests *gs)
{
	for (unsigned i = gs->table.n; i > 0; i--) {
		struct guest *g = gs->table.all[i - 1];

		report_fault(g);
		if (g->spec.client)
			look_after(g);
		if (g->draining && guest_state(g) == GUEST_ALONE)
			guests_remove(gs, g);
	}
}
