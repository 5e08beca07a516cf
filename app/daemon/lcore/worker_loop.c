/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/worker_loop.h"

#include "clock.h"
#include "lcore/sleeper.h"
#include "vhost/guard.h"

#include <errno.h>
#include <stdio.h>

/* Watches ahead of the one that is looked at: their rings' words are on the way then. */
#define PREFETCH 8

void worker_notify(struct worker *w, struct guest *g)
{
	/* Anything but a kernel without memory will not get better by asking again. */
	if (g->call_fd >= 0 && caller_call(&w->caller, g->call_fd) == -EAGAIN)
		return;
	stats_add(&g->dev.stats.calls, g->call_fd >= 0);
	g->dev.call_owed = false;
}

/* Since when a request may have waited that is served now; 0: it is not asked. */
static inline uint64_t since_ns(const struct worker *w)
{
	uint64_t since = usage_since_ns(&w->usage);

	if (__builtin_expect(since == 0, 1) || w->sleeper == NULL)
		return since;
	return w->sleeper->woke_ns > since ? w->sleeper->woke_ns : since;
}

void worker_note_wait(struct guest *g, bool waits)
{
	waiting_set(&g->waiting, waits ? g->dev.waits_for : WAITING_FOR_NOTHING, clock_now_ns());
}

/* It was served, and its request may have waited since then. */
static void note_service(struct guest *g, uint64_t from_ns)
{
	uint64_t now_ns = clock_now_ns();

	latency_add(&g->service, now_ns > from_ns ? now_ns - from_ns : 0);
}

/* Leave a guest alone until it is attached anew. */
static void break_off(struct worker *w, struct guest *g)
{
	worker_note_wait(g, false);
	__atomic_store_n(&g->fault, g->dev.vq.broken, __ATOMIC_RELEASE);
	roster_remove(&w->roster, g);
}

/* Give guests[i] its turn. True when something was done. */
static bool turn(struct worker *w, unsigned i)
{
	struct guest *g = w->roster.guests[i];
	const bool waited = g->dev.waits_for != WAITING_FOR_NOTHING;
	enum rng_result r = rng_device_poll(&g->dev, &w->supply);
	uint64_t since;

	w->turns++;
	if (g->dev.call_owed)
		worker_notify(w, g);
	if (__builtin_expect(waited || r == RNG_WAIT, 0))
		worker_note_wait(g, r == RNG_WAIT);
	since = since_ns(w);
	if (__builtin_expect(since != 0, 0) && r == RNG_SERVED)
		note_service(g, since);
	if (r == RNG_BROKEN) {
		break_off(w, g);
		return true;
	}
	if (r == RNG_WAIT && g->dev.waits_for == WAITING_FOR_TOKENS && !g->dev.call_owed) {
		roster_park(&w->roster, i);
		return false;
	}
	w->starved += r == RNG_WAIT && g->dev.waits_for == WAITING_FOR_BYTES;
	roster_watch(&w->roster, i);
	return r == RNG_SERVED;
}

/* Do what a caller asks. False: stop. */
static bool answer_call(struct worker *w)
{
	bool go_on;

	w->task(w, w->arg);
	go_on = !w->stop; /* before the answer, with which the worker may come to its end */
	__atomic_store_n(&w->answer, w->call, __ATOMIC_RELEASE);
	return go_on;
}

/* Others asked for something. That it is taken is the answer to a poke. */
static void do_asked(struct worker *w)
{
	uint32_t asked = __atomic_exchange_n(&w->asked, 0, __ATOMIC_ACQ_REL);

	if (!entropy_is_drbg(&w->entropy))
		return;
	if (asked & (ASKED_RESEED | ASKED_DUE))
		entropy_want_reseed(&w->entropy, asked & ASKED_DUE);
	/* Now, if there is a seed; also one that was asked for before, while nobody wants bytes. */
	entropy_avail(&w->entropy, 1);
}

/* Those who wait for their allowance are looked at when it may have come. */
static void tell_time(struct worker *w)
{
	uint64_t now = clock_now_ns() - w->epoch_ns;
	bool more = budget_advance(&w->bytes, now);

	more |= budget_advance(&w->requests, now);
	if (more)
		roster_unpark(&w->roster);
}

/* A turn for each guest that has work, until a caller wants something. True: something was done. */
static bool take_turns(struct worker *w)
{
	struct roster *r = &w->roster;
	bool busy = false;

	for (unsigned n = r->n_active; n > 0 && !is_called(w); n--) {
		unsigned i = r->next, ahead = i + PREFETCH, before;

		if (i >= r->n_active)
			i = r->next = 0;
		if (ahead < r->n_active)
			__builtin_prefetch(r->watches[ahead].word);
		before = r->n_active;
		if (virtq_watch_fired(&r->watches[i]))
			busy |= turn(w, i);
		if (r->n_active == before)
			r->next++; /* else another one is at its place now */
		if (r->n_active == 0)
			break;
	}
	return busy;
}

static bool is_hit(const struct guest *g)
{
	return guard_is_hit(g->guard);
}

/* Somebody's memory was taken away, maybe one of ours: it goes on no further than this sweep. */
static void drop_hit(struct worker *w)
{
	struct guest *g;

	w->hits_seen = guard_hits();
	while ((g = roster_find(&w->roster, is_hit)) != NULL) {
		g->dev.vq.broken = guard_fault;
		stats_add(&g->dev.stats.broken, 1);
		break_off(w, g);
	}
}

/* When there is something to do because of the time; UINT64_MAX: not known of. */
static uint64_t due_ns(const struct worker *w)
{
	const struct budget *bytes = &w->bytes, *requests = &w->requests;
	uint64_t next = UINT64_MAX;

	/* Does anybody wait for an allowance, here or on an lcore that may borrow from us? */
	if (w->roster.n_active == w->roster.n_guests &&
		(!bytes->cfg.fair || bytes->cfg.exchange == NULL))
		return UINT64_MAX;
	if (bytes->limited)
		next = bytes->next_ns;
	if (requests->limited && requests->next_ns < next)
		next = requests->next_ns;
	return next < UINT64_MAX - w->epoch_ns ? next + w->epoch_ns : UINT64_MAX;
}

/* Count what the last sweeps took: also when none of them had a reason to look at the clock. */
static void close_window(struct worker *w, bool busy)
{
	uint64_t now_ns = clock_now_ns();

	usage_close(&w->usage, busy, now_ns);
	if (w->sleeper != NULL)
		idle_account(&w->sleeper->idle, now_ns);
}

static void sweep(struct worker *w)
{
	bool busy;

	if (__builtin_expect(usage_begin(&w->usage), 0))
		usage_look(&w->usage, clock_now_ns());
	if (w->bytes.limited || w->requests.limited)
		tell_time(w);
	if (__builtin_expect(__atomic_load_n(&w->asked, __ATOMIC_RELAXED) != 0, 0))
		do_asked(w);
	busy = take_turns(w);
	if (__builtin_expect(guard_hits() != w->hits_seen, 0))
		drop_hit(w);
	/* Who found nothing in this sweep has a part of what comes before the next, or in it. */
	w->supply.sharers = w->starved;
	w->starved = 0;
	w->supply.busy = w->turns;
	w->turns = 0;
	if (w->sleeper == NULL) {
		if (!busy)
			worker_spin(w);
	} else if (busy) {
		idle_busy(&w->sleeper->idle);
	} else {
		sleeper_rest(w, due_ns(w));
	}
	if (__builtin_expect(usage_end(&w->usage, busy), 0))
		close_window(w, busy);
}

int worker_loop(void *worker)
{
	struct worker *w = worker;
	char name[16];

	snprintf(name, sizeof(name), "vrng-lcore-%u", w->lcore);
	pthread_setname_np(pthread_self(), name);
	if (w->sleeper != NULL)
		sleeper_begin();
	do {
		sweep(w);
	} while (!is_called(w) || answer_call(w));
	return 0;
}
