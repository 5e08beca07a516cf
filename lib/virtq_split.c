/* SPDX-License-Identifier: BSD-3-Clause */
/* The split layout (virtio 1.3 §2.7) of what virtq.h describes. */
#include "virtq_chain.h"

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

const char *virtq_split_flaw(const struct virtq_config *cfg)
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
	return NULL;
}

/*
 * Off: with EVENT_IDX the driver kicks when it passes avail_event, which is then as far away as can
 * be (one kick in 65,536 requests); flags must be 0 with it.
 */
void virtq_split_set_kicks(struct virtq *vq, bool on)
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

void virtq_split_start(struct virtq *vq)
{
	vq->avail_seen = vq->cfg.last_avail;
	virtq_split_set_kicks(vq, false);
}

/* How many chains are available, by the last look at the avail index; too many: 0. */
static inline unsigned n_available(const struct virtq *vq)
{
	unsigned n = (uint16_t)(vq->avail_seen - vq->cfg.last_avail);

	return n <= vq->cfg.size ? n : 0;
}

static inline void plain(struct virtq *vq, uint64_t max_bytes, unsigned max_reqs,
	struct virtq_burst *b, unsigned *descs_left)
{
	const struct guest_mem *mem = vq->cfg.mem;
	const struct guest_region region = mem->regions[mem->last_hit];
	const struct virtq_config cfg = vq->cfg;
	uint64_t bytes_left = max_bytes - b->bytes;
	unsigned n = n_available(vq), done = 0;
	uint16_t mask = cfg.size - 1;

	n = n < max_reqs - b->n_reqs ? n : max_reqs - b->n_reqs;
	n = n < VIRTQ_BURST_SEGS - b->n_segs ? n : VIRTQ_BURST_SEGS - b->n_segs;
	n = n < *descs_left ? n : *descs_left;
	for (; done < n; done++) {
		uint16_t head =
			virtq_load16(&cfg.avail->ring[(uint16_t)(cfg.last_avail + done) & mask]);
		uint64_t offset;
		union virtq_desc d;
		uint32_t len;

		if (head >= cfg.size)
			break;
		memcpy(&d, &cfg.desc[head], sizeof(d));
		/* What was copied is what is checked and used, whatever the guest does now. */
		__asm__ volatile("" : "+m"(d));
		len = le32toh(d.split.len);
		offset = le64toh(d.split.addr) - region.gpa; /* huge when it is below */
		if (le16toh(d.split.flags) != VRING_DESC_F_WRITE || len == 0 || len > bytes_left ||
			offset >= region.size || len > region.size - offset)
			break;
		bytes_left -= len;
		b->segs[b->n_segs + done] = (struct iovec){region.hva + offset, len};
		b->reqs[b->n_reqs + done] = (struct virtq_req){head, 1, len};
	}
	b->bytes = max_bytes - bytes_left;
	b->n_segs += done;
	b->n_reqs += done;
	*descs_left -= done;
	vq->cfg.last_avail += done;
}

/* Begin the next chain of the avail ring (§2.7.13 seen from the device). */
static inline enum virtq_result begin(struct virtq *vq)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t head;

	if (vq->avail_seen == cfg->last_avail) {
		vq->avail_seen = le16toh(__atomic_load_n(&cfg->avail->idx, __ATOMIC_ACQUIRE));
		if (vq->avail_seen == cfg->last_avail)
			return VIRTQ_EMPTY;
	}
	if ((uint16_t)(vq->avail_seen - cfg->last_avail) > cfg->size)
		return virtq_lie(vq, "more chains made available than the ring has");
	head = virtq_load16(&cfg->avail->ring[cfg->last_avail & ring_mask(vq)]);
	if (head >= cfg->size)
		return virtq_lie(vq, "a chain begins outside the descriptor table");

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
	if (chain_fetch(vq, &d) != 0)
		return virtq_lie(vq, "an indirect table outside the guest's memory");
	c->hops_left--;
	flags = le16toh(d.split.flags);
	if (__builtin_expect(flags & VRING_DESC_F_INDIRECT, 0))
		return enter_table(vq, le64toh(d.split.addr), le32toh(d.split.len), flags);
	c->has_next = flags & VRING_DESC_F_NEXT;
	c->next = le16toh(d.split.next);
	c->gpa = le64toh(d.split.addr);
	c->len = flags & VRING_DESC_F_WRITE ? le32toh(d.split.len) : 0;
	return VIRTQ_OK;
}

enum virtq_result virtq_split_gather(
	struct virtq *vq, uint64_t max_bytes, uint64_t max_reqs, struct virtq_burst *b)
{
	return burst_gather(vq, max_bytes, max_reqs, b, plain, begin, advance, false);
}

void virtq_split_complete(struct virtq *vq, const struct virtq_burst *b)
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

bool virtq_split_wants_call(struct virtq *vq)
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
