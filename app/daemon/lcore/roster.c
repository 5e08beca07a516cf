/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int roster_init(struct roster *r, unsigned max_guests)
{
	memset(r, 0, sizeof(*r));
	r->active = calloc(max_guests, sizeof(r->active[0]));
	r->watches = calloc(max_guests, sizeof(r->watches[0]));
	r->parked = calloc(max_guests, sizeof(r->parked[0]));
	if (r->active == NULL || r->watches == NULL || r->parked == NULL) {
		roster_fini(r);
		return -ENOMEM;
	}
	return 0;
}

void roster_fini(struct roster *r)
{
	free(r->active);
	free(r->watches);
	free(r->parked);
	memset(r, 0, sizeof(*r));
}

void roster_add(struct roster *r, struct guest *g)
{
	unsigned i = r->n_active++;

	r->active[i] = g;
	virtq_watch(&g->dev.vq, &r->watches[i]);
	virtq_watch_always(&r->watches[i]);
}

static void drop_active(struct roster *r, unsigned i)
{
	unsigned last = --r->n_active;

	r->active[i] = r->active[last];
	r->watches[i] = r->watches[last];
}

void roster_remove(struct roster *r, struct guest *g)
{
	for (unsigned i = 0; i < r->n_active; i++) {
		if (r->active[i] == g) {
			drop_active(r, i);
			return;
		}
	}
	for (unsigned i = 0; i < r->n_parked; i++) {
		if (r->parked[i] == g) {
			r->parked[i] = r->parked[--r->n_parked];
			return;
		}
	}
}

struct guest *roster_find(const struct roster *r, bool (*is)(const struct guest *g))
{
	for (unsigned i = 0; i < r->n_active; i++)
		if (is(r->active[i]))
			return r->active[i];
	for (unsigned i = 0; i < r->n_parked; i++)
		if (is(r->parked[i]))
			return r->parked[i];
	return NULL;
}

void roster_park(struct roster *r, unsigned i)
{
	r->parked[r->n_parked++] = r->active[i];
	drop_active(r, i);
}

void roster_unpark(struct roster *r)
{
	while (r->n_parked > 0)
		roster_add(r, r->parked[--r->n_parked]);
}
