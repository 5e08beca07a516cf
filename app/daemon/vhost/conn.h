/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONN_H
#define VRNG_CONN_H

/*
 * The connections of rte_vhost, which it does not tell. It takes or makes one, by accept() or
 * connect(), and then says in the same thread that there is a new one: interposed.c notes which.
 *
 * Context: VHOST, or whoever makes a connection: see session.h.
 */

#include <stdbool.h>

/** The calling thread has made, or taken, this connection. Context: any. */
void conn_note(int fd);

/**
 * A descriptor of our own of the connection that the calling thread made last: rte_vhost (22.11)
 * closes its own before it says so.
 *
 * @return  the caller's to close(), which the peer does not notice as long as rte_vhost's is open;
 *          or a negative errno: -EMFILE, -ENFILE; -EBADF when it has made none
 */
int conn_open(void);

/**
 * Keep a descriptor for conn_turn_away(). Context: MAIN, early: it must be below the limit of open
 * files, also when that is lowered.
 */
void conn_keep_spare(void);

/**
 * After accept() has failed: let it not be called again at once, since the connection still waits
 * and rte_vhost's thread would do nothing else. When there was no descriptor for it, it is taken
 * with the one that was kept, and closed; when that does not help, this takes a millisecond. errno
 * stays. Context: any, the listener's only thread.
 */
void conn_turn_away(int listener);

/** Is the peer there, and may it say more? */
bool conn_is_live(int fd);

/**
 * Let no send or receive on it wait for longer than so many milliseconds, > 0. It then fails as if
 * the socket were non-blocking.
 */
void conn_limit_waits(int fd, unsigned ms);

/** Does the peer read what is sent to it? False when a quarter of the buffer is taken. */
bool conn_is_read(int fd);

/**
 * End a connection in client mode, whose socket rte_vhost is about to make anew, in this thread.
 * When it cannot, it does not notice, and goes on with the number of the one that it has closed: to
 * connect it, or to close it, whatever that is meanwhile. So then it gets this one, which is good
 * for nothing, and its own to close.
 */
void conn_leave(int fd);

/** The calling thread has made a socket, or not: < 0. @return what it is to go on with */
int conn_made(int fd);

#endif
