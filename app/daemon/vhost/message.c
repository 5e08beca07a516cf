/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/message.h"

#include <string.h>

#define HEADER_BYTES	12
#define FLAG_NEED_REPLY (1u << 3)
#define FILE_RING_MASK	0xffu /* of the messages with a descriptor */

struct message message_of(const void *msg)
{
	struct message m;

	memcpy(&m, msg, sizeof(m));
	return m;
}

void message_expect_no_reply(void *msg)
{
	struct message m = message_of(msg);

	m.flags &= ~FLAG_NEED_REPLY;
	memcpy(msg, &m, sizeof(m));
}

void message_clear(void *msg)
{
	/* More than any message has that is not allowed, and less than the library has room for. */
	memset((uint8_t *)msg + HEADER_BYTES, 0, 64);
}

bool message_is_allowed(uint32_t request)
{
	switch (request) {
	case MSG_GET_FEATURES:
	case MSG_SET_FEATURES:
	case MSG_SET_OWNER:
	case MSG_RESET_OWNER:
	case MSG_SET_MEM_TABLE:
	case MSG_SET_LOG_BASE:
	case MSG_SET_LOG_FD:
	case MSG_SET_VRING_NUM:
	case MSG_SET_VRING_ADDR:
	case MSG_SET_VRING_BASE:
	case MSG_GET_VRING_BASE:
	case MSG_SET_VRING_KICK:
	case MSG_SET_VRING_CALL:
	case MSG_SET_VRING_ERR:
	case MSG_GET_PROTOCOL_FEATURES:
	case MSG_SET_PROTOCOL_FEATURES:
	case MSG_GET_QUEUE_NUM:
	case MSG_SET_VRING_ENABLE:
		return true;
	default:
		return false;
	}
}

bool message_wants_reply(const struct message *m)
{
	return m->flags & FLAG_NEED_REPLY;
}

bool message_is_harmless(uint32_t request)
{
	switch (request) {
	case MSG_GET_FEATURES:
	case MSG_SET_OWNER:
	case MSG_SET_VRING_ERR:
	case MSG_GET_PROTOCOL_FEATURES:
	case MSG_SET_PROTOCOL_FEATURES:
	case MSG_GET_QUEUE_NUM:
		return true;
	default:
		return false;
	}
}

bool message_names_other_ring(const struct message *m)
{
	switch (m->request) {
	case MSG_SET_VRING_NUM:
	case MSG_SET_VRING_ADDR:
	case MSG_SET_VRING_BASE:
	case MSG_GET_VRING_BASE:
	case MSG_SET_VRING_ENABLE:
		return m->index != 0;
	case MSG_SET_VRING_KICK:
	case MSG_SET_VRING_CALL:
	case MSG_SET_VRING_ERR:
		return (m->index & FILE_RING_MASK) != 0;
	default:
		return false;
	}
}
