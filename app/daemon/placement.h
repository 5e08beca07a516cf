/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PLACEMENT_H
#define VRNG_PLACEMENT_H

/*
 * Which lcore serves a guest: the one that it is pinned to. Else, while nobody has come to its
 * socket, the one that the fewest guests belong to, attached or not: nothing more is known. When
 * its front-end is there: of those on the NUMA node of the guest's memory, if there are any, the
 * one that has the fewest guests attached; of equals the one that it had before.
 */

#include "guest_table.h"

struct workers;

/** Fix the workers that there are. Context: MAIN, before there are guests, whom they outlive. */
void placement_init(const struct workers *workers);

/** Give a guest that is new, and not in the table of the others yet, its first. Context: MAIN. */
void placement_join(struct guest *g, const struct guest_table *others);

/** Give a guest that is detached, and has its memory, the worker that suits. Context: VHOST. */
void placement_choose(struct guest *g);

/** Let a detached guest have another worker, and its accounts go with it. Context: VHOST, MAIN. */
void placement_move(struct guest *g, struct worker *to);

#endif
