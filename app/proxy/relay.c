/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_state.h"

#include "msg_check.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

int relay_create(const struct relay_config *config, int front_fd, struct relay **out)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (relay == NULL)
		return -ENOMEM;
	relay->config = *config;
	relay->front_fd = front_fd;
	relay->back_fd = -1;
	msg_reader_init(&relay->front_reader, msg_check_header, config->closer);
	msg_reader_init(&relay->back_reader, NULL, NULL);
	session_record_init(&relay->record, config->closer);
	*out = relay;
	return 0;
}

void relay_destroy(struct relay *relay)
{
	if (relay == NULL)
		return;
	relay_detach(relay);
	msg_reader_reset(&relay->front_reader);
	proxy_msg_close_fds(&relay->request, relay->config.closer);
	session_record_fini(&relay->record);
	/* Descriptors may wait in its queue, so that close() may block. */
	fd_closer_close(relay->config.closer, relay->front_fd);
	free(relay);
}

/* The front-end's side */

static enum relay_status reply_written(int err, struct why *why)
{
	if (err == 0 || err == -EAGAIN)
		return RELAY_OK;
	why_set(why, err, "the front-end's connection: %s", strerror(-err));
	return RELAY_FRONT_ENDED;
}

void relay_finish_request(struct relay *relay)
{
	proxy_msg_close_fds(&relay->request, relay->config.closer);
	relay->has_request = false;
}

enum relay_status relay_send_reply(struct relay *relay, struct why *why)
{
	relay_finish_request(relay);
	return reply_written(
		msg_writer_start(&relay->front_writer, relay->front_fd, &relay->reply), why);
}

static enum relay_status answer_queue_num(struct relay *relay, struct why *why)
{
	proxy_msg_init(&relay->reply, VHOST_USER_GET_QUEUE_NUM);
	relay->reply.header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	relay->reply.header.size_bytes = sizeof(relay->reply.payload.u64);
	relay->reply.payload.u64 = VRING_COUNT;
	return relay_send_reply(relay, why);
}

static int check_request(const struct relay *relay, struct why *why)
{
	const struct msg_limits limits = {
		.features = relay->features,
		.protocol_features = relay->protocol_features | PROTOCOL_FEATURES_ADDED,
		.packed = session_record_is_packed(&relay->record),
		.any_memory_file = relay->config.any_memory_file,
	};

	return msg_check(&relay->request, &limits, why);
}

/* Events */

static enum relay_status read_front(struct relay *relay, struct why *why)
{
	int err = msg_reader_read(&relay->front_reader, relay->front_fd, &relay->request, why);

	if (err == -EAGAIN)
		return RELAY_OK;
	if (err != 0)
		return RELAY_FRONT_ENDED;
	relay->has_request = true;
	if (check_request(relay, why) != 0)
		return RELAY_FRONT_ENDED;
	if (relay->request.header.request == VHOST_USER_GET_QUEUE_NUM)
		return answer_queue_num(relay, why);
	return relay_serve_request(relay, why);
}

enum relay_status relay_front_events(struct relay *relay, short revents, struct why *why)
{
	short wanted = relay_front_wanted(relay);

	/* Both directions are closed: no reply can arrive. */
	if (revents & (POLLHUP | POLLERR | POLLNVAL)) {
		why_set(why, -ECONNRESET, "the front-end closed the connection");
		return RELAY_FRONT_ENDED;
	}
	if (revents & wanted & POLLOUT)
		return reply_written(
			msg_writer_continue(&relay->front_writer, relay->front_fd), why);
	if (revents & wanted & POLLIN)
		return read_front(relay, why);
	return RELAY_OK;
}

enum relay_status relay_back_events(struct relay *relay, short revents, struct why *why)
{
	if (relay->back_fd < 0)
		return RELAY_OK;
	if (revents & POLLOUT && msg_writer_is_busy(&relay->back_writer)) {
		int err = msg_writer_continue(&relay->back_writer, relay->back_fd);

		if (err != 0 && err != -EAGAIN) {
			why_set(why, err, "the datapath's connection: %s", strerror(-err));
			return relay_lose_back(relay);
		}
	}
	if (revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
		return relay_read_back(relay, why);
	return RELAY_OK;
}

short relay_front_wanted(const struct relay *relay)
{
	if (msg_writer_is_busy(&relay->front_writer))
		return POLLOUT;
	return relay->knows_offer && !relay->has_request ? POLLIN : 0;
}

short relay_back_wanted(const struct relay *relay)
{
	return msg_writer_is_busy(&relay->back_writer) ? POLLIN | POLLOUT : POLLIN;
}

int relay_front_fd(const struct relay *relay)
{
	return relay->front_fd;
}

int relay_back_fd(const struct relay *relay)
{
	return relay->back_fd;
}

bool relay_is_replayed(const struct relay *relay)
{
	return relay->back_state > BACK_REPLAY;
}
