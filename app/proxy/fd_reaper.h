/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FD_REAPER_H
#define VRNG_FD_REAPER_H

/*
 * A queue of descriptors that a thread closes, because close() of a front-end's descriptor may wait
 * for as long as the front-end likes: a socket with SO_LINGER, a file of a FUSE file system, a
 * connection with such descriptors in its queue.
 *
 * Each guest has a reaper of its own, so that one guest's descriptors never delay another's. The
 * thread is started when a descriptor is queued and ends when the queue is empty.
 *
 * The number of queued descriptors has no limit here. The owner reads no request of the guest while
 * fd_reaper_backlog() is above its limit, so that a front-end cannot fill the descriptor table.
 *
 * Thread safety: one caller. Context: PROXY. The thread is internal.
 */

#include "proxy_msg.h"

struct fd_reaper;

/** @return 0 or -ENOMEM */
int fd_reaper_create(struct fd_reaper **out);

/**
 * Give the reaper up without waiting: its thread closes what is queued and frees the memory. NULL
 * is fine.
 */
void fd_reaper_destroy(struct fd_reaper *reaper);

/** The interface of relay.h and msg_stream.h to this queue; valid as long as the reaper. */
const struct fd_closer *fd_reaper_closer(struct fd_reaper *reaper);

/** Return the number of descriptors that are queued or being closed. */
unsigned fd_reaper_backlog(struct fd_reaper *reaper);

#endif
