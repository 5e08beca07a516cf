/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PULSE_H
#define VRNG_PULSE_H

/*
 * Do the lcores make progress? Each is poked now and then, and answers in its loop, which takes
 * microseconds, also when it sleeps or blocks: a poke wakes it. So that it may go on sleeping, one
 * that sleeps is poked more seldom, and taken to be well in between. One that does not answer is
 * stuck, or has no CPU.
 *
 * Thread safety: none. Context: MAIN.
 */

#include <stdbool.h>
#include <stdint.h>

struct pulse;
struct workers;

/**
 * @param workers  which run; they outlive the pulse
 * @param wake_ns  how often one that sleeps is poked
 * @return         0 or -ENOMEM
 */
int pulse_create(const struct workers *workers, uint64_t wake_ns, struct pulse **pulse);

/** NULL is fine. */
void pulse_destroy(struct pulse *p);

/**
 * Poke those that have answered. Says in the log which has been silent for long, and when it is
 * there again.
 *
 * @return  true when each has answered since it was last poked here
 */
bool pulse_beats(struct pulse *p, uint64_t now_ns);

#endif
