/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LISTENER_H
#define VRNG_LISTENER_H

/* A socket of rte_vhost's, and the features that are offered on it. A part of session.c. */

#include <stdbool.h>
#include <stdint.h>

struct rte_vhost_device_ops;

#define FEATURE(bit) (UINT64_C(1) << (bit))

/**
 * Make the socket at 'path', with mode 0600, and listen. rte_vhost_driver_unregister() ends it.
 *
 * @param client  instead connect to the socket at 'path', which is a front-end's: at once if
 *                somebody listens there, else again every second; and so after each connection
 * @return  0 or a negative errno, which was logged
 * Context: MAIN.
 */
int listener_start(const char *path, bool client, const struct rte_vhost_device_ops *ops);

#endif
