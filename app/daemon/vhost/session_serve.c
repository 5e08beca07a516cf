/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/session_serve.h"

#include "lcore/caller.h"
#include "lcore/worker.h"
#include "log.h"
#include "placement.h"
#include "vhost/guard.h"
#include "vhost/listener.h"
#include "vhost/session_mem.h"

#include <rte_config.h>
#include <rte_vhost.h>

#include <inttypes.h>
#include <string.h>

static struct log_limit refusals, mended;

/* Who can be called without waiting: see caller.h. */
static void load_call(struct session *s, int fd)
{
	static struct log_limit calls;
	bool ok = fd < 0 || caller_can_call(fd);

	s->guest->call_fd = ok ? fd : -1;
	if (!ok && !s->call_refused)
		LOG_LIMITED(&calls, WARNING,
			"guest %s: its call descriptor is not an eventfd: it is served, but never "
			"called",
			s->guest->spec.name);
	s->call_refused = !ok;
}

/*
 * For dirty_log, when the guest is migrated. The log stays where it is as long as the guest is
 * attached: before_message().
 */
static void mark_dirty(void *arg, uint64_t gpa, uint64_t len_bytes)
{
	const struct guest *g = arg;

	rte_vhost_log_write(g->vid, gpa, len_bytes);
}

static const char *load_ring(struct session *s)
{
	struct guest *g = s->guest;
	int vid = s->vid;
	struct virtq_config cfg = {0};
	struct rte_vhost_vring vring;
	const char *why;
	uint64_t features;

	if (rte_vhost_get_negotiated_features(vid, &features) != 0 ||
		rte_vhost_get_vhost_vring(vid, REQUESTQ, &vring) != 0 ||
		rte_vhost_get_vring_base(vid, REQUESTQ, &cfg.last_avail, &cfg.last_used) != 0)
		return "no ring";
	if (vring.size > VIRTQ_SIZE_MAX)
		return "ring size is larger than 32768";
	cfg.size = (uint16_t)vring.size;
	cfg.desc = vring.desc;
	cfg.avail = vring.avail;
	cfg.used = vring.used;
	cfg.packed = features & FEATURE(VIRTIO_F_RING_PACKED);
	cfg.event_idx = features & FEATURE(VIRTIO_RING_F_EVENT_IDX);
	cfg.indirect = features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	g->vid = vid;
	if (features & FEATURE(VHOST_F_LOG_ALL) && s->log_ok) {
		session_mem_cover(vid, true, s->guard);
		g->log = (struct dirty_log){mark_dirty, g};
		cfg.log = &g->log;
	}
	if (rng_device_start(&g->dev, &cfg, &why) != 0)
		return why;
	if (cfg.packed && virtq_packed_find_base(&g->dev.vq))
		LOG_LIMITED(&mended, INFO,
			"guest %s: its packed ring goes on where the ring itself says, at "
			"descriptor %u: its front-end has lost the place",
			g->spec.name, g->dev.vq.cfg.last_avail & ~VIRTQ_WRAP);
	load_call(s, vring.callfd);
	kick_init(&g->kick, vring.kickfd);
	/* What was completed before may be unknown to the driver. */
	g->dev.call_owed = virtq_wants_call(&g->dev.vq);
	return NULL;
}

void session_refuse(struct session *s, const char *why)
{
	if (s->refused == NULL || strcmp(why, s->refused) != 0)
		LOG_LIMITED(
			&refusals, WARNING, "guest %s: not served: %s", s->guest->spec.name, why);
	s->refused = why;
}

void session_condemn(struct session *s, const char *why)
{
	if (!s->condemned)
		session_refuse(s, why);
	s->condemned = true;
}

void session_resume(struct session *s)
{
	struct guest *g = s->guest;
	const char *why;

	if (s->attached || !s->running || !s->enabled || !s->mem_ok || s->ring_broken ||
		s->condemned || guard_is_hit(s->guard) || g->session != s || g->removed)
		return;
	why = load_ring(s);
	if (why != NULL) {
		session_refuse(s, why);
		return;
	}
	s->refused = NULL;
	if (!s->placed)
		placement_choose(g);
	s->placed = true;
	g->guard = s->guard;
	s->attached = true;
	/* Before its first request can have been answered. */
	session_set_state(g, GUEST_SERVED);
	worker_attach(g->worker, g);
}

void session_suspend(struct session *s)
{
	struct guest *g = s->guest;
	const struct virtq_config *ring = &g->dev.vq.cfg;

	if (!s->attached)
		return;
	worker_detach(g->worker, g);
	session_set_state(g, GUEST_CONNECTED);
	s->attached = false;
	s->ring_broken = g->dev.vq.broken != NULL;
	/* The library answers GET_VRING_BASE with its own indices. */
	rte_vhost_set_vring_base(s->vid, REQUESTQ, ring->last_avail, ring->last_used);
}

void session_stop(struct session *s)
{
	session_suspend(s);
	s->running = false;
	s->ring_broken = false;
	s->refused = NULL;
}
