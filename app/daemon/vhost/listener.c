/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/listener.h"

#include "log.h"
#include "vhost/vhost_thread.h"

#include <rte_config.h>
#include <rte_vhost.h>

#include <errno.h>
#include <sys/stat.h>

/*
 * What is offered. QEMU 7.2 hands the guest EVENT_IDX and INDIRECT_DESC, and RING_PACKED with
 * packed=on, whether we offer them or not, so we must. IN_ORDER, because virtq.h is. LOG_ALL for
 * front-ends that migrate. PROTOCOL_FEATURES, because without it a ring is enabled as soon as it is
 * kicked.
 */
#define FEATURES                                                                       \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_EVENT_IDX) |              \
		FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_F_RING_PACKED) | \
		FEATURE(VIRTIO_F_IN_ORDER) | FEATURE(VHOST_F_LOG_ALL) |                \
		FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))

/*
 * Not PROTOCOL_F_STATUS: rte_vhost would wait for a DRIVER_OK that QEMU 7.2 never sends for this
 * device.
 */
#define PROTOCOL_FEATURES \
	(FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK) | FEATURE(VHOST_USER_PROTOCOL_F_LOG_SHMFD))

int listener_start(const char *path, bool client, const struct rte_vhost_device_ops *ops)
{
	static struct log_limit
		failures; /* a front-end's socket is tried again every few seconds */
	char name[VHOST_THREAD_NAME_SIZE];
	uint64_t offered;
	mode_t mask;
	int rc;

	if (client)
		vhost_thread_name(VHOST_THREAD_RECONNECT, name);
	rc = rte_vhost_driver_register(path, client ? RTE_VHOST_USER_CLIENT : 0);
	if (client)
		vhost_thread_unname(VHOST_THREAD_RECONNECT, name, rc == 0);
	if (rc != 0) {
		LOG_LIMITED(
			&failures, ERR, "cannot make a socket for %s: rte_vhost refused it", path);
		return -EIO;
	}
	if (rte_vhost_driver_set_features(path, FEATURES) != 0 ||
		rte_vhost_driver_get_protocol_features(path, &offered) != 0 ||
		rte_vhost_driver_set_protocol_features(path, offered & PROTOCOL_FEATURES) != 0 ||
		rte_vhost_driver_callback_register(path, ops) != 0) {
		LOG_LIMITED(
			&failures, ERR, "cannot set up the socket %s: rte_vhost refused it", path);
		rte_vhost_driver_unregister(path);
		return -EIO;
	}
	/* bind() must not make it with wider rights, not for a moment. */
	mask = umask(0177);
	vhost_thread_name(VHOST_THREAD_EVENTS, name);
	rc = rte_vhost_driver_start(path);
	vhost_thread_unname(VHOST_THREAD_EVENTS, name, rc == 0);
	umask(mask);
	if (rc != 0) {
		LOG_LIMITED(&failures, ERR, "cannot %s %s: see the line before this one",
			client ? "connect to" : "listen on", path);
		rte_vhost_driver_unregister(path);
		return -EIO;
	}
	return 0;
}
