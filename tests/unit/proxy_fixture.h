/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROXY_FIXTURE_H
#define PROXY_FIXTURE_H

/*
 * What the proxy's unit tests share: a connected pair of stream sockets, messages, files to send,
 * and the number of open descriptors, which must be the same at a test's end as at its start.
 */

#include "fds.h"
#include "proxy_msg.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES sizeof(struct vhost_user_header)
#define MEM_BYTES    0x10000u /* of a file that make_memory() makes */

/** @param pair  both non-blocking */
static inline void make_pair(int pair[2])
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

	assert_int_equal(socketpair(AF_UNIX, type, 0, pair), 0);
}

/** A fd_closer that counts: @param arg  an unsigned, the number of descriptors */
static inline void count_close(void *arg, int fd)
{
	unsigned *n = arg;

	(*n)++;
	close(fd);
}

static inline int make_memory(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MEM_BYTES), 0);
	return fd;
}

static inline int make_event(unsigned count)
{
	int fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/** A request with a payload. @param payload  'size' bytes; NULL: zeros */
static inline struct proxy_msg make_msg(uint32_t request, const void *payload, uint32_t size)
{
	struct proxy_msg msg = {
		.header = {.request = request, .flags = VHOST_USER_VERSION, .size_bytes = size},
	};

	assert_true(size <= sizeof(msg.payload));
	if (payload != NULL)
		memcpy(&msg.payload, payload, size);
	return msg;
}

static inline struct proxy_msg make_u64(uint32_t request, uint64_t value)
{
	return make_msg(request, &value, sizeof(value));
}

static inline struct proxy_msg make_state(uint32_t request, uint32_t num)
{
	struct vhost_user_vring_state state = {.num = num};

	return make_msg(request, &state, sizeof(state));
}

/** A message about a ring with this descriptor. It is borrowed. */
static inline struct proxy_msg make_vring_fd(uint32_t request, int fd)
{
	struct proxy_msg msg = make_u64(request, fd < 0 ? VHOST_USER_VRING_NOFD : 0);

	msg.n_fds = fd < 0 ? 0 : 1;
	msg.fds[0] = fd;
	return msg;
}

/** A table of 'n' regions of a page each, all in the file 'fd'. It is borrowed. */
static inline struct proxy_msg make_table(unsigned n, int fd)
{
	struct proxy_msg msg = make_msg(VHOST_USER_SET_MEM_TABLE, NULL, 0);
	struct vhost_user_mem_table *table = &msg.payload.mem_table;

	table->nr_regions = n;
	for (unsigned i = 0; i < n; i++) {
		table->regions[i] = (struct vhost_user_region){
			.gpa = 0x40000000 + i * UINT64_C(0x1000),
			.size_bytes = 0x1000,
			.user_addr = 0x7f0000000000 + i * UINT64_C(0x1000),
			.fd_offset = i * UINT64_C(0x1000),
		};
		msg.fds[i] = fd;
	}
	msg.n_fds = n;
	msg.header.size_bytes = (uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
					   n * sizeof(table->regions[0]));
	return msg;
}

/** Send the first 'len' bytes of a message with its descriptors, from byte 'from' on. */
static inline void send_part(int socket, const struct proxy_msg *msg, size_t from, size_t len)
{
	uint8_t bytes[HEADER_BYTES + sizeof(msg->payload)];
	struct iovec iov = {bytes + from, len};

	memcpy(bytes, &msg->header, HEADER_BYTES);
	memcpy(bytes + HEADER_BYTES, &msg->payload, sizeof(msg->payload));
	assert_int_equal(fds_send(socket, &iov, 1, msg->fds, from == 0 ? msg->n_fds : 0, 0), len);
}

static inline void send_msg(int socket, const struct proxy_msg *msg)
{
	send_part(socket, msg, 0, HEADER_BYTES + msg->header.size_bytes);
}

#endif
