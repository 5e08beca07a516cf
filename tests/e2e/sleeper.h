/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A guest that always wants bytes and sleeps until it is called, in a thread of its own, and its
 * VMM, which stays while back-ends come and go: it takes the next connection (or makes one) and
 * goes on where the used index stands.
 *
 * It judges all that it is told: each request must be answered once, in full, with bytes that were
 * not in the buffer before and that no other request got, and an answer must be followed by a call.
 */
#ifndef E2E_SLEEPER_H
#define E2E_SLEEPER_H

#include "guest.h"

#include <pthread.h>

struct sleeper_cfg {
	const char *path;
	bool listen; /* at 'path', for back-ends in client mode; else connect to it */
	unsigned depth;
	uint32_t size_bytes; /* of a request, 16 at least */
	bool may_be_short;   /* the source may have less than that in store */
	bool packed;
	unsigned pause_us; /* between an answer and the next request, 0: none */

	/* Looks at an answer's bytes. NULL, or what is wrong with them. Context: the thread */
	const char *(*judge)(void *arg, const uint8_t *bytes, uint32_t len_bytes);
	void *arg;
};

struct sleeper {
	struct sleeper_cfg cfg;
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

/** Begin. The back-end need not be there yet. */
void sleeper_start(struct sleeper *s, const struct sleeper_cfg *cfg);

/** How many answers it has had. */
uint64_t sleeper_answers(const struct sleeper *s);

/** Wait until it has had an answer since 'answers', LIVENESS_MS at most; fail if it complains. */
void sleeper_wait_answer(const struct sleeper *s, uint64_t answers);

/** Ask for no more, take what is still to come, and fail the test if anything was wrong. */
void sleeper_stop(struct sleeper *s);

/** Free everything; for the end of a test that may have failed. Accepts a zeroed one. */
void sleeper_fini(struct sleeper *s);

#endif
