/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * One guest's turn: what the load does, again and again. Part of load.c, and for it alone.
 *
 * Thread-safety: the thread of the load.
 */
#ifndef BENCH_TURN_H
#define BENCH_TURN_H

#include "load.h"

/**
 * Take a burst of answers of a guest, judge them and offer what may be offered.
 *
 * @param now    ticks; brought up to date when there are answers
 * @param found  how many there were
 */
enum load_status turn_take(struct load *l, struct player *p, uint64_t *now, unsigned *found);

#endif
