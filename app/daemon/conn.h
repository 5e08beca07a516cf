/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONN_H
#define VRNG_CONN_H

/*
 * The descriptors behind rte_vhost's connections, which it does not tell: found among the process's
 * own, by the socket that they were accepted from.
 *
 * Context: VHOST.
 */

#include <stdbool.h>
#include <sys/types.h>

/** One connection. {-1, 0}: not known. */
struct conn {
	int fd;	   /* rte_vhost's: not ours to close */
	ino_t ino; /* tells the connection from another that has the number later */
};

/** Has the peer closed it, or it ours? A connection that is not known is not live. */
bool conn_is_live(const struct conn *conn);

/**
 * Find a connection that was accepted from the socket at 'path'.
 *
 * @param is_known  connections that it shall not be
 * @return          {-1, 0} when there is none. Costs a look at each descriptor of the process.
 */
struct conn conn_find(
	const char *path, bool (*is_known)(const struct conn *, void *arg), void *arg);

#endif
