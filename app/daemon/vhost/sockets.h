/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SOCKETS_H
#define VRNG_SOCKETS_H

/*
 * The files of the sockets: what may stand at their paths before, and who may connect afterwards.
 *
 * A socket that nobody answers is left from a daemon that died, and is removed. One that somebody
 * answers, and a file that is no socket, belong to somebody else, and stay.
 *
 * Context: MAIN.
 */

#include "why.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** sizeof(sockaddr_un.sun_path), the 0 at the end included. */
#define SOCKETS_PATH_SIZE 108

/** The locked directories of sockets, each with a lock file. A zeroed one has none. */
struct sockets_lock {
	unsigned n;
	struct sockets_held {
		int dir, file;
	} * held;
};

/** The path of socket 'index': PATH0, PATH1, ... @return false when it is too long */
bool sockets_path(const char *prefix, unsigned index, char path[SOCKETS_PATH_SIZE]);

/**
 * Check all paths, then remove stale sockets from them. Until sockets_unlock() another daemon of
 * this user cannot do the same in their directories: each has a lock file with mode 0600. There is
 * none where this process may not make one, as after the sandbox has begun.
 *
 * @param wait_s  how long to wait for a directory that another daemon has locked
 * @param lock    set to what sockets_unlock() takes
 * @param why     said when it fails
 * @return        0; -ENAMETOOLONG, -ENOENT, -ENOTDIR, -EACCES, ... for a path that cannot be;
 *                -EBUSY when a directory stays locked, -EMFILE, -ENFILE, ... when it cannot be
 *                locked; -EADDRINUSE when a path is served by somebody; -EEXIST when one is no
 *                socket. Nothing was removed then, and nothing is locked.
 */
int sockets_prepare(const char *const *paths, unsigned n_paths, unsigned wait_s,
	struct sockets_lock *lock, struct why *why);

/**
 * Could a socket be made in the directory of 'path', if nothing stood there?
 *
 * @return  0; -ENAMETOOLONG, -ENOENT, -ENOTDIR, -EACCES, ... as above
 */
int sockets_check_directory(const char *path, struct why *why);

/**
 * The same as sockets_prepare() for a socket that is the front-end's: see that one can stand at
 * 'path'. There need be nothing yet. Nothing is touched.
 *
 * @return  0; -ENAMETOOLONG; -EEXIST when there is something that is no socket
 */
int sockets_check(const char *path, struct why *why);

/**
 * Check the path of a socket that this process is to make; a live socket there is not looked for.
 *
 * @return  as sockets_check_directory(); -EEXIST when there is something that is no socket
 */
int sockets_check_own(const char *path, struct why *why);

/**
 * Why one cannot connect to the socket at 'path', as far as can be seen without trying: who tries
 * is taken for the back-end.
 *
 * @return  a text for a person, valid until the next call
 */
const char *sockets_why_absent(const char *path);

void sockets_unlock(struct sockets_lock *lock);

/**
 * Make a socket at 'path', with mode 0600.
 *
 * @param what  what is said of the path before it: "", or an option and a space
 * @param fd    the caller's, to listen on
 * @param why   names the path, what is wrong, and the way out
 */
int sockets_bind(const char *what, const char *path, int *fd, struct why *why);

/**
 * Say why rte_vhost could not listen at 'path', which it does not do itself: so it is tried once
 * more, and what is made there is removed again.
 *
 * @return  a negative errno, always
 */
int sockets_why_refused(const char *path, struct why *why);

/**
 * Open the file of a socket with O_PATH, to change its owner and mode. A file that another user put
 * in its place is refused: a symbolic link, no socket, a hard link to a socket elsewhere.
 *
 * @return  a descriptor, the caller's to close; -ENOENT, -EACCES, ...; -EEXIST for such a file
 */
int sockets_open(const char *path, struct why *why);

/**
 * Give one socket its group and mode. It was made with mode 0600. Needs /proc.
 *
 * @param gid  (gid_t)-1: leave it
 * @return     0; as sockets_open(); -EPERM, ...
 */
int sockets_set_rights(const char *path, mode_t mode, gid_t gid, struct why *why);

/**
 * Would sockets_set_rights() give a socket that group?
 *
 * @param path  of a socket that there is; NULL: of one that will be made
 * @return      0; -EPERM when this process may not; -ENOENT
 */
int sockets_check_rights(const char *path, gid_t gid, struct why *why);

/** Find a group by name or number. @return 0; -ENOENT when there is none. */
int sockets_find_group(const char *name, gid_t *gid);

#endif
