/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONN_H
#define VRNG_CONN_H

/*
 * The descriptors behind rte_vhost's connections, which it does not tell: found among the process's
 * own, by the socket that they were accepted from, or made to.
 *
 * Context: VHOST.
 */

#include <stdbool.h>
#include <sys/types.h>

/** One connection. {-1, 0}: not known. */
struct conn {
	int fd;	   /* ours: rte_vhost (22.11) closes its own before it says so */
	ino_t ino; /* tells the connection from another that has the number later */
};

/** Is the peer there, and may it say more? A connection that is not known is not live. */
bool conn_is_live(const struct conn *conn);

/**
 * Let no send or receive on it wait for longer than so many milliseconds, > 0. It then fails as if
 * the socket were non-blocking.
 */
void conn_limit_waits(const struct conn *conn, unsigned ms);

/** Does the peer read what is sent to it? False when a quarter of the buffer is taken. */
bool conn_is_read(const struct conn *conn);

/** End it for both sides: whoever reads from it sees its end. Nothing is closed. */
void conn_hang_up(const struct conn *conn);

/**
 * Find a connection that was accepted from the socket at 'path' or, when 'client', made to it. (The
 * latter not when who listens there gave a relative path.)
 *
 * @param is_known  connections that it shall not be
 * @param conn      {-1, 0} when there is none, or it cannot be told; else the caller's to
 *                  conn_close()
 * @return          0; -EMFILE, -ENFILE or -ENOMEM: cannot look now. Costs a look at each descriptor
 *                  of the process.
 */
int conn_find(const char *path, bool client, bool (*is_known)(const struct conn *, void *arg),
	void *arg, struct conn *conn);

/** Close our descriptor. The peer sees the end only when rte_vhost's is closed, too. */
void conn_close(struct conn *conn);

#endif
