/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Many guests that come and go, each in a thread of its own: they ask and are answered, lie in
 * their rings and over their sockets, take their memory away, stop in the middle of a message, and
 * die at any moment. What they get of the source is judged, too, when they were honest.
 */
#ifndef E2E_CROWD_H
#define E2E_CROWD_H

#include "spring.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What one did, or all together. The thread: w, main: r */
struct crowd_counts {
	uint64_t connections, refusals, answers, lies, deaths;
};

struct crowd;

/**
 * One guest for each of the sockets 'prefix'FIRST to 'prefix'FIRST+N-1.
 *
 * @param spring  that the daemon reads; outlives the crowd
 */
void crowd_start(struct crowd **crowd, const char *prefix, unsigned first, unsigned n,
	struct spring *spring);

/** All stay away, from now on; returns when they do. Or they come again. */
void crowd_pause(struct crowd *crowd, bool pause);

/** What they did so far. @return what one of them complains of, NULL: nothing */
const char *crowd_counts(const struct crowd *crowd, struct crowd_counts *sum);

/** The end of all. NULL is fine. */
void crowd_destroy(struct crowd *crowd);

#endif
