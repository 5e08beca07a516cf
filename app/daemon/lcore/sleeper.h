/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SLEEPER_H
#define VRNG_SLEEPER_H

/*
 * How one lcore rests when there is nothing to do: what idle.h says, done. A part of its worker.
 *
 * An lcore that sleeps or blocks is woken by its bell (a call, a reseed; bytes, if guests wait for
 * them), when something is due, and if it blocks also by the kicks of its guests (kick.h). Kicks
 * are asked for when it blocks, and go off with a guest's first turn, so while there is something
 * to do there is no system call.
 *
 * Thread safety: the lcore's own, but for the bell and the statistics.
 */

#include "idle.h"
#include "latency.h"
#include "lcore/bell.h"

#include <stddef.h>

struct worker;
struct worker_config;

/** How late an lcore runs that was asleep. LCORE: rw, others: ro by stats_read(). */
struct sleeper_latency {
	struct latency wake;  /* after somebody in the daemon woke it */
	struct latency timer; /* after the time that it wanted to sleep to */
};

struct sleeper {
	/* Fixed when it is created */
	int epoll;		/* of the kick descriptors of those guests that are heard */
	size_t low_bytes;	/* with less in its byte ring, the producer is woken */
	struct bell *ring_bell; /* by this */
	bool can_monitor, can_pause;

	struct bell bell; /* whoever wants something of the lcore rings it afterwards */

	/* LCORE: rw */
	struct idle idle; /* 'stats' others: ro by stats_read() */
	unsigned spins;	  /* before the clock is read again */
	uint64_t woke_ns; /* when it was asleep last, up to when */
	struct sleeper_latency latency;
};

/** @return 0 or a negative errno. Context: MAIN. */
int sleeper_create(const struct worker_config *cfg, struct sleeper **sleeper);

/** NULL is fine. Context: MAIN, when the lcore does not run. */
void sleeper_destroy(struct sleeper *s);

/** The lcore's thread begins. Context: LCORE. */
void sleeper_begin(void);

/**
 * A whole sweep found nothing to do: rest as long as is right, and return for the next sweep.
 *
 * @param w       that has a sleeper; guests wait for bytes if its supply has sharers
 * @param due_ns  of clock_now_ns(): when there will be something to do; UINT64_MAX: not known of
 * Context: LCORE.
 */
void sleeper_rest(struct worker *w, uint64_t due_ns);

#endif
