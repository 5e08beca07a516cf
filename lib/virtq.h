/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_VIRTQ_H
#define VRNG_VIRTQ_H

/*
 * The device's side of a virtqueue whose buffers are to be filled (virtio 1.3 §2.6), in both
 * layouts: split (§2.7, virtq_split.c) and packed (§2.8, virtq_packed.c). What a caller does is the
 * same for both. It gathers a burst of room, fills it, and completes it:
 *
 *	virtq_gather()    pop the descriptor chains that the driver made available; yields
 *	                  segments of guest memory to write to, and the requests that they finish
 *	(the caller writes every segment of the burst in full)
 *	virtq_written()   says so, for a log of the memory that was written
 *	virtq_complete()  give the finished requests back as used
 *	virtq_wants_call() does the driver want to be notified of them?
 *
 * Chains are used in the order in which they were made available. A chain that is larger than a
 * burst stays open and goes on in the next one; one chain at most is open between bursts, and
 * virtq_close_short() ends it with what it has. A chain with writable room is never completed
 * with a length of 0, and never with more than was written.
 *
 * That order is all that VIRTIO_F_IN_ORDER asks of a device (§2.7.9, §2.8.8), so it may be offered
 * for either layout. It would allow to give a batch back by one used entry, that of its last chain.
 * The chains before it would then count as written in full, so that none of them could be short,
 * and a driver must count back to find them. We write a used entry for each chain, with its length:
 * all known drivers of this device ask for one buffer at a time and have no batches.
 *
 * Security model: the rings, the descriptors and the buffers belong to a guest that may change
 * them at any moment. Each shared word is read once, checked, and used from the local copy; every
 * range is looked up in the guest's memory; the number of descriptors in a chain and the work of a
 * burst are bounded. A lie about structure makes the virtqueue 'broken': from then on nothing is
 * read from it or written to it, until it is initialised anew. Oddities that do no harm (a
 * descriptor of length 0, one that is readable only) are skipped.
 *
 * Thread safety: none. One thread uses a virtq at a time.
 */

#include "dirty_log.h"
#include "guest_mem.h"

#include <endian.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQ_SIZE_MAX 32768 /* virtio 1.3 §2.7 */

/* Bounds of one burst */
#define VIRTQ_BURST_REQS  128 /* requests that it finishes */
#define VIRTQ_BURST_SEGS  256 /* contiguous pieces of guest memory */
#define VIRTQ_BURST_DESCS 512 /* descriptors that are looked at */

struct virtq_req {
	uint16_t head; /* the chain as the driver named it: its first descriptor; packed: its id */
	uint16_t n_descs; /* packed: of the ring, that the chain took */
	uint32_t written; /* bytes written to it */
};

struct virtq_burst {
	uint64_t bytes; /* sum over the segments */
	unsigned n_segs, n_reqs;
	struct iovec segs[VIRTQ_BURST_SEGS];
	struct virtq_req reqs[VIRTQ_BURST_REQS + 1]; /* one more for virtq_close_short() */
};

/** The chain that is being filled. */
struct virtq_chain {
	bool active;
	bool in_indirect;
	bool has_next;
	bool closing;	  /* packed: it takes no more, but its last descriptor is yet to be seen */
	uint16_t head;	  /* as virtq_req has it */
	uint16_t n_descs; /* as virtq_req has it */
	uint16_t next;	  /* index into 'table' if has_next */
	uint32_t hops_left;   /* descriptors that the chain may still have */
	const uint8_t *table; /* of descriptors, at any alignment. NULL: an indirect table that is
				 not contiguous here */
	uint64_t table_gpa;   /* of the indirect table */
	uint32_t table_size;  /* descriptors */
	uint64_t gpa;	      /* what is left of the current descriptor */
	uint32_t len;
	uint32_t written; /* so far, by all bursts */
};

struct virtq_config {
	struct guest_mem *mem;	     /* outlives the virtq, as 'log' does */
	const struct dirty_log *log; /* NULL: nobody wants to know */
	uint16_t size;
	union { /* 16 bytes each; aligned to 16 */
		struct vring_desc *desc;
		struct vring_packed_desc *ring;
	};
	union {
		struct vring_avail *avail;		      /* 6 + 2 * size bytes; aligned to 2 */
		struct vring_packed_desc_event *driver_event; /* 4 bytes; aligned to 4 */
	};
	union {
		struct vring_used *used;		      /* 6 + 8 * size bytes; aligned to 4 */
		struct vring_packed_desc_event *device_event; /* 4 bytes; aligned to 4 */
	};
	/* The next index of the avail ring to pop, and of the used ring to write. Packed: the next
	 * descriptor to pop and to write, each with its wrap counter (§2.8.1) in bit 15. */
	uint16_t last_avail, last_used;
	bool packed;	/* VIRTIO_F_RING_PACKED was negotiated */
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;	/* VIRTIO_F_INDIRECT_DESC was negotiated */
};

struct virtq_layout;

struct virtq {
	struct virtq_config cfg;
	const struct virtq_layout *layout;
	const char *broken;	 /* NULL, or the lie that was found */
	uint16_t avail_seen;	 /* split: the driver's index when last read */
	uint16_t signalled_used; /* split: last_used when virtq_wants_call() was last asked */
	uint16_t descs_used;	 /* packed: since then; at most the ring's size */
	bool signalled_valid;
	bool kicks_on; /* see virtq_enable_kicks() */
	struct virtq_chain chain;
};

enum virtq_result {
	VIRTQ_OK,     /* a bound of the burst was reached: there may be more */
	VIRTQ_EMPTY,  /* all that the driver made available is in the burst */
	VIRTQ_BROKEN, /* the ring lies (see virtq.broken); the burst may hold what came before */
};

/* A layout's half of the functions below; not for callers. */
struct virtq_layout {
	enum virtq_result (*gather)(
		struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *burst);
	/* The open chain takes no more: go to its end. False: that is too far for this time. */
	bool (*skip_rest)(struct virtq *vq);
	void (*complete)(struct virtq *vq, const struct virtq_burst *burst);
	bool (*wants_call)(struct virtq *vq);
	void (*set_kicks)(struct virtq *vq, bool on);
};

/**
 * Start on a ring: check it and tell the driver that it need not kick.
 *
 * @param why  set to what is wrong with the ring when it is refused
 * @return     0; -EINVAL when the size is not from 1 to 32768 (§2.8), or not a power of two for a
 *             split ring (§2.7), a part is missing, misaligned or not inside one region of the
 *             guest's memory, or last_avail and last_used differ, or are outside a packed ring:
 *             nothing was written then
 */
int virtq_init(struct virtq *vq, const struct virtq_config *cfg, const char **why);

/**
 * Mend the base of a packed ring that has just been started, when what stands in the ring says that
 * it can't be right: a split ring has its used index in the guest's memory, a packed one has not,
 * and a front-end whose back-end died may give the base that it knew last.
 *
 * Only where each request is one descriptor of the ring, as all known drivers of this device have
 * it: where the ring holds anything else, or nothing yet, the base is left alone.
 *
 * @return  whether last_avail and last_used were changed
 */
bool virtq_packed_find_base(struct virtq *vq);

/* What flags say of a descriptor of a packed ring, and what the device takes for "available" at
 * 'pos', a position with its wrap counter (§2.8.1). */
#define VIRTQ_DESC_F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define VIRTQ_DESC_F_USED  (1u << VRING_PACKED_DESC_F_USED)
#define VIRTQ_WRAP	   (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static inline uint16_t virtq_avail_flags(uint16_t pos)
{
	return pos & VIRTQ_WRAP ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

static inline __le16 *virtq_next_flags(const struct virtq_config *cfg)
{
	return &cfg->ring[cfg->last_avail & ~VIRTQ_WRAP].flags;
}

/**
 * Is there a chain to work on? One load of the avail index, or of the next descriptor's flags, when
 * there was none.
 */
static inline bool virtq_has_work(struct virtq *vq)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t flags;

	if (vq->chain.active)
		return true;
	if (cfg->packed) {
		flags = le16toh(__atomic_load_n(virtq_next_flags(cfg), __ATOMIC_RELAXED));
		return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) ==
		       virtq_avail_flags(cfg->last_avail);
	}
	if (vq->avail_seen != cfg->last_avail)
		return true;
	vq->avail_seen = le16toh(__atomic_load_n(&cfg->avail->idx, __ATOMIC_ACQUIRE));
	return vq->avail_seen != cfg->last_avail;
}

/** What to look at for new work: small, so that hundreds of idle rings are looked at fast. */
struct virtq_watch {
	const uint16_t *word; /* of the guest's */
	uint16_t mask, value;
	bool equal; /* there is work when (*word & mask) == value; else when it is not */
};

/** Make it fire, whatever the ring says. */
static inline void virtq_watch_always(struct virtq_watch *w)
{
	w->mask = 0;
	w->value = 1;
	w->equal = false;
}

/** What tells of work from now on. There may be work, or an open chain: then it fires at once. */
static inline void virtq_watch(const struct virtq *vq, struct virtq_watch *w)
{
	const struct virtq_config *cfg = &vq->cfg;

	if (cfg->packed) {
		w->word = virtq_next_flags(cfg);
		w->mask = htole16(VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
		w->value = htole16(virtq_avail_flags(cfg->last_avail));
	} else {
		w->word = &cfg->avail->idx;
		w->mask = 0xffff;
		w->value = htole16(cfg->last_avail);
	}
	w->equal = cfg->packed;
	if (vq->chain.active)
		virtq_watch_always(w);
}

/** May there be work? One load. */
static inline bool virtq_watch_fired(const struct virtq_watch *w)
{
	uint16_t word = __atomic_load_n(w->word, __ATOMIC_RELAXED);

	return ((word & w->mask) == w->value) == w->equal;
}

/* virtq_written() with a log; not for callers. */
void virtq_log_room(const struct virtq *vq, const struct virtq_burst *burst);

/**
 * Collect up to 'max_bytes' bytes of room. The caller then writes all of it.
 *
 * @param max_bytes  > 0
 * @param max_reqs   requests that may be finished, > 0; more than VIRTQ_BURST_REQS are never
 */
static inline enum virtq_result virtq_gather(
	struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *burst)
{
	return vq->layout->gather(vq, max_bytes, max_reqs, burst);
}

/** Has a chain been begun, and not finished? */
static inline bool virtq_is_open(const struct virtq *vq)
{
	return vq->chain.active;
}

/** Bytes that the open chain has, those of the burst included. */
static inline uint32_t virtq_open_bytes(const struct virtq *vq)
{
	return vq->chain.written;
}

/** Room that is left in the descriptor that the open chain is at. */
static inline uint32_t virtq_open_room(const struct virtq *vq)
{
	return vq->chain.len;
}

/**
 * Cut 'len_bytes' off the end of a burst that ends in an open chain, which is then to be closed
 * short. No effect when they are not in one segment.
 */
void virtq_trim(struct virtq *vq, struct virtq_burst *burst, uint32_t len_bytes);

/** Make 'burst' one that holds nothing. */
static inline void virtq_burst_clear(struct virtq_burst *burst)
{
	burst->bytes = 0;
	burst->n_segs = 0;
	burst->n_reqs = 0;
}

/**
 * Finish the open chain in this burst with what was written to it. No effect when no chain is
 * open or nothing was written to it. At most once a burst.
 *
 * A packed ring has a chain's name in its last descriptor (§2.8.6). While that is more than
 * VIRTQ_BURST_DESCS ahead the chain stays open, and takes no more: this function or the next gather
 * looks on, and then finishes it.
 */
void virtq_close_short(struct virtq *vq, struct virtq_burst *burst);

/** The caller has written to the burst's segments, or has tried to. */
static inline void virtq_written(const struct virtq *vq, const struct virtq_burst *burst)
{
	if (__builtin_expect(vq->cfg.log != NULL, 0))
		virtq_log_room(vq, burst);
}

/**
 * Forget what was gathered and not completed, as if it had not been: cfg.last_avail names the first
 * of it again, and the next gather begins there.
 */
void virtq_rewind(struct virtq *vq);

/** Show the burst's requests to the driver, as used. */
static inline void virtq_complete(struct virtq *vq, const struct virtq_burst *burst)
{
	vq->layout->complete(vq, burst);
}

/**
 * Does the driver want a notification for what was completed since this was last asked (§2.7.7,
 * §2.8.10)? True the first time after virtq_init(), unless the driver wants none at all.
 */
static inline bool virtq_wants_call(struct virtq *vq)
{
	return vq->layout->wants_call(vq);
}

/**
 * Ask the driver for a kick when it makes something available from now on (§2.7.10, §2.8.10). Kicks
 * are off at first, and go off with virtq_disable_kicks(); one that is on its way comes
 * nevertheless.
 *
 * @return  whether there is work by now: then do not wait for a kick, it may not come
 */
bool virtq_enable_kicks(struct virtq *vq);

/** Tell the driver that it need not kick: somebody looks. */
void virtq_disable_kicks(struct virtq *vq);

#endif
