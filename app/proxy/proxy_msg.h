/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PROXY_MSG_H
#define VRNG_PROXY_MSG_H

/*
 * One vhost-user message in memory: header, payload, descriptors.
 *
 * Ownership: a message owns its descriptors unless a function says that it borrows them.
 *
 * Security model: a message that a front-end sent is hostile until msg_check() has accepted it.
 * Even close() of its descriptors can block (a socket with SO_LINGER, a file of a FUSE file
 * system), so all descriptors of front-ends are closed through a 'struct fd_closer'.
 *
 * Thread safety: none. Context: PROXY.
 */

#include "vhost_user.h"

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define PROXY_MSG_FLAGS_NEED_REPLY (VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY)

union proxy_msg_payload {
	uint8_t bytes[sizeof(struct vhost_user_mem_table)];
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table mem_table;
	struct vhost_user_log log;
};

struct proxy_msg {
	struct vhost_user_header header;
	union proxy_msg_payload payload;
	unsigned n_fds;
	int fds[VHOST_USER_MAX_FDS];
};

/** Close descriptors of front-ends, for example on another thread. */
struct fd_closer {
	void (*close)(void *arg, int fd); /* takes ownership of 'fd' */
	void *arg;
};

/** Close 'fd' if it is one (>= 0). @param closer  NULL: close(2) in place */
static inline void fd_closer_close(const struct fd_closer *closer, int fd)
{
	if (fd < 0)
		return;
	if (closer != NULL)
		closer->close(closer->arg, fd);
	else
		close(fd);
}

/** Close all descriptors of a message. */
static inline void proxy_msg_close_fds(struct proxy_msg *msg, const struct fd_closer *closer)
{
	for (unsigned i = 0; i < msg->n_fds; i++)
		fd_closer_close(closer, msg->fds[i]);
	msg->n_fds = 0;
}

/** Make a message without payload and descriptors that asks for an acknowledgement. */
static inline void proxy_msg_init(struct proxy_msg *msg, uint32_t request)
{
	*msg = (struct proxy_msg){
		.header = {.request = request, .flags = PROXY_MSG_FLAGS_NEED_REPLY},
	};
}

#endif
