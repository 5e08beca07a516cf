/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_GUEST_MEM_H
#define VRNG_GUEST_MEM_H

/*
 * A guest's memory as the back-end sees it: up to eight regions, each a range of guest-physical
 * addresses mapped somewhere in this process.
 *
 * Security model: every address and length that is looked up comes from a guest and may be any
 * 64-bit number. A look-up yields only memory inside a region, never wraps, and says how many
 * contiguous bytes there are; whoever wants more looks up again at the next address. The regions
 * themselves come from the front-end and are checked once, in guest_mem_init().
 *
 * Thread safety: none. One thread uses a guest_mem at a time, the look-up cache included.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** As many as a vhost-user memory table carries (VHOST_MEMORY_BASELINE_NREGIONS). */
#define GUEST_MEM_REGIONS_MAX 8

struct guest_region {
	uint64_t gpa;  /* guest-physical address of the first byte */
	uint64_t size; /* bytes */
	uint8_t *hva;  /* where that byte is mapped here */
};

struct guest_mem {
	unsigned n_regions;
	unsigned last_hit; /* the region that the last look-up found */
	struct guest_region regions[GUEST_MEM_REGIONS_MAX];
};

/**
 * Take over a memory table.
 *
 * @param why  set to what is wrong with the table when it is refused
 * @return     0; -EINVAL when there are no regions or too many, or one is empty, wraps around the
 *             address space or overlaps another: 'mem' then has no regions
 */
int guest_mem_init(struct guest_mem *mem, const struct guest_region *regions, unsigned n_regions,
	const char **why);

/** guest_mem_translate() when the cached region does not hold 'gpa'. */
uint8_t *guest_mem_translate_slow(struct guest_mem *mem, uint64_t gpa, uint64_t *len_bytes);

/**
 * Where a guest-physical range is mapped.
 *
 * @param len_bytes  in: bytes wanted; out: bytes that are contiguous from the result on,
 *                   1..wanted (0 when 0 were wanted)
 * @return           NULL when 'gpa' is in no region
 */
static inline uint8_t *guest_mem_translate(struct guest_mem *mem, uint64_t gpa, uint64_t *len_bytes)
{
	const struct guest_region *r = &mem->regions[mem->last_hit];
	uint64_t offset = gpa - r->gpa; /* huge when gpa is below the region */

	if (__builtin_expect(offset < r->size, 1)) {
		if (*len_bytes > r->size - offset)
			*len_bytes = r->size - offset;
		return r->hva + offset;
	}
	return guest_mem_translate_slow(mem, gpa, len_bytes);
}

/**
 * Copy out of guest memory, across regions where need be.
 *
 * @return  0; -EFAULT when any byte of the range is not mapped ('dst' is then undefined)
 */
int guest_mem_read(struct guest_mem *mem, uint64_t gpa, void *dst, size_t len_bytes);

/** Is the host range [hva, hva + len_bytes) inside one region? */
bool guest_mem_has_hva(const struct guest_mem *mem, const void *hva, size_t len_bytes);

/** The guest-physical address of what is mapped at 'hva'. @return false: no region is there */
bool guest_mem_gpa(const struct guest_mem *mem, const void *hva, uint64_t *gpa);

#endif
