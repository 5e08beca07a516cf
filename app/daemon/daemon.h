/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_DAEMON_H
#define VRNG_DAEMON_H

/*
 * The whole: what was asked for, and what runs because of it. Starts everything in order, serves
 * until it is told to end, and ends everything in the reverse order.
 *
 * Context: MAIN.
 */

#include "config/options.h"
#include "config/spec.h"
#include "control/control.h"
#include "eal.h"
#include "events.h"
#include "guests.h"
#include "pulse.h"
#include "sandbox/sandbox.h"
#include "service.h"
#include "supervisor.h"

#include <signal.h>

struct daemon {
	int argc; /* the daemon's own part of the command line */
	char **argv;
	struct options opt;
	struct specs specs;	  /* guests to begin with; and what one that comes later has */
	struct sockets_lock lock; /* of their sockets' directories, while it starts */
	struct eal eal;
	struct sandbox_report sandbox; /* what it gave up */
	struct service *service;
	struct guests *guests;
	struct events *events;
	struct event_handler signals; /* a signalfd */
	struct pulse *pulse;
	struct supervisor supervisor;
	struct control *control; /* NULL: none */
	bool draining;		 /* end when the last guest has gone */
	bool ending;
};

/**
 * Check, when 'opt' is there, what it names on this host: groups, sources, CPUs, the user,
 * directories. Nothing is opened, made or removed.
 *
 * @param eal_argc  as eal_start() takes it
 * @return          0 or a negative errno; daemon_end() is then still needed
 */
int daemon_check(struct daemon *d, int eal_argc, struct why *why);

/**
 * The same, and then all that must be done before the EAL starts: open sources, lock directories,
 * remove stale sockets.
 */
int daemon_prepare(struct daemon *d, int eal_argc, struct why *why);

/**
 * Start, when the EAL runs; then serve until a signal, or somebody on the control socket, says that
 * it is enough.
 *
 * @param signals  which are blocked, and are for MAIN
 */
int daemon_serve(struct daemon *d, const sigset_t *signals, struct why *why);

/** Let no new front-end come, and end when the last one has gone; or stop that. */
void daemon_drain(struct daemon *d, bool draining);

/** End what was started, and free. A zeroed one is fine. */
void daemon_end(struct daemon *d);

#endif
