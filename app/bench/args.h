/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The bench's command line. Every value is checked here, alone and against the others, so that
 * what follows need not.
 */
#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ARGS_GUESTS_MAX 1024
#define ARGS_SIZE_MAX	(1u << 20)

/* Guest i has value i % n. */
struct args_list {
	uint32_t values[ARGS_GUESTS_MAX];
	unsigned n;
};

struct args {
	const char *socket; /* NULL with self */
	unsigned nr_guests;
	bool numbered; /* --guests was given: sockets are PATH0, PATH1, ... */

	struct args_list sizes, depths;
	unsigned queue_size; /* 0: the least that has room */
	unsigned chain;	     /* descriptors of a request */
	bool indirect;
	bool packed;
	bool event_idx;
	bool block;

	double duration_s;
	uint64_t count; /* requests of each guest; 0: by duration */
	double warm_up_s;
	double period_ms; /* of the back-end's budget; 0: not to be looked at */
	unsigned nr_periods;
	double rate; /* requests/s of all guests; 0: as many as are answered */
	double timeout_s;
	int pin; /* CPU; -1: none */

	pid_t pid; /* of the back-end; 0: unknown */
	bool limits;
	int limits_cpu; /* -1: another one than the bench's */
	const char *source;
	bool verify;
	const char *output; /* NULL: none; "-": stdout */
	bool self;
	bool json;
};

enum args_result {
	ARGS_RUN,
	ARGS_EXIT,    /* --help or --version was answered */
	ARGS_REFUSED, /* the reason was written to stderr */
};

enum args_result args_parse(int argc, char **argv, struct args *args);

/** What guest 'i' does. */
static inline uint32_t args_size(const struct args *args, unsigned i)
{
	return args->sizes.values[i % args->sizes.n];
}

static inline unsigned args_depth(const struct args *args, unsigned i)
{
	return args->depths.values[i % args->depths.n];
}

/** Descriptors of the queue's own table that a request of this run takes. */
static inline unsigned args_direct(const struct args *args)
{
	return args->indirect ? 1 : args->chain;
}

/** Entries of guest 'i's queue. */
unsigned args_queue_size(const struct args *args, unsigned i);

#endif
