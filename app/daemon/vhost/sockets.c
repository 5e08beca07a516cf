/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/sockets.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool sockets_path(const char *prefix, unsigned index, char path[SOCKETS_PATH_SIZE])
{
	return (unsigned)snprintf(path, SOCKETS_PATH_SIZE, "%s%u", prefix, index) <
	       SOCKETS_PATH_SIZE;
}

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

static int no_socket(const char *path, struct why *why)
{
	return why_set(why, -EEXIST,
		"%s exists and is not a socket: move it away, or choose another path", path);
}

static int too_long(const char *path, struct why *why)
{
	return why_set(why, -ENAMETOOLONG,
		"socket path %s has more than the %d bytes that a Unix socket can have: choose a "
		"shorter one",
		path, SOCKETS_PATH_SIZE - 1);
}

static int check(const char *path, struct why *why)
{
	switch (look_at(path)) {
	case NOTHING:
	case STALE:
		return 0;
	case LIVE:
		return why_set(why, -EADDRINUSE,
			"socket %s is in use by another process: stop it, or choose another path",
			path);
	case NO_SOCKET:
		return no_socket(path, why);
	case UNKNOWN:
		break;
	}
	return why_set(why, -errno, "cannot look at %s: %s", path, strerror(errno));
}

/* A directory that a socket of ours is in. */
struct place {
	dev_t dev;
	ino_t ino;
	const char *path; /* of the socket */
};

static int compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void directory_of(const char *path, char dir[SOCKETS_PATH_SIZE])
{
	char copy[SOCKETS_PATH_SIZE];

	memcpy(copy, path, strlen(path) + 1);
	snprintf(dir, SOCKETS_PATH_SIZE, "%s", dirname(copy));
}

static int look_at_directory(const char *path, struct place *place, struct why *why)
{
	char dir[SOCKETS_PATH_SIZE];
	struct stat st;

	if (strlen(path) >= SOCKETS_PATH_SIZE)
		return too_long(path, why);
	directory_of(path, dir);
	if (stat(dir, &st) != 0)
		return why_set(why, -errno,
			"directory %s of socket %s: %s; create it, or choose another", dir, path,
			strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return why_set(why, -ENOTDIR, "%s of socket %s is not a directory: choose another",
			dir, path);
	if (access(dir, W_OK | X_OK) != 0)
		return why_set(why, -errno,
			"directory %s of socket %s: %s; choose one that may be written to", dir,
			path, strerror(errno));
	*place = (struct place){st.st_dev, st.st_ino, path};
	return 0;
}

int sockets_check_directory(const char *path, struct why *why)
{
	struct place place;

	return look_at_directory(path, &place, why);
}

/* What to do when no socket can be made, or its directory not be locked. */
static const char *advice(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return "make room in its file system (df, df -i), or choose another directory";
	case EACCES:
	case EPERM:
	case EROFS:
		return "choose a directory that may be written to";
	case ENOENT:
	case ENOTDIR:
		return "create its directory, or choose another";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n, or LimitNOFILE in a systemd unit)";
	default:
		return "choose another path; the log may say more";
	}
}

/*
 * The lock of a directory is flock() on a file in it, which only this user can open. Every user
 * with read access to a directory could hold a lock on the directory itself.
 */
#define LOCK_NAME ".dpdk-vhost-rng.lock"

/*
 * Open the lock file, and make it if there is none.
 *
 * @return  a descriptor; -1: another user's file has the name, or none can be made here (a sandbox
 *          that has begun, a directory without write permission, a file system without room)
 */
static int open_lock_file(int dir)
{
	int fd = openat(dir, LOCK_NAME,
		O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid())
		return fd;
	close(fd);
	return -1;
}

/* Whether the lock file is still in its directory: the last holder removes it. */
static bool is_linked(int file)
{
	struct stat st;

	return fstat(file, &st) == 0 && st.st_nlink > 0;
}

/*
 * Take the lock of a directory, or go on without one where there can be none: bind() still decides
 * which daemon gets a socket.
 *
 * @param file  set to the locked file, or -1
 * @return      0; -EBUSY: another daemon of this user has held it for 'wait_s'
 */
static int take_lock(int dir, unsigned wait_s, int *file)
{
	unsigned tries = wait_s * 50;
	bool has_locks, locked;

	for (;;) {
		*file = open_lock_file(dir);
		if (*file < 0)
			return 0;
		locked = flock(*file, LOCK_EX | LOCK_NB) == 0;
		has_locks = locked || errno == EWOULDBLOCK; /* the file system */
		if (locked && is_linked(*file))
			return 0;
		close(*file);
		*file = -1;
		if (!has_locks)
			return 0;
		if (locked) /* the file of a daemon that has just let go */
			continue;
		if (tries-- == 0)
			return -EBUSY;
		usleep(20000);
	}
}

static int lock_directory(
	const char *path, unsigned wait_s, struct sockets_lock *lock, struct why *why)
{
	char dir[SOCKETS_PATH_SIZE];
	int fd, file;

	directory_of(path, dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* The user may read it, the process may not: Landlock. It would not let us bind there. */
	if (fd < 0 && errno == EACCES && access(dir, R_OK) == 0)
		return why_set(why, -EACCES,
			"directory %s of socket %s: the sandbox has closed it; name it with "
			"--sandbox-dir when the daemon starts",
			dir, path);
	/* A directory without read permission has no lock: bind() still decides. */
	if (fd < 0 && errno == EACCES)
		return 0;
	if (fd < 0)
		return why_set(why, -errno, "cannot lock directory %s of socket %s: %s; %s", dir,
			path, strerror(errno), advice(errno));
	if (take_lock(fd, wait_s, &file) != 0) {
		close(fd);
		return why_set(why, -EBUSY,
			"directory %s of socket %s: another daemon has held the lock " LOCK_NAME
			" for %u s; end that daemon, or choose another directory",
			dir, path, wait_s);
	}
	if (file < 0)
		close(fd);
	else
		lock->held[lock->n++] = (struct sockets_held){.dir = fd, .file = file};
	return 0;
}

/* Each directory once; all daemons in the same order, so that no two wait for each other. */
static int lock_directories(const char *const *paths, unsigned n_paths, unsigned wait_s,
	struct sockets_lock *lock, struct why *why)
{
	struct place *places = calloc(n_paths, sizeof(places[0]));
	int err = 0;

	lock->held = calloc(n_paths, sizeof(lock->held[0]));
	if (places == NULL || lock->held == NULL) {
		free(places);
		return why_set(why, -ENOMEM, "no memory for %u socket paths", n_paths);
	}
	for (unsigned i = 0; i < n_paths && err == 0; i++)
		err = look_at_directory(paths[i], &places[i], why);
	if (err == 0)
		qsort(places, n_paths, sizeof(places[0]), compare);
	for (unsigned i = 0; i < n_paths && err == 0; i++)
		if (i == 0 || compare(&places[i - 1], &places[i]) != 0)
			err = lock_directory(places[i].path, wait_s, lock, why);
	free(places);
	return err;
}

int sockets_prepare(const char *const *paths, unsigned n_paths, unsigned wait_s,
	struct sockets_lock *lock, struct why *why)
{
	int err;

	*lock = (struct sockets_lock){0};
	if (n_paths == 0)
		return 0;
	err = lock_directories(paths, n_paths, wait_s, lock, why);
	for (unsigned i = 0; i < n_paths && err == 0; i++)
		err = check(paths[i], why);
	for (unsigned i = 0; i < n_paths && err == 0; i++)
		if (look_at(paths[i]) == STALE && unlink(paths[i]) != 0)
			err = why_set(why, -errno, "cannot remove the stale socket %s: %s",
				paths[i], strerror(errno));
	if (err != 0)
		sockets_unlock(lock);
	return err;
}

int sockets_check(const char *path, struct why *why)
{
	struct stat st;

	if (strlen(path) >= SOCKETS_PATH_SIZE)
		return too_long(path, why);
	if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return no_socket(path, why);
	return 0;
}

int sockets_check_own(const char *path, struct why *why)
{
	int err = sockets_check_directory(path, why);
	struct stat st;

	if (err == 0 && lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		err = no_socket(path, why);
	return err;
}

const char *sockets_why_absent(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return strerror(errno);
	if (!S_ISSOCK(st.st_mode))
		return "it is not a socket";
	if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
		return strerror(errno);
	return "nobody listens there";
}

void sockets_unlock(struct sockets_lock *lock)
{
	for (unsigned i = 0; i < lock->n; i++) {
		unlinkat(lock->held[i].dir, LOCK_NAME, 0);
		close(lock->held[i].file);
		close(lock->held[i].dir);
	}
	free(lock->held);
	*lock = (struct sockets_lock){0};
}

int sockets_bind(const char *what, const char *path, int *fd, struct why *why)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err = 0;
	mode_t mask;

	memcpy(addr.sun_path, path, strlen(path) + 1); /* its length was checked */
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		err = errno;
	/* bind() must not make it with wider rights, not for a moment. */
	mask = umask(0177);
	if (err == 0 && bind(*fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		err = errno;
	umask(mask);
	if (err == 0)
		return 0;
	if (*fd >= 0)
		close(*fd);
	return why_set(
		why, -err, "cannot listen on %s%s: %s; %s", what, path, strerror(err), advice(err));
}

int sockets_why_refused(const char *path, struct why *why)
{
	int fd, err = sockets_bind("", path, &fd, why);

	if (err != 0)
		return err;
	unlink(path);
	close(fd);
	return why_set(why, -EIO, "cannot listen on %s: rte_vhost refused it: %s", path, advice(0));
}

int sockets_open(const char *path, struct why *why)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		int err = errno;

		if (fd >= 0)
			close(fd);
		return why_set(why, -err, "cannot open socket %s: %s", path, strerror(err));
	}
	if (S_ISSOCK(st.st_mode) && st.st_nlink == 1)
		return fd;
	close(fd);
	return why_set(why, -EEXIST,
		"%s is not the socket that was made there (a link, or another file): its rights "
		"stay as they are; choose a directory in which no other user can write",
		path);
}

/* Set the mode of a file that is open with O_PATH: fchmod() refuses these. */
static int set_mode(int fd, mode_t mode)
{
	char link[32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return chmod(link, mode);
}

int sockets_set_rights(const char *path, mode_t mode, gid_t gid, struct why *why)
{
	int fd = sockets_open(path, why), err = 0;

	if (fd < 0)
		return fd;
	/* The group first, so that no other group has the mode for a moment. */
	if (gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) != 0)
		err = why_set(why, -errno, "cannot give %s to group %u: %s", path, (unsigned)gid,
			strerror(errno));
	if (err == 0 && set_mode(fd, mode) != 0)
		err = why_set(why, -errno, "cannot set the mode of %s to %04o: %s", path,
			(unsigned)mode, strerror(errno));
	close(fd);
	return err;
}

int sockets_check_rights(const char *path, gid_t gid, struct why *why)
{
	struct stat st;
	int fd, err;

	if (path != NULL && lstat(path, &st) != 0)
		return why_set(why, -errno, "%s: %s", path, strerror(errno));
	if (path != NULL && st.st_uid != geteuid() && geteuid() != 0)
		return why_set(why, -EPERM,
			"%s belongs to user %u, who alone may change its rights", path,
			(unsigned)st.st_uid);
	if (gid == (gid_t)-1)
		return 0;
	/* What may be done with a file of ours may be done with a socket of ours. */
	fd = memfd_create("group", MFD_CLOEXEC);
	if (fd < 0)
		return why_set(why, -errno, "memfd_create: %s", strerror(errno));
	err = fchown(fd, (uid_t)-1, gid) == 0 ? 0 : -errno;
	close(fd);
	if (err == 0)
		return 0;
	return why_set(why, err,
		"cannot give a socket to group %u: %s; be a member of it from the start",
		(unsigned)gid, strerror(-err));
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
	return -ENOENT;
}
