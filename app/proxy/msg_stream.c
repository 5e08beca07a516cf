/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg_stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HEADER_BYTES sizeof(struct vhost_user_header)

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MSG_STREAM_FDS_MAX * sizeof(int))];
};

void msg_reader_init(
	struct msg_reader *reader, msg_header_check check, const struct fd_closer *closer)
{
	reader->closer = closer;
	reader->check = check;
	reader->got_bytes = 0;
	reader->n_came = 0;
	reader->msg.n_fds = 0;
}

void msg_reader_reset(struct msg_reader *reader)
{
	proxy_msg_close_fds(&reader->msg, reader->closer);
	reader->got_bytes = 0;
	reader->n_came = 0;
}

/* Keep the descriptors that came with the first byte, as far as there is room; close all others. */
static unsigned take_fds(struct msg_reader *reader, struct msghdr *hdr)
{
	struct proxy_msg *msg = &reader->msg;
	unsigned room = reader->got_bytes == 0 ? VHOST_USER_MAX_FDS : 0, n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL; c = CMSG_NXTHDR(hdr, c)) {
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			n++;
			if (msg->n_fds < room)
				msg->fds[msg->n_fds++] = fd;
			else
				fd_closer_close(reader->closer, fd);
		}
	}
	return n;
}

static int check_fds(
	const struct msg_reader *reader, const struct msghdr *hdr, unsigned n_fds, struct why *why)
{
	if (hdr->msg_flags & MSG_CTRUNC)
		return why_set(why, -EPROTO,
			"descriptors of a message were lost: no free descriptor numbers");
	if (n_fds > 0 && reader->got_bytes > 0)
		return why_set(why, -EPROTO,
			"%u descriptors came with byte %zu of a message; expected with the first",
			n_fds, reader->got_bytes);
	return 0;
}

/* Read up to 'len' > 0 bytes to 'dst'. @return 0 with '*n' > 0, or a negative errno */
static int receive_some(
	struct msg_reader *reader, int socket, void *dst, size_t len, size_t *n, struct why *why)
{
	union fd_control control;
	struct iovec iov = {.iov_base = dst, .iov_len = len};
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned n_fds;
	ssize_t got;
	int err;

	do
		got = recvmsg(socket, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	if (got < 0)
		return why_set(why, -errno, "receive: %s", strerror(errno));
	n_fds = take_fds(reader, &hdr);
	err = check_fds(reader, &hdr, n_fds, why);
	if (err != 0)
		return err;
	reader->n_came += n_fds;
	if (got == 0)
		return why_set(why, -ECONNRESET, "the peer closed the connection%s",
			reader->got_bytes > 0 ? " within a message" : "");
	*n = (size_t)got;
	return 0;
}

static int check_header(const struct msg_reader *reader, struct why *why)
{
	const struct vhost_user_header *header = &reader->msg.header;
	int err = reader->check != NULL ? reader->check(header, why) : 0;

	if (err != 0)
		return err;
	if (header->size_bytes > sizeof(reader->msg.payload))
		return why_set(why, -EPROTO,
			"request %u: payload of %u bytes; expected at most %zu", header->request,
			header->size_bytes, sizeof(reader->msg.payload));
	if (reader->n_came > VHOST_USER_MAX_FDS)
		return why_set(why, -EPROTO, "request %u: %u descriptors; expected at most %u",
			header->request, reader->n_came, VHOST_USER_MAX_FDS);
	return 0;
}

/* Read until header and payload are complete. */
static int receive_all(struct msg_reader *reader, int socket, struct why *why)
{
	struct proxy_msg *msg = &reader->msg;
	size_t n = 0;

	for (;;) {
		bool in_header = reader->got_bytes < HEADER_BYTES;
		size_t end = HEADER_BYTES + (in_header ? 0 : msg->header.size_bytes);
		uint8_t *dst = in_header ? (uint8_t *)&msg->header + reader->got_bytes
					 : msg->payload.bytes + (reader->got_bytes - HEADER_BYTES);
		int err;

		if (!in_header && reader->got_bytes == end)
			return 0;
		err = receive_some(reader, socket, dst, end - reader->got_bytes, &n, why);
		if (err != 0)
			return err;
		reader->got_bytes += n;
		if (in_header && reader->got_bytes == HEADER_BYTES) {
			err = check_header(reader, why);
			if (err != 0)
				return err;
		}
	}
}

int msg_reader_read(struct msg_reader *reader, int socket, struct proxy_msg *msg, struct why *why)
{
	int err = receive_all(reader, socket, why);

	if (err == -EAGAIN)
		return err;
	if (err == 0) {
		size_t size_bytes = reader->msg.header.size_bytes;

		*msg = reader->msg;
		/* Clear what older messages left behind a shorter payload. */
		memset(msg->payload.bytes + size_bytes, 0, sizeof(msg->payload) - size_bytes);
		reader->msg.n_fds = 0;
	}
	msg_reader_reset(reader);
	return err;
}

void msg_writer_reset(struct msg_writer *writer)
{
	*writer = (struct msg_writer){0};
}

/* Write from byte 'from' on. @return bytes written, or -1 with errno set, as sendmsg(2) */
static ssize_t send_from(int socket, const struct proxy_msg *msg, size_t from)
{
	union fd_control control = {.bytes = {0}};
	size_t skip = from < HEADER_BYTES ? 0 : from - HEADER_BYTES;
	struct iovec iov[2] = {
		{.iov_base = (uint8_t *)&msg->header + (from < HEADER_BYTES ? from : HEADER_BYTES),
			.iov_len = from < HEADER_BYTES ? HEADER_BYTES - from : 0},
		{.iov_base = (uint8_t *)msg->payload.bytes + skip,
			.iov_len = msg->header.size_bytes - skip},
	};
	struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = 2};

	if (from == 0 && msg->n_fds > 0) {
		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(msg->n_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(msg->n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), msg->fds, msg->n_fds * sizeof(int));
	}
	return sendmsg(socket, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int msg_writer_continue(struct msg_writer *writer, int socket)
{
	const struct proxy_msg *msg = writer->msg;

	while (msg != NULL && writer->sent_bytes < HEADER_BYTES + msg->header.size_bytes) {
		ssize_t n = send_from(socket, msg, writer->sent_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		writer->sent_bytes += (size_t)n;
	}
	msg_writer_reset(writer);
	return 0;
}

int msg_writer_start(struct msg_writer *writer, int socket, const struct proxy_msg *msg)
{
	*writer = (struct msg_writer){.msg = msg};
	return msg_writer_continue(writer, socket);
}
