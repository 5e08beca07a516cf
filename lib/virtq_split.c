/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq.h"

#include <errno.h>
#include <string.h>

/*
 * One load of a word that the guest may be writing. Little-endian, as VIRTIO_F_VERSION_1 has it.
 */
#define LOAD16(p) le16toh(__atomic_load_n((p), __ATOMIC_RELAXED))

static inline uint16_t ring_mask(const struct virtq *vq)
{
	return vq->cfg.size - 1;
}

/* The words behind the rings that VIRTIO_F_EVENT_IDX uses (§2.7.7.1, §2.7.10.1). */
static inline __virtio16 *used_event(const struct virtq *vq)
{
	return &vq->cfg.avail->ring[vq->cfg.size];
}

static inline __virtio16 *avail_event(const struct virtq *vq)
{
	return (__virtio16 *)&vq->cfg.used->ring[vq->cfg.size];
}

static const char *flaw(const struct virtq_config *cfg)
{
	size_t size = cfg->size;
	size_t avail_bytes = sizeof(struct vring_avail) + (size + 1) * sizeof(__virtio16);
	size_t used_bytes = sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) +
			    sizeof(__virtio16);

	if (size == 0 || size > VIRTQ_SIZE_MAX || (size & (size - 1)) != 0)
		return "ring size is not a power of two from 1 to 32768";
	if (cfg->desc == NULL || cfg->avail == NULL || cfg->used == NULL)
		return "a part of the ring has no address";
	if ((uintptr_t)cfg->desc % VRING_DESC_ALIGN_SIZE != 0 ||
		(uintptr_t)cfg->avail % VRING_AVAIL_ALIGN_SIZE != 0 ||
		(uintptr_t)cfg->used % VRING_USED_ALIGN_SIZE != 0)
		return "a part of the ring is misaligned";
	if (!guest_mem_has_hva(cfg->mem, cfg->desc, size * sizeof(struct vring_desc)) ||
		!guest_mem_has_hva(cfg->mem, cfg->avail, avail_bytes) ||
		!guest_mem_has_hva(cfg->mem, cfg->used, used_bytes))
		return "a part of the ring is not inside one region of the guest's memory";
	if (cfg->last_avail != cfg->last_used)
		return "the ring's base does not match its used index";
	return NULL;
}

int virtq_init(struct virtq *vq, const struct virtq_config *cfg, const char **why)
{
	*why = flaw(cfg);
	if (*why != NULL)
		return -EINVAL;
	memset(vq, 0, sizeof(*vq));
	vq->cfg = *cfg;
	vq->avail_seen = cfg->last_avail;

	/* No kicks while we poll: with EVENT_IDX the driver kicks when it passes avail_event, which
	 * is now as far away as can be (one kick in 65,536 requests); flags must then be 0. */
	if (cfg->event_idx) {
		__atomic_store_n(avail_event(vq), htole16(cfg->last_avail - 1), __ATOMIC_RELAXED);
		__atomic_store_n(&cfg->used->flags, 0, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(
			&cfg->used->flags, htole16(VRING_USED_F_NO_NOTIFY), __ATOMIC_RELAXED);
	}
	return 0;
}

static enum virtq_result lie(struct virtq *vq, const char *what)
{
	vq->broken = what;
	return VIRTQ_BROKEN;
}

/* Begin the next chain of the avail ring (§2.7.13 seen from the device). */
static enum virtq_result chain_begin(struct virtq *vq)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t head;

	if (vq->avail_seen == cfg->last_avail) {
		vq->avail_seen = le16toh(__atomic_load_n(&cfg->avail->idx, __ATOMIC_ACQUIRE));
		if (vq->avail_seen == cfg->last_avail)
			return VIRTQ_EMPTY;
	}
	if ((uint16_t)(vq->avail_seen - cfg->last_avail) > cfg->size)
		return lie(vq, "more chains made available than the ring has");
	head = LOAD16(&cfg->avail->ring[cfg->last_avail & ring_mask(vq)]);
	if (head >= cfg->size)
		return lie(vq, "a chain begins outside the descriptor table");

	cfg->last_avail++;
	vq->chain = (struct virtq_chain){
		.active = true,
		.has_next = true,
		.head = head,
		.next = head,
		.hops_left = cfg->size,
		.table = (const uint8_t *)cfg->desc,
		.table_size = cfg->size,
	};
	return VIRTQ_OK;
}

/* Go on in the indirect table that 'd' names (§2.7.5.3). */
static enum virtq_result enter_indirect(
	struct virtq *vq, uint64_t gpa, uint32_t len_bytes, uint16_t flags)
{
	struct virtq_chain *c = &vq->chain;
	uint64_t contiguous = len_bytes;
	const uint8_t *hva;

	if (!vq->cfg.indirect)
		return lie(vq, "an indirect descriptor without VIRTIO_F_INDIRECT_DESC");
	if (c->in_indirect)
		return lie(vq, "an indirect descriptor in an indirect table");
	if (flags & VRING_DESC_F_NEXT)
		return lie(vq, "an indirect descriptor with a next one");
	if (len_bytes == 0 || len_bytes % sizeof(struct vring_desc) != 0)
		return lie(vq, "an indirect table that does not hold whole descriptors");
	if (len_bytes / sizeof(struct vring_desc) > VIRTQ_SIZE_MAX)
		return lie(vq, "an indirect table of more than 32768 descriptors");
	hva = guest_mem_translate(vq->cfg.mem, gpa, &contiguous);
	if (hva == NULL)
		return lie(vq, "an indirect table outside the guest's memory");

	c->in_indirect = true;
	c->has_next = true;
	c->next = 0;
	c->table_gpa = gpa;
	c->table_size = len_bytes / sizeof(struct vring_desc);
	c->hops_left = c->table_size;
	c->table = contiguous == len_bytes ? hva : NULL;
	return VIRTQ_OK;
}

/* Copy descriptor c->next, once. */
static inline int fetch(struct virtq *vq, struct vring_desc *d)
{
	struct virtq_chain *c = &vq->chain;

	if (__builtin_expect(c->table != NULL, 1)) {
		memcpy(d, c->table + c->next * sizeof(*d), sizeof(*d));
		/* What was copied is what is checked and used, whatever the guest does now. */
		__asm__ volatile("" : "+m"(*d));
		return 0;
	}
	return guest_mem_read(vq->cfg.mem, c->table_gpa + c->next * sizeof(*d), d, sizeof(*d));
}

/* Make the chain's next descriptor the current one: its gpa and len are then room to write to. */
static inline enum virtq_result chain_advance(struct virtq *vq)
{
	struct virtq_chain *c = &vq->chain;
	struct vring_desc d;
	uint16_t flags;

	if (c->hops_left == 0)
		return lie(vq, "a chain that is longer than its table");
	if (c->next >= c->table_size)
		return lie(vq, "a descriptor that is followed by one outside the table");
	if (fetch(vq, &d) != 0)
		return lie(vq, "an indirect table outside the guest's memory");
	c->hops_left--;
	flags = le16toh(d.flags);
	if (__builtin_expect(flags & VRING_DESC_F_INDIRECT, 0))
		return enter_indirect(vq, le64toh(d.addr), le32toh(d.len), flags);
	c->has_next = flags & VRING_DESC_F_NEXT;
	c->next = le16toh(d.next);
	c->gpa = le64toh(d.addr);
	c->len = flags & VRING_DESC_F_WRITE ? le32toh(d.len) : 0;
	return VIRTQ_OK;
}

/*
 * Take room from the open chain until it ends (then it becomes a request of the burst) or a bound
 * is reached (then it stays open).
 */
static enum virtq_result chain_gather(
	struct virtq *vq, uint64_t max_bytes, struct virtq_burst *b, unsigned *descs_left)
{
	struct virtq_chain *c = &vq->chain;

	for (;;) {
		while (c->len > 0) {
			uint64_t n = c->len;
			uint8_t *hva;

			if (c->written == UINT32_MAX)
				goto end; /* all that a used length can say */
			if (b->bytes == max_bytes || b->n_segs == VIRTQ_BURST_SEGS)
				return VIRTQ_OK;
			if (n > max_bytes - b->bytes)
				n = max_bytes - b->bytes;
			if (n > UINT32_MAX - c->written)
				n = UINT32_MAX - c->written;
			hva = guest_mem_translate(vq->cfg.mem, c->gpa, &n);
			if (hva == NULL)
				return lie(vq, "a buffer outside the guest's memory");
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
		if (chain_advance(vq) != VIRTQ_OK)
			return VIRTQ_BROKEN;
	}
end:
	b->reqs[b->n_reqs++] = (struct virtq_req){c->head, c->written};
	c->active = false;
	return VIRTQ_OK;
}

enum virtq_result virtq_gather_some(
	struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *b)
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
			if (b->n_reqs == max_reqs || b->bytes == max_bytes || descs_left == 0)
				return VIRTQ_OK;
			r = chain_begin(vq);
			if (r != VIRTQ_OK)
				return r;
		}
		r = chain_gather(vq, max_bytes, b, &descs_left);
		if (r != VIRTQ_OK || vq->chain.active)
			return r;
	}
}

void virtq_close_short(struct virtq *vq, struct virtq_burst *b)
{
	struct virtq_chain *c = &vq->chain;

	if (!c->active || c->written == 0)
		return;
	b->reqs[b->n_reqs++] = (struct virtq_req){c->head, c->written};
	c->active = false;
}

void virtq_abandon(struct virtq *vq, struct virtq_burst *b)
{
	virtq_rewind(vq);
	vq->cfg.last_avail -= b->n_reqs;
	virtq_burst_clear(b);
}

void virtq_complete(struct virtq *vq, const struct virtq_burst *b)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t mask = ring_mask(vq);

	for (unsigned i = 0; i < b->n_reqs; i++) {
		struct vring_used_elem *e = &cfg->used->ring[(uint16_t)(cfg->last_used + i) & mask];

		e->id = htole32(b->reqs[i].head);
		e->len = htole32(b->reqs[i].written);
	}
	cfg->last_used += b->n_reqs;
	/* After the bytes and the elements (§2.7.8.2). */
	__atomic_store_n(&cfg->used->idx, htole16(cfg->last_used), __ATOMIC_RELEASE);
}

bool virtq_wants_call(struct virtq *vq)
{
	uint16_t old = vq->signalled_used, new = vq->cfg.last_used;
	bool valid = vq->signalled_valid;

	/* The driver sets its wish, then looks at the used index; we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->cfg.event_idx)
		return !(LOAD16(&vq->cfg.avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vq->signalled_used = new;
	vq->signalled_valid = true;
	return !valid || vring_need_event(LOAD16(used_event(vq)), new, old);
}

void virtq_rewind(struct virtq *vq)
{
	if (!vq->chain.active)
		return;
	vq->chain.active = false;
	vq->cfg.last_avail--;
}
