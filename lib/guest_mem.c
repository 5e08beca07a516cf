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
		const struct guest_region *r = &mem->regions[i];
		uint64_t offset = gpa - r->gpa;

		if (offset >= r->size)
			continue;
		mem->last_hit = i;
		if (*len_bytes > r->size - offset)
			*len_bytes = r->size - offset;
		return r->hva + offset;
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

bool guest_mem_has_hva(const struct guest_mem *mem, const void *hva, size_t len_bytes)
{
	for (unsigned i = 0; i < mem->n_regions; i++) {
		const struct guest_region *r = &mem->regions[i];
		uintptr_t offset = (uintptr_t)hva - (uintptr_t)r->hva;

		if (offset < r->size && len_bytes <= r->size - offset)
			return true;
	}
	return false;
}

bool guest_mem_gpa(const struct guest_mem *mem, const void *hva, uint64_t *gpa)
{
	for (unsigned i = 0; i < mem->n_regions; i++) {
		const struct guest_region *r = &mem->regions[i];
		uintptr_t offset = (uintptr_t)hva - (uintptr_t)r->hva;

		if (offset < r->size) {
			*gpa = r->gpa + offset;
			return true;
		}
	}
	return false;
}
