/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_EVENTS_H
#define VRNG_EVENTS_H

/*
 * MAIN's event loop: what is to be done when a descriptor is ready. One handler is called at a
 * time, and may add, change and remove any, itself too.
 *
 * Context: MAIN.
 */

#include <stdint.h>

struct events;

struct event_handler {
	int fd;
	/** @param ready  of EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
	void (*handle)(void *arg, uint32_t ready);
	void *arg;
};

/** @return 0 or a negative errno */
int events_create(struct events **events);

/** NULL is fine. */
void events_destroy(struct events *ev);

/**
 * @param h       the caller's, until events_remove()
 * @param wanted  of EPOLLIN, EPOLLOUT
 * @return        0 or a negative errno
 */
int events_add(struct events *ev, struct event_handler *h, uint32_t wanted);

/** Wait for other things from now on. */
void events_change(struct events *ev, struct event_handler *h, uint32_t wanted);

/** Before its descriptor is closed. */
void events_remove(struct events *ev, struct event_handler *h);

/** Wait for one event, at most so long, and handle it. */
void events_wait(struct events *ev, uint64_t limit_ns);

#endif
