/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_MESSAGE_H
#define VRNG_MESSAGE_H

/*
 * vhost-user messages, as far as they must be judged before rte_vhost works on them.
 *
 * Security model: all of a message but its size, which rte_vhost has checked, is what a front-end
 * wrote. It is looked at, and nothing in it is used to address memory.
 */

#include <stdbool.h>
#include <stdint.h>

/** How a message begins, whatever the library has behind it. */
struct message {
	uint32_t request, flags, size;
	uint32_t index, num; /* of the messages about one ring, but for those with a descriptor */
	uint32_t log_offset[2]; /* of SET_LOG_BASE, whose size is in the two before */
};

/** The requests that a front-end may make, as we offer features. */
enum {
	MSG_NONE = 0, /* not allowed, as all that is not here */
	MSG_GET_FEATURES = 1,
	MSG_SET_FEATURES = 2,
	MSG_SET_OWNER = 3,
	MSG_RESET_OWNER = 4,
	MSG_SET_MEM_TABLE = 5,
	MSG_SET_LOG_BASE = 6,
	MSG_SET_LOG_FD = 7,
	MSG_SET_VRING_NUM = 8,
	MSG_SET_VRING_ADDR = 9,
	MSG_SET_VRING_BASE = 10,
	MSG_GET_VRING_BASE = 11,
	MSG_SET_VRING_KICK = 12,
	MSG_SET_VRING_CALL = 13,
	MSG_SET_VRING_ERR = 14,
	MSG_GET_PROTOCOL_FEATURES = 15,
	MSG_SET_PROTOCOL_FEATURES = 16,
	MSG_GET_QUEUE_NUM = 17,
	MSG_SET_VRING_ENABLE = 18,
};

/** @param msg  the library's message, at least sizeof(struct message) of memory */
struct message message_of(const void *msg);

/**
 * Make the library's message one that asks for no acknowledgement. To one that failed and asks for
 * it, the library says so and goes on with whatever state is left; otherwise it ends the
 * connection.
 */
void message_expect_no_reply(void *msg);

/**
 * Is it one that we, or the protocol, know? The library does more, whatever was negotiated: among
 * it, to allocate and clear as much memory as the front-end says (GET_INFLIGHT_FD), and to write
 * into memory of which the front-end says how large it is (SET_INFLIGHT_FD).
 */
bool message_is_allowed(uint32_t request);

/** Does it ask for an acknowledgement? Then the library goes on, also when it has failed. */
bool message_wants_reply(const struct message *m);

/** Does it leave the ring and the memory as they are? */
bool message_is_harmless(uint32_t request);

/**
 * Is it about another ring than the first? The library allocates all rings up to the one that is
 * named, and a megabyte for each that is large.
 */
bool message_names_other_ring(const struct message *m);

/**
 * Does it give a log that begins within its file? The library maps it from there on, and then goes
 * as far again: it would write to whatever is behind the mapping.
 */
bool message_misplaces_log(const struct message *m);

#endif
