/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/message.h"

#include <string.h>

#define FLAG_NEED_REPLY (1u << 3)

/* What a message is about */
#define ALLOWED	     (1u << 0) /* as are all that are here */
#define HARMLESS     (1u << 1) /* leaves ring and memory as they are */
#define RING	     (1u << 2) /* its index is a ring's */
#define RING_FD	     (1u << 3) /* its index is a ring's in these bits: it comes with a descriptor */
#define RING_FD_MASK 0xffu

static const uint8_t traits[] = {
	[MSG_GET_FEATURES] = ALLOWED | HARMLESS,
	[MSG_SET_FEATURES] = ALLOWED,
	[MSG_SET_OWNER] = ALLOWED | HARMLESS,
	[MSG_RESET_OWNER] = ALLOWED,
	[MSG_SET_MEM_TABLE] = ALLOWED,
	[MSG_SET_LOG_BASE] = ALLOWED,
	[MSG_SET_LOG_FD] = ALLOWED,
	[MSG_SET_VRING_NUM] = ALLOWED | RING,
	[MSG_SET_VRING_ADDR] = ALLOWED | RING,
	[MSG_SET_VRING_BASE] = ALLOWED | RING,
	[MSG_GET_VRING_BASE] = ALLOWED | RING,
	[MSG_SET_VRING_KICK] = ALLOWED | RING_FD,
	[MSG_SET_VRING_CALL] = ALLOWED | RING_FD,
	[MSG_SET_VRING_ERR] = ALLOWED | RING_FD | HARMLESS,
	[MSG_GET_PROTOCOL_FEATURES] = ALLOWED | HARMLESS,
	[MSG_SET_PROTOCOL_FEATURES] = ALLOWED | HARMLESS,
	[MSG_GET_QUEUE_NUM] = ALLOWED | HARMLESS,
	[MSG_SET_VRING_ENABLE] = ALLOWED | RING,
};

static unsigned traits_of(uint32_t request)
{
	return request < sizeof(traits) ? traits[request] : 0;
}

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

bool message_is_allowed(uint32_t request)
{
	return traits_of(request) & ALLOWED;
}

bool message_wants_reply(const struct message *m)
{
	return m->flags & FLAG_NEED_REPLY;
}

bool message_is_harmless(uint32_t request)
{
	return traits_of(request) & HARMLESS;
}

bool message_names_other_ring(const struct message *m)
{
	unsigned is = traits_of(m->request);

	return (is & RING && m->index != 0) || (is & RING_FD && (m->index & RING_FD_MASK) != 0);
}

bool message_misplaces_log(const struct message *m)
{
	return m->request == MSG_SET_LOG_BASE && (m->log_offset[0] | m->log_offset[1]) != 0;
}
