/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The driver's half of one virtqueue, over a struct guest_ram: what a guest's kernel does. Shared
 * by the benchmark, the tests and the fuzzers. This side is polite: whatever it publishes is
 * legal. The lies are in driver_rude.h.
 *
 * The caller's words are chains, not descriptors, so that they hold for any ring layout:
 *  - driver_build() lays a chain of buffers out once and names it with an id;
 *  - driver_offer() makes it available, as often as wanted but only once at a time, at the cost of
 *    one ring entry (packed: of one for each descriptor); driver_publish() shows everything
 *    offered to the device;
 *  - driver_take() gets the next answer, after judging that it is legal;
 *  - driver_release() gives a chain's descriptors back; driver_add() is build and offer in one,
 *    with the release done by driver_take().
 *
 * The device is not trusted: an answer that names a chain that is not outstanding, or claims more
 * bytes than the chain has room for, comes back as an enum driver_result.
 *
 * Thread-safety: one thread per driver. The device's side may run anywhere.
 */
#ifndef FRONTEND_DRIVER_H
#define FRONTEND_DRIVER_H

#include "guest_ram.h"

#include <assert.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define DRIVER_SIZE_MAX 32768

enum driver_layout {
	DRIVER_SPLIT,
	DRIVER_PACKED,
};

struct driver_cfg {
	unsigned size; /* entries of the queue, 1..32768; split: a power of two */
	enum driver_layout layout;
	bool event_idx;		/* VIRTIO_F_EVENT_IDX was negotiated */
	unsigned table_entries; /* room of each chain's indirect table; 0: no indirect chains */
	unsigned region;	/* the region of guest_ram that holds the queue and the tables */
	uint16_t start_idx;	/* first ring index, to come close to where it wraps; packed:
				   descriptors from where a new ring starts */
};

struct driver_buf {
	uint64_t gpa;
	uint32_t len_bytes;
	bool writable; /* by the device */
};

enum driver_result {
	DRIVER_EMPTY,	     /* nothing was answered */
	DRIVER_OK,	     /* an answer, legal */
	DRIVER_BAD_ID,	     /* an answer for a chain that does not exist or isn't outstanding */
	DRIVER_TOO_LONG,     /* an answer that claims more bytes than the chain has room for */
	DRIVER_BAD_PROGRESS, /* more answers than chains are outstanding; nothing was taken */
};

struct driver_used {
	uint64_t cookie; /* only for DRIVER_OK and DRIVER_TOO_LONG */
	uint32_t id;	 /* as the device wrote it */
	uint32_t len_bytes;
};

enum driver_chain_state {
	DRIVER_CHAIN_NONE, /* no chain starts at this descriptor */
	DRIVER_CHAIN_BUILT,
	DRIVER_CHAIN_OFFERED,
};

struct driver_chain {
	uint64_t cookie;
	uint32_t room_bytes; /* of all writable buffers, at most UINT32_MAX */
	uint16_t nr_desc;    /* in the queue's own table */
	uint8_t state;	     /* enum driver_chain_state */
	bool once;	     /* driver_take() releases it */
};

/* All fields are the driver thread's; read only, from outside. */
struct driver {
	/*
	 * Used for every request. Where the driver stands in a packed ring is an index with the
	 * wrap counter in bit 15.
	 */
	struct vring_desc *desc; /* packed: on the heap, what chains are copied to the ring from */
	struct vring_packed_desc *ring; /* split: NULL */
	union {
		struct vring_avail *avail;
		struct vring_packed_desc_event *driver_event;
	};
	union {
		struct vring_used *used;
		struct vring_packed_desc_event *device_event;
	};
	struct driver_chain *chains; /* by id */
	uint16_t mask;		     /* split */
	uint16_t avail_next;	     /* next index to fill */
	uint16_t avail_shown;	     /* packed: up to here the device sees */
	uint16_t avail_judged;	     /* up to here it was decided whether to kick */
	uint16_t used_next;	     /* next index to take */
	uint16_t used_seen;	     /* split: the device's index when last read */
	uint16_t calls_off_from;     /* split: used_next when calls were last put off */
	uint64_t held; /* packed: length, id, flags of the descriptor at avail_shown */
	uint16_t nr_offered;
	bool packed;
	bool event_idx;
	bool calls_off;

	/* used to build chains */
	const struct guest_ram *ram;
	struct driver_cfg cfg;
	uint64_t desc_gpa;   /* descriptor area */
	uint64_t driver_gpa; /* driver area: avail ring, or event suppression */
	uint64_t device_gpa; /* device area: used ring, or event suppression */
	uint64_t tables_gpa;
	uint16_t *next; /* each descriptor's successor, in a chain or among the free ones */
	unsigned free_head;
	unsigned nr_free;
};

/**
 * Allocate a queue in guest memory, empty, with calls wanted for every answer.
 *
 * @param ram  must outlive the driver; its memory is never given back
 * @return     0; -EINVAL for a configuration that is out of range, -ENOMEM when the region or
 *             the heap has no room
 */
int driver_init(struct driver *drv, struct guest_ram *ram, const struct driver_cfg *cfg);

/** Free what is not guest memory. Accepts a zeroed driver and one whose init failed. */
void driver_fini(struct driver *drv);

/**
 * Back to how driver_init() left it, as a guest does after it has reset the device: all chains
 * are forgotten, outstanding or not, and the ring starts at cfg.start_idx again. Only while the
 * device is stopped.
 */
void driver_reset(struct driver *drv);

/** Find the queue's host addresses again, after guest_ram_remap() of its region. */
void driver_remap(struct driver *drv);

/** Where a back-end starts on a new ring, as vhost-user's SET_VRING_BASE has it. */
uint16_t driver_start_base(const struct driver *drv);

/**
 * The same, for one that can go on where another one died without saying how far it got: whatever
 * was offered and not answered is served (again).
 */
uint16_t driver_resume_base(const struct driver *drv);

/**
 * Lay out a chain that stays until driver_release().
 *
 * @param bufs       nr_bufs of them, not 0; readable ones first, as the standard wants
 * @param nr_direct  how many leading buffers get a descriptor of the queue; the others go to an
 *                   indirect table (virtio 1.3 §2.7.5.3: some direct ones may come before it;
 *                   §2.8.5: not in a packed ring, where this must be 0 or nr_bufs)
 * @param cookie     comes back with the answer
 * @return           0 and *id; -ENOSPC when descriptors are short (take answers first), -E2BIG
 *                   when the table is too small, -EINVAL for a chain that is empty or mixed
 */
int driver_build(struct driver *drv, const struct driver_buf *bufs, unsigned nr_bufs,
	unsigned nr_direct, uint64_t cookie, uint16_t *id);

/** Give the descriptors of a chain back that is not outstanding. */
void driver_release(struct driver *drv, uint16_t id);

/** driver_build() and driver_offer(), of a chain that is released when its answer is taken. */
int driver_add(struct driver *drv, const struct driver_buf *bufs, unsigned nr_bufs,
	unsigned nr_direct, uint64_t cookie);

/**
 * Ask for a call when the next answer comes (one that driver_take() has not returned yet), and
 * none before. With event_idx this asks for that one call only: ask again to wait again.
 *
 * @return  whether there is an answer by now: if so, don't sleep, the call may not come
 */
bool driver_calls_on(struct driver *drv);

/** Ask for no calls. A device may be late to notice, so one more can come. */
void driver_calls_off(struct driver *drv);

/** Change what comes back with the answers of a chain. */
static inline void driver_set_cookie(struct driver *drv, uint16_t id, uint64_t cookie)
{
	drv->chains[id].cookie = cookie;
}

/* What differs in the functions below. */
#include "driver_packed.h"
#include "driver_split.h"

/** Put built chains on the ring. The device sees them after driver_publish(). */
static inline void driver_offer_some(struct driver *drv, const uint16_t *ids, unsigned n)
{
	/* In a register: what is stored and loaded again is late for the next one. */
	uint16_t next = drv->avail_next;

	for (unsigned i = 0; i < n; i++) {
		uint16_t id;

		if (drv->packed)
			i += driver_packed_offer_plain(drv, &next, &ids[i], n - i);
		if (i == n)
			break;
		id = ids[i];
		assert(drv->chains[id].state == DRIVER_CHAIN_BUILT);
		drv->chains[id].state = DRIVER_CHAIN_OFFERED;
		if (drv->packed)
			driver_packed_offer(drv, &next, id);
		else
			driver_split_offer(drv, &next, id);
	}
	drv->avail_next = next;
	drv->nr_offered += n;
}

/** Put a built chain on the ring. The device sees it after driver_publish(). */
static inline void driver_offer(struct driver *drv, uint16_t id)
{
	driver_offer_some(drv, &id, 1);
}

/** Let the device see all chains offered so far. */
static inline void driver_publish(struct driver *drv)
{
	if (drv->packed)
		driver_packed_publish(drv);
	else
		driver_split_publish(drv);
}

/**
 * Whether the device wants a kick for what was published since this was asked last
 * (virtio 1.3 §2.7.10, §2.8.10). Costs a full memory barrier; once per publish is right.
 */
static inline bool driver_kick_needed(struct driver *drv)
{
	uint16_t from = drv->avail_judged;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	drv->avail_judged = drv->avail_next;
	return drv->packed ? driver_packed_kick_needed(drv, from)
			   : driver_split_kick_needed(drv, from);
}

/* One answer, at *next. */
static inline enum driver_result driver_take_at(
	struct driver *drv, uint16_t *next, struct driver_used *used)
{
	struct driver_chain *chain;
	enum driver_result result;
	uint32_t id = 0, len = 0;

	result = drv->packed ? driver_packed_look(drv, *next, &id, &len)
			     : driver_split_take(drv, next, &id, &len);
	used->id = id;
	used->len_bytes = len;
	if (result != DRIVER_OK)
		return result;
	if (id >= drv->cfg.size || drv->chains[id].state != DRIVER_CHAIN_OFFERED)
		return DRIVER_BAD_ID;
	chain = &drv->chains[id];
	chain->state = DRIVER_CHAIN_BUILT;
	drv->nr_offered--;
	if (drv->packed)
		*next = driver_packed_pos(drv, *next, chain->nr_desc);
	used->cookie = chain->cookie;
	result = len > chain->room_bytes ? DRIVER_TOO_LONG : DRIVER_OK;
	if (chain->once)
		driver_release(drv, (uint16_t)id);
	return result;
}

/**
 * Take the next answers, in the device's order, until one is not DRIVER_OK.
 *
 * @param used  room for 'max' answers; [*n] is filled too when the result is DRIVER_BAD_ID or
 *              DRIVER_TOO_LONG
 * @param n     how many were DRIVER_OK
 * @return      of the last one. DRIVER_OK and DRIVER_TOO_LONG: the chain is the driver's again, to
 *              offer again or to release (one of driver_add() is released). DRIVER_BAD_ID: the
 *              entry is skipped; of a packed ring it isn't, as nobody knows where the next one is.
 */
static inline enum driver_result driver_take_some(
	struct driver *drv, struct driver_used *used, unsigned max, unsigned *n)
{
	enum driver_result result = DRIVER_OK;
	uint16_t next = drv->used_next; /* in a register, as in driver_offer_some() */
	unsigned i = 0;

	for (; i < max; i++) {
		if (drv->packed)
			i += driver_packed_take_plain(drv, &next, &used[i], max - i);
		if (i == max)
			break;
		result = driver_take_at(drv, &next, &used[i]);
		if (result != DRIVER_OK)
			break;
	}
	drv->used_next = next;
	*n = i;
	return result;
}

/** Take the next answer: driver_take_some() of one. */
static inline enum driver_result driver_take(struct driver *drv, struct driver_used *used)
{
	unsigned n;

	return driver_take_some(drv, used, 1, &n);
}

#endif
