/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A polite guest with its VMM: guest memory, one driver, one connection. Tests reach into the parts
 * (they are the guest); what is here is what nearly all of them do.
 *
 * Functions fail the running test when something is not as it must be: an illegal answer from the
 * device, an error of the connection, LIVENESS_MS without an answer.
 *
 * Thread-safety: none, except that one thread may use 'fe' and another 'drv'.
 */
#ifndef E2E_GUEST_H
#define E2E_GUEST_H

#include "driver.h"
#include "frontend.h"
#include "guest_ram.h"

#include <linux/virtio_config.h>
#include <stdbool.h>
#include <stdint.h>

#define GUEST_GPA    0x40000000ull
#define GUEST_GAP    0x10000000ull
#define GUEST_EVENTS (1ull << VIRTIO_RING_F_EVENT_IDX)
#define GUEST_TABLES (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define GUEST_PACKED (1ull << VIRTIO_F_RING_PACKED)
#define GUEST_ORDER  (1ull << VIRTIO_F_IN_ORDER)

struct guest_cfg {
	unsigned queue_size; /* 0: 64 */
	bool in_order;	     /* VIRTIO_F_IN_ORDER */
	bool packed;	     /* also when the environment has VRNG_LAYOUT=packed */
	bool without_call;   /* its driver polls; also when the environment has VRNG_CALLS=none */
	bool event_idx;
	unsigned table_entries; /* of indirect tables; 0: no INDIRECT_DESC */
	uint16_t start_idx;
	unsigned nr_regions;   /* 0: 1. The queue is in the first */
	uint64_t region_bytes; /* 0: 4 MiB */
	bool neighbours;       /* regions follow each other in guest-physical space */
	bool unsealable;       /* the memory can be truncated, whatever the back-end does */
	bool huge;	       /* it is of hugepages */
};

struct guest {
	struct guest_cfg cfg;
	struct guest_ram ram;
	struct driver drv;
	struct frontend *fe;  /* NULL: not connected */
	uint16_t base;	      /* from the last guest_stop() */
	uint64_t scratch_gpa; /* of 64 bytes, for guest_assert_served() */
};

/** Make memory and queue; not connected. */
void guest_init(struct guest *g, const struct guest_cfg *cfg);

/** Close the connection, as a VMM that dies, and free everything. */
void guest_fini(struct guest *g);

/**
 * Connect, negotiate, share the memory and start the ring where the last answer was, as a VMM does
 * after a back-end's death; for a new guest that is cfg.start_idx.
 */
void guest_connect(struct guest *g, const char *path);

/**
 * The same, where the back-end may die meanwhile, or has made the connection itself.
 *
 * @return  0, or -errno: not connected then
 */
int guest_attach(struct guest *g, const struct frontend_cfg *cfg);

/** Close the connection without stopping the ring. */
void guest_die(struct guest *g);

/** Stop the ring; the base that the back-end gives is in 'base' and must be behind its last answer.
 */
void guest_stop(struct guest *g);

/** Start it again from 'base'. */
void guest_restart(struct guest *g);

/** Stop the ring, whatever is in it, and start it anew with nothing in it. */
void guest_reset(struct guest *g);

/**
 * How many leading buffers of a chain get a descriptor of the ring when 'nr_direct' of 'nr_bufs'
 * are wanted: in a packed ring all or none can.
 */
unsigned guest_nr_direct(const struct guest *g, unsigned nr_bufs, unsigned nr_direct);

/** Guest memory in region 'region', aligned to 64. */
uint64_t guest_alloc(struct guest *g, unsigned region, uint64_t len_bytes);

/** Ask for 'len_bytes' into the buffer at 'gpa'. Not yet published. */
void guest_ask(struct guest *g, uint64_t gpa, uint32_t len_bytes, uint64_t cookie);

/** Publish and, if the device wants it, kick. */
void guest_show(struct guest *g);

/** guest_ask() and guest_show(). */
void guest_request(struct guest *g, uint64_t gpa, uint32_t len_bytes, uint64_t cookie);

/**
 * Poll for an answer until 'limit_ms' are over; 0 looks once.
 *
 * @return  whether there was one. It is legal, and not of 0 bytes
 */
bool guest_take(struct guest *g, struct driver_used *used, int limit_ms);

/** guest_take() of an answer that has to come. */
void guest_must_take(struct guest *g, struct driver_used *used);

/** Nothing may be answered for 'ms'. */
void guest_assert_quiet(struct guest *g, int ms);

/** One request of 64 bytes and its answer: this guest is served. */
void guest_assert_served(struct guest *g);

#endif
