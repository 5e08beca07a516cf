/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SLEEPER_H
#define VRNG_SLEEPER_H

/*
 * How one lcore rests when there is nothing to do: what idle.h says, done.
 *
 * An lcore that sleeps or blocks is woken by its bell (a call, a reseed; bytes, if guests wait for
 * them), when something is due, and if it blocks also by the kicks of its guests (kick.h). Kicks
 * are asked for when it blocks, and go off with a guest's first turn, so while there is something
 * to do there is no system call.
 *
 * Thread safety: the lcore's own, but for the bell and the statistics.
 */

#include "guest.h"
#include "idle.h"
#include "latency.h"
#include "lcore/bell.h"
#include "lcore/roster.h"

struct sleeper;

struct sleeper_config {
	struct idle_config idle;
	bool shared_cpu;	 /* yield instead of spinning */
	struct entropy *entropy; /* of the lcore */
	size_t low_bytes;	 /* with less in its byte ring, the producer is woken */
	struct bell *ring_bell;	 /* by this; NULL: it needs no waking */

	/* Does anybody want something of the lcore, that rings the bell for it? Context: LCORE. */
	bool (*is_wanted)(const void *arg);
	const void *arg;
};

/** How late an lcore runs that was asleep. LCORE: rw, others: ro by stats_read(). */
struct sleeper_latency {
	struct latency wake;  /* after somebody in the daemon woke it */
	struct latency timer; /* after the time that it wanted to sleep to */
};

/** @return 0 or a negative errno. Context: MAIN. */
int sleeper_create(const struct sleeper_config *cfg, struct sleeper **sleeper);

/** NULL is fine. Context: MAIN, when the lcore does not run. */
void sleeper_destroy(struct sleeper *s);

/** Whoever wants something of the lcore rings it afterwards. */
struct bell *sleeper_bell(struct sleeper *s);

/** For stats_read(). */
const struct idle_stats *sleeper_stats(const struct sleeper *s);

const struct sleeper_latency *sleeper_latency(const struct sleeper *s);

/** When it was asleep last, up to when. Context: LCORE. */
uint64_t sleeper_woke_ns(const struct sleeper *s);

/** The lcore's thread begins. Context: LCORE. */
void sleeper_begin(struct sleeper *s);

/** Something was done. A plain store. Context: LCORE. */
void sleeper_busy(struct sleeper *s);

/**
 * A whole sweep found nothing to do: rest as long as is right, and return for the next sweep.
 *
 * @param starved  guests wait for bytes
 * @param due_ns   of clock_now_ns(): when there will be something to do; UINT64_MAX: not known of
 * Context: LCORE.
 */
void sleeper_rest(struct sleeper *s, const struct roster *r, bool starved, uint64_t due_ns);

/** A guest is taken away: listen no more. Context: LCORE. */
void sleeper_forget(struct sleeper *s, struct guest *g);

#endif
