/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A proxy (app/proxy) in a thread of the test, for one guest.
 */
#ifndef E2E_PROXY_THREAD_H
#define E2E_PROXY_THREAD_H

#include "proxy.h"

#include <pthread.h>
#include <stdbool.h>

struct proxy_thread {
	struct proxy *proxy; /* NULL: not started */
	pthread_t thread;
	bool running;
	char last_warning[512]; /* of the log; thread: w, main: r after proxy_thread_stop() */
};

/** Listen at 'front_path', or connect to it as a client; relay to what listens at 'back_path'. */
void proxy_thread_start(
	struct proxy_thread *proxy, const char *front_path, bool is_client, const char *back_path);

/** End the thread; the proxy's connections end with proxy_thread_free(). Accepts a zeroed one. */
void proxy_thread_stop(struct proxy_thread *proxy);
void proxy_thread_free(struct proxy_thread *proxy);

/** The proxy's counters. */
struct proxy_stats proxy_thread_stats(const struct proxy_thread *proxy);

#endif
