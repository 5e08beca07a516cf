/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VM_H
#define UNIT_VM_H

/*
 * A guest in memory for the tests of the ring and the device: regions between pages that fault, a
 * driver, and checks of what the guest's memory holds. What holds for both layouts of a ring is
 * tested with both: VM_BOTH() in a program's list of tests.
 *
 * The regions are a front one of any size, which holds the queue, and NR_DATA small ones after it,
 * neighbours in guest-physical space and scattered here, so that ranges cross from one to the next.
 */

#include "driver.h"
#include "driver_rude.h"
#include "guest_mem.h"
#include "unit.h"
#include "virtq.h"

#include <sys/mman.h>

#define VM_PAGE	    4096u
#define VM_NR_DATA  4
#define VM_DATA_GPA 0x40000000ull
#define VM_DATA_LEN ((uint64_t)VM_NR_DATA * VM_PAGE)
#define VM_POISON   0xa5

/* The layout of the rings that vm_init() makes. */
static enum driver_layout vm_layout;

static inline int vm_split(void **state)
{
	vm_layout = DRIVER_SPLIT;
	return 0;
}

static inline int vm_packed(void **state)
{
	vm_layout = DRIVER_PACKED;
	return 0;
}

#define VM_BOTH(f)                                       \
	{#f " (split)", f, vm_split, NULL, NULL},        \
	{                                                \
#f " (packed)", f, vm_packed, NULL, NULL \
	}

/** Can a chain of 'n_bufs' have 'n_direct' in the ring and the others in a table? */
static inline bool vm_can_mix(unsigned n_bufs, unsigned n_direct)
{
	return vm_layout == DRIVER_SPLIT || n_direct == 0 || n_direct == n_bufs;
}

/** 'n_direct' if that can be, else all. */
static inline unsigned vm_mix(unsigned n_bufs, unsigned n_direct)
{
	return vm_can_mix(n_bufs, n_direct) ? n_direct : n_bufs;
}

struct vm {
	struct guest_ram ram;
	struct guest_mem mem;
	struct driver drv;
	void *fenced[GUEST_RAM_MAX_REGIONS];
};

/* Move a region of guest memory here to where touching a byte before or behind it is a fault. */
static inline void *vm_fence(struct guest_ram_region *region)
{
	uint64_t size = region->size_bytes;
	uint8_t *room = mmap(NULL, size + 2 * VM_PAGE, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *host;

	assert_true(room != MAP_FAILED);
	host = mremap(region->host, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room + VM_PAGE);
	assert_ptr_equal(host, room + VM_PAGE);
	region->host = host;
	return room;
}

static inline void vm_add_region(struct vm *vm, uint64_t gpa, uint64_t size)
{
	unsigned n = vm->ram.nr_regions;

	assert_int_equal(guest_ram_add_memfd(&vm->ram, gpa, size), 0);
	vm->fenced[n] = vm_fence(&vm->ram.regions[n]);
}

/* Tell the back-end of all regions. */
static inline void vm_share(struct vm *vm)
{
	struct guest_region regions[GUEST_RAM_MAX_REGIONS];
	const char *why;

	for (unsigned i = 0; i < vm->ram.nr_regions; i++)
		regions[i] = (struct guest_region){vm->ram.regions[i].gpa,
			vm->ram.regions[i].size_bytes, vm->ram.regions[i].host};
	assert_int_equal(guest_mem_init(&vm->mem, regions, vm->ram.nr_regions, &why), 0);
}

/** Memory without a driver: 'front_size' bytes at 0, and the data regions. */
static inline void vm_init_memory(struct vm *vm, uint64_t front_size)
{
	memset(vm, 0, sizeof(*vm));
	guest_ram_init(&vm->ram);
	vm_add_region(vm, 0, front_size);
	for (unsigned i = 0; i < VM_NR_DATA; i++)
		vm_add_region(vm, VM_DATA_GPA + i * VM_PAGE, VM_PAGE);
	assert_int_equal(guest_ram_fill(&vm->ram, VM_DATA_GPA, VM_DATA_LEN, VM_POISON), 0);
	vm_share(vm);
}

/** A whole guest. The front region has what the queue and its tables need, and no more pages. */
static inline void vm_init(struct vm *vm, const struct driver_cfg *cfg)
{
	uint64_t per_entry = 16 + 2 + 8 + 16 * (uint64_t)cfg->table_entries;
	uint64_t bytes = cfg->size * per_entry + 4 * 64 + 16;
	struct driver_cfg mine = *cfg;

	mine.layout = vm_layout;
	vm_init_memory(vm, (bytes + VM_PAGE - 1) / VM_PAGE * VM_PAGE);
	assert_int_equal(driver_init(&vm->drv, &vm->ram, &mine), 0);
}

static inline void vm_fini(struct vm *vm)
{
	driver_fini(&vm->drv);
	for (unsigned i = 0; i < vm->ram.nr_regions; i++) {
		uint64_t size = vm->ram.regions[i].size_bytes;

		munmap(vm->fenced[i], VM_PAGE);
		munmap((uint8_t *)vm->fenced[i] + VM_PAGE + size, VM_PAGE);
	}
	guest_ram_fini(&vm->ram);
}

/** The ring of the driver, as a front-end would hand it to the back-end. */
static inline struct virtq_config vm_ring(struct vm *vm)
{
	struct virtq_config cfg = {
		.mem = &vm->mem,
		.size = (uint16_t)vm->drv.cfg.size,
		.desc = vm->drv.desc,
		.avail = vm->drv.avail,
		.used = vm->drv.used,
		.last_avail = driver_start_base(&vm->drv),
		.last_used = driver_start_base(&vm->drv),
		.packed = vm->drv.packed,
		.event_idx = vm->drv.cfg.event_idx,
		.indirect = true,
	};

	if (cfg.packed)
		cfg.ring = vm->drv.ring;
	return cfg;
}

/** Start a back-end on the driver's ring. */
static inline void vm_start(struct vm *vm, struct virtq *vq)
{
	struct virtq_config cfg = vm_ring(vm);
	const char *why;

	assert_int_equal(virtq_init(vq, &cfg, &why), 0);
	assert_null(why);
}

/** A writable buffer. */
static inline struct driver_buf vm_buf(uint64_t gpa, uint32_t len)
{
	return (struct driver_buf){gpa, len, true};
}

/** Offer a chain of one writable buffer. */
static inline void vm_offer(struct vm *vm, uint64_t gpa, uint32_t len)
{
	struct driver_buf buf = vm_buf(gpa, len);

	assert_int_equal(driver_add(&vm->drv, &buf, 1, 1, 0), 0);
}

/** The next answer must be there, be legal, and be this long. */
static inline void vm_take(struct vm *vm, uint32_t len)
{
	struct driver_used used = {0};

	assert_int_equal(driver_take(&vm->drv, &used), DRIVER_OK);
	assert_int_equal(used.len_bytes, len);
}

static inline void vm_take_none(struct vm *vm)
{
	struct driver_used used;

	assert_int_equal(driver_take(&vm->drv, &used), DRIVER_EMPTY);
}

/** A copy of all memory, for vm_assert_untouched(). */
static inline uint8_t *vm_copy(const struct vm *vm)
{
	uint64_t total = 0;
	uint8_t *copy, *to;

	for (unsigned i = 0; i < vm->ram.nr_regions; i++)
		total += vm->ram.regions[i].size_bytes;
	to = copy = malloc(total);
	assert_non_null(copy);
	for (unsigned i = 0; i < vm->ram.nr_regions; i++) {
		memcpy(to, vm->ram.regions[i].host, vm->ram.regions[i].size_bytes);
		to += vm->ram.regions[i].size_bytes;
	}
	return copy;
}

/** All memory must be as it was when it was copied. Frees the copy. */
static inline void vm_assert_untouched(const struct vm *vm, uint8_t *copy)
{
	const uint8_t *was = copy;

	for (unsigned i = 0; i < vm->ram.nr_regions; i++) {
		assert_memory_equal(vm->ram.regions[i].host, was, vm->ram.regions[i].size_bytes);
		was += vm->ram.regions[i].size_bytes;
	}
	free(copy);
}

/** Segment i of a burst: where it is. */
static inline uint8_t *seg_hva(const struct virtq_burst *burst, unsigned i)
{
	return burst->segs[i].iov_base;
}

/** Segment i of a burst: its bytes. */
static inline uint64_t seg_len(const struct virtq_burst *burst, unsigned i)
{
	return burst->segs[i].iov_len;
}

/** Write every segment of a burst in full, with one value. */
static inline void burst_fill(const struct virtq_burst *burst, uint8_t value)
{
	for (unsigned i = 0; i < burst->n_segs; i++)
		memset(seg_hva(burst, i), value, seg_len(burst, i));
}

/** The sum that a burst claims must be that of its segments, and none may be empty. */
static inline void burst_check(const struct virtq_burst *burst)
{
	uint64_t sum = 0;

	assert_true(burst->n_segs <= VIRTQ_BURST_SEGS);
	assert_true(burst->n_reqs <= VIRTQ_BURST_REQS + 1);
	for (unsigned i = 0; i < burst->n_segs; i++) {
		assert_int_not_equal(seg_len(burst, i), 0);
		sum += seg_len(burst, i);
	}
	assert_int_equal(sum, burst->bytes);
}

#endif
