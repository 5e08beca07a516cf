/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_ROSTER_H
#define VRNG_ROSTER_H

/*
 * The guests of one lcore: those that it looks at in every sweep, and those that wait for their
 * allowance, parked, which cost nothing until it may have come.
 *
 * Of each guest that is looked at there is a watch of 16 bytes, all in a row: a sweep over idle
 * guests reads them and one word of each ring, and no more.
 *
 * Thread safety: none; the lcore's own.
 */

#include "guest.h"

struct roster {
	unsigned n_active;
	unsigned n_guests;     /* with those that are parked */
	unsigned next;	       /* whose turn it is */
	struct guest **guests; /* first those that are looked at, then those that are parked */
	struct virtq_watch *watches; /* of the first */
};

/** @return 0 or -ENOMEM. Context: MAIN. */
int roster_init(struct roster *r, unsigned max_guests);

/** Context: MAIN. */
void roster_fini(struct roster *r);

/** Look at a guest, at once. */
void roster_add(struct roster *r, struct guest *g);

/** Forget a guest, if it is there. */
void roster_remove(struct roster *r, struct guest *g);

/** A guest, parked or not, of which 'is' says true; NULL: none. */
struct guest *roster_find(const struct roster *r, bool (*is)(const struct guest *g));

/** Do not look at guests[i] until roster_unpark(). */
void roster_park(struct roster *r, unsigned i);

/** Look at all that are parked. */
void roster_unpark(struct roster *r);

/** From now on guests[i] is looked at when its ring has work, or when something is owed to it. */
static inline void roster_watch(struct roster *r, unsigned i)
{
	const struct rng_device *dev = &r->guests[i]->dev;

	virtq_watch(&dev->vq, &r->watches[i]);
	if (__builtin_expect(dev->call_owed, 0))
		virtq_watch_always(&r->watches[i]);
}

#endif
