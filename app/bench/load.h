/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The load: all guests, played by one thread in turn, a bounded burst each. A guest offers a
 * request as soon as it has a free chain (closed loop) or when its time has come (open loop).
 *
 * Time stamps are taken once a burst: the time of an answer is when its burst was found, the start
 * of a request is when its burst was published; in the open loop it is when the request was due,
 * so that a back-end that stalls is charged for those that it kept waiting. Requests that were
 * under way when measuring began have none: between warming up and measuring the bench looks
 * elsewhere.
 *
 * Nothing here waits for ever: a back-end that closes a socket is noticed within about 20 ms, one
 * that leaves requests unanswered after the time limit of the configuration.
 *
 * Thread-safety: one thread; load_interrupt() may be called by a signal handler.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "args.h"
#include "periods.h"
#include "player.h"
#include "ticks.h"
#include "verify.h"

#include <stdio.h>

enum load_status {
	LOAD_OK,
	LOAD_BROKEN, /* the back-end died or hung, or a file could not be written */
	LOAD_WRONG,  /* the back-end's answers are wrong */
};

struct load {
	const struct args *args;
	struct ticks ticks;
	struct player *players;
	unsigned nr_players;
	struct verify *verify;
	FILE *output;
	bool recording;		 /* latencies, of requests that start after... */
	uint64_t recording_from; /* ...ticks */
	struct periods periods;	 /* length 0: none */
	int epoll_fd;
	uint64_t look_next; /* ticks: when to look after sockets and time limits */
	uint64_t timeout;   /* ticks */
	double interval;    /* open loop: ticks between two requests of a guest */
	uint64_t measured_ns;
	uint64_t unsent; /* open loop: requests that came due and were not offered in time */
	struct why why;	 /* unless all is well */

	/** Called some times a second while load_run() goes on; may be NULL. */
	void (*progress)(struct load *l, uint64_t elapsed_ns);
};

/** Connect all guests. Whatever the result, load_fini() is due. */
enum load_status load_init(struct load *l, const struct args *args, FILE *output);
void load_fini(struct load *l);

/**
 * Play without counting: for 'duration_ns'.
 */
enum load_status load_warm_up(struct load *l, uint64_t duration_ns);

/** Measure: for args->duration_s, or args->count requests of each guest. */
enum load_status load_measure(struct load *l);

/** Let what is outstanding be answered, for a second at most, and stop the queues. */
enum load_status load_finish(struct load *l);

/** End what runs as if its time were over. */
void load_interrupt(void);

#endif
