/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_RIGHTS_H
#define VRNG_RIGHTS_H

/*
 * Descriptors that come with vhost-user messages. rte_vhost (22.11, 23.11) forgets those of a
 * message that it could not read to its end, or with which more came than it has room for: a
 * front-end that sends eight, breaks off and leaves, over and over, would use up all that the
 * process may have, for everybody. So they are looked at as they come in, before the library has
 * them: recvmsg.c.
 *
 * Security model: all of it is what a front-end sent.
 *
 * Thread safety: none is needed; a message belongs to the thread that receives it.
 */

#include <sys/socket.h>
#include <sys/types.h>

/** So long is waited for the rest of a message that came with descriptors. */
#define RIGHTS_WAIT_MS 20

/**
 * Judge what recvmsg(2) received.
 *
 * @param sock  where from
 * @param msg   as the kernel left it
 * @param n     > 0, how many bytes came
 * @return      n; or -1 and errno, or 0 for the end of the connection, when the message is not
 * whole or has descriptors that it can't have: they are closed then, and no longer in 'msg'
 */
ssize_t rights_judge(int sock, struct msghdr *msg, ssize_t n);

#endif
