/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The driver's half of a split virtqueue (virtio 1.3 §2.7). driver.h includes this and has the
 * words for callers.
 */
#ifndef FRONTEND_DRIVER_SPLIT_H
#define FRONTEND_DRIVER_SPLIT_H

#include "driver.h"

/** Slow half of driver_split_take(): nothing is known behind drv->used_next. Not for callers. */
enum driver_result driver_split_look_far(struct driver *drv);

/** @param next  drv->avail_next, or a copy that becomes it */
static inline void driver_split_offer(struct driver *drv, uint16_t *next, uint16_t id)
{
	drv->avail->ring[(*next)++ & drv->mask] = id;
}

static inline void driver_split_publish(struct driver *drv)
{
	__atomic_store_n(&drv->avail->idx, drv->avail_next, __ATOMIC_RELEASE);
}

/** @param from  what was published after this index is what it is about */
static inline bool driver_split_kick_needed(const struct driver *drv, uint16_t from)
{
	const struct vring_used *used = drv->used;

	if (drv->event_idx) {
		uint16_t event = __atomic_load_n(
			(const uint16_t *)&used->ring[drv->cfg.size], __ATOMIC_RELAXED);

		return vring_need_event(event, drv->avail_next, from) != 0;
	}
	return from != drv->avail_next &&
	       (__atomic_load_n(&used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY) == 0;
}

/** The next answer, at *next, is taken. */
static inline enum driver_result driver_split_take(
	struct driver *drv, uint16_t *next, uint32_t *id, uint32_t *len_bytes)
{
	const struct vring_used_elem *elem;

	if (*next == drv->used_seen) {
		enum driver_result result;

		drv->used_next = *next;
		result = driver_split_look_far(drv);
		if (result != DRIVER_OK)
			return result;
	}
	elem = &drv->used->ring[(*next)++ & drv->mask];
	*id = __atomic_load_n(&elem->id, __ATOMIC_RELAXED);
	*len_bytes = __atomic_load_n(&elem->len, __ATOMIC_RELAXED);
	return DRIVER_OK;
}

/* The rest of driver.c's functions, for a split ring. */
void driver_split_reset(struct driver *drv);
uint16_t driver_split_resume_base(const struct driver *drv);
void driver_split_write_desc(
	struct vring_desc *desc, const struct driver_buf *buf, bool last, uint16_t next);
void driver_split_write_table(
	struct vring_desc *table, const struct driver_buf *bufs, unsigned nr_bufs);
bool driver_split_calls_on(struct driver *drv);
void driver_split_calls_off(struct driver *drv);

#endif
