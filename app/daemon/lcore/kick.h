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
 */

#include <stdbool.h>
#include <stdint.h>

/** Guests that cannot be heard are looked at so often while the lcore blocks. */
#define KICK_LOOK_NS UINT64_C(1000000)

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

#endif
