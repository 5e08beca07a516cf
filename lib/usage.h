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
#define USAGE_WINDOW 61

struct usage {
	uint32_t left;	   /* sweeps to the end of the window */
	uint32_t n_busy;   /* in this window */
	uint64_t begin_ns; /* of the window */
	uint64_t last_ns;  /* when its last sweep but one began; then its last one */
	uint64_t since_ns; /* 0: not in the last sweep */
	uint64_t
		cost_ns[2]; /* a sweep that is not busy, and one that is, times COSTS; 0: unknown */

	/* LCORE: rw, others: ro by stats_read() */
	uint64_t busy_ns, other_ns;
};

void usage_init(struct usage *l, uint64_t now_ns);

/** A sweep begins. @return true: then usage_timed_begin() and usage_timed_end() want the time */
static inline bool usage_begin(struct usage *l)
{
	return --l->left < 2;
}

void usage_timed_begin(struct usage *l, uint64_t now_ns);

/** The end of a sweep for which usage_begin() said no. */
static inline void usage_end(struct usage *l, bool busy)
{
	l->n_busy += busy;
}

/** The end of one for which it said yes. 'now_ns' is looked at when usage_is_last(). */
void usage_timed_end(struct usage *l, bool busy, uint64_t now_ns);

static inline bool usage_is_last(const struct usage *l)
{
	return l->left == 0;
}

/** In the last sweep of a window: since when a request may have waited that is served; else 0. */
static inline uint64_t usage_since_ns(const struct usage *l)
{
	return l->since_ns;
}

#endif
