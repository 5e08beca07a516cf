/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PLACEMENT_H
#define VRNG_PLACEMENT_H

/*
 * Which lcore serves a guest: the one that it is pinned to; else of those on the NUMA node of the
 * guest's memory, if there are any, the one that has the fewest guests attached; of equals the one
 * that it had before.
 */

#include "guest.h"

struct workers;

/** Fix the workers that there are. Context: MAIN, before there are guests, whom they outlive. */
void placement_init(const struct workers *workers);

/** Give a guest that is detached, and has its memory, the worker that suits. Context: VHOST. */
void placement_choose(struct guest *g);

/** Let a detached guest have another worker, and its accounts go with it. Context: VHOST, MAIN. */
void placement_move(struct guest *g, struct worker *to);

#endif
