/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_RECEIVE_H
#define VRNG_RECEIVE_H

/*
 * The head of a vhost-user message as it comes in, before rte_vhost has it: interposed.c.
 *
 * Requests. The library works on all that it knows, whatever was negotiated, and a hook that it
 * calls before cannot keep it from that without losing the message's descriptors. One of them makes
 * a system call that the sandbox punishes with the process's end. So a request that is not allowed
 * gets the number of none: the library knows nothing to do, and closes what came with it.
 *
 * Descriptors. The library (22.11, 23.11) forgets those of a message that it could not read to its
 * end, or with which more came than it has room for, or of a region that it cannot map, or of a
 * ring whose index is too large: a front-end that sends eight, breaks off and leaves, over and
 * over, would use up all that the process may have, for everybody. So a memory table whose regions
 * cannot be mapped comes without any.
 *
 * Security model: all of it is what a front-end sent.
 *
 * Thread safety: none is needed; a message belongs to the thread that receives it.
 */

#include <sys/socket.h>
#include <sys/types.h>

/**
 * How long rte_vhost's thread, which is everybody's, waits for the rest of a message whose head has
 * come, or for room to answer. Front-ends send messages whole, and read the answers.
 */
#define RECEIVE_WAIT_MS 20

/**
 * Judge what recvmsg(2) received, and change it if need be. What is not the head of a message, as
 * the library reads it, stays as it is, but for descriptors beyond the room that there was.
 *
 * @param sock  where from
 * @param msg   as the kernel left it
 * @param n     > 0, how many bytes came
 * @return      n; or -1 and errno, or 0 for the end of the connection, when the message has
 *              descriptors that it can't have, or is not whole: they are closed then, and no longer
 *              in 'msg'
 */
ssize_t receive_judge(int sock, struct msghdr *msg, ssize_t n);

#endif
