/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq_chain.h"

#include <errno.h>

/* Where a part of the ring is, and must be. */
struct part {
	const void *at;
	size_t align, bytes;
};

static const char *flaw(const struct virtq_config *cfg)
{
	const size_t n = cfg->size, event_bytes = sizeof(struct vring_packed_desc_event);
	const struct part split[] = {
		{cfg->desc, VRING_DESC_ALIGN_SIZE, n * sizeof(struct vring_desc)},
		{cfg->avail, VRING_AVAIL_ALIGN_SIZE,
			sizeof(struct vring_avail) + (n + 1) * sizeof(__virtio16)},
		{cfg->used, VRING_USED_ALIGN_SIZE,
			sizeof(struct vring_used) + n * sizeof(struct vring_used_elem) +
				sizeof(__virtio16)},
	};
	const struct part packed[] = {
		{cfg->ring, VRING_DESC_ALIGN_SIZE, n * sizeof(struct vring_packed_desc)},
		{cfg->driver_event, event_bytes, event_bytes},
		{cfg->device_event, event_bytes, event_bytes},
	};

	if (cfg->packed && (n == 0 || n > VIRTQ_SIZE_MAX))
		return "packed ring size is not from 1 to 32768";
	if (!cfg->packed && (n == 0 || n > VIRTQ_SIZE_MAX || (n & (n - 1)) != 0))
		return "ring size is not a power of two from 1 to 32768";
	for (const struct part *p = cfg->packed ? packed : split, *end = p + 3; p < end; p++) {
		if (p->at == NULL)
			return "a part of the ring has no address";
		if ((uintptr_t)p->at % p->align != 0)
			return "a part of the ring is misaligned";
		if (!guest_mem_has_hva(cfg->mem, p->at, p->bytes))
			return "a part of the ring is not inside one region of the guest's memory";
	}
	if (cfg->packed && (cfg->last_avail & ~VIRTQ_WRAP) >= cfg->size)
		return "the packed ring's base is outside the ring";
	/* Chains are completed in order, so at rest both are at the same place. */
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
	vq->layout = cfg->packed ? &virtq_packed : &virtq_split;
	vq->avail_seen = cfg->last_avail;
	virtq_disable_kicks(vq);
	return 0;
}

void virtq_trim(struct virtq *vq, struct virtq_burst *b, uint32_t len_bytes)
{
	struct iovec *seg;

	if (b->n_segs == 0)
		return;
	seg = &b->segs[b->n_segs - 1];
	if (seg->iov_len <= len_bytes)
		return;
	seg->iov_len -= len_bytes;
	b->bytes -= len_bytes;
	vq->chain.written -= len_bytes;
}

void virtq_close_short(struct virtq *vq, struct virtq_burst *b)
{
	const struct virtq_chain *c = &vq->chain;

	if (c->active && c->written > 0 && vq->broken == NULL && vq->layout->skip_rest(vq))
		chain_end(vq, b);
}

void virtq_log_room(const struct virtq *vq, const struct virtq_burst *b)
{
	for (unsigned i = 0; i < b->n_segs; i++)
		dirty_log_mark(vq->cfg.log, vq->cfg.mem, b->segs[i].iov_base, b->segs[i].iov_len);
}

void virtq_rewind(struct virtq *vq)
{
	vq->chain.active = false;
	vq->cfg.last_avail = vq->cfg.last_used;
}

static void set_kicks(struct virtq *vq, bool on)
{
	vq->layout->set_kicks(vq, on);
	vq->kicks_on = on;
}

bool virtq_enable_kicks(struct virtq *vq)
{
	set_kicks(vq, true);
	/* The driver makes available, then looks at our wish; we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_work(vq);
}

void virtq_disable_kicks(struct virtq *vq)
{
	set_kicks(vq, false);
}
