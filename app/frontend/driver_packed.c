/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <string.h>

/* All that is before the start was used in this lap, and the rest in the last one. */
void driver_packed_reset(struct driver *drv)
{
	uint16_t start = drv->used_next;

	memset(drv->ring, 0, drv->cfg.size * sizeof(*drv->ring));
	for (unsigned i = 0; i < drv->cfg.size; i++) {
		uint16_t lap = i < (start & ~DRIVER_WRAP) ? start : start ^ DRIVER_WRAP;

		drv->ring[i].flags = driver_packed_used(lap);
	}
	drv->avail_shown = start;
}

uint16_t driver_packed_resume_base(const struct driver *drv)
{
	uint16_t pos = drv->used_next;

	for (unsigned n = drv->nr_offered; n > 0; n--) {
		uint32_t id, len_bytes;

		if (driver_packed_look(drv, pos, &id, &len_bytes) != DRIVER_OK ||
			id >= drv->cfg.size)
			break;
		pos = driver_packed_pos(drv, pos, drv->chains[id].nr_desc);
	}
	return pos;
}

void driver_packed_write_table(
	struct vring_packed_desc *table, const struct driver_buf *bufs, unsigned nr_bufs)
{
	for (unsigned i = 0; i < nr_bufs; i++)
		table[i] = (struct vring_packed_desc){
			.addr = bufs[i].gpa,
			.len = bufs[i].len_bytes,
			.flags = bufs[i].writable ? VRING_DESC_F_WRITE : 0,
		};
}

static void wish(struct driver *drv, uint16_t flags)
{
	__atomic_store_n(&drv->driver_event->flags, flags, __ATOMIC_RELEASE);
}

bool driver_packed_calls_on(struct driver *drv)
{
	uint32_t id, len_bytes;

	if (drv->event_idx) {
		__atomic_store_n(&drv->driver_event->off_wrap, drv->used_next, __ATOMIC_RELAXED);
		wish(drv, VRING_PACKED_EVENT_FLAG_DESC);
	} else {
		wish(drv, VRING_PACKED_EVENT_FLAG_ENABLE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return driver_packed_look(drv, drv->used_next, &id, &len_bytes) != DRIVER_EMPTY;
}

void driver_packed_calls_off(struct driver *drv)
{
	wish(drv, VRING_PACKED_EVENT_FLAG_DISABLE);
}
