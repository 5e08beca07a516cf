/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int roster_init(struct roster *r, unsigned max_guests)
{
	memset(r, 0, sizeof(*r));
	r->guests = calloc(max_guests, sizeof(r->guests[0]));
	r->watches = calloc(max_guests, sizeof(r->watches[0]));
	if (r->guests == NULL || r->watches == NULL) {
		roster_fini(r);
		return -ENOMEM;
	}
	return 0;
}

void roster_fini(struct roster *r)
{
	free(r->guests);
	free(r->watches);
	memset(r, 0, sizeof(*r));
}

/* The first of the parked is looked at, at once. */
static void activate(struct roster *r)
{
	unsigned i = r->n_active++;

	virtq_watch(&r->guests[i]->dev.vq, &r->watches[i]);
	virtq_watch_always(&r->watches[i]);
}

void roster_add(struct roster *r, struct guest *g)
{
	r->guests[r->n_guests++] = r->guests[r->n_active];
	r->guests[r->n_active] = g;
	activate(r);
}

void roster_park(struct roster *r, unsigned i)
{
	struct guest *g = r->guests[i];
	unsigned last = --r->n_active;

	r->guests[i] = r->guests[last];
	r->watches[i] = r->watches[last];
	r->guests[last] = g;
}

void roster_unpark(struct roster *r)
{
	while (r->n_active < r->n_guests)
		activate(r);
}

void roster_remove(struct roster *r, struct guest *g)
{
	for (unsigned i = 0; i < r->n_guests; i++) {
		if (r->guests[i] != g)
			continue;
		if (i < r->n_active) {
			roster_park(r, i);
			i = r->n_active;
		}
		r->guests[i] = r->guests[--r->n_guests];
		return;
	}
}

struct guest *roster_find(const struct roster *r, bool (*is)(const struct guest *g))
{
	for (unsigned i = 0; i < r->n_guests; i++)
		if (is(r->guests[i]))
			return r->guests[i];
	return NULL;
}
