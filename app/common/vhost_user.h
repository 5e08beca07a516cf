/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The vhost-user protocol as it travels over the socket: the messages of a device with one queue,
 * for front-end and back-end. Numbers are in the machine's byte order. After the vhost-user
 * protocol specification, sections "Message Specification" and "Front-end message types".
 */
#ifndef VRNG_VHOST_USER_H
#define VRNG_VHOST_USER_H

#include <stdint.h>

#define VHOST_USER_VERSION	   0x1u
#define VHOST_USER_VERSION_MASK	   0x3u
#define VHOST_USER_FLAG_REPLY	   (1u << 2)
#define VHOST_USER_FLAG_NEED_REPLY (1u << 3)

#define VHOST_USER_MAX_REGIONS 8
#define VHOST_USER_MAX_FDS     8

#define VHOST_USER_F_PROTOCOL_FEATURES	30
#define VHOST_USER_F_LOG_ALL		26
#define VHOST_USER_PROTOCOL_F_MQ	0
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD 1
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3

#define VHOST_USER_LOG_PAGE 4096u /* a bit of the log stands for so many bytes */

/* In the flags of a ring's addresses: log what is written to it. */
#define VHOST_USER_VRING_F_LOG (1u << 0)

/* In the u64 of SET_VRING_KICK, _CALL and _ERR: bits 0-7 the queue, bit 8 "no descriptor sent". */
#define VHOST_USER_VRING_INDEX 0xffull
#define VHOST_USER_VRING_NOFD  (1ull << 8)

#define VHOST_USER_VRING_NUM_MAX 32768u /* entries of a virtqueue (virtio 1.3 §2.7, §2.8) */

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size_bytes; /* of the payload that follows */
};

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t user_addr; /* the front-end's own address of it; rings are named by these */
	uint64_t fd_offset;
};

struct vhost_user_mem_table {
	uint32_t nr_regions;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc_user_addr;
	uint64_t used_user_addr;
	uint64_t avail_user_addr;
	uint64_t log_gpa;
};

struct vhost_user_log {
	uint64_t size_bytes;
	uint64_t fd_offset;
};

_Static_assert(sizeof(struct vhost_user_header) == 12, "header as on the wire");
_Static_assert(sizeof(struct vhost_user_mem_table) == 8 + 8 * 32, "table as on the wire");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "addresses as on the wire");

#endif
