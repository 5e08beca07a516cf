/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_INTAKE_H
#define VRNG_INTAKE_H

/*
 * One source under watch: reads it, tests every byte (health.h), and gives on only what has passed.
 *
 * Bytes are read into a ring where its producer writes next, and shown to the consumer when they
 * were tested: the first ones when the start-up test has seen HEALTH_STARTUP_SAMPLES of them, and
 * the run of equal bytes that a read ends with, which may be the beginning of a stuck source, when
 * it is known how it goes on. What fails is wiped with all that was held back.
 *
 * Thread safety: none. Context: FEEDER; opened and closed by MAIN.
 */

#include "byte_ring.h"
#include "health.h"
#include "source/source.h"

#include <stdbool.h>
#include <stdint.h>

/** Sources that one daemon may have. */
#define INTAKES_MAX 8

enum intake_state {
	INTAKE_OK,	 /* bytes came and were given on, but for what is held back */
	INTAKE_STARTING, /* bytes came; all are held back until the start-up test is over */
	INTAKE_NOT_YET,	 /* the source has nothing now */
	INTAKE_ENDED,	 /* end of file, or a FIFO that nobody writes to */
	INTAKE_FAILED,	 /* a read error */
	INTAKE_UNWELL,	 /* a health test failed */
};

/** FEEDER: rw, others: ro by stats_read(). */
struct intake_stats {
	uint64_t bytes;	 /* given on */
	uint64_t unwell; /* health tests failed */
	uint64_t errors; /* reads failed */
	uint64_t state;	 /* enum intake_state */
};

struct intake {
	struct source source;
	struct health health;
	uint64_t entropy_abits; /* claimed for a byte */
	struct intake_stats stats;

	/* What waits for the end of the start-up test, in HEALTH_STARTUP_SAMPLES bytes of the
	 * caller's, who locks them and keeps them out of core dumps. */
	uint8_t *staging;
	size_t staged;

	/* Held back: the run of equal bytes that the last read ended with. */
	uint8_t run_value;
	unsigned run_bytes;

	enum intake_state state;
	uint64_t since_ns;	    /* of 'state' */
	uint64_t retry_ns;	    /* not to be read before */
	uint64_t backoff_ns;	    /* the last one; 0 when bytes came since */
	uint64_t unwell_backoff_ns; /* the last one after a health test failed... */
	uint64_t unwell_until_ns;   /* ...and when it ended */
	uint64_t followed_ns;	    /* when the path was last looked at */
	bool stays;		    /* it does not look whether its path names another file */
	unsigned files;		    /* opened after the first, because the path named another one */
	enum health_result failed_test; /* behind INTAKE_UNWELL */
};

/** Return the min-entropy of a byte: what is claimed; for 0 what the kind of source has. */
uint64_t intake_entropy(uint64_t entropy_abits, bool is_kernel);

/**
 * @param path           kept by reference
 * @param entropy_abits  min-entropy of a byte, for the health tests; 0: 8 bits for the kernel's
 *                       generator (/dev/random, /dev/urandom), else 1 bit
 * @return               0; -EINVAL for a bad 'entropy_abits'; or as source_open()
 */
int intake_open(struct intake *in, const char *path, uint64_t entropy_abits);

/** NULL is not fine; a zeroed one is. */
void intake_close(struct intake *in);

/**
 * Read once, test, and give on to a ring.
 *
 * One that has no room for more than what is held back gets nothing: a source that is well is not
 * read then, of another what it begins with is read as at first, tested, and dropped.
 *
 * @param max_bytes  of one read; a little more may be given on, that was held back
 * Wants in->retry_ns <= now_ns, and sets it.
 */
enum intake_state intake_feed(
	struct intake *in, struct byte_ring *ring, size_t max_bytes, uint64_t now_ns);

/**
 * Look whether the path names another file, if that was not done lately: for who does not feed.
 */
void intake_follow(struct intake *in, uint64_t now_ns);

/** Has it been without bytes for so long that another source should serve? */
bool intake_is_out(const struct intake *in, uint64_t now_ns);

/** Has it nothing now, and does poll(2) tell when it has? */
bool intake_is_polled(const struct intake *in);

/** When it is to be looked at again, unless poll(2) tells before; UINT64_MAX: when that does. */
uint64_t intake_wake_ns(const struct intake *in, uint64_t now_ns);

#endif
