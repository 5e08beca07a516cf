/* SPDX-License-Identifier: BSD-3-Clause */
#include "sockets.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static int fail(int err, const char *format, ...)
{
	va_list ap;

	fputs("dpdk-vhost-rng: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -err;
}

void sockets_path(const char *prefix, unsigned index, char *path)
{
	snprintf(path, SOCKETS_PATH_SIZE, "%s%u", prefix, index);
}

/* How long another daemon may take to start in the same directory. */
#define LOCK_WAIT_S 5

/* What stands at a path? */
enum standing { NOTHING, STALE, LIVE, NO_SOCKET, UNKNOWN /* errno says why */ };

static enum standing look_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc, err;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? NOTHING : UNKNOWN;
	if (!S_ISSOCK(st.st_mode))
		return NO_SOCKET;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return UNKNOWN;
	memcpy(addr.sun_path, path, strlen(path) + 1); /* its length was checked */
	rc = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	err = errno;
	close(fd);
	if (rc == 0)
		return LIVE;
	/* Only a refused connection proves that nobody listens; a full backlog (EAGAIN) or a lack
	 * of rights (EACCES) does not. */
	return err == ECONNREFUSED ? STALE : LIVE;
}

static int check(const char *path)
{
	switch (look_at(path)) {
	case NOTHING:
	case STALE:
		return 0;
	case LIVE:
		return fail(EADDRINUSE,
			"socket %s is in use by another process: stop it, or choose another "
			"--socket-path",
			path);
	case NO_SOCKET:
		return fail(EEXIST,
			"%s exists and is not a socket: move it away, or choose another "
			"--socket-path",
			path);
	case UNKNOWN:
		break;
	}
	return fail(errno, "cannot look at %s: %s", path, strerror(errno));
}

/* Anybody who may read the directory can lock it: wait for another daemon's start, no longer. */
static int wait_for_lock(int fd)
{
	for (unsigned tries = LOCK_WAIT_S * 50; flock(fd, LOCK_EX | LOCK_NB) != 0; tries--) {
		if (errno != EWOULDBLOCK)
			return 0; /* a file system without locks */
		if (tries == 0)
			return -EBUSY;
		usleep(20000);
	}
	return 0;
}

static int lock_directory(const char *prefix, int *lock)
{
	char path[SOCKETS_PATH_SIZE];
	const char *dir;
	struct stat st;
	int err = 0;

	*lock = -1;
	sockets_path(prefix, 0, path); /* a prefix may end in a slash, a path does not */
	dir = dirname(path);
	if (stat(dir, &st) != 0)
		err = fail(errno,
			"directory %s of --socket-path %s: %s; create it, or choose another", dir,
			prefix, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		err = fail(ENOTDIR, "%s of --socket-path %s is not a directory", dir, prefix);
	else if (access(dir, W_OK | X_OK) != 0)
		err = fail(errno,
			"directory %s of --socket-path %s: %s; choose one that may be "
			"written to",
			dir, prefix, strerror(errno));
	if (err == 0) {
		/* Where it cannot be opened for reading there is no lock; bind() still decides. */
		*lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*lock >= 0 && wait_for_lock(*lock) != 0)
			err = fail(EBUSY,
				"directory %s of --socket-path %s is locked by another process for "
				"%d s: end that, or choose another directory",
				dir, prefix, LOCK_WAIT_S);
	}
	return err;
}

int sockets_prepare(const char *prefix, unsigned count, int *lock)
{
	char path[SOCKETS_PATH_SIZE];
	int err;

	*lock = -1;
	if (snprintf(NULL, 0, "%s%u", prefix, count - 1) >= SOCKETS_PATH_SIZE)
		return fail(ENAMETOOLONG,
			"socket path %s%u has more than the %d bytes that a Unix socket can have: "
			"choose a shorter --socket-path",
			prefix, count - 1, SOCKETS_PATH_SIZE - 1);
	err = lock_directory(prefix, lock);
	for (unsigned i = 0; i < count && err == 0; i++) {
		sockets_path(prefix, i, path);
		err = check(path);
	}
	for (unsigned i = 0; i < count && err == 0; i++) {
		sockets_path(prefix, i, path);
		if (look_at(path) == STALE && unlink(path) != 0)
			err = fail(errno, "cannot remove the stale socket %s: %s", path,
				strerror(errno));
	}
	if (err != 0) {
		sockets_unlock(*lock);
		*lock = -1;
	}
	return err;
}

void sockets_unlock(int lock)
{
	if (lock >= 0)
		close(lock);
}

int sockets_set_rights(const char *path, mode_t mode, gid_t gid)
{
	if (gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) != 0)
		return fail(errno, "cannot give %s to group %u: %s", path, (unsigned)gid,
			strerror(errno));
	if (chmod(path, mode) != 0)
		return fail(errno, "cannot set the mode of %s to %04o: %s", path, (unsigned)mode,
			strerror(errno));
	return 0;
}

int sockets_find_group(const char *name, gid_t *gid)
{
	struct group *group = getgrnam(name);
	unsigned long number;
	char *end;

	if (group != NULL) {
		*gid = group->gr_gid;
		return 0;
	}
	errno = 0;
	number = strtoul(name, &end, 10);
	if (isdigit((unsigned char)name[0]) && errno == 0 && *end == '\0' && number < UINT32_MAX) {
		*gid = (gid_t)number;
		return 0;
	}
	return fail(ENOENT, "--socket-group '%s' is no group of this system", name);
}
