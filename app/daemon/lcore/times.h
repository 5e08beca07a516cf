/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TIMES_H
#define VRNG_TIMES_H

/*
 * Times that are counted for guests and lcores, for others to see. What is called on lcores reads
 * the clock: it is for turns that found nothing to give, and for those few that are measured.
 */

#include "guest.h"
#include "idle.h"
#include "usage.h"

/** It waits, or does not any more. Context: the lcore of an attached guest. */
void times_wait(struct guest *g, bool waits);

/** A guest was served, whose request may have waited since then. Context: as above. */
void times_service(struct guest *g, uint64_t since_ns);

/**
 * What an lcore's time went to.
 *
 * @param idle  how it rested; NULL: it polls, and 'usage' knows
 * Context: any.
 */
void times_read(const struct usage *usage, const struct idle_stats *idle, struct idle_stats *times);

#endif
