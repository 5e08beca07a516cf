/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A vhost-user front-end: the VMM's end of the socket, for one device with one queue. It offers its
 * guest memory and a driver's queue to a back-end, stops and restarts it, and can say anything
 * else the protocol's framing allows, for the tests of a back-end's manners.
 *
 * Nothing here waits for ever: each send, receive and connect has the time limit of the
 * configuration and ends with -ETIMEDOUT.
 *
 * Results, for all functions that return int: 0; -ETIMEDOUT; -ECONNRESET when the back-end has
 * closed the connection; -EPROTO for an answer that is none; -EREMOTEIO when the back-end refused
 * (answered a REPLY_ACK with something else than 0); other -errno of system calls.
 *
 * Once REPLY_ACK is negotiated each SET message asks for its acknowledgement and waits for it,
 * so that success means the back-end has done it.
 *
 * Thread-safety: one thread per front-end, except that frontend_kick(), frontend_wait_call() and
 * the descriptors may be used by the driver's thread meanwhile. Any number of front-ends.
 */
#ifndef FRONTEND_H
#define FRONTEND_H

#include "driver.h"
#include "guest_ram.h"
#include "vhost_user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frontend;

struct frontend_cfg {
	const char *socket_path; /* NULL: there is a connection already */
	int connection; /* that one, from listener_accept(); it is closed with the front-end, or
			   when that cannot be made */
	int timeout_ms; /* of each connect, send and receive; 0: 5000 */
};

/** Connect, unless that was done; says nothing to the back-end yet. *out is the caller's to
 * frontend_destroy(). */
int frontend_create(const struct frontend_cfg *cfg, struct frontend **out);

/**
 * Close the connection and the event descriptors without stopping anything first, as a VMM that
 * dies. Accepts NULL.
 */
void frontend_destroy(struct frontend *fe);

/**
 * The opening conversation: features, owner, protocol features (REPLY_ACK and LOG_SHMFD when
 * offered).
 *
 * @param want  feature bits wanted besides VERSION_1 and PROTOCOL_FEATURES
 * @param got   what both sides know, and is set; may be NULL
 * @return      also -ENOTSUP: the back-end doesn't know VERSION_1
 */
int frontend_negotiate(struct frontend *fe, uint64_t want, uint64_t *got);

/** Share all regions of the memory. May be sent again while the ring runs. */
int frontend_set_memory(struct frontend *fe, const struct guest_ram *ram);

/**
 * Hand the driver's queue over and enable it: NUM, BASE, ADDR, CALL, KICK, ENABLE.
 *
 * @param base  ring index to go on from: what frontend_stop_ring() gave, driver_resume_base(), or
 *              the driver's start_idx
 */
int frontend_start_ring(struct frontend *fe, const struct driver *drv, uint16_t base);

/**
 * The same without SET_VRING_CALL, as a VMM does for a driver that polls and has no interrupt:
 * frontend_wait_call() never sees a call. frontend_renew_call() sends one later.
 */
int frontend_start_ring_without_call(struct frontend *fe, const struct driver *drv, uint16_t base);

/** Stop the ring. After the answer the back-end has let go of it. @param base may be NULL */
int frontend_stop_ring(struct frontend *fe, uint16_t *base);

/** SET_VRING_ENABLE: pause and resume a started ring. */
int frontend_enable_ring(struct frontend *fe, bool enable);

/** Tell the back-end the addresses of the driver's queue (again). */
int frontend_set_ring_addr(struct frontend *fe, const struct driver *drv);

/** Tell the back-end a new descriptor to signal answers on; the old one is closed. */
int frontend_renew_call(struct frontend *fe);

/**
 * Let the back-end log what it writes to the guest's memory, a bit for each page from
 * guest-physical address 0 on, in the file 'fd'. It does so while the features in force have
 * VHOST_USER_F_LOG_ALL. May be sent again, with another log, while the ring runs.
 */
int frontend_set_log(struct frontend *fe, int fd, uint64_t size_bytes);

/** Turn the logging on or off, of a ring that may run. It must have been wanted at the start. */
int frontend_enable_log(struct frontend *fe, const struct driver *drv, bool enable);

/** Wait until all messages sent so far have been handled: one GET_FEATURES. */
int frontend_sync(struct frontend *fe);

/** Kick the device. Call when driver_kick_needed() says so. */
void frontend_kick(struct frontend *fe);

/**
 * Wait for a call.
 *
 * @param timeout_ms  0 looks only; negative waits without limit
 * @return            how many calls came since this was asked last; 0 when the time was over
 */
uint64_t frontend_wait_call(struct frontend *fe, int timeout_ms);

/** The kick and call descriptors, the socket, and the features in force. */
int frontend_kick_fd(const struct frontend *fe);
int frontend_call_fd(const struct frontend *fe);
int frontend_socket_fd(const struct frontend *fe);
uint64_t frontend_features(const struct frontend *fe);

/*
 * Below: parts to build other conversations from, impolite ones among them.
 */

/**
 * Send a message as configured: with NEED_REPLY and the wait for it if REPLY_ACK is in force.
 *
 * @param fds  sent along, still the caller's; nr_fds of them, at most VHOST_USER_MAX_FDS
 */
int frontend_set(struct frontend *fe, enum vhost_user_request request, const void *payload,
	uint32_t size_bytes, const int *fds, unsigned nr_fds);

/**
 * Send exactly this header and these bytes and wait for nothing.
 *
 * @param header      its size may lie
 * @param len_bytes   of the payload that is really sent
 */
int frontend_send_raw(struct frontend *fe, const struct vhost_user_header *header,
	const void *payload, size_t len_bytes, const int *fds, unsigned nr_fds);

/**
 * Receive the reply to 'request'; its payload must be of exactly 'size_bytes'.
 * A reply to an older request is not skipped: it is -EPROTO.
 */
int frontend_receive(
	struct frontend *fe, enum vhost_user_request request, void *payload, uint32_t size_bytes);

/** Receive a REPLY_ACK for 'request' that was sent with NEED_REPLY. -EREMOTEIO: refused */
int frontend_receive_ack(struct frontend *fe, enum vhost_user_request request);

/** Fill a memory table message as frontend_set_memory() does. */
void frontend_fill_table(const struct guest_ram *ram, struct vhost_user_mem_table *table, int *fds);

/** Fill a ring address message as frontend_set_ring_addr() does. */
void frontend_fill_addr(const struct driver *drv, struct vhost_user_vring_addr *addr);

#endif
