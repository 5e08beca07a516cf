/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A proxy in a thread of the test: it takes one front-end at a time at a socket of its own, and
 * relays it to the back-end that listens at another one, whenever there is one.
 */
#ifndef E2E_PROXY_THREAD_H
#define E2E_PROXY_THREAD_H

#include "why.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct proxy_thread {
	char front_path[96];
	const char *back_path;
	int listen_fd;
	pthread_t thread;
	bool running;

	/* main: w, thread: r */
	bool stop;

	/* thread: w, main: r */
	uint64_t nr_fronts;    /* front-ends that came */
	uint64_t nr_back_lost; /* back-ends that were lost */
	uint64_t nr_refused;   /* front-ends that were cut off, and not because they left */
	struct why why;	       /* of the last refusal; read after proxy_thread_stop() */
};

/** Listen at 'front_path', connect to 'back_path'. Both strings: the latter must stay. */
void proxy_thread_start(struct proxy_thread *proxy, const char *front_path, const char *back_path);

/** End the thread and all connections. Accepts a zeroed one. */
void proxy_thread_stop(struct proxy_thread *proxy);

uint64_t proxy_thread_back_lost(const struct proxy_thread *proxy);

#endif
