/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C library's recvmsg(), in its place: what rte_vhost receives is judged first (receive.h). A
 * definition in the program comes before that of the C library, for archives and for shared
 * libraries that use it.
 *
 * Context: any. The EAL of one process without a --file-prefix to share receives nothing by it.
 */
#include "vhost/receive.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, message, flags);

	return n > 0 ? receive_judge(fd, message, n) : n;
}
