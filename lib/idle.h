/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_IDLE_H
#define VRNG_IDLE_H

/*
 * What an lcore does when there is nothing to do, as a pure state machine: it has no clock and
 * makes no system call, it says what to do next and for how long at most.
 *
 *	busy ──nothing to do──▶ spin ──spin_ns──▶ pause ──spin_ns──▶ sleep ──▶ block
 *	  ▲                                                 1/16 of max_sleep_ns, 1/8, ... 1
 *	  └──────────────── something was done ─────────────────────────────────┘
 *
 * Policy 'pause' ends in pause, and never makes a system call; 'adaptive' goes all the way. An
 * lcore that was woken and found nothing to do is where it was before: one that is woken in vain
 * does not begin to spin. (Policy 'poll' needs no machine.)
 *
 * The machine also counts the time that is spent in each state.
 *
 * Thread safety: none; the lcore's own. 'stats' alone may be read by others.
 */

#include "stats.h"

#include <stdbool.h>
#include <stdint.h>

enum idle_policy { IDLE_POLL, IDLE_PAUSE, IDLE_ADAPTIVE };

enum idle_state {
	IDLE_BUSY,     /* it serves */
	IDLE_SPINNING, /* look again at once */
	IDLE_PAUSING,  /* look again soon, and let the CPU rest */
	IDLE_SLEEPING, /* give the CPU away, nobody tells of work */
	IDLE_BLOCKED,  /* give the CPU away until somebody tells of work */
	IDLE_STATES,
};

/** LCORE: rw, others: ro by stats_read(). */
struct idle_stats {
	uint64_t ns[IDLE_STATES]; /* spent in each state */
	uint64_t sleeps, blocks;  /* how often */
};

struct idle_config {
	enum idle_policy policy; /* not IDLE_POLL */
	uint64_t spin_ns;	 /* to spin, and again so long to pause */
	uint64_t max_sleep_ns;	 /* 0: no sleeps before it blocks */
};

struct idle {
	struct idle_config cfg;
	bool busy;		 /* something was done since idle_next() */
	enum idle_state account; /* what time that passes is counted as, unless busy */
	uint64_t now_ns;	 /* up to which time is counted */
	uint64_t since_ns;	 /* when there was nothing to do any more */
	uint64_t sleep_ns;	 /* the last sleep; 0: none since then */
	struct idle_stats stats;
};

/** What to do now, for at most so long. */
struct idle_step {
	enum idle_state state; /* not IDLE_BUSY */
	uint64_t ns;	       /* IDLE_BLOCKED: UINT64_MAX is for ever */
};

/** @param now_ns  monotonic nanoseconds, as everywhere here; going back counts as no time passed */
void idle_init(struct idle *idle, const struct idle_config *cfg, uint64_t now_ns);

/** Something was done: what follows begins anew. A plain store. */
static inline void idle_busy(struct idle *idle)
{
	idle->busy = true;
}

/**
 * There is nothing to do: what now?
 *
 * @param due_ns  there will be something at that time; UINT64_MAX: not known of
 */
struct idle_step idle_next(struct idle *idle, uint64_t now_ns, uint64_t due_ns);

/** The step is over; or: count what has passed up to now. */
void idle_account(struct idle *idle, uint64_t now_ns);

#endif
