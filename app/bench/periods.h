/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A back-end's budget as its guests see it: the bytes that came in each of its periods.
 *
 * Nobody tells a guest when a period begins, but guests that always want more get nothing when it
 * is used up: the first answer after a silence of at least an eighth of a period tells that one has
 * begun. From there on time is cut into periods, each from a quarter before the beginning to a
 * quarter before the next. That is right when what a period allows is given within three quarters
 * of it, as a budget is that is refilled at a period's start and is less than the back-end can
 * give.
 *
 * Thread-safety: none.
 */
#ifndef BENCH_PERIODS_H
#define BENCH_PERIODS_H

#include <stdbool.h>
#include <stdint.h>

#define PERIODS_MAX 1000

struct periods {
	uint64_t length; /* in the clock's units, > 0 */
	unsigned n;	 /* to be looked at, at most PERIODS_MAX */
	bool begun;
	uint64_t start;	      /* of the first */
	uint64_t last_answer; /* 0: none yet */
	uint64_t last;	      /* index of the latest that an answer was in */
	uint64_t bytes[PERIODS_MAX];
};

/** Count an answer. */
void periods_count(struct periods *p, uint64_t now, uint64_t bytes);

/** How many of them are over, by what came later. */
unsigned periods_seen(const struct periods *p);

/** Over those that were seen. */
void periods_summary(const struct periods *p, uint64_t *least, uint64_t *most, uint64_t *sum);

#endif
