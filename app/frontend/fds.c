/* SPDX-License-Identifier: BSD-3-Clause */
#include "fds.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

ssize_t fds_send(int socket, const struct iovec *iov, unsigned nr_iov, const int *fds,
	unsigned nr_fds, int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {.bytes = {0}};
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = nr_iov};

	assert(nr_fds <= FDS_MAX);
	if (nr_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, nr_fds * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | flags);
}
