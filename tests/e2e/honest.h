/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A guest that does nothing wrong and always wants bytes, in a thread of its own, and its VMM.
 *
 * It judges all that it is told: each request must be answered once, with bytes that were not in
 * the buffer before and that no other request got.
 *
 * Either it sleeps until it is called, so that an answer must be followed by a call, and stays
 * while back-ends come and go: it takes the next connection (or makes one) and goes on where the
 * used index stands. Or it polls: the bystander of tests in which another guest, or its VMM,
 * misbehaves. Its one connection must last, and nothing may be written behind an answer's bytes.
 */
#ifndef E2E_HONEST_H
#define E2E_HONEST_H

#include "guest.h"

#include <pthread.h>

struct honest_cfg {
	const char *path;
	bool listen; /* at 'path', for back-ends in client mode; else connect to it */
	bool polls;  /* else it sleeps until it is called */
	unsigned depth;
	uint32_t size_bytes; /* of a request, 16 at least */
	bool may_be_short;   /* the source, or the budget, may have less than that in store */
	bool packed;
	unsigned pause_us; /* between an answer and the next request, 0: none */

	/* Looks at an answer's bytes. NULL, or what is wrong with them. Context: the thread */
	const char *(*judge)(void *arg, const uint8_t *bytes, uint32_t len_bytes);
	void *arg;
};

struct honest {
	struct honest_cfg cfg;
	struct guest guest; /* the thread's */
	int listen_fd;
	pthread_t thread;
	bool running;
	uint64_t gpa;
	uint8_t *host;	 /* of the buffers */
	uint64_t *heads; /* the first 8 bytes of each answer, as long as there is room */
	uint64_t nr_heads;
	int64_t answered_us; /* when the last answer was taken */

	/* main: w, thread: r */
	bool stop;

	/* thread: w, main: r */
	uint64_t nr_offered, nr_answers, nr_connections;
	int64_t longest_gap_us; /* between two answers */
	const char *complaint;	/* w once */
};

/** Be a bystander: connect to 'path', which must succeed, and begin. */
void honest_start(struct honest *h, const char *path);

/** Begin. Unless it polls the back-end need not be there yet. */
void honest_start_as(struct honest *h, const struct honest_cfg *cfg);

/** How many answers it has had. */
uint64_t honest_answers(const struct honest *h);

/** Wait until it has had an answer since 'answers', LIVENESS_MS at most; fail if it complains. */
void honest_wait_answer(const struct honest *h, uint64_t answers);

/** Fail the test unless it gets on: two more answers to each that it waits for, and no complaint.
 */
void honest_check(const struct honest *h);

/** Ask for no more, take what is still to come, and fail the test if anything was wrong. */
void honest_stop(struct honest *h);

/** Free everything; for the end of a test that may have failed. Accepts a zeroed one. */
void honest_fini(struct honest *h);

#endif
