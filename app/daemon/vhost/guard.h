/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_GUARD_H
#define VRNG_GUARD_H

/*
 * Memory that a front-end takes away while we use it.
 *
 * A guest's memory is a file that its front-end may truncate, or whose hugepages may run out: the
 * next access is a SIGBUS, on an lcore or in rte_vhost's thread, which ends the process and with it
 * all guests. The guard's handler puts anonymous memory where the guest's was, from the page that
 * failed to the end of the mapping, so that what was under way goes on and does no harm; marks the
 * guest; and shuts its connection down, so that rte_vhost takes it apart as after any hang-up.
 * (To the mapping's end, since what is truncated is a file's end: one fault and one more mapping
 * for each region, however many pages are touched after it.)
 *
 * A SIGBUS anywhere else goes to whoever handled it before: as a rule it ends the process.
 *
 * Not covered: while the EAL takes another hugepage for its heap, it handles SIGBUS itself
 * (eal_memalloc.c). So eal.c gives it none; whoever gives EAL options of his own should say
 * --no-huge, or -m with enough.
 *
 * Thread safety: the handler looks an address up without locks, on any thread. A guest's areas must
 * not change while another thread may touch that guest's memory; other guests' may.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_AREAS_MAX 9 /* regions of a guest's memory, and a log of what is written to it */

/** What is said of a guest that was hit; to be compared by address. */
extern const char guard_fault[];

/** The memory of one connection. */
struct guard;

/** A mapping, from the beginning of a page on. */
struct guard_area {
	uintptr_t start;
	size_t size_bytes;
};

/**
 * Install the handler.
 *
 * @param max  connections at a time
 * @return     0 or a negative errno
 * Context: MAIN, before other threads use what is below. It stays until the process ends.
 */
int guard_install(unsigned max);

/**
 * @param conn_fd  shut down when the guest is hit; stays open until guard_close(). -1: none
 * @return         NULL: 'max' are open
 * Context: VHOST.
 */
struct guard *guard_open(int conn_fd);

/** Forget its areas: the memory is unmapped, or about to be. NULL is fine. Context: VHOST, MAIN. */
void guard_close(struct guard *g);

/** These are its areas now, and no others. Context: VHOST, MAIN. */
void guard_cover(struct guard *g, const struct guard_area *areas, unsigned n_areas);

/**
 * From now until guard_expect(NULL) the calling thread works for 'g' on memory that is not known
 * yet: a SIGBUS of this thread in any shared mapping of a file hits 'g'.
 */
void guard_expect(struct guard *g);

/** Has memory of 'g' been lost since it was opened? Context: any. */
bool guard_is_hit(const struct guard *g);

extern uint32_t guard_n_hits;

/** How often any guest was hit, modulo 2^32. Context: any; one load of a word that rarely changes.
 */
static inline uint32_t guard_hits(void)
{
	return __atomic_load_n(&guard_n_hits, __ATOMIC_ACQUIRE);
}

#endif
