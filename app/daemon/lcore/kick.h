/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_KICK_H
#define VRNG_KICK_H

/*
 * A guest's kick descriptor, and how an lcore that blocks hears it.
 *
 * Security model: the descriptor is the front-end's, which may have sent anything and goes on
 * sharing the open file. So nothing is ever read from it, and only an eventfd is listened to: to
 * poll another file may call into a driver, or into a file system in user space that never answers.
 * It is listened to by edge: each write wakes once, however full the counter is. (By level it would
 * have to be read, and one that is always readable would wake for ever.)
 * A front-end that writes all the time wakes the lcore in vain a few times; then it is not
 * heard for a while, a longer one each time, and its ring is looked at when the while is over.
 *
 * 'epoll' is the lcore's, for the guests that it hears.
 */

#include <stdbool.h>
#include <stdint.h>

struct guest;

/** LCORE: rw while attached; VHOST: rw while detached. */
struct kick {
	int fd;		  /* of rte_vhost, fixed while attached; -1: none that can be listened to */
	bool heard;	  /* the lcore listens to it */
	unsigned vain;	  /* wakes in a row that brought nothing */
	uint64_t mute_ns; /* how long it is not listened to for that; 0: it was not */
	uint64_t look_ns; /* while it is not heard: when to look at its ring, and listen again */
};

/** Set before the guest is attached. @param fd  any descriptor, or -1. Context: VHOST. */
void kick_init(struct kick *k, int fd);

/**
 * The lcore is about to block: listen to an attached guest, if that may be.
 *
 * @return  when to look at its ring all the same; UINT64_MAX: it is heard
 * Context: LCORE.
 */
uint64_t kick_listen(int epoll, struct guest *g, uint64_t now_ns);

/** 'epoll' is readable: hear who kicked. Context: LCORE. */
void kick_hear(int epoll, uint64_t now_ns);

/** Listen to a guest no more. Context: LCORE. */
void kick_forget(int epoll, struct guest *g);

#endif
