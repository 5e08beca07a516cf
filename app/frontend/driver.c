/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	drv->avail_next = drv->avail_judged = drv->used_next = start;
	if (drv->packed)
		driver_packed_reset(drv);
	else
		driver_split_reset(drv);
}

uint16_t driver_resume_base(const struct driver *drv)
{
	return drv->packed ? driver_packed_resume_base(drv) : driver_split_resume_base(drv);
}

static unsigned take_free(struct driver *drv)
{
	unsigned i = drv->free_head;

	drv->free_head = drv->next[i];
	drv->nr_free--;
	return i;
}

static void write_table(
	struct driver *drv, unsigned head, const struct driver_buf *bufs, unsigned nr_bufs)
{
	uint64_t len = table_bytes(&drv->cfg);
	void *table = guest_ram_at(drv->ram, drv->tables_gpa + head * len, len);

	if (drv->packed)
		driver_packed_write_table(table, bufs, nr_bufs);
	else
		driver_split_write_table(table, bufs, nr_bufs);
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
			driver_split_write_desc(&drv->desc[at], &bufs[i], last, drv->next[at]);
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

bool driver_calls_on(struct driver *drv)
{
	return drv->packed ? driver_packed_calls_on(drv) : driver_split_calls_on(drv);
}

void driver_calls_off(struct driver *drv)
{
	if (drv->packed)
		driver_packed_calls_off(drv);
	else
		driver_split_calls_off(drv);
}
