/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_GUEST_H
#define VRNG_GUEST_H

#include "config/spec.h"
#include "latency.h"
#include "lcore/kick.h"
#include "rng_device.h"
#include "vhost/penance.h"
#include "waiting.h"

struct guard;
struct session;
struct worker;

/** How far the front-end of a guest has come. */
enum guest_state {
	GUEST_ALONE,	 /* there is none */
	GUEST_CONNECTED, /* it is not served: it does not run its ring, or was refused */
	GUEST_SERVED,	 /* by its lcore */
};

/*
 * One socket and whoever is behind it. It lives from when it is added to when it is removed: its
 * share of the budget and its counters are the socket's, whichever front-end comes and goes.
 *
 * A guest is attached to its worker (then the worker's lcore owns what is marked LCORE) or detached
 * (then the sessions own it: VHOST, or MAIN, one at a time: see session.h). worker_attach() and
 * worker_detach() pass it over, with an acknowledgement.
 */
struct guest {
	/* Name and path fixed when it is created; the rest MAIN: rw under the table's lock. */
	_Alignas(64) struct spec spec;
	bool by_control;	 /* it came over the control socket, not from the configuration */
	const char *told;	 /* MAIN: rw. The fault that was last logged */
	uint64_t added_ns;	 /* when it was added */
	uint64_t absent_from_ns; /* MAIN: rw. A client's: nobody was seen to be there since; 0 */

	/* VHOST, MAIN: rw in a session's callback */
	struct worker *worker;
	struct worker *pinned;	 /* the only one that may serve it; NULL: any */
	struct session *session; /* that is served, the newest; NULL: none */
	bool draining;		 /* no new front-end may come; others: ro by guest_is_draining() */
	bool removed;		 /* session_remove() has begun: no session may attach the guest */
	struct penance penance;	 /* of whoever connects */

	/* For others to see, by guest_state() and guest_lcore() */
	uint32_t state;
	uint32_t lcore;

	/* LCORE: rw while attached; VHOST: rw while detached */
	struct rng_device dev;
	int vid;	      /* of rte_vhost, for the log */
	struct dirty_log log; /* of what is written to its memory */
	int call_fd;	      /* fixed while attached; -1: calls are not wanted, or not to be had */
	struct guard *guard;  /* of its connection; fixed while attached */
	struct kick kick;
	struct waiting waiting; /* others: ro by waiting_read() */
	struct latency service; /* others: ro by stats_read() */

	/* LCORE: rw, MAIN: ro. What the ring was found to lie about; NULL: nothing. */
	const char *fault;
};

/** Context: any thread. */
static inline enum guest_state guest_state(const struct guest *g)
{
	return (enum guest_state)__atomic_load_n(&g->state, __ATOMIC_RELAXED);
}

/** The lcore that serves it, or will. Context: any thread. */
static inline uint32_t guest_lcore(const struct guest *g)
{
	return __atomic_load_n(&g->lcore, __ATOMIC_RELAXED);
}

/** May no new front-end come? Context: any thread. */
static inline bool guest_is_draining(const struct guest *g)
{
	return __atomic_load_n(&g->draining, __ATOMIC_RELAXED);
}

/** What its ring was found to lie about; NULL: nothing. Context: any thread. */
static inline const char *guest_fault(const struct guest *g)
{
	return __atomic_load_n(&g->fault, __ATOMIC_ACQUIRE);
}

#endif
