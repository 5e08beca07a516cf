/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

static __thread int last_made = -1;

void conn_note(int fd)
{
	last_made = fd;
}

int conn_open(void)
{
	int fd = fcntl(last_made, F_DUPFD_CLOEXEC, 0);

	return fd >= 0 ? fd : -errno;
}

bool conn_is_live(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLRDHUP};

	return poll(&pfd, 1, 0) == 0; /* else POLLHUP, or POLLRDHUP */
}

void conn_limit_waits(int fd, unsigned ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

bool conn_is_read(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	return poll(&pfd, 1, 0) != 0;
}

void conn_hang_up(int fd)
{
	shutdown(fd, SHUT_RDWR);
}
