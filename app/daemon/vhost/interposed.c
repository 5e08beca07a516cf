/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Functions of the C library, in its place: rte_vhost, which tells little of what it does with a
 * socket, does it by these. A definition in the program comes before that of the C library, for
 * archives and for shared libraries that use it.
 *
 * What it receives is judged first (receive.h); the connections that it makes are noted, and it
 * does not take one for its own that is not (conn.h).
 *
 * Context: any. The EAL of one process without a --file-prefix to share receives nothing by it.
 */
#include "vhost/conn.h"
#include "vhost/receive.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, message, flags);

	return n > 0 ? receive_judge(fd, message, n) : n;
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int conn = accept4(fd, addr, len, 0);

	if (conn >= 0)
		conn_note(conn);
	else
		conn_turn_away(fd);
	return conn;
}

int socket(int domain, int type, int protocol)
{
	int (*next)(int domain, int type, int protocol);

	/* Which may be a sanitizer's. */
	*(void **)&next = dlsym(RTLD_NEXT, "socket");
	return conn_made(next(domain, type, protocol));
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int rc = (int)syscall(SYS_connect, fd, addr, len);

	if (rc == 0)
		conn_note(fd);
	else if (errno == EISCONN) /* the library takes that for success: it is conn_leave()'s */
		errno = ECONNABORTED;
	return rc;
}
