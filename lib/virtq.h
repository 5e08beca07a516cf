/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_VIRTQ_H
#define VRNG_VIRTQ_H

/*
 * The device's side of a virtqueue whose buffers are to be filled (virtio 1.3 §2.6 and §2.7).
 *
 * A caller gathers a burst of room, fills it, and completes it:
 *
 *	virtq_gather()    pop descriptor chains from the avail ring; yields segments of guest
 *	                  memory to write to, and the requests that they finish
 *	(the caller writes every segment of the burst in full)
 *	virtq_complete()  put the finished requests on the used ring
 *	virtq_wants_call() does the driver want to be notified of them?
 *
 * Chains are used in the order in which they were made available. A chain that is larger than a
 * burst stays open and goes on in the next one; one chain at most is open between bursts, and
 * virtq_close_short() ends it with what it has. A chain with writable room is never completed
 * with a length of 0, and never with more than was written.
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
	uint16_t head;	  /* the chain's first descriptor, as the driver named it */
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
	uint16_t head;
	uint16_t next;	      /* index into 'table' if has_next */
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
	struct guest_mem *mem; /* outlives the virtq */
	uint16_t size;
	struct vring_desc *desc;   /* 16 bytes each; aligned to 16 */
	struct vring_avail *avail; /* 6 + 2 * size bytes; aligned to 2 */
	struct vring_used *used;   /* 6 + 8 * size bytes; aligned to 4 */
	uint16_t last_avail;	   /* the next index of the avail ring to pop */
	uint16_t last_used;	   /* the next index of the used ring to write */
	bool event_idx;		   /* VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;		   /* VIRTIO_F_INDIRECT_DESC was negotiated */
};

struct virtq {
	struct virtq_config cfg;
	const char *broken; /* NULL, or the lie that was found */
	uint16_t avail_seen;
	uint16_t signalled_used; /* last_used when virtq_wants_call() was last asked */
	bool signalled_valid;
	struct virtq_chain chain;
};

enum virtq_result {
	VIRTQ_OK,     /* a bound of the burst was reached: there may be more */
	VIRTQ_EMPTY,  /* all that the driver made available is in the burst */
	VIRTQ_BROKEN, /* the ring lies (see virtq.broken); the burst may hold what came before */
};

/**
 * Start on a ring: check it and tell the driver that it need not kick.
 *
 * @param why  set to what is wrong with the ring when it is refused
 * @return     0; -EINVAL when the size is not a power of two up to 32768 (§2.7), a part is
 *             missing, misaligned or not inside one region of the guest's memory, or last_avail
 *             and last_used contradict the size: nothing was written then
 */
int virtq_init(struct virtq *vq, const struct virtq_config *cfg, const char **why);

/**
 * Is there a chain to work on? One load of the avail index when there was none.
 */
static inline bool virtq_has_work(struct virtq *vq)
{
	if (vq->chain.active || vq->avail_seen != vq->cfg.last_avail)
		return true;
	vq->avail_seen = le16toh(__atomic_load_n(&vq->cfg.avail->idx, __ATOMIC_ACQUIRE));
	return vq->avail_seen != vq->cfg.last_avail;
}

/** What to look at for new work: small, so that hundreds of idle rings are looked at fast. */
struct virtq_watch {
	const uint16_t *word; /* of the guest's */
	uint16_t mask, value;
	bool equal; /* there is work when (*word & mask) == value; else when it is not */
};

/** What tells of work from now on. There may be work, or an open chain: then it fires at once. */
static inline void virtq_watch(const struct virtq *vq, struct virtq_watch *w)
{
	w->word = &vq->cfg.avail->idx;
	w->mask = vq->chain.active ? 0 : 0xffff;
	w->value = vq->chain.active ? 1 : htole16(vq->cfg.last_avail);
	w->equal = false;
}

/** May there be work? One load. */
static inline bool virtq_watch_fired(const struct virtq_watch *w)
{
	uint16_t word = __atomic_load_n(w->word, __ATOMIC_RELAXED);

	return ((word & w->mask) == w->value) == w->equal;
}

/** Make it fire, whatever the ring says. */
static inline void virtq_watch_always(struct virtq_watch *w)
{
	w->mask = 0;
	w->value = 1;
	w->equal = false;
}

/**
 * Collect up to 'max_bytes' bytes of room. The caller then writes all of it.
 *
 * @param max_bytes  > 0
 * @param max_reqs   requests that may be finished, > 0; more than VIRTQ_BURST_REQS are never
 */
enum virtq_result virtq_gather_some(
	struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *burst);

/** As many requests as a burst holds. */
static inline enum virtq_result virtq_gather(
	struct virtq *vq, uint64_t max_bytes, struct virtq_burst *burst)
{
	return virtq_gather_some(vq, max_bytes, VIRTQ_BURST_REQS, burst);
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
static inline void virtq_trim(struct virtq *vq, struct virtq_burst *burst, uint32_t len_bytes)
{
	struct iovec *seg;

	if (burst->n_segs == 0)
		return;
	seg = &burst->segs[burst->n_segs - 1];
	if (seg->iov_len <= len_bytes)
		return;
	seg->iov_len -= len_bytes;
	burst->bytes -= len_bytes;
	vq->chain.written -= len_bytes;
}

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
 */
void virtq_close_short(struct virtq *vq, struct virtq_burst *burst);

/**
 * Give everything in the burst back, as if it had not been gathered: the segments could not be
 * filled. The next gather begins with the same chains.
 */
void virtq_abandon(struct virtq *vq, struct virtq_burst *burst);

/** Put the burst's requests on the used ring and show them to the driver. */
void virtq_complete(struct virtq *vq, const struct virtq_burst *burst);

/**
 * Does the driver want a notification for what was completed since this was last asked (§2.7.7)?
 * True the first time after virtq_init().
 */
bool virtq_wants_call(struct virtq *vq);

/** Forget the chain that is open, so that cfg.last_avail names it again. */
void virtq_rewind(struct virtq *vq);

#endif
