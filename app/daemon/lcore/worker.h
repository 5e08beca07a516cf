/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_WORKER_H
#define VRNG_WORKER_H

/*
 * A worker: one lcore's polling loop and the guests that it serves.
 *
 * The loop gives each attached guest that has work a bounded turn after the other; those that wait
 * for their allowance are left alone until it may have come. It takes no lock, allocates
 * and logs nothing, and makes no system call but those which signal a guest's call descriptor
 * (caller.h), and, where it draws from the kernel's generator, take a new key now and then (tap.h).
 * With nothing to do it goes on so (where the lcore has no CPU of its own it yields), or rests as
 * its idle policy says (sleeper.h).
 *
 * A guest's accounts are with one worker from worker_join() to worker_leave(), also while nobody is
 * connected: in fair sharing others use its share then. In between its ring comes and goes by
 * worker_attach() and worker_detach(). All wait for the lcore, which answers between two turns:
 * microseconds, whatever the guests do. After worker_detach() has returned the lcore does not touch
 * the guest's memory; after worker_leave() nothing of it.
 */

#include "config/options.h"
#include "guest.h"
#include "idle.h"

#include <stdbool.h>
#include <stdint.h>

struct sleeper_latency;

struct worker_config {
	unsigned lcore;
	bool shared_cpu; /* yield when idle */
	struct idle_config idle;
	unsigned max_guests;	/* attached at a time */
	struct byte_ring *ring; /* this lcore is its consumer */
	size_t low_bytes;	/* with less in the ring its producer may have to be woken */
	struct bell *ring_bell; /* by this */
	struct tap *tap;	/* its own way to the kernel's generator; NULL: none */
	bool drbg;		/* the ring seeds a DRBG; else its bytes are what guests get */
	size_t seed_bytes;	/* these three as entropy_config has them */
	uint64_t reseed_bytes;
	bool continue_unseeded;
	struct budget_config bytes, requests; /* but for the memory, which is the worker's */
	uint64_t epoch_ns;		      /* of CLOCK_MONOTONIC: when the first period starts */
	uint64_t turn_bytes;		      /* what one guest may be given in one turn */
};

/** @return 0 or a negative errno. Context: MAIN. */
int worker_create(const struct worker_config *cfg, struct worker **worker);

/** What makes the keystream of a DRBG, for a log; NULL without one. */
const char *worker_keystream_name(const struct worker *w);

/** For stats_read(). */
const struct entropy_stats *worker_entropy_stats(const struct worker *w);

/** What its time went to. Context: any. */
void worker_times(const struct worker *w, struct idle_stats *times);

/** How late it runs when it was asleep, for stats_read(); NULL with IDLE_POLL. Context: any. */
const struct sleeper_latency *worker_latency(const struct worker *w);

/** Wakes the lcore when there are bytes in its ring; NULL: it never sleeps. */
struct bell *worker_bell(const struct worker *w);

/**
 * Reseed the DRBG, if there is one, as soon as there is a seed. Waits for nothing.
 *
 * @param due  not a byte without it, as entropy_want_reseed() has it
 * Context: MAIN, VHOST.
 */
void worker_reseed(struct worker *w, bool due);

/**
 * Ask the lcore for a sign of life, and wait for nothing.
 *
 * @return  true when it has answered the last time; false: it has yet to, and is not asked again
 * Context: MAIN.
 */
bool worker_poke(struct worker *w);

/** Is the lcore asleep, or about to be? Context: any. */
bool worker_sleeps(const struct worker *w);

/** Start polling. @return 0 or a negative errno. Context: MAIN. */
int worker_start(struct worker *w);

/** Let it make no more system calls than it needs: sandbox_enter_lcore(). Context: MAIN. */
int worker_confine(struct worker *w);

/** Stop polling, if it runs, and wait for that. No guest is attached. Context: MAIN. */
void worker_stop(struct worker *w);

/** Context: MAIN, after worker_stop(). NULL is fine. */
void worker_destroy(struct worker *w);

unsigned worker_lcore(const struct worker *w);

/** How many guests are attached. Context: any. */
unsigned worker_load(const struct worker *w);

/** Make this the worker of a guest that has none. Context: MAIN, VHOST; the lcore polls. */
void worker_join(struct worker *w, struct guest *g);

/** Take a detached guest away from its worker, with what its accounts hold. Context: as above. */
void worker_leave(struct worker *w, struct guest *g);

/** New terms of a guest's accounts from a period on: see budget_change(). */
struct worker_change {
	struct guest *guest; /* has joined this worker */
	struct budget_terms bytes, requests;
	uint64_t from_period;
};

/** Change terms, all between two turns. Context: MAIN; the lcore polls. */
void worker_change_terms(struct worker *w, const struct worker_change *changes, unsigned n_changes);

/** Let the lcore serve a guest whose device was started. Context: VHOST, MAIN. */
void worker_attach(struct worker *w, struct guest *g);

/** Take an attached guest back, its device stopped. Context: VHOST, MAIN. */
void worker_detach(struct worker *w, struct guest *g);

/** All that there are. The service makes them; others ask it for them, when they poll. */
struct workers {
	unsigned n;
	struct worker *all[OPTIONS_LCORES_MAX];
};

/** NULL: there is none on this lcore. Context: any. */
struct worker *workers_find(const struct workers *workers, uint32_t lcore);

#endif
