/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SESSION_H
#define VRNG_SESSION_H

/*
 * The front-ends' side: sockets and protocol, by rte_vhost. With session_mem.c,
 * session_serve.c, listener.c and vhost_thread.c the only module that knows rte_vhost.
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
 * theirs. In client mode a connection begins in the thread that made it, which may also be MAIN or
 * rte_vhost's reconnect thread: that one holds a lock of the library's, which unregistering a
 * socket takes, too. A lock of ours, which every callback holds, makes that no two threads work on
 * sessions at the same time; nobody waits for the library with it; lcores know nothing of it.
 */

#include "guest_table.h"

/**
 * Guard guests' memory, and say where the guest of a connection is looked for.
 *
 * @return  0 or a negative errno, which was logged
 * Context: MAIN, before the first session_add().
 */
int session_init(struct guest_table *table);

/**
 * Listen on a guest's path. The socket is made with mode 0600; sockets_set_rights() may then widen
 * that. Or connect to it, when it is the front-end's, and go on trying.
 *
 * @param g  in the table; it has joined a worker
 * @return   0 or a negative errno, which was logged
 * Context: MAIN, when the workers poll; holds no lock.
 */
int session_add(struct guest *g);

/**
 * Close a guest's connections and its socket, and remove the file of a socket of ours. Afterwards
 * the guest is detached, and no callback knows it. Context: MAIN, while the workers still poll;
 * holds no lock.
 */
void session_remove(struct guest *g);

/** Until session_thaw() all guests stay with their workers, and attached or not. Context: MAIN. */
void session_freeze(void);
void session_thaw(void);

/**
 * From now on let 'to' serve a guest, and no other worker; NULL: any. What the guest has asked for
 * waits meanwhile.
 * Context: MAIN, while the workers poll.
 */
void session_pin(struct guest *g, struct worker *to);

/** Let no new front-end come to a guest, or let it again. Context: MAIN. */
void session_drain(struct guest *g, bool draining);

#endif
