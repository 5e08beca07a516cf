/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FEEDER_H
#define VRNG_FEEDER_H

/*
 * The thread that reads the source ahead into the byte rings of the lcores, so that no lcore ever
 * reads a file. A source that blocks, ends or fails holds up this thread alone; the rings say that
 * they are dry, and the feeder goes on when the source does.
 *
 * The rings' memory is locked, kept out of core dumps, and wiped.
 */

#include "byte_ring.h"
#include "source.h"

#include <sched.h>

struct feeder;

struct feeder_config {
	struct source *source; /* open; belongs to the caller, used by the feeder while it runs */
	unsigned n_rings;      /* one for each lcore */
	size_t ring_bytes;     /* a power of two */
	const cpu_set_t *cpus; /* where the thread may run */
};

/** @return 0 or -ENOMEM. Context: MAIN. */
int feeder_create(const struct feeder_config *cfg, struct feeder **feeder);

/** The ring of lcore number 'index', whose consumer that lcore is. */
struct byte_ring *feeder_ring(struct feeder *f, unsigned index);

/** Start reading. @return 0 or a negative errno. Context: MAIN. */
int feeder_start(struct feeder *f);

/** Stop the thread, if it runs, and wait for it. Context: MAIN. */
void feeder_stop(struct feeder *f);

/** Wipe and free. Context: MAIN, after feeder_stop() and when no lcore uses a ring. */
void feeder_destroy(struct feeder *f);

#endif
