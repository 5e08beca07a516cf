/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_VIRTQ_CHAIN_H
#define VRNG_VIRTQ_CHAIN_H

/*
 * What the layouts of a virtqueue have in common: a burst is gathered from chains, a chain from
 * descriptors, and each of them is checked. Private to virtq_split.c and virtq_packed.c, which say
 * how a chain begins and how it goes on; for each of them the compiler makes code of its own.
 *
 * Security model, thread safety: see virtq.h. What is used is always the copy of a descriptor that
 * chain_fetch() made.
 */

#include "virtq.h"

#include <string.h>

#define VIRTQ_INLINE static inline __attribute__((always_inline))

/** A descriptor of either layout, in the ring or in a table. */
union virtq_desc {
	struct vring_desc split;
	struct vring_packed_desc packed;
};

/**
 * One step of a layout: begin the next chain that is available, or make the open chain's next
 * descriptor the current one (gpa and len are then room to write to).
 */
typedef enum virtq_result virtq_step(struct virtq *vq);

/** A chain of one writable descriptor of the ring. */
struct virtq_plain {
	uint64_t gpa;
	uint32_t len;
	uint16_t head; /* as virtq_req has it */
};

/**
 * Is the chain at 'pos', which is available, or seems to be, of the usual form?
 *
 * @param pos  as cfg.last_avail; set to that of the next chain
 */
typedef bool virtq_peek(const struct virtq_config *cfg, uint16_t *pos, struct virtq_plain *plain);

/** The layouts. */
extern const struct virtq_layout virtq_split, virtq_packed;

static inline enum virtq_result virtq_lie(struct virtq *vq, const char *what)
{
	vq->broken = what;
	return VIRTQ_BROKEN;
}

/** The device has written to its part of the ring. */
static inline void virtq_log_ring(const struct virtq_config *cfg, const void *hva, size_t len_bytes)
{
	dirty_log_mark(cfg->log, cfg->mem, hva, len_bytes);
}

/**
 * The same, of entries [first, first + n) of an array of 'size' in the ring, which goes round.
 *
 * @param n  0..size; more counts as size
 */
static inline void virtq_log_entries(const struct virtq_config *cfg, const void *array,
	size_t entry_bytes, uint32_t first, uint32_t n)
{
	const uint8_t *at = array;
	uint32_t to_end = cfg->size - first;

	if (n >= cfg->size) {
		virtq_log_ring(cfg, at, cfg->size * entry_bytes);
		return;
	}
	virtq_log_ring(cfg, at + first * entry_bytes, (n < to_end ? n : to_end) * entry_bytes);
	if (n > to_end)
		virtq_log_ring(cfg, at, (n - to_end) * entry_bytes);
}

/** Go on in an indirect table (§2.7.5.3, §2.8.7). */
static inline enum virtq_result chain_enter_table(
	struct virtq *vq, uint64_t gpa, uint32_t len_bytes)
{
	struct virtq_chain *c = &vq->chain;
	uint64_t contiguous = len_bytes;
	const uint8_t *hva;

	if (!vq->cfg.indirect)
		return virtq_lie(vq, "an indirect descriptor without VIRTIO_F_INDIRECT_DESC");
	if (len_bytes == 0 || len_bytes % sizeof(union virtq_desc) != 0)
		return virtq_lie(vq, "an indirect table that does not hold whole descriptors");
	if (len_bytes / sizeof(union virtq_desc) > VIRTQ_SIZE_MAX)
		return virtq_lie(vq, "an indirect table of more than 32768 descriptors");
	hva = guest_mem_translate(vq->cfg.mem, gpa, &contiguous);
	if (hva == NULL)
		return virtq_lie(vq, "an indirect table outside the guest's memory");

	c->in_indirect = true;
	c->has_next = true;
	c->next = 0;
	c->table_gpa = gpa;
	c->table_size = (uint32_t)(len_bytes / sizeof(union virtq_desc));
	c->hops_left = c->table_size;
	c->table = contiguous == len_bytes ? hva : NULL;
	return VIRTQ_OK;
}

/** Copy a descriptor: the copy is what is checked and used, whatever the guest does now. */
VIRTQ_INLINE void desc_copy(union virtq_desc *d, const void *from)
{
	memcpy(d, from, sizeof(*d));
	__asm__ volatile("" : "+m"(*d));
}

/** Copy descriptor c->next of the chain's table, once. */
VIRTQ_INLINE enum virtq_result chain_fetch(struct virtq *vq, union virtq_desc *d)
{
	struct virtq_chain *c = &vq->chain;
	uint64_t offset = (uint64_t)c->next * sizeof(*d);

	c->hops_left--;
	if (__builtin_expect(c->table != NULL, 1))
		desc_copy(d, c->table + offset);
	else if (guest_mem_read(vq->cfg.mem, c->table_gpa + offset, d, sizeof(*d)) != 0)
		return virtq_lie(vq, "an indirect table outside the guest's memory");
	return VIRTQ_OK;
}

/** The open chain is finished: it becomes a request of the burst. */
static inline void chain_end(struct virtq *vq, struct virtq_burst *b)
{
	struct virtq_chain *c = &vq->chain;

	b->reqs[b->n_reqs++] = (struct virtq_req){c->head, c->n_descs, c->written};
	c->active = false;
}

/**
 * Put chains of the usual form that follow on one another, fit the burst whole and lie in one
 * region into the burst. All else is left to the steps of the layout.
 *
 * @param n           chains that may be looked at
 * @param descs_left  lessened by what was taken
 */
VIRTQ_INLINE void gather_plain(struct virtq *vq, uint64_t max_bytes, unsigned max_reqs,
	struct virtq_burst *b, unsigned *descs_left, unsigned n, virtq_peek *peek)
{
	const struct guest_mem *mem = vq->cfg.mem;
	const struct guest_region region = mem->regions[mem->last_hit];
	const struct virtq_config cfg = vq->cfg;
	uint64_t bytes_left = max_bytes - b->bytes;
	struct iovec *seg = &b->segs[b->n_segs];
	struct virtq_req *req = &b->reqs[b->n_reqs];
	uint16_t pos = cfg.last_avail;
	unsigned done = 0;

	n = n < max_reqs - b->n_reqs ? n : max_reqs - b->n_reqs;
	n = n < VIRTQ_BURST_SEGS - b->n_segs ? n : VIRTQ_BURST_SEGS - b->n_segs;
	n = n < *descs_left ? n : *descs_left;
	for (; done < n; done++) {
		uint16_t next = pos;
		struct virtq_plain p;
		uint64_t offset;

		if (!peek(&cfg, &next, &p))
			break;
		offset = p.gpa - region.gpa;		 /* huge when it is below */
		if ((uint64_t)p.len - 1 >= bytes_left || /* 0 is none of them */
			offset >= region.size || p.len > region.size - offset)
			break;
		bytes_left -= p.len;
		seg[done] = (struct iovec){region.hva + offset, p.len};
		req[done] = (struct virtq_req){p.head, 1, p.len};
		pos = next;
	}
	b->bytes = max_bytes - bytes_left;
	b->n_segs += done;
	b->n_reqs += done;
	*descs_left -= done;
	vq->cfg.last_avail = pos;
}

/** Take room from the open chain until it ends or a bound is reached (then it stays open). */
VIRTQ_INLINE enum virtq_result chain_gather(struct virtq *vq, uint64_t max_bytes,
	struct virtq_burst *b, unsigned *descs_left, virtq_step *advance)
{
	struct virtq_chain *c = &vq->chain;

	for (;;) {
		while (c->len > 0) {
			uint64_t n = c->len;
			uint8_t *hva;

			/* UINT32_MAX is all that a used length can say. */
			if (c->closing || c->written == UINT32_MAX) {
				c->len = 0;
				break;
			}
			if (b->bytes == max_bytes || b->n_segs == VIRTQ_BURST_SEGS)
				return VIRTQ_OK;
			if (n > max_bytes - b->bytes)
				n = max_bytes - b->bytes;
			if (n > UINT32_MAX - c->written)
				n = UINT32_MAX - c->written;
			hva = guest_mem_translate(vq->cfg.mem, c->gpa, &n);
			if (hva == NULL)
				return virtq_lie(vq, "a buffer outside the guest's memory");
			b->segs[b->n_segs++] = (struct iovec){hva, n};
			b->bytes += n;
			c->written += (uint32_t)n;
			c->gpa += n; /* may wrap to 0: then the look-up decides */
			c->len -= (uint32_t)n;
		}
		if (!c->has_next)
			break;
		if (*descs_left == 0)
			return VIRTQ_OK;
		(*descs_left)--;
		if (advance(vq) != VIRTQ_OK)
			return VIRTQ_BROKEN;
	}
	chain_end(vq, b);
	return VIRTQ_OK;
}

/**
 * virtq_gather() of a layout.
 *
 * @param ready  how many chains may be peeked at
 * @param begin  looks at the chain's first descriptor
 */
VIRTQ_INLINE enum virtq_result burst_gather(struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs,
	struct virtq_burst *b, unsigned (*ready)(const struct virtq *vq), virtq_peek *peek,
	virtq_step *begin, virtq_step *advance)
{
	unsigned descs_left = VIRTQ_BURST_DESCS;
	enum virtq_result r = VIRTQ_OK;

	if (max_reqs > VIRTQ_BURST_REQS)
		max_reqs = VIRTQ_BURST_REQS;

	virtq_burst_clear(b);
	if (vq->broken != NULL)
		return VIRTQ_BROKEN;
	for (;;) {
		if (!vq->chain.active) {
			gather_plain(
				vq, max_bytes, (unsigned)max_reqs, b, &descs_left, ready(vq), peek);
			if (b->n_reqs == max_reqs || b->bytes == max_bytes || descs_left == 0)
				return VIRTQ_OK;
			r = begin(vq);
			if (r != VIRTQ_OK)
				return r;
			descs_left--;
		}
		r = chain_gather(vq, max_bytes, b, &descs_left, advance);
		if (r != VIRTQ_OK || vq->chain.active)
			return r;
	}
}

#endif
