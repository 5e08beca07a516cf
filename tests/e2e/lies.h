/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What a front-end can say that makes no sense, and what a driver can write into its queue: for one
 * guest that is connected. Whether the daemon refuses, hangs up or puts up with it is its own
 * affair; afterwards the guest has to connect anew.
 */
#ifndef E2E_LIES_H
#define E2E_LIES_H

#include "guest.h"

/** How many there are about the protocol. */
extern const unsigned lies_nr;

/**
 * Tell lie number 'i'. The guest's memory is shared, its ring need not run. It has two regions,
 * full of zeros but for a queue of 16 that is empty.
 *
 * @param what  its name
 * @return      false when something was believed that must not be: a ring that cannot be right was
 *              served
 */
bool lies_tell(struct guest *g, unsigned i, const char **what);

/** Send with NEED_REPLY, whatever was negotiated, and take whatever comes of it. */
void lies_send(struct guest *g, uint32_t request, const void *payload, uint32_t len_bytes,
	const int *fds, unsigned nr_fds);

/**
 * Noise: values that are likely to mean something, anywhere in a split queue of 16 with indirect
 * tables of 4, while it is in use.
 */
void lies_scribble(struct guest *g, unsigned turns, unsigned *seed);

#endif
