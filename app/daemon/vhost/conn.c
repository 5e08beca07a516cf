/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/conn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const struct conn unknown = {.fd = -1};

bool conn_is_live(const struct conn *conn)
{
	struct pollfd pfd = {.fd = conn->fd, .events = POLLRDHUP};
	struct stat st;

	if (conn->fd < 0 || fstat(conn->fd, &st) != 0 || st.st_ino != conn->ino)
		return false;
	return poll(&pfd, 1, 0) == 0; /* else POLLHUP, or POLLRDHUP */
}

void conn_limit_waits(const struct conn *conn, unsigned ms)
{
	const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (conn->fd < 0)
		return;
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(conn->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

bool conn_is_read(const struct conn *conn)
{
	struct pollfd pfd = {.fd = conn->fd, .events = POLLOUT};

	return conn->fd < 0 || poll(&pfd, 1, 0) != 0;
}

void conn_hang_up(const struct conn *conn)
{
	if (conn->fd >= 0)
		shutdown(conn->fd, SHUT_RDWR);
}

/* Does an address name the socket at 'path', by this name or another? */
static bool is_at(const struct sockaddr_un *addr, const char *path)
{
	char name[sizeof(addr->sun_path) + 1] = "";
	struct stat st, other;

	memcpy(name, addr->sun_path, sizeof(addr->sun_path));
	if (strcmp(name, path) == 0)
		return true;
	return name[0] == '/' && stat(name, &st) == 0 && stat(path, &other) == 0 &&
	       st.st_dev == other.st_dev && st.st_ino == other.st_ino;
}

/* The connection behind 'fd', if it is one that belongs to the socket at 'path'. */
static struct conn look_at(int fd, const char *path, bool client)
{
	struct sockaddr_un addr = {0};
	socklen_t len = sizeof(addr);
	int listening = 0, err;
	struct stat st;

	err = client ? getpeername(fd, (struct sockaddr *)&addr, &len)
		     : getsockname(fd, (struct sockaddr *)&addr, &len);
	if (err != 0 || addr.sun_family != AF_UNIX || !is_at(&addr, path))
		return unknown;
	len = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || listening)
		return unknown;
	if (fstat(fd, &st) != 0)
		return unknown;
	return (struct conn){.fd = fd, .ino = st.st_ino};
}

/* What may be there again in a moment; anything else (no /proc) is how this system is. */
static int shortage(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOMEM ? -err : 0;
}

int conn_find(const char *path, bool client, bool (*is_known)(const struct conn *, void *arg),
	void *arg, struct conn *conn)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;

	*conn = unknown;
	if (dir == NULL)
		return shortage(errno);
	while (conn->fd < 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		*conn = look_at(atoi(entry->d_name), path, client);
		if (conn->fd >= 0 && is_known(conn, arg))
			*conn = unknown;
	}
	closedir(dir);
	if (conn->fd < 0)
		return 0;
	conn->fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 0);
	return conn->fd < 0 ? shortage(errno) : 0;
}

void conn_close(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	*conn = unknown;
}
