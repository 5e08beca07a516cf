/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FEEDER_H
#define VRNG_FEEDER_H

/*
 * The thread that reads the sources ahead into the byte rings of the lcores, so that no lcore ever
 * reads a file. When a source has nothing, ends, fails or breaks down, the next source serves
 * (lineup.h), and when there is none the rings say that they are dry, until one is well. Sources
 * are read with O_NONBLOCK; one whose file system does not answer holds up this thread all the
 * same, and feeder_stop().
 *
 * The rings' memory is locked, kept out of core dumps, and wiped.
 */

#include "byte_ring.h"
#include "lcore/bell.h"
#include "source/intake.h"

#include <sched.h>

struct feeder;

struct feeder_config {
	unsigned index;		/* in the thread's name */
	struct intake *intakes; /* open; the caller's, used by the feeder while it runs */
	unsigned n_intakes;
	unsigned n_rings;      /* one for each lcore */
	size_t ring_bytes;     /* a power of two */
	size_t keep_bytes;     /* to read ahead, at most ring_bytes */
	bool patient;	       /* rings are emptied slowly: full ones may be left alone longer */
	bool woken;	       /* lcores ring feeder_bell(): they may be left alone till then */
	size_t mix_bytes;      /* of each source, in a mix; 0: no mix */
	const cpu_set_t *cpus; /* where the thread may run */
};

/** @return 0 or -ENOMEM. Context: MAIN. */
int feeder_create(const struct feeder_config *cfg, struct feeder **feeder);

/** The ring of lcore number 'index', whose consumer that lcore is. */
struct byte_ring *feeder_ring(struct feeder *f, unsigned index);

/** Is the source that serves the kernel's generator, by its fast door? For lcores to read. */
const bool *feeder_kernel_serves(const struct feeder *f);

/** Ring this one when that lcore's ring has bytes, or is dry. Context: MAIN, before the start. */
void feeder_set_bell(struct feeder *f, unsigned index, struct bell *bell);

/** With 'woken': to be rung when a ring has less than feeder_low_bytes(). */
struct bell *feeder_bell(struct feeder *f);

size_t feeder_low_bytes(const struct feeder *f);

/** Start reading. @return 0 or a negative errno. Context: MAIN. */
int feeder_start(struct feeder *f);

/** Stop the thread, if it runs, and wait for it. Context: MAIN. */
void feeder_stop(struct feeder *f);

/** Wipe and free. Context: MAIN, after feeder_stop() and when no lcore uses a ring. */
void feeder_destroy(struct feeder *f);

#endif
