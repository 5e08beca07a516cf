/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LINEUP_H
#define VRNG_LINEUP_H

/*
 * The sources of a feeder, in order: which of them gives the next bytes, and what the log says of
 * them.
 *
 * The first that gives bytes serves. In a mix all that give bytes serve together: every seed has a
 * piece of each.
 *
 * Context: FEEDER; made by MAIN.
 */

#include "byte_ring.h"
#include "log.h"
#include "source/intake.h"

#include <poll.h>

struct lineup {
	struct intake *intakes;
	unsigned n_intakes;
	size_t piece_bytes;		      /* of each source in a mix; 0: no mix */
	unsigned serving;		      /* index of the source that served last */
	struct byte_ring pieces[INTAKES_MAX]; /* in a mix: what each source has given */

	/* What the log last said of a source */
	struct said {
		enum intake_state state;
		uint64_t unwell;
		unsigned files;
		int follow_error;
	} said[INTAKES_MAX];
	struct log_limit limit;
};

/** How much memory a lineup of so many sources needs for bytes. */
size_t lineup_memory_bytes(unsigned n_intakes, size_t piece_bytes);

/**
 * @param intakes      open; the caller's
 * @param piece_bytes  0: no mix
 * @param memory       lineup_memory_bytes() of the caller's, who locks them and keeps them out of
 *                     core dumps
 */
void lineup_init(struct lineup *l, struct intake *intakes, unsigned n_intakes, size_t piece_bytes,
	uint8_t *memory);

/**
 * Read once, from a source that is not to be left alone for now, into a ring.
 *
 * @param max_bytes  that the ring is to have more, or so; of a mix it gets a seed
 * @return           false: no source gave anything, and it is time to wait
 */
bool lineup_feed(struct lineup *l, struct byte_ring *ring, size_t max_bytes, uint64_t now_ns);

/**
 * When lineup_feed() has given nothing: until when to leave the sources alone.
 *
 * @param fds  one for each source: what poll(2) is to wait for meanwhile; fd -1: nothing
 */
uint64_t lineup_wait(const struct lineup *l, uint64_t now_ns, struct pollfd *fds);

/** What poll(2) said of them: those that have something are asked at once. */
void lineup_wake(struct lineup *l, const struct pollfd *fds);

/**
 * While nobody wants bytes: does the source that serves name another file, or is one that comes
 * before it well again?
 *
 * @param ring  for what such a source gives, if it has room
 */
void lineup_look(struct lineup *l, struct byte_ring *ring, uint64_t now_ns);

/** Is the source that serves the kernel's generator, by its fast door? */
bool lineup_kernel_serves(const struct lineup *l);

#endif
