/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What a hostile or broken driver does to a virtqueue: one lie per function, on top of a struct
 * driver. Used by tests and fuzzers; nothing polite calls these.
 *
 * After a lie the driver's own bookkeeping may not fit the ring any more, so answers can come back
 * as DRIVER_BAD_ID or DRIVER_BAD_PROGRESS; driver_reset() makes an honest queue of it again.
 */
#ifndef FRONTEND_DRIVER_RUDE_H
#define FRONTEND_DRIVER_RUDE_H

#include "driver.h"

/**
 * Descriptor 'i' of the queue's table, to write whatever into. 'i' must be below the size. Packed:
 * of what chains are copied from when they are offered.
 */
static inline struct vring_desc *driver_rude_desc(struct driver *drv, unsigned i)
{
	return &drv->desc[i % drv->cfg.size];
}

/**
 * The indirect table that belongs to the chain that starts at 'id'; NULL if there are none. In the
 * layout of the queue: struct vring_desc or struct vring_packed_desc.
 */
static inline void *driver_rude_table(struct driver *drv, uint16_t id)
{
	uint64_t len = (uint64_t)drv->cfg.table_entries * sizeof(struct vring_desc);

	return len == 0 ? NULL : guest_ram_at(drv->ram, drv->tables_gpa + id * len, len);
}

/* Split only */

/** Put any number on the avail ring as a chain's head. */
static inline void driver_rude_push(struct driver *drv, uint16_t head)
{
	drv->avail->ring[drv->avail_next & drv->mask] = head;
	drv->avail_next++;
}

/** Publish an avail index that is 'delta' beyond the truth. */
static inline void driver_rude_jump(struct driver *drv, uint16_t delta)
{
	__atomic_store_n(&drv->avail->idx, (uint16_t)(drv->avail_next + delta), __ATOMIC_RELEASE);
}

/** Write into the device's own area: the used index. */
static inline void driver_rude_used_idx(struct driver *drv, uint16_t idx)
{
	__atomic_store_n(&drv->used->idx, idx, __ATOMIC_RELEASE);
}

/** Any value in the avail ring's flags and used_event. */
static inline void driver_rude_events(struct driver *drv, uint16_t flags, uint16_t used_event)
{
	__atomic_store_n(&drv->avail->flags, flags, __ATOMIC_RELAXED);
	__atomic_store_n(&drv->avail->ring[drv->cfg.size], used_event, __ATOMIC_RELEASE);
}

/* Packed only */

/** Put any descriptor on the ring, with the flags that make it available besides its own. */
static inline void driver_rude_put(struct driver *drv, const struct vring_packed_desc *d)
{
	driver_packed_put(drv, &drv->avail_next, d->addr, d->len, d->id, d->flags);
}

/** Any value in the driver's event suppression structure. */
static inline void driver_rude_packed_events(struct driver *drv, uint16_t off_wrap, uint16_t flags)
{
	__atomic_store_n(&drv->driver_event->off_wrap, off_wrap, __ATOMIC_RELAXED);
	__atomic_store_n(&drv->driver_event->flags, flags, __ATOMIC_RELEASE);
}

#endif
