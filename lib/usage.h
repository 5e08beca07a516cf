/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_USAGE_H
#define VRNG_USAGE_H

/*
 * What an lcore's time goes to, told from few looks at the clock: a look takes longer than a sweep
 * over guests that ask for nothing.
 *
 * The sweeps come in windows. All that a window took is counted: as busy when all its sweeps found
 * something to do, as not busy when none did. When there were some of each, it is divided by how
 * many there were and by what each kind takes, of which the last sweep of a window is a sample. So
 * the sum is exact, and the parts are good in the long run.
 *
 * In the last sweep of a window, guests that are served can be asked how long they may have waited:
 * since usage_since_ns(), when the sweep before it began.
 *
 * Thread safety: none; the lcore's own. 'busy_ns' and 'other_ns' alone may be read by others.
 */

#include <stdbool.h>
#include <stdint.h>

/** A prime, lest guests that come and go in step are all seen, or none. */
#define USAGE_WINDOW 251

struct usage {
	uint32_t left;	     /* sweeps to the end of the window */
	uint32_t n_busy;     /* in this window */
	uint64_t begin_ns;   /* of the window */
	uint64_t last_ns;    /* when its last sweep but one began; then its last one */
	uint64_t since_ns;   /* 0: not in the last sweep */
	uint64_t cost_ns[2]; /* of a sweep, times COSTS: not busy, busy; 0: unknown */

	/* LCORE: rw, others: ro by stats_read() */
	uint64_t busy_ns, other_ns;
};

void usage_init(struct usage *u, uint64_t now_ns);

/** A sweep begins. @return true: usage_look() wants the time */
static inline bool usage_begin(struct usage *u)
{
	return --u->left < 2;
}

void usage_look(struct usage *u, uint64_t now_ns);

/** A sweep ends. @return true: the window does, too, and usage_close() wants the time */
static inline bool usage_end(struct usage *u, bool busy)
{
	u->n_busy += busy;
	return u->left == 0;
}

/** @param busy  the last sweep was */
void usage_close(struct usage *u, bool busy, uint64_t now_ns);

/** In the last sweep of a window: since when a request may have waited that is served; else 0. */
static inline uint64_t usage_since_ns(const struct usage *u)
{
	return u->since_ns;
}

#endif
