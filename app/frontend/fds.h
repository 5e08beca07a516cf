/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Descriptors over a socket.
 */
#ifndef FRONTEND_FDS_H
#define FRONTEND_FDS_H

#include <sys/types.h>
#include <sys/uio.h>

#define FDS_MAX 64 /* in one message */

/**
 * sendmsg(2) with descriptors along. They go with the first byte.
 *
 * @param fds    still the caller's; nr_fds of them, at most FDS_MAX
 * @param flags  besides MSG_NOSIGNAL
 * @return       as sendmsg(2)
 */
ssize_t fds_send(int socket, const struct iovec *iov, unsigned nr_iov, const int *fds,
	unsigned nr_fds, int flags);

#endif
