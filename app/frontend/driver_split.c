/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

/* With event_idx "no calls" is a used_event that the device won't reach soon; it is renewed
 * each time this many answers were taken. */
#define CALLS_OFF_DISTANCE 0x8000
#define CALLS_OFF_RENEW	   0x4000

static uint16_t *used_event(const struct driver *drv)
{
	return &drv->avail->ring[drv->cfg.size];
}

void driver_split_reset(struct driver *drv)
{
	drv->avail->idx = drv->used->idx = *used_event(drv) = drv->used_next;
	drv->used_seen = drv->used_next;
	drv->calls_off = false;
}

uint16_t driver_split_resume_base(const struct driver *drv)
{
	return __atomic_load_n(&drv->used->idx, __ATOMIC_ACQUIRE);
}

void driver_split_write_desc(
	struct vring_desc *desc, const struct driver_buf *buf, bool last, uint16_t next)
{
	desc->addr = buf->gpa;
	desc->len = buf->len_bytes;
	desc->flags = (buf->writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT);
	desc->next = last ? 0 : next;
}

void driver_split_write_table(
	struct vring_desc *table, const struct driver_buf *bufs, unsigned nr_bufs)
{
	for (unsigned i = 0; i < nr_bufs; i++)
		driver_split_write_desc(&table[i], &bufs[i], i + 1 == nr_bufs, (uint16_t)(i + 1));
}

static void put_calls_off(struct driver *drv)
{
	drv->calls_off_from = drv->used_next;
	__atomic_store_n(
		used_event(drv), (uint16_t)(drv->used_next + CALLS_OFF_DISTANCE), __ATOMIC_RELAXED);
}

bool driver_split_calls_on(struct driver *drv)
{
	drv->calls_off = false;
	__atomic_store_n(&drv->avail->flags, 0, __ATOMIC_RELAXED);
	if (drv->event_idx)
		__atomic_store_n(used_event(drv), drv->used_next, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&drv->used->idx, __ATOMIC_ACQUIRE) != drv->used_next;
}

void driver_split_calls_off(struct driver *drv)
{
	drv->calls_off = true;
	if (drv->event_idx)
		put_calls_off(drv); /* flags must stay 0 then: virtio 1.3 §2.7.7.1 */
	else
		__atomic_store_n(&drv->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

enum driver_result driver_split_look_far(struct driver *drv)
{
	uint16_t idx = __atomic_load_n(&drv->used->idx, __ATOMIC_ACQUIRE);
	uint16_t progress = (uint16_t)(idx - drv->used_next);

	if (progress == 0)
		return DRIVER_EMPTY;
	if (progress > drv->nr_offered)
		return DRIVER_BAD_PROGRESS;
	if (drv->calls_off && drv->event_idx &&
		(uint16_t)(drv->used_next - drv->calls_off_from) >= CALLS_OFF_RENEW)
		put_calls_off(drv);
	drv->used_seen = idx;
	return DRIVER_OK;
}
