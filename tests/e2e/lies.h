/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What a front-end can say that makes no sense, and what a driver can write into its queue: for one
 * guest that is connected. Whether the daemon refuses, hangs up or puts up with it is its own
 * affair; afterwards the guest has to connect anew.
 */
#ifndef E2E_LIES_H
#define E2E_LIES_H

#include "guest.h"

struct lie {
	const char *what;
	/* Its memory is shared, its ring need not run. It has two regions and no more than 16
	 * entries. Fails the test when it was believed what must not be. */
	void (*tell)(struct guest *g);
};

/** About the protocol. */
extern const struct lie lies[];
extern const unsigned lies_nr;

/** Send with NEED_REPLY, whatever was negotiated, and take whatever comes of it. */
void lies_send(struct guest *g, uint32_t request, const void *payload, uint32_t len_bytes,
	const int *fds, unsigned nr_fds);

/**
 * Noise: values that are likely to mean something, anywhere in a split queue of 16 with indirect
 * tables of 4, while it is in use.
 */
void lies_scribble(struct guest *g, unsigned turns, unsigned *seed);

#endif
