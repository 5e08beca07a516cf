/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others want of an lcore. A call is a function that the lcore runs between two turns while
 * the caller waits; what nobody waits for is asked for by a bit.
 */
#include "clock.h"
#include "lcore/sleeper.h"
#include "lcore/worker_loop.h"
#include "sandbox/sandbox.h"

#include <rte_config.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include <sched.h>

/* How often a caller looks for the lcore's answer before it gives up its CPU. */
#define CALL_SPINS 1000

static void call(struct worker *w, void (*task)(struct worker *w, void *arg), void *arg)
{
	uint32_t n;

	pthread_mutex_lock(&w->call_lock);
	w->task = task;
	w->arg = arg;
	n = w->call + 1;
	__atomic_store_n(&w->call, n, __ATOMIC_RELEASE);
	bell_ring(worker_bell(w), BELL_CALL);
	for (unsigned spins = 0; __atomic_load_n(&w->answer, __ATOMIC_ACQUIRE) != n; spins++) {
		if (spins < CALL_SPINS && !w->shared_cpu)
			rte_pause();
		else
			sched_yield();
	}
	pthread_mutex_unlock(&w->call_lock);
}

/* Start and end. Of each call, what the lcore does, and then what its caller does. */

int worker_start(struct worker *w)
{
	int err;

	/* Not by the lcore itself: MAIN may already be asked for what is counted. */
	usage_init(&w->usage, clock_now_ns());
	err = rte_eal_remote_launch(worker_loop, w, w->lcore);
	w->running = err == 0;
	return err;
}

static void confine(struct worker *w, void *error)
{
	(void)w;
	*(int *)error = sandbox_enter_lcore();
}

int worker_confine(struct worker *w)
{
	int error;

	call(w, confine, &error);
	return error;
}

static void stop(struct worker *w, void *unused)
{
	(void)unused;
	w->stop = true;
}

void worker_stop(struct worker *w)
{
	if (!w->running)
		return;
	call(w, stop, NULL);
	rte_eal_wait_lcore(w->lcore);
	w->running = false;
}

/* Guests */

static void join(struct worker *w, void *guest)
{
	struct guest *g = guest;

	budget_join(&w->bytes, &g->dev.bytes);
	budget_join(&w->requests, &g->dev.requests);
}

void worker_join(struct worker *w, struct guest *g)
{
	call(w, join, g);
	g->worker = w;
	__atomic_store_n(&g->lcore, w->lcore, __ATOMIC_RELAXED);
}

static void leave(struct worker *w, void *guest)
{
	struct guest *g = guest;

	budget_leave(&w->bytes, &g->dev.bytes);
	budget_leave(&w->requests, &g->dev.requests);
}

void worker_leave(struct worker *w, struct guest *g)
{
	call(w, leave, g);
	g->worker = NULL;
}

struct changes {
	const struct worker_change *list;
	unsigned n;
};

static void change(struct worker *w, void *arg)
{
	const struct changes *changes = arg;

	for (unsigned i = 0; i < changes->n; i++) {
		const struct worker_change *c = &changes->list[i];

		budget_change(&w->bytes, &c->guest->dev.bytes, &c->bytes, c->from_period);
		budget_change(&w->requests, &c->guest->dev.requests, &c->requests, c->from_period);
	}
	/* They may be the first that have a limit. */
	roster_unpark(&w->roster);
}

void worker_change_terms(struct worker *w, const struct worker_change *changes, unsigned n_changes)
{
	call(w, change, &(struct changes){changes, n_changes});
}

static void count_attached(struct worker *w, int n)
{
	__atomic_store_n(&w->n_attached, w->n_attached + (unsigned)n, __ATOMIC_RELAXED);
}

static void attach(struct worker *w, void *guest)
{
	roster_add(&w->roster, guest);
	count_attached(w, 1);
}

void worker_attach(struct worker *w, struct guest *g)
{
	__atomic_store_n(&g->fault, NULL, __ATOMIC_RELAXED); /* MAIN looks at it, any time */
	call(w, attach, g);
}

static void detach(struct worker *w, void *guest)
{
	struct guest *g = guest;

	roster_remove(&w->roster, g);
	if (w->sleeper != NULL)
		kick_forget(w->sleeper->epoll, g);
	rng_device_stop(&g->dev, &w->supply);
	/* Also what was found just now, behind a request that was to be ended. */
	__atomic_store_n(&g->fault, g->dev.vq.broken, __ATOMIC_RELEASE);
	worker_note_wait(g, false);
	if (g->dev.call_owed)
		worker_notify(w, g);
	count_attached(w, -1);
}

void worker_detach(struct worker *w, struct guest *g)
{
	call(w, detach, g);
}

/* What nobody waits for */

static void ask(struct worker *w, uint32_t what)
{
	__atomic_fetch_or(&w->asked, what, __ATOMIC_RELEASE);
	bell_ring(worker_bell(w), BELL_CALL);
}

bool worker_poke(struct worker *w)
{
	if (__atomic_load_n(&w->asked, __ATOMIC_ACQUIRE) & ASKED_POKE)
		return false;
	ask(w, ASKED_POKE);
	return true;
}

void worker_reseed(struct worker *w, bool due)
{
	ask(w, due ? ASKED_DUE : ASKED_RESEED);
}
