/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_RELAY_STATE_H
#define VRNG_RELAY_STATE_H

/*
 * The inside of a relay (relay.h), which two files share: relay.c has the front-end's side and the
 * events, relay_back.c the private connection. Other files use relay.h.
 *
 * Context: PROXY.
 */

#include "msg_stream.h"
#include "relay.h"
#include "session_record.h"

/* Offered to the front-end although rte_vhost does not offer it. */
#define PROTOCOL_FEATURES_ADDED (UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ)

/* Use of the private connection. One message at a time is under way there. */
enum back_state {
	BACK_NONE,    /* there is none */
	BACK_REPLAY,  /* a message of the replay is under way */
	BACK_IDLE,    /* ready for a request */
	BACK_CALL,    /* the made-up SET_VRING_CALL is under way; then the request is sent */
	BACK_REQUEST, /* the front-end's request is under way */
};

struct relay {
	struct relay_config config;

	int front_fd;
	struct msg_reader front_reader;
	struct msg_writer front_writer;
	bool has_request;	  /* the front-end's request is being worked on */
	struct proxy_msg request; /* it owns its descriptors until they are recorded */
	struct proxy_msg reply;	  /* to the front-end; stays while it is being written */

	int back_fd;
	enum back_state back_state;
	struct msg_reader back_reader;
	struct msg_writer back_writer;
	struct proxy_msg back_msg; /* what is under way; its descriptors are borrowed */
	enum replay_step step;	   /* of the message under way */
	bool ring_missing;	   /* the replay left addresses and kick out for want of memory */

	bool knows_offer;
	uint64_t features, protocol_features; /* offered by the datapath */
	struct session_record record;
};

/** Send the front-end's request to the datapath, if there is one and the datapath is ready for it.
 */
enum relay_status relay_serve_request(struct relay *relay, struct why *why);

/** The request is done and waits for no reply. */
void relay_finish_request(struct relay *relay);

/** The request is done: send relay->reply. @return RELAY_OK or RELAY_FRONT_ENDED */
enum relay_status relay_send_reply(struct relay *relay, struct why *why);

/** Close the private connection. @return RELAY_BACK_LOST */
enum relay_status relay_lose_back(struct relay *relay);

/** Take all replies that the private connection has. */
enum relay_status relay_read_back(struct relay *relay, struct why *why);

#endif
