/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A guest that does nothing wrong, in a thread of its own, without a pause: the bystander of tests
 * in which another guest, or its VMM, misbehaves. It must never lose a request, get an illegal
 * answer, or stand still.
 */
#ifndef E2E_HONEST_H
#define E2E_HONEST_H

#include "guest.h"

#include <pthread.h>

struct honest {
	struct guest guest; /* the thread's */
	pthread_t thread;
	bool running;
	bool stop;	       /* main: w, thread: r */
	uint64_t nr_answers;   /* thread: w, main: r */
	const char *complaint; /* thread: w, once; main: r */
	uint64_t gpa;
};

/** Connect to 'path' and begin. */
void honest_start(struct honest *h, const char *path);

/** Fail the test unless it gets on (some more answers within LIVENESS_MS) without complaint. */
void honest_check(struct honest *h);

/** Let it take its last answers; fail the test if one doesn't come. */
void honest_stop(struct honest *h);

/** Free everything; for the end of a test that may have failed. Accepts a zeroed one. */
void honest_fini(struct honest *h);

#endif
