/* SPDX-License-Identifier: BSD-3-Clause */
#include "front_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

#ifndef SIOCUNIXFILE /* linux/un.h, which has another struct sockaddr_un */
#define SIOCUNIXFILE 0x89e0
#endif

static int fail(const char *path, const char *step, struct why *why)
{
	int err = errno;

	return why_set(why, -err, "socket %s: %s: %s", path, step, strerror(err));
}

/*
 * Open the file of a bound socket with O_PATH. SIOCUNIXFILE asks the socket itself, with
 * CAP_NET_ADMIN. Without that capability the path is opened, where the directory's owner may have
 * put something else; what is not a socket of this user, or has a second link, is refused.
 */
static int open_inode(int fd, int dir, const char *name)
{
	struct stat st;
	int inode = ioctl(fd, SIOCUNIXFILE, NULL);

	if (inode >= 0)
		return inode;
	inode = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (inode < 0)
		return -1;
	if (fstat(inode, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid() &&
		st.st_nlink == 1)
		return inode;
	close(inode);
	errno = EPERM;
	return -1;
}

/* The group first, so that no other group has the mode for a moment. */
static int set_rights(int inode, mode_t mode, gid_t gid)
{
	char link[32];

	if (gid != (gid_t)-1 && fchownat(inode, "", (uid_t)-1, gid, AT_EMPTY_PATH) != 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", inode);
	return chmod(link, mode);
}

static int bind_path(int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask = umask(0177);
	int rc;

	strcpy(addr.sun_path, path); /* split_path() has checked its length */
	rc = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	return rc;
}

/* @return NULL, or the step that failed, with errno */
static const char *make_socket(struct front_socket *s, const char *path, mode_t mode, gid_t gid)
{
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return "cannot make a socket";
	if (bind_path(s->fd, path) != 0)
		return "cannot be made";
	s->inode = open_inode(s->fd, s->dir, s->name);
	if (s->inode < 0)
		return "was replaced while it was made";
	if (set_rights(s->inode, mode, gid) != 0)
		return "cannot be given its group and mode";
	return listen(s->fd, BACKLOG) != 0 ? "cannot listen" : NULL;
}

static void close_all(struct front_socket *s)
{
	const int fds[] = {s->fd, s->inode, s->dir};

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*s = (struct front_socket){-1, -1, -1, ""};
}

static int split_path(struct front_socket *s, const char *path, struct why *why)
{
	char copy[sizeof(s->name)];

	if (strlen(path) >= sizeof(s->name))
		return why_set(why, -ENAMETOOLONG,
			"socket %s: the path has more than %zu bytes: choose a shorter one", path,
			sizeof(s->name) - 1);
	strcpy(copy, path);
	strcpy(s->name, basename(copy));
	strcpy(copy, path);
	s->dir = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->dir >= 0 ? 0 : fail(path, "its directory", why);
}

static bool is_in_place(const struct front_socket *s)
{
	struct stat at_path, made;

	return fstatat(s->dir, s->name, &at_path, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(s->inode, &made) == 0 && at_path.st_dev == made.st_dev &&
	       at_path.st_ino == made.st_ino;
}

void front_socket_close(struct front_socket *s)
{
	if (s->inode >= 0 && is_in_place(s))
		unlinkat(s->dir, s->name, 0);
	close_all(s);
}

int front_socket_open(
	struct front_socket *s, const char *path, mode_t mode, gid_t gid, struct why *why)
{
	const char *failed;
	int err;

	*s = (struct front_socket){-1, -1, -1, ""};
	err = split_path(s, path, why);
	if (err != 0)
		return err;
	failed = make_socket(s, path, mode, gid);
	if (failed == NULL)
		return 0;
	err = fail(path, failed, why);
	front_socket_close(s);
	return err;
}

int front_socket_accept(const struct front_socket *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd >= 0 ? fd : -errno;
}
