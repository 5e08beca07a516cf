/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TAP_H
#define VRNG_TAP_H

/*
 * An lcore's own way to the kernel's generator (kernel_rng.h): bounded, and no system call but for
 * a new key now and then, so that the lcore may draw its bytes itself, when they are wanted. The
 * same bytes as a feeder's, tested in the same way (intake.h) before a guest gets one; nearly twice
 * as fast, on as many lcores as there are, and no other CPU is busy with it.
 *
 * It gives as long as the feeder finds that the kernel's generator is the source that serves. When
 * it does not, or a test of the tap's own fails, the lcore lives on what the feeder reads.
 *
 * Context: made and ended by MAIN; the lcore that owns it does the rest. Counters may be read by
 * any thread.
 */

#include "source/intake.h"

#include <stdbool.h>

struct tap;

/**
 * @param entropy_abits  as intake_open() has it
 * @param kernel_serves  the feeder's word; outlives the tap
 * @return               0; -ENOTSUP when there is no such door; -ENOMEM
 */
int tap_create(uint64_t entropy_abits, const bool *kernel_serves, struct tap **tap);

/** Wipe and free. NULL is fine. */
void tap_destroy(struct tap *t);

/** What it fills, and the lcore empties. */
struct byte_ring *tap_ring(struct tap *t);

/** Draw 'want_bytes' bytes or so into the ring, if it can. As entropy_refill. Context: LCORE. */
void tap_refill(void *tap, size_t want_bytes);

/** For stats_read(). */
const struct intake_stats *tap_stats(const struct tap *t);

#endif
