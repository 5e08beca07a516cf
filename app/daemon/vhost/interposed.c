/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Overrides of the C library's socket functions, for rte_vhost, which has no hooks where it calls
 * these. A definition in the program takes precedence over the C library's, for static archives
 * and for shared libraries that call it.
 *
 * recvmsg() passes each received message header through receive_judge() (receive.h). accept(),
 * socket() and connect() record the connections that rte_vhost makes (conn.h).
 *
 * Invariant: each override calls the C library's function, never the bare system call. recvmsg(),
 * accept() and connect() must stay cancellation points (POSIX.1-2017, 2.9.5.2), because
 * rte_eal_cleanup() cancels the thread of the multi-process channel in recvmsg() and joins it.
 *
 * Context: any.
 */
#include "vhost/conn.h"
#include "vhost/receive.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

/* Set 'function' to the next definition of 'name': the C library's, or that of a sanitizer. */
#define FIND_NEXT(function, name) (*(void **)&(function) = dlsym(RTLD_NEXT, name))

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t (*next)(int fd, struct msghdr *message, int flags);
	ssize_t n;

	FIND_NEXT(next, "recvmsg");
	n = next(fd, message, flags);
	return n > 0 ? receive_judge(fd, message, n) : n;
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int (*next)(int fd, struct sockaddr *addr, socklen_t *len);
	int conn;

	FIND_NEXT(next, "accept");
	conn = next(fd, addr, len);
	if (conn >= 0)
		conn_note(conn);
	else
		conn_turn_away(fd);
	return conn;
}

int socket(int domain, int type, int protocol)
{
	int (*next)(int domain, int type, int protocol);

	FIND_NEXT(next, "socket");
	return conn_made(next(domain, type, protocol));
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*next)(int fd, const struct sockaddr *addr, socklen_t len);
	int rc;

	FIND_NEXT(next, "connect");
	rc = next(fd, addr, len);
	if (rc == 0)
		conn_note(fd);
	else if (errno == EISCONN) /* rte_vhost takes EISCONN for success, see conn_leave() */
		errno = ECONNABORTED;
	return rc;
}
