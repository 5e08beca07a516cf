/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/session_mem.h"

#include <rte_config.h>
#include <rte_vhost.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What the library has mapped now can be taken away: make that hard, and survive it. */
void session_mem_cover(int vid, bool log, struct guard *guard)
{
	struct guard_area areas[GUARD_AREAS_MAX];
	struct rte_vhost_memory *table;
	uint64_t log_base, log_bytes;
	unsigned n = 0;

	if (rte_vhost_get_mem_table(vid, &table) != 0)
		return;
	for (; n < table->nregions && n < GUEST_MEM_REGIONS_MAX; n++) {
		const struct rte_vhost_mem_region *r = &table->regions[n];

		areas[n] = (struct guard_area){(uintptr_t)r->mmap_addr, r->mmap_size};
		/* Refused by what is no memfd, or was not made to be sealed: that is fine, too. */
		fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK);
	}
	if (log && rte_vhost_get_log_base(vid, &log_base, &log_bytes) == 0)
		areas[n++] = (struct guard_area){(uintptr_t)log_base, log_bytes};
	guard_cover(guard, areas, n);
	free(table);
}

const char *session_mem_load(int vid, struct guest_mem *mem)
{
	struct guest_region regions[GUEST_MEM_REGIONS_MAX];
	struct rte_vhost_memory *table;
	const char *why = NULL;

	if (rte_vhost_get_mem_table(vid, &table) != 0)
		return "no memory table";
	if (table->nregions > GUEST_MEM_REGIONS_MAX)
		why = "more than 8 memory regions";
	for (uint32_t i = 0; why == NULL && i < table->nregions; i++) {
		const struct rte_vhost_mem_region *r = &table->regions[i];
		uint64_t offset = r->host_user_addr - (uint64_t)(uintptr_t)r->mmap_addr;
		struct stat st;

		/* Beyond the end of its file a mapping is there, and touching it is fatal. */
		if (fstat(r->fd, &st) != 0 || st.st_size < 0 || offset > (uint64_t)st.st_size ||
			r->size > (uint64_t)st.st_size - offset)
			why = "a memory region larger than its file";
		regions[i] = (struct guest_region){
			.gpa = r->guest_phys_addr,
			.size = r->size,
			.hva = (uint8_t *)(uintptr_t)r->host_user_addr,
		};
	}
	if (why == NULL)
		guest_mem_init(mem, regions, table->nregions, &why);
	free(table);
	return why;
}
