/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_RELAY_H
#define VRNG_RELAY_H

/*
 * The relay of one guest: between the front-end's connection and the private connection to the
 * datapath, which may die and be replaced without the front-end noticing.
 *
 * Theory of operation
 *
 * The front-end's requests are taken one at a time. Each is checked (msg_check.h), forwarded, and
 * answered before the next one is read. On the private connection every request asks for an
 * acknowledgement, so that there is always exactly one answer to wait for; when it has arrived
 * whole, the record (session_record.h) changes and the front-end gets the reply that it waits for,
 * if any.
 *
 * When the private connection ends, the request that is being worked on stays. On the next private
 * connection the record is replayed and then that request is sent again. A reply that had arrived
 * whole before the end counts; the part of one does not. All requests can be repeated: the replayed
 * state is that from before the request, whatever the dead datapath had done with it.
 *
 * A new private connection always starts with a replay, the first one with that of an empty record:
 * it tells which features are offered. Until then no request is read.
 *
 * The relay answers where rte_vhost does not, or not as front-ends expect:
 * - GET_QUEUE_NUM is answered with 1 here, also without a datapath, and VHOST_USER_PROTOCOL_F_MQ is
 *   added to the protocol features that are offered (rte_vhost says 128).
 * - The reply to SET_LOG_BASE has the request's 16 bytes as payload. The front-ends of rust-vmm
 * wait for them, QEMU looks at the request alone, and rte_vhost sends none.
 * - A SET_VRING_CALL that never came is made up, without descriptor, before SET_VRING_KICK:
 * rte_vhost waits for it (vq_is_ready).
 *
 * A request that the datapath refuses: the refusal is passed on if the front-end asked for an
 * acknowledgement, otherwise the front-end's connection has to end, as rte_vhost ends it.
 *
 * Event loop: nothing here blocks or waits. The caller polls both sockets for the events that are
 * wanted, hands over what poll(2) or epoll(7) reports, and asks again what is wanted after each
 * call.
 *
 * Thread safety: none; any number of relays. Context: PROXY.
 */

#include "proxy_msg.h"
#include "why.h"

#include <stdbool.h>

struct relay;

struct relay_config {
	bool any_memory_file; /* accept guest memory on any file: fd_check_memory() */
	const struct fd_closer
		*closer; /* for descriptors of the front-end, the connection included;
			    NULL: close(2) in place. Must outlive the relay */
};

/** The state of the connections after an event. */
enum relay_status {
	RELAY_OK,
	RELAY_BACK_LOST,   /* the private connection has ended and was closed: attach another one */
	RELAY_FRONT_ENDED, /* the front-end has left, or must be cut off: destroy the relay */
};

/**
 * @param front_fd  a connected stream socket; the relay's on success, still the caller's on failure
 * @return          0 or -ENOMEM
 */
int relay_create(const struct relay_config *config, int front_fd, struct relay **out);

/** Close both connections and all descriptors. NULL is fine. */
void relay_destroy(struct relay *relay);

/**
 * Go on with a new private connection, and start the replay.
 *
 * @param back_fd  a connected stream socket, the relay's from now on. The relay has none: it is
 * new, or RELAY_BACK_LOST was returned
 * @param why      set unless RELAY_OK is returned
 */
enum relay_status relay_attach(struct relay *relay, int back_fd, struct why *why);

/** Close the private connection, as if it had ended. */
void relay_detach(struct relay *relay);

/** The sockets, for poll(2). The private one is -1 while there is none. */
int relay_front_fd(const struct relay *relay);
int relay_back_fd(const struct relay *relay);

/**
 * The events to poll for, of POLLIN and POLLOUT. May be 0; POLLHUP and POLLERR, which poll(2)
 * reports in any case, must be handed over also then.
 */
short relay_front_wanted(const struct relay *relay);
short relay_back_wanted(const struct relay *relay);

/**
 * Act on events of a socket.
 *
 * @param revents  as poll(2) gives them
 * @param why      set unless RELAY_OK is returned: request and value, or how a connection ended;
 * without the guest's name
 */
enum relay_status relay_front_events(struct relay *relay, short revents, struct why *why);
enum relay_status relay_back_events(struct relay *relay, short revents, struct why *why);

/** Has the last private connection been told all that the record holds? */
bool relay_is_replayed(const struct relay *relay);

#endif
