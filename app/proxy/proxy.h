/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PROXY_H
#define VRNG_PROXY_H

/*
 * The event loop between the front-ends of all guests and a datapath that may die at any time.
 *
 * Theory of operation
 *
 * A guest has a socket at which its front-end is met: the proxy listens there (server mode), or
 * connects to the front-end's socket (client mode). It has one relay (relay.h) while a front-end is
 * connected, and a private socket at which the datapath listens. While a relay has no private
 * connection, the proxy tries to make one, first at once and then less and less often.
 *
 * A second front-end is refused while the first is connected. The first is looked at before that:
 * a front-end that died and came back may be heard of in the wrong order.
 *
 * A guest whose descriptors wait to be closed (fd_reaper.h) is not read from.
 *
 * Nothing here waits for a front-end or for the datapath.
 *
 * Thread safety: one thread calls all functions, except proxy_stop() and proxy_get_stats().
 * Context: PROXY.
 */

#include "why.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proxy;

enum proxy_log_level { PROXY_LOG_ERROR = 3, PROXY_LOG_WARNING, PROXY_LOG_NOTICE, PROXY_LOG_INFO };

struct proxy_config {
	/* May not be NULL. 'text' is one line without its end. Rates are not limited here. */
	void (*log)(void *arg, enum proxy_log_level level, const char *text);
	void *log_arg;
};

struct proxy_guest_config {
	const char *name;
	const char *path;      /* where front-ends are met */
	bool is_client;	       /* connect to the front-end's socket at 'path'; else listen there */
	mode_t mode;	       /* of a socket that is listened at */
	gid_t gid;	       /* of that socket; (gid_t)-1: leave it */
	const char *back_path; /* where the datapath listens for this guest */
	bool any_memory_file;  /* see fd_check_memory() */
};

/** @return 0, -ENOMEM, -EMFILE or -ENFILE */
int proxy_create(const struct proxy_config *config, struct proxy **out);

/** End all connections and sockets. NULL is fine. */
void proxy_destroy(struct proxy *proxy);

/**
 * Add a guest. The strings are copied.
 *
 * @return  0; -ENOMEM; as front_socket_open(), with 'why' set
 */
int proxy_add_guest(struct proxy *proxy, const struct proxy_guest_config *config, struct why *why);

/** Serve until proxy_stop(). @return 0, or -errno of epoll_wait(2) */
int proxy_run(struct proxy *proxy);

/** Make proxy_run() return. Context: any thread, or a signal handler. */
void proxy_stop(struct proxy *proxy);

/** Counters of all guests together. */
struct proxy_stats {
	uint64_t front_ends; /* connected now */
	uint64_t connected;  /* front-ends, since the start */
	uint64_t refused;    /* second front-ends */
	uint64_t ended;	     /* front-ends whose connection the proxy has ended */
	uint64_t back_lost;  /* private connections */
	uint64_t replayed;   /* sessions that a datapath was told */
};

/** Context: any thread. */
void proxy_get_stats(const struct proxy *proxy, struct proxy_stats *stats);

#endif
