/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SESSION_RECORD_H
#define VRNG_SESSION_RECORD_H

/*
 * The state of a vhost-user back-end for one front-end, from which another back-end gets the same
 * state.
 *
 * The record changes when the back-end has acknowledged a request, and as rte_vhost changes its own
 * state (lib/vhost of DPDK 22.11, vhost_user.c and vhost.c):
 *
 * - SET_MEM_TABLE (vhost_user_set_mem_table): a table with the same regions as the one before
 * changes nothing, and its descriptors are closed. A table that is refused after the checks of
 * msg_check.h leaves the back-end without any.
 * - GET_VRING_BASE (vhost_user_get_vring_base): forgets the ring's addresses, kick and call. Size
 * and enabled state stay.
 * - RESET_OWNER (vhost_user_reset_owner: cleanup_device, reset_device, reset_vring_queue): forgets
 *   features, memory, log and the ring, except its call descriptor. The wrap counter of a packed
 * ring becomes 0, where that of a new ring is 1.
 * - SET_VRING_KICK without VHOST_USER_F_PROTOCOL_FEATURES enables the ring
 * (vhost_user_set_vring_kick).
 * - SET_LOG_FD is ignored.
 *
 * A replay is orderly whatever the order of the original messages was: a front-end that sends
 * SET_VRING_KICK before the ring's addresses is not served by the back-end that got it in this
 * order (translate_ring_addresses is not repeated), but by the next one.
 *
 * Ownership: the record owns the descriptors that it has taken from requests.
 *
 * Thread safety: none. Context: PROXY.
 */

#include "proxy_msg.h"

#include <stdbool.h>
#include <stdint.h>

enum vring_fd_state {
	VRING_FD_UNSET, /* never set, or forgotten */
	VRING_FD_NONE,	/* set to "no descriptor" (VHOST_USER_VRING_NOFD) */
	VRING_FD_SET,
};

struct vring_fd {
	enum vring_fd_state state;
	int fd; /* owned when VRING_FD_SET */
};

struct vring_record {
	bool has_num, has_base, has_addr, has_enable;
	uint32_t num, base, enable;
	struct vhost_user_vring_addr addr;
	struct vring_fd kick, call, err;
};

struct session_record {
	const struct fd_closer *closer;
	bool has_owner, has_features, has_protocol_features, has_mem_table, has_log;
	uint64_t features, protocol_features;
	struct vhost_user_mem_table mem_table;
	int mem_fds[VHOST_USER_MAX_REGIONS]; /* owned, one for each region */
	struct vhost_user_log log;
	int log_fd; /* owned */
	struct vring_record vring;
};

/** The messages of a replay, in their order. */
enum replay_step {
	REPLAY_GET_FEATURES,
	REPLAY_GET_PROTOCOL_FEATURES,
	REPLAY_SET_PROTOCOL_FEATURES,
	REPLAY_SET_OWNER,
	REPLAY_SET_FEATURES,
	REPLAY_SET_LOG_BASE,
	REPLAY_SET_MEM_TABLE,
	REPLAY_SET_VRING_NUM,
	REPLAY_SET_VRING_BASE,
	REPLAY_SET_VRING_ADDR, /* needs memory */
	REPLAY_SET_VRING_ERR,
	REPLAY_SET_VRING_CALL,
	REPLAY_SET_VRING_KICK, /* left out together with SET_VRING_ADDR */
	REPLAY_SET_VRING_ENABLE,
	REPLAY_DONE,
};

/** Start with the state of a new connection. @param closer  as in proxy_msg.h; may be NULL */
void session_record_init(struct session_record *record, const struct fd_closer *closer);

/** Close the record's descriptors. */
void session_record_fini(struct session_record *record);

/**
 * Note a request that the back-end has acknowledged.
 *
 * @param request  passed msg_check(). The descriptors that the record keeps are taken out of it;
 * the others stay the caller's
 * @param reply    of GET_VRING_BASE, else not looked at
 */
void session_record_commit(
	struct session_record *record, struct proxy_msg *request, const struct proxy_msg *reply);

/** Note a request that the back-end has refused. */
void session_record_refuse(struct session_record *record, const struct proxy_msg *request);

/** Has a packed ring been acknowledged? */
bool session_record_is_packed(const struct session_record *record);

/**
 * Does the back-end have no call descriptor, not even "no descriptor"? rte_vhost does not start a
 * ring before SET_VRING_CALL came (vq_is_ready), which some front-ends never send.
 */
bool session_record_lacks_call(const struct session_record *record);

/** Are there addresses of a ring that a back-end would refuse, because there is no memory table? */
bool session_record_lacks_memory(const struct session_record *record);

/**
 * Make the next message of a replay.
 *
 * @param step  where to look for it; on return the step of the message. Add 1 for the next call
 * @param msg   set to a request that asks for an acknowledgement. Its descriptors are borrowed from
 *              the record, valid until the next call of another function on it
 * @return      false: 'step' is REPLAY_DONE, there is no further message
 */
bool session_record_replay(
	const struct session_record *record, enum replay_step *step, struct proxy_msg *msg);

#endif
