/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* With event_idx "no calls" is a used_event that the device won't reach soon; it is renewed
 * each time this many answers were taken. */
#define CALLS_OFF_DISTANCE 0x8000
#define CALLS_OFF_RENEW	   0x4000

static uint64_t desc_bytes(unsigned size)
{
	return (uint64_t)size * sizeof(struct vring_desc);
}

static uint64_t driver_bytes(const struct driver_cfg *cfg)
{
	if (cfg->layout == DRIVER_PACKED)
		return sizeof(struct vring_packed_desc_event);
	return sizeof(struct vring_avail) + (uint64_t)cfg->size * sizeof(uint16_t) +
	       sizeof(uint16_t);
}

static uint64_t device_bytes(const struct driver_cfg *cfg)
{
	if (cfg->layout == DRIVER_PACKED)
		return sizeof(struct vring_packed_desc_event);
	return sizeof(struct vring_used) + (uint64_t)cfg->size * sizeof(struct vring_used_elem) +
	       sizeof(uint16_t);
}

static uint64_t table_bytes(const struct driver_cfg *cfg)
{
	return (uint64_t)cfg->table_entries * sizeof(struct vring_desc);
}

static uint16_t *used_event(const struct driver *drv)
{
	return &drv->avail->ring[drv->cfg.size];
}

void driver_remap(struct driver *drv)
{
	const struct driver_cfg *cfg = &drv->cfg;
	void *desc = guest_ram_at(drv->ram, drv->desc_gpa, desc_bytes(cfg->size));

	if (drv->packed)
		drv->ring = desc;
	else
		drv->desc = desc;
	drv->avail = guest_ram_at(drv->ram, drv->driver_gpa, driver_bytes(cfg));
	drv->used = guest_ram_at(drv->ram, drv->device_gpa, device_bytes(cfg));
	assert(desc != NULL && drv->avail != NULL && drv->used != NULL);
}

/* The three areas get cache lines of their own, as a guest's allocator gives them pages. */
static int alloc_areas(struct driver *drv, struct guest_ram *ram)
{
	const struct driver_cfg *cfg = &drv->cfg;
	unsigned size = cfg->size, region = cfg->region;

	if (guest_ram_alloc(ram, region, desc_bytes(size), 64, &drv->desc_gpa) != 0 ||
		guest_ram_alloc(ram, region, driver_bytes(cfg), 64, &drv->driver_gpa) != 0 ||
		guest_ram_alloc(ram, region, device_bytes(cfg), 64, &drv->device_gpa) != 0 ||
		guest_ram_alloc(ram, region, table_bytes(cfg) * size, 64, &drv->tables_gpa) != 0)
		return -ENOMEM;
	return 0;
}

static bool is_size(const struct driver_cfg *cfg)
{
	if (cfg->size == 0 || cfg->size > DRIVER_SIZE_MAX)
		return false;
	return cfg->layout == DRIVER_PACKED || (cfg->size & (cfg->size - 1)) == 0;
}

int driver_init(struct driver *drv, struct guest_ram *ram, const struct driver_cfg *cfg)
{
	int err;

	*drv = (struct driver){
		.ram = ram,
		.cfg = *cfg,
		.packed = cfg->layout == DRIVER_PACKED,
		.event_idx = cfg->event_idx,
	};
	if (!is_size(cfg) || cfg->region >= ram->nr_regions)
		return -EINVAL;
	err = alloc_areas(drv, ram);
	if (err != 0)
		return err;
	drv->mask = (uint16_t)(cfg->size - 1);
	drv->chains = calloc(cfg->size, sizeof(*drv->chains));
	drv->next = calloc(cfg->size, sizeof(*drv->next));
	if (drv->packed)
		drv->desc = calloc(cfg->size, sizeof(*drv->desc));
	if (drv->chains == NULL || drv->next == NULL || (drv->packed && drv->desc == NULL)) {
		driver_fini(drv);
		return -ENOMEM;
	}
	driver_remap(drv);
	driver_reset(drv);
	return 0;
}

void driver_fini(struct driver *drv)
{
	free(drv->chains);
	free(drv->next);
	if (drv->packed)
		free(drv->desc);
	drv->chains = NULL;
	drv->next = NULL;
	drv->desc = NULL;
}

uint16_t driver_start_base(const struct driver *drv)
{
	uint16_t start = drv->cfg.start_idx;
	unsigned lap = start / drv->cfg.size;

	if (!drv->packed)
		return start;
	return (uint16_t)(start % drv->cfg.size | (lap % 2 == 0 ? DRIVER_WRAP : 0));
}

void driver_reset(struct driver *drv)
{
	const struct driver_cfg *cfg = &drv->cfg;
	unsigned size = cfg->size;
	uint16_t start = driver_start_base(drv);

	memset(drv->desc, 0, desc_bytes(size));
	memset(drv->avail, 0, driver_bytes(cfg));
	memset(drv->used, 0, device_bytes(cfg));
	memset(drv->chains, 0, size * sizeof(*drv->chains));
	for (unsigned i = 0; i < size; i++)
		drv->next[i] = (uint16_t)(i + 1);
	drv->free_head = 0;
	drv->nr_free = size;
	drv->nr_offered = 0;
	drv->avail_next = drv->avail_judged = drv->used_next = drv->used_seen = start;
	drv->calls_off = false;
	if (drv->packed) {
		driver_packed_reset(drv);
		return;
	}
	drv->avail->idx = start;
	drv->used->idx = start;
	*used_event(drv) = start;
}

uint16_t driver_resume_base(const struct driver *drv)
{
	if (drv->packed)
		return driver_packed_resume_base(drv);
	return __atomic_load_n(&drv->used->idx, __ATOMIC_ACQUIRE);
}

static unsigned take_free(struct driver *drv)
{
	unsigned i = drv->free_head;

	drv->free_head = drv->next[i];
	drv->nr_free--;
	return i;
}

static void write_desc(
	struct vring_desc *desc, const struct driver_buf *buf, bool last, uint16_t next)
{
	desc->addr = buf->gpa;
	desc->len = buf->len_bytes;
	desc->flags = (buf->writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT);
	desc->next = last ? 0 : next;
}

static void write_table(
	struct driver *drv, unsigned head, const struct driver_buf *bufs, unsigned nr_bufs)
{
	uint64_t len = table_bytes(&drv->cfg);
	void *table = guest_ram_at(drv->ram, drv->tables_gpa + head * len, len);
	struct vring_desc *desc = table;

	if (drv->packed) {
		driver_packed_write_table(table, bufs, nr_bufs);
		return;
	}
	for (unsigned i = 0; i < nr_bufs; i++)
		write_desc(&desc[i], &bufs[i], i + 1 == nr_bufs, (uint16_t)(i + 1));
}

static uint32_t room_of(const struct driver_buf *bufs, unsigned nr_bufs)
{
	uint64_t room = 0;

	for (unsigned i = 0; i < nr_bufs; i++)
		room += bufs[i].writable ? bufs[i].len_bytes : 0;
	return room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
}

int driver_build(struct driver *drv, const struct driver_buf *bufs, unsigned nr_bufs,
	unsigned nr_direct, uint64_t cookie, uint16_t *id)
{
	unsigned nr_desc = nr_direct + (nr_direct < nr_bufs ? 1 : 0);
	unsigned head = drv->free_head;

	if (nr_bufs == 0 || nr_direct > nr_bufs)
		return -EINVAL;
	if (drv->packed && nr_direct != 0 && nr_direct != nr_bufs)
		return -EINVAL;
	if (nr_bufs - nr_direct > drv->cfg.table_entries)
		return -E2BIG;
	if (nr_desc > drv->nr_free)
		return -ENOSPC;
	for (unsigned i = 0; i < nr_desc; i++) {
		bool last = i + 1 == nr_desc;
		unsigned at = take_free(drv);

		if (i < nr_direct) {
			write_desc(&drv->desc[at], &bufs[i], last, drv->next[at]);
			continue;
		}
		write_table(drv, head, &bufs[i], nr_bufs - i);
		drv->desc[at] = (struct vring_desc){
			.addr = drv->tables_gpa + head * table_bytes(&drv->cfg),
			.len = (nr_bufs - i) * (uint32_t)sizeof(struct vring_desc),
			.flags = VRING_DESC_F_INDIRECT,
		};
	}
	drv->chains[head] = (struct driver_chain){
		.cookie = cookie,
		.room_bytes = room_of(bufs, nr_bufs),
		.nr_desc = (uint16_t)nr_desc,
		.state = DRIVER_CHAIN_BUILT,
	};
	*id = (uint16_t)head;
	return 0;
}

void driver_release(struct driver *drv, uint16_t id)
{
	struct driver_chain *chain = &drv->chains[id];
	unsigned last = id;

	assert(chain->state == DRIVER_CHAIN_BUILT);
	for (unsigned i = 1; i < chain->nr_desc; i++)
		last = drv->next[last];
	drv->next[last] = (uint16_t)drv->free_head;
	drv->free_head = id;
	drv->nr_free += chain->nr_desc;
	*chain = (struct driver_chain){0};
}

int driver_add(struct driver *drv, const struct driver_buf *bufs, unsigned nr_bufs,
	unsigned nr_direct, uint64_t cookie)
{
	uint16_t id;
	int err = driver_build(drv, bufs, nr_bufs, nr_direct, cookie, &id);

	if (err != 0)
		return err;
	drv->chains[id].once = true;
	driver_offer(drv, id);
	return 0;
}

static void put_calls_off(struct driver *drv)
{
	drv->calls_off_from = drv->used_next;
	__atomic_store_n(
		used_event(drv), (uint16_t)(drv->used_next + CALLS_OFF_DISTANCE), __ATOMIC_RELAXED);
}

bool driver_calls_on(struct driver *drv)
{
	drv->calls_off = false;
	if (drv->packed)
		return driver_packed_calls_on(drv);
	__atomic_store_n(&drv->avail->flags, 0, __ATOMIC_RELAXED);
	if (drv->event_idx)
		__atomic_store_n(used_event(drv), drv->used_next, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&drv->used->idx, __ATOMIC_ACQUIRE) != drv->used_next;
}

void driver_calls_off(struct driver *drv)
{
	drv->calls_off = true;
	if (drv->packed)
		driver_packed_calls_off(drv);
	else if (drv->event_idx)
		put_calls_off(drv); /* flags must stay 0 then: virtio 1.3 §2.7.7.1 */
	else
		__atomic_store_n(&drv->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

enum driver_result driver_look(struct driver *drv)
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
