/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_WORKER_H
#define VRNG_WORKER_H

/*
 * A worker: one lcore's polling loop and the guests that it serves.
 *
 * The loop gives each attached guest a bounded turn after the other. It takes no lock, allocates
 * and logs nothing, and makes one system call only: the write to a guest's call descriptor, in
 * 'notify'. (Where the lcore has no CPU of its own it also yields when there is nothing to do.)
 *
 * Guests come and go by worker_attach() and worker_detach(). Both wait for the lcore, which answers
 * between two turns: microseconds, whatever the guests do. After worker_detach() has returned the
 * lcore does not touch the guest or its memory.
 */

#include "guest.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_config {
	unsigned lcore;
	bool shared_cpu;	/* yield when idle */
	unsigned max_guests;	/* attached at a time */
	struct byte_ring *ring; /* this lcore is its consumer */
	bool drbg;		/* the ring seeds a DRBG; else its bytes are what guests get */
	size_t seed_bytes;	/* these three as entropy_config has them */
	uint64_t reseed_bytes;
	bool continue_unseeded;
	uint64_t max_bytes; /* for budget_init() */
	uint64_t period_ns;
	uint64_t epoch_ns; /* of CLOCK_MONOTONIC: when the first period starts */
	uint32_t total_weight;

	/**
	 * Notify the driver of 'g'. Context: LCORE.
	 * @return 0 when that is done; -EAGAIN: ask again
	 */
	int (*notify)(struct guest *g);
};

/** @return 0 or a negative errno. Context: MAIN. */
int worker_create(const struct worker_config *cfg, struct worker **worker);

/**
 * Make this the worker of a guest: gives it its share of the budget.
 *
 * @param weight_lo, weight_hi  as budget_add() has them
 * @return                      0 or as budget_add()
 * Context: MAIN, before worker_start().
 */
int worker_adopt(struct worker *w, struct guest *g, uint32_t weight_lo, uint32_t weight_hi);

/** What makes the keystream of a DRBG, for a log; NULL without one. */
const char *worker_keystream_name(const struct worker *w);

/** For stats_read(). */
const struct entropy_stats *worker_entropy_stats(const struct worker *w);

/**
 * Reseed the DRBG, if there is one, as soon as there is a seed. Waits for nothing.
 *
 * @param due  not a byte without it, as entropy_want_reseed() has it
 * Context: MAIN, VHOST.
 */
void worker_reseed(struct worker *w, bool due);

/** Start polling. @return 0 or a negative errno. Context: MAIN. */
int worker_start(struct worker *w);

/** Stop polling, if it runs, and wait for that. No guest is attached. Context: MAIN. */
void worker_stop(struct worker *w);

/** Context: MAIN, after worker_stop(). NULL is fine. */
void worker_destroy(struct worker *w);

unsigned worker_lcore(const struct worker *w);

/** Let the lcore serve a guest whose device was started. Context: VHOST, MAIN. */
void worker_attach(struct worker *w, struct guest *g);

/**
 * Take an attached guest back, its device stopped. A call may then be owed to it.
 * Context: VHOST, MAIN.
 */
void worker_detach(struct worker *w, struct guest *g);

#endif
