/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * An endless source of which every byte is known: a FIFO into which a thread writes the stream
 * (stream.h) without end, and a ledger of which of its bytes guests were given. So that each is
 * given once, over daemons that come and go, too, however many guests there are.
 *
 * The ledger knows the last SPRING_WINDOW_BYTES that were written. What is given later than that
 * counts as wrong: at the rates of the tests that is longer than anybody may wait.
 */
#ifndef E2E_SPRING_H
#define E2E_SPRING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPRING_WINDOW_BYTES (UINT64_C(1) << 30)

struct spring {
	int fd;
	pthread_t thread;
	bool running;
	bool stop;	   /* main: w, thread: r */
	uint64_t written;  /* thread: w, any: r. So far, at least */
	uint64_t *given;   /* any: rw. A bit for each byte of the window */
	uint64_t unplaced; /* any: rw. Bytes of answers too short to say where they are from */
};

/** Make a FIFO at 'path' and begin to write. Fails the test on errors. */
void spring_start(struct spring *s, const char *path);

/**
 * A guest was given these bytes. Context: any thread.
 *
 * @return  NULL, or what is wrong: they are not from the stream, or were given before
 */
const char *spring_judge(struct spring *s, const uint8_t *bytes, uint32_t len_bytes);

/** Stop writing. Accepts a zeroed one. */
void spring_fini(struct spring *s);

#endif
