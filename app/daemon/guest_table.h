/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_GUEST_TABLE_H
#define VRNG_GUEST_TABLE_H

/*
 * The guests that there are.
 *
 * Thread safety: MAIN alone puts guests in and takes them out, and changes what is MAIN's of them,
 * under the lock. MAIN reads without it. Others hold the lock while they look for a guest. What
 * they found stays: for VHOST while it works on a connection, because MAIN frees a guest only when
 * its socket is gone and no callback runs for it; for others as long as they hold the lock.
 */

#include "guest.h"

#include <pthread.h>

/** As many as rte_vhost serves in a process. */
#define GUESTS_MAX 1023

struct guest_table {
	pthread_mutex_t lock;
	unsigned n;
	struct guest *all[GUESTS_MAX]; /* in the order in which they came */
};

static inline void guest_table_lock(struct guest_table *t)
{
	pthread_mutex_lock(&t->lock);
}

static inline void guest_table_unlock(struct guest_table *t)
{
	pthread_mutex_unlock(&t->lock);
}

/** Context: MAIN. There is room for it. */
void guest_table_put(struct guest_table *t, struct guest *g);

/** Context: MAIN. It is in the table. */
void guest_table_take(struct guest_table *t, struct guest *g);

/** NULL: there is none. Context: MAIN, or with the lock held. */
struct guest *guest_table_by_name(const struct guest_table *t, const char *name);
struct guest *guest_table_by_path(const struct guest_table *t, const char *path);

#endif
