/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

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

static __thread int left = -1;

void conn_leave(int fd)
{
	shutdown(fd, SHUT_RDWR); /* its peer must not wait for the close() */
	if (left >= 0)
		close(left);
	left = fd;
}

int conn_made(int fd)
{
	int err = errno, old = left;

	if (old < 0)
		return fd;
	left = -1;
	if (fd < 0)
		return old;
	close(old);
	errno = err;
	return fd;
}

static int spare = -1;

void conn_keep_spare(void)
{
	int none = -1, fd = eventfd(0, EFD_CLOEXEC);

	if (fd >= 0 && !__atomic_compare_exchange_n(
			       &spare, &none, fd, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		close(fd);
}

/* @return whether one that waits was taken, and closed */
static bool refuse(int listener)
{
	struct pollfd pfd = {.fd = listener, .events = POLLIN};
	int fd;

	if (poll(&pfd, 1, 0) != 1) /* taking it would wait */
		return false;
	fd = __atomic_exchange_n(&spare, -1, __ATOMIC_RELAXED);
	if (fd >= 0)
		close(fd);
	fd = accept4(listener, NULL, NULL, 0);
	if (fd >= 0)
		close(fd);
	conn_keep_spare();
	return fd >= 0;
}

void conn_turn_away(int listener)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int err = errno;

	if ((err != EMFILE && err != ENFILE) || !refuse(listener))
		nanosleep(&pause, NULL);
	errno = err;
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
