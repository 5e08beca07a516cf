/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SOCKETS_H
#define VRNG_SOCKETS_H

/*
 * The files of the sockets: what may stand at their paths before, and who may connect afterwards.
 *
 * A socket that nobody answers is left from a daemon that died, and is removed. One that somebody
 * answers, and a file that is no socket, belong to somebody else, and stay.
 *
 * Context: MAIN. Failures are said on stderr where they are found.
 */

#include <stddef.h>
#include <sys/types.h>

/** sizeof(sockaddr_un.sun_path), the 0 at the end included. */
#define SOCKETS_PATH_SIZE 108

/** The path of socket 'index': PATH0, PATH1, ... 'path' has SOCKETS_PATH_SIZE bytes. */
void sockets_path(const char *prefix, unsigned index, char *path);

/**
 * Check all paths, then remove stale sockets from them. Until sockets_unlock() another daemon
 * cannot do the same in this directory.
 *
 * @param lock  set to what sockets_unlock() takes
 * @return      0; -ENAMETOOLONG, -ENOENT, -ENOTDIR, -EACCES, ... for a path that cannot be;
 *              -EBUSY when the directory is locked for long; -EADDRINUSE when one is served by
 *              somebody; -EEXIST when one is no socket. Nothing
 *              was removed then.
 */
int sockets_prepare(const char *prefix, unsigned count, int *lock);

/** @param lock  from sockets_prepare(), or -1 */
void sockets_unlock(int lock);

/**
 * Give one socket its group and mode. It was made with mode 0600.
 *
 * @param gid  (gid_t)-1: leave it
 */
int sockets_set_rights(const char *path, mode_t mode, gid_t gid);

/** Find a group by name or number. @return 0; -ENOENT when there is none. */
int sockets_find_group(const char *name, gid_t *gid);

#endif
