/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_RNG_DEVICE_H
#define VRNG_RNG_DEVICE_H

/*
 * One guest's entropy device (virtio 1.3 §5.4): its memory, its requestq, its part of the budget.
 *
 * rng_device_poll() does one bounded turn: it takes requests from the ring as far as the guest's
 * allowances, the bytes at hand and the turn's bounds go, fills and completes them. With no
 * allowance or no bytes it leaves the ring alone. It takes no lock, makes no system call, and
 * never waits.
 *
 * A guest has two allowances, of bytes and of requests. A request that is larger than what is left
 * of the bytes is completed short, when no more is to come in the period.
 *
 * Thread safety: none. The lcore that owns the device calls; 'stats' alone may be read by others.
 */

#include "budget.h"
#include "entropy.h"
#include "guest_mem.h"
#include "stats.h"
#include "virtq.h"
#include "waiting.h"

/**
 * What a guest was served. LCORE: rw (the lcore that owns the guest is the only writer), others:
 * ro, one counter at a time by stats_read(). The counters live as long as the guest's slot: they go
 * on over reconnects.
 */
struct rng_stats {
	uint64_t requests;   /* completed */
	uint64_t bytes;	     /* delivered */
	uint64_t short_reqs; /* completed with less than their room, for want of budget or bytes */
	uint64_t calls;	     /* call notifications sent */
	uint64_t throttled;  /* times that a guest with work came to have no allowance */
	uint64_t starved;    /* times that a guest with work found no bytes */
	uint64_t broken;     /* rings found to lie */
	uint64_t kicks;	     /* of its driver, that woke an lcore */
};

struct rng_device {
	struct guest_mem mem;
	struct virtq vq;
	struct budget_account bytes, requests;
	bool call_owed;		    /* completed requests that the driver wants to be notified of */
	enum waiting_for waits_for; /* what the last turn had not, to do the work that it found */
	struct rng_stats stats;
};

/**
 * While more than one is busy, a turn is at most so long: who asks for little waits the shorter. It
 * is one Generate of the DRBG (SP 800-90A, table 3), so that nothing is lost by it but some trips.
 */
#define RNG_TURN_BESIDE_BYTES (64u * 1024)

/** What turns draw on. One per lcore; every turn uses it anew. */
struct rng_supply {
	struct budget *bytes, *requests; /* that the guests' accounts have joined */
	struct entropy *entropy;
	uint64_t turn_bytes; /* at most in one turn, > 0 */
	unsigned busy;	     /* guests that had a turn in the last sweep */
	unsigned sharers;    /* guests that want bytes while there are too few; 0 counts as 1 */
	struct virtq_burst burst;
};

enum rng_result {
	RNG_IDLE,   /* the guest asked for nothing */
	RNG_SERVED, /* something was done: look at call_owed */
	RNG_WAIT,   /* it asks, but has no allowance, or there are no bytes */
	RNG_BROKEN, /* its ring lies (dev->vq.broken says how): do not poll it again */
};

/**
 * Start on a guest's ring.
 *
 * @param dev  'mem' is set up; accounts and 'stats' are the socket's and are kept
 * @param why  set to what is wrong when the ring is refused
 * @return     0 or -EINVAL, as virtq_init()
 */
int rng_device_start(struct rng_device *dev, const struct virtq_config *ring, const char **why);

/**
 * Is a request begun that can be ended with what it has? Not one of 64 bytes that has 33 to 63:
 * with those Linux (6.1) would stop asking.
 */
bool rng_device_can_end(const struct rng_device *dev);

/** One turn. The budgets were told the time. */
enum rng_result rng_device_poll(struct rng_device *dev, struct rng_supply *supply);

/**
 * Stop, with nothing half done: a request that was begun is completed with what it has, or given
 * back. Afterwards vq.cfg.last_avail is the base to resume from, and the ring is not touched. That
 * the ring lies may be found here, too: see vq.broken.
 */
void rng_device_stop(struct rng_device *dev, struct rng_supply *supply);

#endif
