/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * One guest that the bench plays: memory, ring driver, connection, and its requests, each a chain
 * that is laid out once and offered again and again.
 *
 * Thread-safety: one thread plays all guests.
 */
#ifndef BENCH_PLAYER_H
#define BENCH_PLAYER_H

#include "driver.h"
#include "frontend.h"
#include "guest_ram.h"
#include "histogram.h"
#include "why.h"

#include <stdbool.h>
#include <stdint.h>

/* Around each buffer, when somebody looks there for stray writes. */
#define PLAYER_GUARD_BYTES 64
#define PLAYER_GUARD_VALUE 0xa5

struct player_cfg {
	const char *socket_path; /* NULL: the back-end in memory */
	uint32_t size_bytes;
	unsigned depth;
	unsigned queue_size;
	unsigned chain; /* descriptors of a request, at most size_bytes */
	bool indirect;
	bool packed;
	bool event_idx;
	bool guards;
	int timeout_ms;
};

struct player_counts {
	uint64_t requests; /* answered */
	uint64_t bytes;
	uint64_t shorts;  /* answered with less than asked for, nothing included */
	uint64_t empties; /* answered with nothing */
	uint64_t kicks;
	uint64_t calls;
};

struct player {
	struct driver drv;
	struct frontend *fe; /* NULL: the back-end in memory */
	uint16_t *idle;	     /* ids of the chains that aren't offered: a stack */
	unsigned nr_idle;
	uint64_t left;		    /* requests that may still be offered */
	uint64_t due;		    /* open loop: ticks at which the next request is to start */
	uint64_t last_answer;	    /* ticks; or of the first offer after none was outstanding */
	struct player_counts total; /* since the connection */
	struct histogram *latency;  /* ns */
	bool active;		    /* not waiting for a call */

	/* verification's */
	uint64_t *poison; /* by slot: what its buffers were filled with */
	unsigned first_streak, last_streak;
	uint8_t partial[32]; /* of a block that several answers make up */
	unsigned nr_partial;

	struct player_cfg cfg;
	struct guest_ram ram;
	uint64_t base_gpa;     /* the first buffer; buffer k of slot s is number s * chain + k */
	uint32_t stride_bytes; /* from one buffer to the next */
	uint16_t *slot_of;     /* by chain id */
	struct vring_desc *laid_out; /* the descriptor table as it was built, to compare */
	uint64_t features;	     /* in force */
	uint16_t self_next;	     /* the back-end in memory: next request to answer */
	struct player_counts mark;   /* when measuring began */
	struct player_counts measured;
};

/**
 * Make the guest's memory and queue, connect and start.
 *
 * @return 0, or -errno and the reason in *why. Either way the player is to be given to
 *         player_fini().
 */
int player_init(struct player *p, const struct player_cfg *cfg, struct why *why);

/** Disconnect and free. Accepts a zeroed player. */
void player_fini(struct player *p);

/** Stop the ring, so that no answer is under way any more. @return 0 or -errno, with a reason */
int player_stop(struct player *p, struct why *why);

/** The back-end in memory: answer all that was offered. */
void player_self_answer(struct player *p);

/** What the guest is called in messages: its back-end. */
static inline const char *player_name(const struct player *p)
{
	return p->cfg.socket_path != NULL ? p->cfg.socket_path : "the back-end in memory";
}

/** Bytes of buffer 'k' of a request. */
static inline uint32_t player_piece_bytes(const struct player *p, unsigned k)
{
	return p->cfg.size_bytes / p->cfg.chain + (k < p->cfg.size_bytes % p->cfg.chain ? 1 : 0);
}

/** Host address of buffer 'k' of slot 'slot'. */
static inline uint8_t *player_piece(const struct player *p, unsigned slot, unsigned k)
{
	uint64_t number = (uint64_t)slot * p->cfg.chain + k;

	return p->ram.regions[0].host + (p->base_gpa - p->ram.regions[0].gpa) +
	       number * p->stride_bytes;
}

/** Show what was offered, and kick if that is wanted. */
static inline void player_publish(struct player *p)
{
	driver_publish(&p->drv);
	if (p->fe == NULL) {
		player_self_answer(p);
		return;
	}
	if (driver_kick_needed(&p->drv)) {
		frontend_kick(p->fe);
		p->total.kicks++;
	}
}

#endif
