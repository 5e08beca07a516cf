/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What may go wrong around the daemon, made to: allocations that fail, a socket that cannot be
 * bound, clocks that jump. faults.c, which is preloaded into the daemon, looks at these orders each
 * time; a test gives them through memory that both map, also while the daemon runs.
 *
 * Not with the address sanitizer, which has its own malloc(): faults_create() skips the test.
 */
#ifndef E2E_FAULTS_H
#define E2E_FAULTS_H

#include <stdint.h>

struct faults {
	/* The test: rw, the daemon: ro */
	uint64_t first, last; /* allocations that fail, counted from 1 on; 0: none */
	uint32_t armed;	      /* allocations are counted, from main() on */
	int32_t bind_errno;   /* of bind(2) for a path; 0: as it is */
	int32_t mlock_errno;  /* of mlock(2); 0: as it is */
	int64_t monotonic_ns; /* is added to CLOCK_MONOTONIC */
	int64_t realtime_ns;  /* is added to CLOCK_REALTIME */

	/* The daemon: rw, the test: ro */
	uint64_t nr_allocs, nr_failed; /* malloc() and the like, mmap() */
};

/** The name of the environment variable that has the file's path. */
#define FAULTS_ENV "VRNG_FAULTS_FILE"

/**
 * Make the file 'path', all zeros, for the daemons that are started from now on. Skips the test
 * where nothing can be preloaded.
 *
 * @return  its memory; faults_destroy() it
 */
struct faults *faults_create(const char *path);

/** Daemons that are started from now on have no faults. NULL is fine. */
void faults_destroy(struct faults *f);

/** Let the allocations 'first' to 'last' fail, counted from now on. */
void faults_arm(struct faults *f, uint64_t first, uint64_t last);

/** No more of that. @return how many allocations there were since */
uint64_t faults_disarm(struct faults *f);

#endif
