/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SESSION_SERVE_H
#define VRNG_SESSION_SERVE_H

/*
 * A session's guest goes to its lcore, and comes back. A part of session.c: what a session is, and
 * what must be true of it for its guest to be served.
 *
 * Context: as the callbacks of session.c, with its lock.
 */

#include "guest.h"

#define REQUESTQ 0 /* the only virtqueue (virtio 1.3 §5.4.2) */

struct session {
	struct guest *guest;
	struct session
		*older; /* of the same guest: its connection ended, which is yet to be seen */
	int conn_fd;	/* of our own */
	int vid;
	bool running;	     /* the ring: from SET_VRING_KICK to GET_VRING_BASE or RESET_OWNER */
	bool enabled;	     /* the ring, by the front-end's messages */
	bool mem_ok;	     /* the last memory table was accepted, is sound, and is the guest's */
	bool mem_changing;   /* it is, or the last memory table was refused */
	bool log_ok;	     /* the library has a log of dirty memory mapped */
	bool ring_broken;    /* the ring lied: not served until it is stopped */
	bool in_message;     /* it is worked on, or was refused by the library, which hangs up */
	bool condemned;	     /* its connection is to end with the message that is worked on */
	bool call_refused;   /* it was said that its call descriptor is none */
	struct guard *guard; /* of its memory */
	bool attached;	     /* the guest is with its worker, by this session */
	bool placed;	     /* the guest has the worker that suits its memory */
	const char *refused; /* what the log last said was wrong with the ring */
	uint64_t requests_before, bytes_before; /* counters when the front-end came */
};

/** What others see of a guest. */
static inline void session_set_state(struct guest *g, enum guest_state state)
{
	__atomic_store_n(&g->state, (uint32_t)state, __ATOMIC_RELAXED);
}

/** Say, once, why the guest is not served. @param why  kept by reference */
void session_refuse(struct session *s, const char *why);

/** End this connection: what it said last leaves nothing that could be served, or trusted. */
void session_condemn(struct session *s, const char *why);

/** Hand the guest to its lcore if all is as it must be. */
void session_resume(struct session *s);

/** Take the guest back: from here on nothing of ours touches its memory. */
void session_suspend(struct session *s);

/** The front-end's ring stops, or it is gone. */
void session_stop(struct session *s);

#endif
