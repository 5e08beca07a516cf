/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_MSG_STREAM_H
#define VRNG_MSG_STREAM_H

/*
 * vhost-user messages over a stream socket, without ever waiting for the peer.
 *
 * A reader collects one message from pieces of any size. It never reads beyond that message, so the
 * next one stays in the socket until the reader is asked again. A peer that never completes a
 * message costs one reader, which has a fixed size.
 *
 * Descriptors come with the first byte of a message (those that come with a later byte of a header
 * that is read at once cannot be told from them). Each recvmsg() has room for as many as the kernel
 * passes at once (SCM_MAX_FD: 253): if the room were smaller, the kernel would close the rest in
 * the calling thread, and close() may block. A control message that was cut off all the same (no
 * free descriptor numbers) is an error.
 *
 * Security model: the peer is hostile; nothing beyond framing is believed. See msg_check.h.
 *
 * Thread safety: none. Context: PROXY.
 */

#include "proxy_msg.h"
#include "why.h"

#include <stdbool.h>

#define MSG_STREAM_FDS_MAX 253 /* SCM_MAX_FD of Linux */

/** Judge a header before its payload is read. @return 0, or a negative errno with 'why' set */
typedef int (*msg_header_check)(const struct vhost_user_header *header, struct why *why);

struct msg_reader {
	const struct fd_closer *closer;
	msg_header_check check; /* may be NULL */
	size_t got_bytes;	/* of header and payload */
	unsigned n_came;	/* descriptors, also those for which the message has no room */
	struct proxy_msg msg;
};

/** Start with no message. @param check  may be NULL: the only bound is the payload's buffer */
void msg_reader_init(
	struct msg_reader *reader, msg_header_check check, const struct fd_closer *closer);

/** Drop a message that has come in part, and close its descriptors. */
void msg_reader_reset(struct msg_reader *reader);

/**
 * Read what is there of the next message.
 *
 * @param socket  a stream socket; need not be non-blocking
 * @param msg     on success the whole message, whose descriptors the caller owns from then on
 * @return        0: 'msg' is complete;
 *                -EAGAIN: not yet complete, call again when the socket is readable;
 *                -ECONNRESET: the peer has closed the connection;
 *                -EPROTO: the payload is larger than its buffer, descriptors came with a later byte
 *                than the first, more than VHOST_USER_MAX_FDS came, or some were cut off;
 *                what 'check' returned; another errno of recvmsg(2).
 *                All but 0 and -EAGAIN set 'why', and close the descriptors that had come.
 */
int msg_reader_read(struct msg_reader *reader, int socket, struct proxy_msg *msg, struct why *why);

/** Has a part of a message come? */
static inline bool msg_reader_is_busy(const struct msg_reader *reader)
{
	return reader->got_bytes > 0;
}

/** A message on its way out. */
struct msg_writer {
	const struct proxy_msg *msg; /* NULL: nothing to write */
	size_t sent_bytes;
};

/**
 * Write a message, or as much of it as the socket takes.
 *
 * @param msg  must stay as it is until msg_writer_is_busy() is false. Its descriptors are borrowed:
 *             they stay the caller's
 * @return     as msg_writer_continue()
 */
int msg_writer_start(struct msg_writer *writer, int socket, const struct proxy_msg *msg);

/**
 * Go on with a message that was written in part. Success if there is none.
 *
 * @return  0: all is written;
 *          -EAGAIN: call again when the socket is writable;
 *          -ETOOMANYREFS: too many descriptors of this user are in flight: nothing was written,
 *          and poll(2) cannot tell when there is room;
 *          -EPIPE, -ECONNRESET: the peer has closed the connection; another errno of sendmsg(2).
 *          After all but 0, -EAGAIN and -ETOOMANYREFS the connection is of no use.
 */
int msg_writer_continue(struct msg_writer *writer, int socket);

/** Forget the message. */
void msg_writer_reset(struct msg_writer *writer);

static inline bool msg_writer_is_busy(const struct msg_writer *writer)
{
	return writer->msg != NULL;
}

#endif
