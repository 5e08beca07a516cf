/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_GUEST_H
#define VRNG_GUEST_H

#include "rng_device.h"
#include "sockets.h"

struct worker;
struct session;

/*
 * One socket and whoever is behind it. It lives as long as the daemon: its share of the budget and
 * its counters are the socket's, whichever front-end comes and goes.
 *
 * A guest is attached to its worker (then the worker's lcore owns what is marked LCORE) or detached
 * (then VHOST owns it, or MAIN while the socket is taken down). worker_attach() and worker_detach()
 * pass it over, with an acknowledgement.
 */
struct guest {
	/* Fixed when it is created */
	_Alignas(64) unsigned index;
	char path[SOCKETS_PATH_SIZE];
	struct worker *worker;

	/* VHOST: rw. The session that is served, the newest; NULL: none. */
	struct session *session;

	/* LCORE: rw while attached; VHOST: rw while detached */
	struct rng_device dev;
	int vid;		/* of rte_vhost; fixed while attached */
	uint16_t notified_used; /* last_used when rte_vhost was last asked to call the guest */

	/* LCORE: rw, MAIN: ro. What the ring was found to lie about; NULL: nothing. */
	const char *fault;
};

#endif
