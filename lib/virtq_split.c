/* SPDX-License-Identifier: BSD-3-Clause */
/* The split layout (virtio 1.3 §2.7) of what virtq.h describes. */
#include "virtq_chain.h"

/* One load of a word that the guest may be writing. Little-endian, as VIRTIO_F_VERSION_1 has it.
 */
static inline uint16_t virtq_load16(const uint16_t *word)
{
	return le16toh(__atomic_load_n(word, __ATOMIC_RELAXED));
}

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

/*
 * Off: with EVENT_IDX the driver kicks when it passes avail_event, which is then as far away as can
 * be (one kick in 65,536 requests); flags must be 0 with it.
 */
static void set_kicks(struct virtq *vq, bool on)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t event = on ? cfg->last_avail : cfg->last_avail - 1;
	uint16_t flags = on || cfg->event_idx ? 0 : VRING_USED_F_NO_NOTIFY;

	if (cfg->event_idx)
		__atomic_store_n(avail_event(vq), htole16(event), __ATOMIC_RELAXED);
	__atomic_store_n(&cfg->used->flags, htole16(flags), __ATOMIC_RELAXED);
	if (cfg->log != NULL) {
		virtq_log_ring(cfg, cfg->used, sizeof(struct vring_used));
		virtq_log_ring(cfg, avail_event(vq), sizeof(*avail_event(vq)));
	}
}

/* How many chains are available, by the last look at the avail index; too many: 0. */
static inline unsigned n_available(const struct virtq *vq)
{
	unsigned n = (uint16_t)(vq->avail_seen - vq->cfg.last_avail);

	return n <= vq->cfg.size ? n : 0;
}

static inline bool peek(const struct virtq_config *cfg, uint16_t *pos, struct virtq_plain *p)
{
	uint16_t mask = cfg->size - 1;
	union virtq_desc d;

	p->head = virtq_load16(&cfg->avail->ring[(*pos)++ & mask]);
	if (p->head >= cfg->size)
		return false;
	desc_copy(&d, &cfg->desc[p->head]);
	p->gpa = le64toh(d.split.addr);
	p->len = le32toh(d.split.len);
	return le16toh(d.split.flags) == VRING_DESC_F_WRITE;
}

/* Go on in the indirect table that a descriptor names (§2.7.5.3). */
static enum virtq_result enter_table(
	struct virtq *vq, uint64_t gpa, uint32_t len_bytes, uint16_t flags)
{
	if (vq->chain.in_indirect)
		return virtq_lie(vq, "an indirect descriptor in an indirect table");
	if (flags & VRING_DESC_F_NEXT)
		return virtq_lie(vq, "an indirect descriptor with a next one");
	return chain_enter_table(vq, gpa, len_bytes);
}

static inline enum virtq_result advance(struct virtq *vq)
{
	struct virtq_chain *c = &vq->chain;
	union virtq_desc d;
	uint16_t flags;

	if (c->hops_left == 0)
		return virtq_lie(vq, "a chain that is longer than its table");
	if (c->next >= c->table_size)
		return virtq_lie(vq, "a descriptor that is followed by one outside the table");
	if (chain_fetch(vq, &d) != VIRTQ_OK)
		return VIRTQ_BROKEN;
	flags = le16toh(d.split.flags);
	if (__builtin_expect(flags & VRING_DESC_F_INDIRECT, 0))
		return enter_table(vq, le64toh(d.split.addr), le32toh(d.split.len), flags);
	c->has_next = flags & VRING_DESC_F_NEXT;
	c->next = le16toh(d.split.next);
	c->gpa = le64toh(d.split.addr);
	c->len = flags & VRING_DESC_F_WRITE ? le32toh(d.split.len) : 0;
	return VIRTQ_OK;
}

/* Begin the next chain of the avail ring (§2.7.13 seen from the device). */
static inline enum virtq_result begin(struct virtq *vq)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t head;

	if (!virtq_has_work(vq))
		return VIRTQ_EMPTY;
	if ((uint16_t)(vq->avail_seen - cfg->last_avail) > cfg->size)
		return virtq_lie(vq, "more chains made available than the ring has");
	head = virtq_load16(&cfg->avail->ring[cfg->last_avail & ring_mask(vq)]);
	if (head >= cfg->size)
		return virtq_lie(vq, "a chain begins outside the descriptor table");

	cfg->last_avail++;
	vq->chain = (struct virtq_chain){
		.active = true,
		.head = head,
		.next = head,
		.hops_left = cfg->size,
		.table = (const uint8_t *)cfg->desc,
		.table_size = cfg->size,
	};
	return advance(vq);
}

static enum virtq_result gather(
	struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *b)
{
	return burst_gather(vq, max_bytes, max_reqs, b, n_available, peek, begin, advance);
}

/* A chain's name is that of its first descriptor. */
static bool skip_rest(struct virtq *vq)
{
	return true;
}

static void complete(struct virtq *vq, const struct virtq_burst *b)
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
	if (__builtin_expect(cfg->log != NULL, 0)) {
		uint16_t first = (uint16_t)(cfg->last_used - b->n_reqs) & mask;

		virtq_log_entries(
			cfg, cfg->used->ring, sizeof(struct vring_used_elem), first, b->n_reqs);
		virtq_log_ring(cfg, cfg->used, sizeof(struct vring_used));
	}
}

static bool wants_call(struct virtq *vq)
{
	uint16_t old = vq->signalled_used, new = vq->cfg.last_used;
	bool valid = vq->signalled_valid;

	/* The driver sets its wish, then looks at the used index; we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->cfg.event_idx)
		return !(virtq_load16(&vq->cfg.avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vq->signalled_used = new;
	vq->signalled_valid = true;
	return !valid || vring_need_event(virtq_load16(used_event(vq)), new, old);
}

const struct virtq_layout virtq_split = {
	.gather = gather,
	.skip_rest = skip_rest,
	.complete = complete,
	.wants_call = wants_call,
	.set_kicks = set_kicks,
};
