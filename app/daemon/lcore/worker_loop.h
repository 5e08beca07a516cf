/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_WORKER_LOOP_H
#define VRNG_WORKER_LOOP_H

/*
 * What a worker is, and what its lcore does all day. For the parts of a worker: worker.c,
 * worker_calls.c and sleeper.c; others have worker.h.
 *
 * Thread safety: as the fields say.
 */

#include "lcore/caller.h"
#include "lcore/roster.h"
#include "lcore/worker.h"
#include "usage.h"

#include <rte_config.h>
#include <rte_pause.h>

#include <pthread.h>
#include <sched.h>

struct nonce {
	uint8_t random[32];
	uint64_t seconds, nanoseconds, process, lcore;
};

struct worker {
	/* Fixed when it is created */
	unsigned lcore;
	bool shared_cpu;
	uint64_t epoch_ns;
	struct sleeper *sleeper; /* NULL: it always polls */
	struct nonce nonce;
	struct caller caller;	     /* LCORE: rw, while it runs */
	struct keystream *keystream; /* LCORE: rw, while it runs; NULL: no DRBG */

	/* LCORE: rw */
	struct budget bytes, requests;
	struct budget_account **accounts; /* that have joined: of bytes, then of requests */
	struct entropy entropy;
	struct rng_supply supply;
	struct roster roster; /* of the attached guests */
	unsigned starved;     /* guests that found no bytes in this sweep */
	unsigned turns;	      /* in this sweep */
	uint32_t hits_seen;   /* guard_hits() when it was last looked after */
	bool stop;	      /* the loop ends */
	struct usage usage;   /* what its time goes to; 'busy_ns', 'other_ns' others: ro */

	/* LCORE: rw, VHOST: ro */
	unsigned n_attached;

	/* A call to the lcore. MAIN, VHOST: rw under call_lock; LCORE: ro while call != answer */
	pthread_mutex_t call_lock;
	bool running;
	void (*task)(struct worker *w, void *arg);
	void *arg;
	_Alignas(64) uint32_t call;   /* MAIN, VHOST: rw, LCORE: ro */
	uint32_t asked;		      /* MAIN, VHOST: set bits, LCORE: clears them */
	_Alignas(64) uint32_t answer; /* LCORE: rw, MAIN, VHOST: ro */
};

/* What an lcore is asked for that nobody waits for. */
#define ASKED_RESEED 1u
#define ASKED_DUE    2u /* and not a byte without it */
#define ASKED_POKE   4u

static inline bool is_called(const struct worker *w)
{
	return __atomic_load_n(&w->call, __ATOMIC_ACQUIRE) != w->answer;
}

/** Does anybody want something of the lcore, that rings the bell for it? Context: LCORE. */
static inline bool is_wanted(const struct worker *w)
{
	return is_called(w) || __atomic_load_n(&w->asked, __ATOMIC_RELAXED) != 0;
}

/** Let a moment pass. Context: LCORE. */
static inline void worker_spin(const struct worker *w)
{
	if (w->shared_cpu)
		sched_yield();
	else
		rte_pause();
}

/** Call a guest to which that is owed. Context: LCORE. */
void worker_notify(struct worker *w, struct guest *g);

/** Count what a guest waits for from now on, or that it does not any more. Context: LCORE. */
void worker_note_wait(struct guest *g, bool waits);

/** The polling loop, until 'stop': what the EAL launches. Context: LCORE. @return 0 */
int worker_loop(void *worker);

#endif
