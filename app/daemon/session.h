/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SESSION_H
#define VRNG_SESSION_H

/*
 * The front-ends' side: sockets and protocol, by rte_vhost. The only module that knows rte_vhost.
 *
 * A session is one connection. While its front-end has the ring running and enabled, and what it
 * set up is sound, the guest of its socket is attached to a worker. Before any message that could
 * change the ring or the memory under the lcore the guest is detached, and afterwards everything is
 * read again, checked again, and attached again.
 *
 * Security model: rte_vhost checks the form of messages, not their sense, and keeps the state that
 * a refused message leaves behind. So nothing that it reports is used before session.c and
 * virtq_init() have checked it: region sizes against their files, the ring's size and addresses
 * against the regions.
 *
 * Context: VHOST, rte_vhost's event thread, calls what is not exported. The exported functions say
 * theirs.
 */

#include "guest.h"

/**
 * Make the sessions known to rte_vhost for 'n_guests' guests, and listen on each one's path. The
 * sockets are made with mode 0600; sockets_set_rights() may then widen that.
 *
 * @param guests  outlive session_stop_all()
 * @return        0 or a negative errno, which was logged; nothing listens then
 * Context: MAIN, when the workers poll.
 */
int session_start_all(struct guest *guests, unsigned n_guests);

/**
 * Close all connections and sockets, and remove the sockets' files. All guests are detached then.
 * Context: MAIN, while the workers still poll.
 */
void session_stop_all(void);

/**
 * Notify the driver of an attached guest, or of a detached one in VHOST context.
 *
 * @return  0; -EAGAIN when a message of its front-end is being worked on: ask again
 * Context: LCORE that owns 'g', or VHOST. No locks that wait.
 */
int session_notify(struct guest *g);

#endif
