/* SPDX-License-Identifier: BSD-3-Clause */
#include "rights.h"

#include "message.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define HEADER_BYTES	  12
#define PAYLOAD_BYTES_MAX 264 /* of a message with descriptors: a table of eight regions */
#define LOOK_NS		  200000

static bool has_rights(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			return true;
	return false;
}

static void close_rights(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
	}
	msg->msg_controllen = 0;
}

static bool is_gone(int sock)
{
	struct pollfd pfd = {.fd = sock, .events = POLLRDHUP};

	return poll(&pfd, 1, 0) != 0;
}

/* Wait until so many bytes can be read. @return > 0; 0: the peer is gone; -1 and errno */
static int wait_for(int sock, uint32_t size)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	unsigned looks = RIGHTS_WAIT_MS * 1000000 / LOOK_NS;

	for (;;) {
		/* Before the look: what the peer sent before it left is there by then. */
		bool gone = is_gone(sock);
		int there;

		if (ioctl(sock, FIONREAD, &there) != 0)
			return -1;
		if (there >= 0 && (uint32_t)there >= size)
			return 1;
		if (gone)
			return 0;
		if (looks-- == 0)
			break;
		nanosleep(&pause, NULL);
	}
	errno = EAGAIN;
	return -1;
}

static ssize_t judge_message(int sock, struct msghdr *msg, ssize_t n)
{
	struct message m = {0};
	int whole;

	memcpy(&m, msg->msg_iov[0].iov_base, HEADER_BYTES);
	/* The library keeps one that can't be mapped; without it, it refuses the message. */
	if (m.request == MSG_SET_INFLIGHT_FD) {
		close_rights(msg);
		return n;
	}
	if (m.size > PAYLOAD_BYTES_MAX) {
		close_rights(msg);
		errno = EMSGSIZE;
		return -1;
	}
	whole = wait_for(sock, m.size);
	if (whole > 0)
		return n;
	close_rights(msg);
	return whole;
}

ssize_t rights_judge(int sock, struct msghdr *msg, ssize_t n)
{
	if (!has_rights(msg))
		return n;
	if (msg->msg_flags & MSG_CTRUNC) {
		close_rights(msg);
		errno = EPROTO;
		return -1;
	}
	/* A header in pieces: the library closes what came with the first. */
	if (n != HEADER_BYTES || msg->msg_iovlen != 1)
		return n;
	return judge_message(sock, msg, n);
}
