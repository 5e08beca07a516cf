/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FRONT_SOCKET_H
#define VRNG_FRONT_SOCKET_H

/*
 * The listening socket of one guest.
 *
 * Its inode is made with mode 0600, gets its group and mode by a descriptor, and listens only then:
 * no connection is accepted before the rights are final, and no link in the directory is followed.
 * A file that is already at the path is never replaced.
 *
 * The inode stays open until the end, so that its number is not used again. At the end the path is
 * unlinked only if it still names that inode.
 *
 * Thread safety: none. Context: PROXY.
 */

#include "why.h"

#include <sys/types.h>

struct front_socket {
	int fd;	   /* listens, without blocking */
	int inode; /* O_PATH, of the file at the path */
	int dir;   /* O_PATH, the directory of the path */
	char name[108];
};

/**
 * Make a socket at 'path' and listen.
 *
 * @param gid  (gid_t)-1: leave the group that the directory gives
 * @param why  names path, reason and way out
 * @return     0; -ENAMETOOLONG; -EADDRINUSE: something is at 'path'; -ENOENT, -ENOTDIR, -EACCES,
 *             -EROFS: the directory; -EPERM: the group; -ENOSPC, -EMFILE, -ENFILE, -ENOMEM
 */
int front_socket_open(
	struct front_socket *socket, const char *path, mode_t mode, gid_t gid, struct why *why);

/** Stop listening and unlink the path, if the inode there is the socket's. */
void front_socket_close(struct front_socket *socket);

/** Accept a connection. @return a descriptor that does not block; -EAGAIN: none; -EMFILE, ... */
int front_socket_accept(const struct front_socket *socket);

#endif
