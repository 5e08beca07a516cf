/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The private connection of a relay: replay, requests on their way to the datapath, replies.
 */
#include "relay_state.h"

#include "msg_check.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static bool is_acknowledged(const struct proxy_msg *request)
{
	return (request->header.flags & VHOST_USER_FLAG_NEED_REPLY) != 0;
}

void relay_detach(struct relay *relay)
{
	fd_closer_close(NULL, relay->back_fd);
	relay->back_fd = -1;
	relay->back_state = BACK_NONE;
	msg_reader_reset(&relay->back_reader);
	msg_writer_reset(&relay->back_writer);
}

enum relay_status relay_lose_back(struct relay *relay)
{
	relay_detach(relay);
	return RELAY_BACK_LOST;
}

/* Sending */

static enum relay_status start_back_msg(struct relay *relay, enum back_state state, struct why *why)
{
	int err = msg_writer_start(&relay->back_writer, relay->back_fd, &relay->back_msg);

	relay->back_state = state;
	if (err == 0 || err == -EAGAIN)
		return RELAY_OK;
	why_set(why, err, "%s to the datapath: %s", msg_name(relay->back_msg.header.request),
		strerror(-err));
	return relay_lose_back(relay);
}

static enum relay_status forward_request(struct relay *relay, struct why *why)
{
	relay->back_msg = relay->request;
	relay->back_msg.header.flags = PROXY_MSG_FLAGS_NEED_REPLY;
	if (relay->request.header.request == VHOST_USER_SET_PROTOCOL_FEATURES)
		relay->back_msg.payload.u64 &= relay->protocol_features;
	return start_back_msg(relay, BACK_REQUEST, why);
}

static void make_call(struct proxy_msg *msg)
{
	proxy_msg_init(msg, VHOST_USER_SET_VRING_CALL);
	msg->header.size_bytes = sizeof(msg->payload.u64);
	msg->payload.u64 = VHOST_USER_VRING_NOFD;
}

enum relay_status relay_serve_request(struct relay *relay, struct why *why)
{
	if (!relay->has_request || relay->back_state != BACK_IDLE)
		return RELAY_OK;
	if (relay->request.header.request == VHOST_USER_SET_VRING_KICK &&
		session_record_lacks_call(&relay->record)) {
		make_call(&relay->back_msg);
		return start_back_msg(relay, BACK_CALL, why);
	}
	return forward_request(relay, why);
}

static enum relay_status replay_from(struct relay *relay, enum replay_step step, struct why *why)
{
	relay->step = step;
	if (session_record_replay(&relay->record, &relay->step, &relay->back_msg))
		return start_back_msg(relay, BACK_REPLAY, why);
	relay->ring_missing = session_record_lacks_memory(&relay->record);
	relay->back_state = BACK_IDLE;
	return relay_serve_request(relay, why);
}

enum relay_status relay_attach(struct relay *relay, int back_fd, struct why *why)
{
	assert(relay->back_state == BACK_NONE);
	relay->back_fd = back_fd;
	return replay_from(relay, REPLAY_GET_FEATURES, why);
}

/* Replies */

static enum relay_status reject_reply(
	struct relay *relay, const struct proxy_msg *reply, struct why *why)
{
	why_set(why, -EPROTO, "the datapath answered %s with request %u, flags %#x, %u bytes",
		msg_name(relay->back_msg.header.request), reply->header.request,
		reply->header.flags, reply->header.size_bytes);
	return relay_lose_back(relay);
}

/* A refusal has this form whatever the request is. */
static bool is_refusal(const struct proxy_msg *reply)
{
	uint32_t request = reply->header.request;

	return (!msg_has_reply(request) || request == VHOST_USER_SET_LOG_BASE) &&
	       reply->header.size_bytes == sizeof(reply->payload.u64) && reply->payload.u64 != 0;
}

static bool has_valid_size(const struct proxy_msg *reply)
{
	switch (reply->header.request) {
	case VHOST_USER_GET_VRING_BASE:
		return reply->header.size_bytes == sizeof(reply->payload.state);
	case VHOST_USER_SET_LOG_BASE:
		return reply->header.size_bytes == 0 || is_refusal(reply);
	default:
		return reply->header.size_bytes == sizeof(reply->payload.u64);
	}
}

/* Does 'reply' belong to the message that is under way? */
static bool is_reply(const struct relay *relay, const struct proxy_msg *reply)
{
	const uint32_t flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;

	return relay->back_state != BACK_IDLE && !msg_writer_is_busy(&relay->back_writer) &&
	       reply->header.request == relay->back_msg.header.request && reply->n_fds == 0 &&
	       reply->header.flags == flags && has_valid_size(reply);
}

/* Note what is offered. @return  a bit that was acknowledged and is not offered any more; -1: none
 */
static int note_offer(struct relay *relay, const struct proxy_msg *reply)
{
	const struct session_record *record = &relay->record;
	uint64_t lost = 0;

	if (reply->header.request == VHOST_USER_GET_FEATURES) {
		relay->features = reply->payload.u64;
		lost = record->features & ~relay->features;
	} else if (reply->header.request == VHOST_USER_GET_PROTOCOL_FEATURES) {
		relay->protocol_features = reply->payload.u64;
		relay->knows_offer = true;
		lost = record->protocol_features & ~relay->protocol_features;
	}
	return lost == 0 ? -1 : __builtin_ctzll(lost);
}

static enum relay_status take_replay_reply(
	struct relay *relay, const struct proxy_msg *reply, struct why *why)
{
	int lost_bit = note_offer(relay, reply);

	if (lost_bit >= 0) {
		why_set(why, -ENOTSUP,
			"replay of %s: bit %d is in use and not offered by the new datapath",
			msg_name(reply->header.request), lost_bit);
		return relay_lose_back(relay);
	}
	if (is_refusal(reply)) {
		why_set(why, -EREMOTEIO, "replay of %s: refused by the datapath",
			msg_name(reply->header.request));
		return relay_lose_back(relay);
	}
	return replay_from(relay, relay->step + 1, why);
}

static enum relay_status take_call_reply(
	struct relay *relay, const struct proxy_msg *reply, struct why *why)
{
	if (is_refusal(reply)) {
		why_set(why, -EREMOTEIO,
			"SET_VRING_CALL without descriptor: refused by the datapath");
		return relay_lose_back(relay);
	}
	session_record_commit(&relay->record, &relay->back_msg, reply);
	return forward_request(relay, why);
}

/* The record keeps what was sent to the datapath, with the request's descriptors. */
static void commit_request(struct relay *relay, const struct proxy_msg *reply)
{
	relay->request.payload = relay->back_msg.payload;
	session_record_commit(&relay->record, &relay->request, reply);
	note_offer(relay, reply);
}

static void make_reply(struct relay *relay, const struct proxy_msg *reply, bool is_refused)
{
	relay->reply = *reply;
	if (is_refused)
		return;
	if (reply->header.request == VHOST_USER_GET_PROTOCOL_FEATURES)
		relay->reply.payload.u64 |= PROTOCOL_FEATURES_ADDED;
	if (reply->header.request == VHOST_USER_SET_LOG_BASE) {
		relay->reply.header.size_bytes = sizeof(relay->reply.payload.log);
		relay->reply.payload.log = relay->request.payload.log;
	}
}

static enum relay_status answer_request(
	struct relay *relay, const struct proxy_msg *reply, struct why *why)
{
	const struct vhost_user_header header = relay->request.header;
	bool is_refused = is_refusal(reply);

	if (is_refused && !is_acknowledged(&relay->request)) {
		why_set(why, -EREMOTEIO, "%s: refused by the datapath", msg_name(header.request));
		return RELAY_FRONT_ENDED;
	}
	if (msg_has_reply(header.request) || is_acknowledged(&relay->request)) {
		make_reply(relay, reply, is_refused);
		return relay_send_reply(relay, why);
	}
	relay_finish_request(relay);
	return RELAY_OK;
}

static enum relay_status take_request_reply(
	struct relay *relay, const struct proxy_msg *reply, struct why *why)
{
	bool is_mem_table = reply->header.request == VHOST_USER_SET_MEM_TABLE;
	enum relay_status status;

	relay->back_state = BACK_IDLE;
	if (is_refusal(reply))
		session_record_refuse(&relay->record, &relay->request);
	else
		commit_request(relay, reply);
	status = answer_request(relay, reply, why);
	if (status != RELAY_OK)
		return status;
	/* Now the datapath can be told what the replay had to leave out. */
	if (relay->ring_missing && is_mem_table && !is_refusal(reply))
		return replay_from(relay, REPLAY_SET_VRING_ADDR, why);
	return RELAY_OK;
}

static enum relay_status take_reply(
	struct relay *relay, const struct proxy_msg *reply, struct why *why)
{
	switch (relay->back_state) {
	case BACK_REPLAY:
		return take_replay_reply(relay, reply, why);
	case BACK_CALL:
		return take_call_reply(relay, reply, why);
	case BACK_REQUEST:
	default:
		return take_request_reply(relay, reply, why);
	}
}

/* Take all replies that are there: a whole one counts, also when the connection has ended behind
 * it. */
enum relay_status relay_read_back(struct relay *relay, struct why *why)
{
	enum relay_status status = RELAY_OK;

	while (status == RELAY_OK) {
		struct proxy_msg reply;
		struct why detail;
		int err = msg_reader_read(&relay->back_reader, relay->back_fd, &reply, &detail);

		if (err == -EAGAIN)
			return RELAY_OK;
		if (err != 0) {
			why_set(why, err, "the datapath's connection: %s", detail.text);
			return relay_lose_back(relay);
		}
		if (is_reply(relay, &reply)) {
			status = take_reply(relay, &reply, why);
		} else {
			proxy_msg_close_fds(&reply, NULL);
			status = reject_reply(relay, &reply, why);
		}
	}
	return status;
}
