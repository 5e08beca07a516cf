/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest_mem.h"

#include <errno.h>
#include <string.h>

static bool overlap(const struct guest_region *a, const struct guest_region *b)
{
	/* Neither wraps: checked before. */
	return a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

static const char *flaw(const struct guest_region *regions, unsigned n)
{
	if (n == 0)
		return "no memory regions";
	if (n > GUEST_MEM_REGIONS_MAX)
		return "more than 8 memory regions";
	for (unsigned i = 0; i < n; i++) {
		const struct guest_region *r = &regions[i];

		if (r->size == 0 || r->hva == NULL)
			return "an empty memory region";
		if (r->size > UINT64_MAX - r->gpa || r->size > UINTPTR_MAX - (uintptr_t)r->hva)
			return "a memory region that wraps around the address space";
		for (unsigned j = 0; j < i; j++)
			if (overlap(r, &regions[j]))
				return "memory regions that overlap";
	}
	return NULL;
}

int guest_mem_init(struct guest_mem *mem, const struct guest_region *regions, unsigned n_regions,
	const char **why)
{
	memset(mem, 0, sizeof(*mem));
	*why = flaw(regions, n_regions);
	if (*why != NULL)
		return -EINVAL;
	memcpy(mem->regions, regions, n_regions * sizeof(regions[0]));
	mem->n_regions = n_regions;
	return 0;
}

uint8_t *guest_mem_translate_slow(struct guest_mem *mem, uint64_t gpa, uint64_t *len_bytes)
{
	for (unsigned i = 0; i < mem->n_regions; i++) {
		if (gpa - mem->regions[i].gpa < mem->regions[i].size) {
			mem->last_hit = i;
			return guest_mem_translate(mem, gpa, len_bytes); /* at once, this time */
		}
	}
	return NULL;
}

int guest_mem_read(struct guest_mem *mem, uint64_t gpa, void *dst, size_t len_bytes)
{
	uint8_t *out = dst;

	while (len_bytes > 0) {
		uint64_t n = len_bytes;
		const uint8_t *src = guest_mem_translate(mem, gpa, &n);

		if (src == NULL)
			return -EFAULT;
		memcpy(out, src, n);
		out += n;
		len_bytes -= n;
		gpa += n; /* may wrap to 0: then the look-up decides */
	}
	return 0;
}

/* The region that 'hva' is mapped in, and how far from its start; NULL: none. */
static const struct guest_region *region_at(
	const struct guest_mem *mem, const void *hva, uintptr_t *offset)
{
	for (unsigned i = 0; i < mem->n_regions; i++) {
		*offset = (uintptr_t)hva - (uintptr_t)mem->regions[i].hva;
		if (*offset < mem->regions[i].size)
			return &mem->regions[i];
	}
	return NULL;
}

bool guest_mem_has_hva(const struct guest_mem *mem, const void *hva, size_t len_bytes)
{
	uintptr_t offset;
	const struct guest_region *r = region_at(mem, hva, &offset);

	return r != NULL && len_bytes <= r->size - offset;
}

bool guest_mem_gpa(const struct guest_mem *mem, const void *hva, uint64_t *gpa)
{
	uintptr_t offset;
	const struct guest_region *r = region_at(mem, hva, &offset);

	if (r != NULL)
		*gpa = r->gpa + offset;
	return r != NULL;
}
