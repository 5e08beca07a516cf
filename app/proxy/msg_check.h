/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_MSG_CHECK_H
#define VRNG_MSG_CHECK_H

/*
 * Which vhost-user requests a front-end may make, and the checks that a message must pass before
 * anything acts on it.
 *
 * Security model: the message is hostile. rte_vhost checks less than this (it accepts a ring of 3
 * entries, regions beyond their files, any descriptor as eventfd), works on requests that were
 * never negotiated, and after an acknowledged error goes on with the bad state; so a message that
 * fails here must never reach it.
 *
 * An error text names the request and the value; the caller adds the guest's name and the
 * consequence.
 *
 * Thread safety: none needed. Context: PROXY.
 */

#include "proxy_msg.h"
#include "why.h"

#include <stdbool.h>
#include <stdint.h>

#define VRING_COUNT 1 /* virtqueues of an entropy device (virtio 1.3 §5.4.2) */

/** The features that the back-end offers, and those that the front-end has acknowledged so far. */
struct msg_limits {
	uint64_t features;	    /* offered */
	uint64_t protocol_features; /* offered */
	bool packed;		    /* acknowledged: packed ring */
	bool any_memory_file;	    /* see fd_check_memory() */
};

/** The request's name without VHOST_USER_; "unknown request" if it is not in the table. */
const char *msg_name(uint32_t request);

/** Is the request answered with a reply of its own, whether or not it asks for an acknowledgement?
 */
bool msg_has_reply(uint32_t request);

/**
 * Check a header before its payload is read: known request, version, flags, payload size.
 *
 * @return  0, or -EPROTO with 'why' set
 */
int msg_check_header(const struct vhost_user_header *header, struct why *why);

/**
 * Check a whole message whose header has passed msg_check_header(): the number and kind of
 * descriptors, and the values of its payload.
 *
 * @return  0; -EPROTO: wrong number of descriptors; -EINVAL: wrong kind of descriptor or wrong
 * value; 'why' is set then. The message keeps its descriptors.
 */
int msg_check(const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why);

#endif
