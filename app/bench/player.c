/* SPDX-License-Identifier: BSD-3-Clause */
#include "player.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#define RAM_GPA	      0x100000ull
#define PAGE	      4096ull
#define BUFFER_ALIGN  64u
#define EVENT_IDX     (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT_DESC (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define RING_PACKED   (1ull << VIRTIO_F_RING_PACKED)

static int fail(const struct player *p, struct why *why, int err, const char *what)
{
	const char *reason = strerror(-err);

	switch (err) {
	case -ETIMEDOUT:
		reason = "no answer in time; is that a vhost-user back-end, and is it well?";
		break;
	case -ECONNRESET:
		reason = "the back-end closed the connection; does another front-end have it?";
		break;
	case -EREMOTEIO:
		reason = "the back-end refused";
		break;
	case -EPROTO:
		reason = "the answer is not vhost-user";
		break;
	case -ENOTSUP:
		reason = "the back-end does not offer it";
		break;
	}
	return why_set(why, err, "%s: %s: %s", player_name(p), what, reason);
}

static uint32_t stride_of(const struct player_cfg *cfg)
{
	uint32_t largest = (cfg->size_bytes + cfg->chain - 1) / cfg->chain;

	return ((largest + BUFFER_ALIGN - 1) & ~(BUFFER_ALIGN - 1)) +
	       (cfg->guards ? PLAYER_GUARD_BYTES : 0);
}

/* Rings, tables and buffers lie in one region, as in a small guest. */
static int make_memory(struct player *p)
{
	const struct player_cfg *cfg = &p->cfg;
	uint64_t buffers = (uint64_t)cfg->depth * cfg->chain * stride_of(cfg) + PLAYER_GUARD_BYTES;
	uint64_t tables = cfg->indirect ? (uint64_t)cfg->queue_size * cfg->chain * 16 : 0;
	uint64_t rings = (uint64_t)cfg->queue_size * 32 + 4 * PAGE;
	struct guest_ram_region_cfg region = {
		.gpa = RAM_GPA,
		.size_bytes = (rings + tables + buffers + 2 * PAGE - 1) & ~(PAGE - 1),
		.backing = GUEST_RAM_MEMFD,
		.sealed = true,
	};
	uint64_t gpa;
	int err = guest_ram_add(&p->ram, &region);

	if (err != 0)
		return err;
	memset(p->ram.regions[0].host, 0, region.size_bytes); /* no page faults later */
	err = driver_init(&p->drv, &p->ram,
		&(struct driver_cfg){
			.size = cfg->queue_size,
			.layout = cfg->packed ? DRIVER_PACKED : DRIVER_SPLIT,
			.event_idx = (p->features & EVENT_IDX) != 0,
			.table_entries = cfg->indirect ? cfg->chain : 0,
		});
	if (err != 0)
		return err;
	err = guest_ram_alloc(&p->ram, 0, buffers, BUFFER_ALIGN, &gpa);
	if (err != 0)
		return err;
	if (cfg->guards)
		guest_ram_fill(&p->ram, gpa, buffers, PLAYER_GUARD_VALUE);
	p->base_gpa = gpa + PLAYER_GUARD_BYTES;
	p->stride_bytes = stride_of(cfg);
	return 0;
}

static int build_chains(struct player *p)
{
	const struct player_cfg *cfg = &p->cfg;
	struct driver_buf *bufs = calloc(cfg->chain, sizeof(*bufs));
	int err = bufs == NULL ? -ENOMEM : 0;
	uint16_t id;

	for (unsigned slot = 0; err == 0 && slot < cfg->depth; slot++) {
		for (unsigned k = 0; k < cfg->chain; k++)
			bufs[k] = (struct driver_buf){
				.gpa = p->base_gpa +
				       ((uint64_t)slot * cfg->chain + k) * p->stride_bytes,
				.len_bytes = player_piece_bytes(p, k),
				.writable = true,
			};
		err = driver_build(
			&p->drv, bufs, cfg->chain, cfg->indirect ? 0 : cfg->chain, 0, &id);
		if (err != 0)
			break;
		p->slot_of[id] = (uint16_t)slot;
		p->idle[p->nr_idle++] = id;
	}
	free(bufs);
	if (err == 0)
		memcpy(p->laid_out, p->drv.desc, cfg->queue_size * sizeof(*p->laid_out));
	return err;
}

static int connect_backend(struct player *p, struct why *why)
{
	const struct player_cfg *cfg = &p->cfg;
	uint64_t want = (cfg->event_idx ? EVENT_IDX : 0) | (cfg->indirect ? INDIRECT_DESC : 0) |
			(cfg->packed ? RING_PACKED : 0);
	int err;

	if (cfg->socket_path == NULL) {
		p->features = want;
		return 0;
	}
	err = frontend_create(&(struct frontend_cfg){.socket_path = cfg->socket_path,
				      .timeout_ms = cfg->timeout_ms},
		&p->fe);
	if (err != 0)
		return fail(p, why, err, "cannot connect");
	err = frontend_negotiate(p->fe, want, &p->features);
	if (err != 0)
		return fail(p, why, err, "negotiation failed");
	if (cfg->indirect && (p->features & INDIRECT_DESC) == 0)
		return fail(p, why, -ENOTSUP, "--indirect");
	if (cfg->packed && (p->features & RING_PACKED) == 0)
		return fail(p, why, -ENOTSUP, "--layout packed");
	return 0;
}

int player_init(struct player *p, const struct player_cfg *cfg, struct why *why)
{
	int err;

	*p = (struct player){.cfg = *cfg, .active = true};
	guest_ram_init(&p->ram);
	p->idle = calloc(cfg->depth, sizeof(*p->idle));
	p->poison = calloc(cfg->depth, sizeof(*p->poison));
	p->slot_of = calloc(cfg->queue_size, sizeof(*p->slot_of));
	p->laid_out = calloc(cfg->queue_size, sizeof(*p->laid_out));
	p->latency = calloc(1, sizeof(*p->latency));
	if (p->idle == NULL || p->poison == NULL || p->slot_of == NULL || p->laid_out == NULL ||
		p->latency == NULL)
		return fail(p, why, -ENOMEM, "cannot start");
	err = connect_backend(p, why);
	if (err != 0)
		return err;
	err = make_memory(p);
	if (err == 0)
		err = build_chains(p);
	if (err != 0)
		return fail(p, why, err, "cannot make the guest's memory");
	if (p->fe == NULL) {
		p->self_next = driver_start_base(&p->drv);
		return 0;
	}
	err = frontend_set_memory(p->fe, &p->ram);
	if (err != 0)
		return fail(p, why, err, "cannot share the guest's memory");
	err = frontend_start_ring(p->fe, &p->drv, driver_start_base(&p->drv));
	if (err == 0)
		err = frontend_sync(p->fe);
	return err == 0 ? 0 : fail(p, why, err, "cannot start the queue");
}

int player_stop(struct player *p, struct why *why)
{
	int err = p->fe == NULL ? 0 : frontend_stop_ring(p->fe, NULL);

	return err == 0 ? 0 : fail(p, why, err, "cannot stop the queue");
}

void player_fini(struct player *p)
{
	frontend_destroy(p->fe);
	driver_fini(&p->drv);
	guest_ram_fini(&p->ram);
	free(p->idle);
	free(p->poison);
	free(p->slot_of);
	free(p->laid_out);
	free(p->latency);
	*p = (struct player){0};
}

/* One answer after the other: the driver's next one is the first, so it sees none too early. */
static void answer_packed(struct player *p)
{
	struct driver *drv = &p->drv;

	while (p->self_next != drv->avail_shown) {
		struct vring_packed_desc *d = driver_packed_at(drv, p->self_next);
		const struct driver_chain *chain = &drv->chains[d->id];

		*driver_packed_word(d) =
			chain->room_bytes | (uint64_t)d->id << 32 |
			(uint64_t)(VRING_DESC_F_WRITE | driver_packed_used(p->self_next)) << 48;
		p->self_next = driver_packed_pos(drv, p->self_next, chain->nr_desc);
	}
}

void player_self_answer(struct player *p)
{
	struct driver *drv = &p->drv;
	uint16_t to;

	if (drv->packed) {
		answer_packed(p);
		return;
	}
	to = drv->avail->idx;
	for (; p->self_next != to; p->self_next++) {
		uint16_t at = p->self_next & drv->mask;
		uint16_t id = drv->avail->ring[at];

		drv->used->ring[at] =
			(struct vring_used_elem){.id = id, .len = drv->chains[id].room_bytes};
	}
	__atomic_store_n(&drv->used->idx, to, __ATOMIC_RELEASE);
}
