/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtq.h"

#include <errno.h>
#include <string.h>

int virtq_init(struct virtq *vq, const struct virtq_config *cfg, const char **why)
{
	*why = cfg->packed ? virtq_packed_flaw(cfg) : virtq_split_flaw(cfg);
	/* Chains are completed in order, so at rest both are at the same place. */
	if (*why == NULL && cfg->last_avail != cfg->last_used)
		*why = "the ring's base does not match its used index";
	if (*why != NULL)
		return -EINVAL;
	memset(vq, 0, sizeof(*vq));
	vq->cfg = *cfg;
	if (cfg->packed)
		virtq_packed_start(vq);
	else
		virtq_split_start(vq);
	return 0;
}

void virtq_close_short(struct virtq *vq, struct virtq_burst *b)
{
	struct virtq_chain *c = &vq->chain;

	if (!c->active || c->written == 0 || vq->broken != NULL)
		return;
	if (vq->cfg.packed && !virtq_packed_skip_rest(vq))
		return;
	b->reqs[b->n_reqs++] = (struct virtq_req){c->head, c->n_descs, c->written};
	c->active = false;
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

void virtq_abandon(struct virtq *vq, struct virtq_burst *b)
{
	virtq_rewind(vq);
	virtq_burst_clear(b);
}

static void set_kicks(struct virtq *vq, bool on)
{
	if (vq->cfg.packed)
		virtq_packed_set_kicks(vq, on);
	else
		virtq_split_set_kicks(vq, on);
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
