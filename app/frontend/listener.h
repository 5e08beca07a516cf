/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The socket of a VMM that waits for its back-end to connect (QEMU: server=on), as back-ends in
 * client mode want it. What is accepted goes to frontend_create().
 *
 * Results, for all functions that return int: 0 or -errno.
 */
#ifndef FRONTEND_LISTENER_H
#define FRONTEND_LISTENER_H

/**
 * Listen at 'path'; a socket that stands there is replaced, as QEMU does.
 *
 * @param fd  the caller's to close; the socket's file stays then, as when a VMM dies
 */
int listener_open(const char *path, int *fd);

/**
 * Take the next connection.
 *
 * @param conn  the caller's, or frontend_create()'s
 * @return      also -ETIMEDOUT
 */
int listener_accept(int fd, int timeout_ms, int *conn);

#endif
