/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packed layout (virtio 1.3 §2.8) of what virtq.h describes.
 *
 * Driver and device go round in one ring of descriptors. A position in it is an index with a wrap
 * counter in bit 15, as rte_vhost and the vhost-user protocol have it; the counter tells a
 * descriptor of this lap from what is left of the last one. A chain is a row of descriptors; what
 * is given back for it is one descriptor, at the place of its first, since we complete in order.
 */
#include "prefetch.h"
#include "virtq_chain.h"

#define AVAIL_USED (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

static inline uint16_t index_of(uint16_t pos)
{
	return pos & ~VIRTQ_WRAP;
}

/* The position 'n' descriptors further on, 0 <= n <= size. */
static inline uint16_t pos_add(const struct virtq_config *cfg, uint16_t pos, uint16_t n)
{
	uint32_t index = index_of(pos) + (uint32_t)n;
	uint16_t wrap = pos & VIRTQ_WRAP;

	if (index >= cfg->size) {
		index -= cfg->size;
		wrap ^= VIRTQ_WRAP;
	}
	return (uint16_t)(wrap | index);
}

/* Length, id and flags of a descriptor (§2.8.13), to be loaded or stored at once. */
static inline uint64_t *second_half(const struct virtq_config *cfg, uint16_t pos)
{
	return (uint64_t *)(void *)&cfg->ring[index_of(pos)].len;
}

/* The two words of an event suppression structure (§2.8.14), as one, so that they fit together. */
static inline uint32_t *event_word(struct vring_packed_desc_event *event)
{
	return (uint32_t *)(void *)event;
}

/* On, with EVENT_IDX: when the next descriptor is made available, and no more then. */
static void set_kicks(struct virtq *vq, bool on)
{
	uint32_t word = VRING_PACKED_EVENT_FLAG_DISABLE << 16;

	if (on && vq->cfg.event_idx)
		word = (uint32_t)VRING_PACKED_EVENT_FLAG_DESC << 16 | vq->cfg.last_avail;
	else if (on)
		word = VRING_PACKED_EVENT_FLAG_ENABLE << 16;
	__atomic_store_n(event_word(vq->cfg.device_event), htole32(word), __ATOMIC_RELAXED);
	if (vq->cfg.log != NULL)
		virtq_log_ring(
			&vq->cfg, vq->cfg.device_event, sizeof(struct vring_packed_desc_event));
}

/* The descriptors themselves say whether they are available. */
static inline unsigned all(const struct virtq *vq)
{
	return VIRTQ_BURST_DESCS;
}

static inline bool peek(const struct virtq_config *cfg, uint16_t *pos, struct virtq_plain *p)
{
	struct vring_packed_desc *d = &cfg->ring[index_of(*pos)];
	uint64_t word = le64toh(__atomic_load_n(second_half(cfg, *pos), __ATOMIC_ACQUIRE));

	if (word >> 48 != (VRING_DESC_F_WRITE | virtq_avail_flags(*pos)))
		return false;
	p->gpa = le64toh(__atomic_load_n(&d->addr, __ATOMIC_RELAXED));
	p->len = (uint32_t)word;
	p->head = (uint16_t)(word >> 32);
	prefetch_packed(d, *pos);
	*pos = pos_add(cfg, *pos, 1);
	return true;
}

/* What the first descriptor of a chain, or the next one of its row or its table says. */
static inline enum virtq_result take_desc(
	struct virtq *vq, const struct vring_packed_desc *d, uint16_t flags)
{
	struct virtq_chain *c = &vq->chain;

	if (c->in_indirect) {
		c->has_next = ++c->next < c->table_size; /* all flags but WRITE are reserved */
	} else {
		if (__builtin_expect(flags & VRING_DESC_F_INDIRECT, 0)) {
			if (c->n_descs > 0 || (flags & VRING_DESC_F_NEXT))
				return virtq_lie(vq, "an indirect descriptor in a chain of others");
			c->n_descs = 1;
			c->head = le16toh(d->id);
			vq->cfg.last_avail = pos_add(&vq->cfg, vq->cfg.last_avail, 1);
			return chain_enter_table(vq, le64toh(d->addr), le32toh(d->len));
		}
		c->has_next = flags & VRING_DESC_F_NEXT;
		c->head = le16toh(d->id); /* that of the last one counts (§2.8.6) */
		c->n_descs++;
		vq->cfg.last_avail = pos_add(&vq->cfg, vq->cfg.last_avail, 1);
		c->next = index_of(vq->cfg.last_avail);
	}
	c->gpa = le64toh(d->addr);
	c->len = flags & VRING_DESC_F_WRITE ? le32toh(d->len) : 0;
	return VIRTQ_OK;
}

/* Begin the chain whose first descriptor is next in the ring, if it is available. */
static inline enum virtq_result begin(struct virtq *vq)
{
	struct virtq_config *cfg = &vq->cfg;
	struct vring_packed_desc *p = &cfg->ring[index_of(cfg->last_avail)];
	/* Flags first: they say whether the rest of the chain is there. */
	uint16_t flags = le16toh(__atomic_load_n(&p->flags, __ATOMIC_ACQUIRE));
	struct vring_packed_desc d;

	if ((flags & AVAIL_USED) != virtq_avail_flags(cfg->last_avail))
		return VIRTQ_EMPTY;
	d.addr = __atomic_load_n(&p->addr, __ATOMIC_RELAXED);
	d.len = __atomic_load_n(&p->len, __ATOMIC_RELAXED);
	d.id = __atomic_load_n(&p->id, __ATOMIC_RELAXED);
	vq->chain = (struct virtq_chain){
		.active = true,
		.hops_left = cfg->size - 1u,
		.table = (const uint8_t *)cfg->ring,
		.table_size = cfg->size,
	};
	return take_desc(vq, &d, flags);
}

static inline enum virtq_result advance(struct virtq *vq)
{
	struct virtq_chain *c = &vq->chain;
	union virtq_desc d;

	if (c->hops_left == 0)
		return virtq_lie(vq, "a chain that is longer than the ring");
	if (chain_fetch(vq, &d) != VIRTQ_OK)
		return VIRTQ_BROKEN;
	return take_desc(vq, &d.packed, le16toh(d.packed.flags));
}

static enum virtq_result gather(
	struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *b)
{
	return burst_gather(vq, max_bytes, max_reqs, b, all, peek, begin, advance);
}

/* A chain's name is in its last descriptor. */
static bool skip_rest(struct virtq *vq)
{
	struct virtq_chain *c = &vq->chain;

	if (c->in_indirect)
		return true; /* its end in the ring was seen */
	c->closing = true;
	c->len = 0;
	for (unsigned n = 0; c->has_next; n++) {
		if (n == VIRTQ_BURST_DESCS || advance(vq) != VIRTQ_OK)
			return false;
	}
	return true;
}

/*
 * The second half of a used descriptor at 'pos'. NEXT is reserved there (§2.8.6): no driver looks
 * at it, and it tells virtq_packed_find_base() that the descriptors behind were the chain's.
 */
static inline uint64_t used_word(const struct virtq_req *req, uint16_t pos)
{
	uint16_t flags = pos & VIRTQ_WRAP ? AVAIL_USED : 0;

	if (req->written > 0)
		flags |= VRING_DESC_F_WRITE;
	if (req->n_descs > 1)
		flags |= VRING_DESC_F_NEXT;
	return htole64(req->written | (uint64_t)req->head << 32 | (uint64_t)flags << 48);
}

static void complete(struct virtq *vq, const struct virtq_burst *b)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t pos = cfg->last_used;
	uint32_t n_descs;

	if (b->n_reqs == 0)
		return;
	n_descs = b->reqs[0].n_descs;
	for (unsigned i = 1; i < b->n_reqs; i++) {
		pos = pos_add(cfg, pos, b->reqs[i - 1].n_descs);
		__atomic_store_n(
			second_half(cfg, pos), used_word(&b->reqs[i], pos), __ATOMIC_RELAXED);
		n_descs += b->reqs[i].n_descs;
	}
	pos = pos_add(cfg, pos, b->reqs[b->n_reqs - 1].n_descs);
	/* The first is the one that the driver looks at: after the others, and after the bytes. */
	__atomic_store_n(second_half(cfg, cfg->last_used), used_word(&b->reqs[0], cfg->last_used),
		__ATOMIC_RELEASE);
	if (__builtin_expect(cfg->log != NULL, 0))
		virtq_log_entries(cfg, cfg->ring, sizeof(struct vring_packed_desc),
			index_of(cfg->last_used), n_descs);
	cfg->last_used = pos;
	n_descs += vq->descs_used;
	vq->descs_used = (uint16_t)(n_descs < cfg->size ? n_descs : cfg->size);
}

/*
 * Is the descriptor that the driver named (§2.8.10) among the last 'descs_used' ones? One that it
 * named more than a lap ago it has seen used since.
 */
static bool has_passed(const struct virtq *vq, uint16_t off_wrap, uint16_t descs_used)
{
	uint16_t pos = vq->cfg.last_used;
	int32_t back = (int32_t)index_of(pos) - index_of(off_wrap);

	if ((pos ^ off_wrap) & VIRTQ_WRAP)
		back += vq->cfg.size;
	return back >= 1 && back <= descs_used;
}

static bool wants_call(struct virtq *vq)
{
	uint16_t descs_used = vq->descs_used;
	bool valid = vq->signalled_valid;
	uint32_t wish;

	/* The driver sets its wish, then looks at the ring; we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vq->descs_used = 0;
	vq->signalled_valid = true;
	wish = le32toh(__atomic_load_n(event_word(vq->cfg.driver_event), __ATOMIC_RELAXED));
	switch (wish >> 16 & 3) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		return !vq->cfg.event_idx || !valid || has_passed(vq, (uint16_t)wish, descs_used);
	default:
		return true;
	}
}

const struct virtq_layout virtq_packed = {
	.gather = gather,
	.skip_rest = skip_rest,
	.complete = complete,
	.wants_call = wants_call,
	.set_kicks = set_kicks,
};
