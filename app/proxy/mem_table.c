/* SPDX-License-Identifier: BSD-3-Clause */
#include "mem_table.h"

#include "fd_kind.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static bool sum_overflows(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b;
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check_numbers(const struct vhost_user_region *r, unsigned index, struct why *why)
{
	if (r->size_bytes == 0)
		return why_set(why, -EINVAL, "region %u has size 0", index);
	if (sum_overflows(r->gpa, r->size_bytes))
		return why_set(why, -EINVAL,
			"region %u: guest address %#" PRIx64 " plus size %#" PRIx64 " overflows",
			index, r->gpa, r->size_bytes);
	if (sum_overflows(r->user_addr, r->size_bytes))
		return why_set(why, -EINVAL,
			"region %u: user address %#" PRIx64 " plus size %#" PRIx64 " overflows",
			index, r->user_addr, r->size_bytes);
	if (sum_overflows(r->fd_offset, r->size_bytes))
		return why_set(why, -EINVAL,
			"region %u: file offset %#" PRIx64 " plus size %#" PRIx64 " overflows",
			index, r->fd_offset, r->size_bytes);
	return 0;
}

static int check_overlap(const struct vhost_user_mem_table *table, unsigned index, struct why *why)
{
	const struct vhost_user_region *r = &table->regions[index];

	for (unsigned i = 0; i < index; i++) {
		const struct vhost_user_region *other = &table->regions[i];

		if (ranges_overlap(r->gpa, r->size_bytes, other->gpa, other->size_bytes))
			return why_set(why, -EINVAL,
				"regions %u and %u overlap at guest address %#" PRIx64, i, index,
				r->gpa > other->gpa ? r->gpa : other->gpa);
		if (ranges_overlap(
			    r->user_addr, r->size_bytes, other->user_addr, other->size_bytes))
			return why_set(why, -EINVAL,
				"regions %u and %u overlap at user address %#" PRIx64, i, index,
				r->user_addr > other->user_addr ? r->user_addr : other->user_addr);
	}
	return 0;
}

static int check_file(
	const struct vhost_user_region *r, unsigned index, int fd, bool any_file, struct why *why)
{
	int err = fd_check_memory(fd, any_file);
	struct stat st;

	if (err == -EACCES)
		return why_set(why, -EINVAL,
			"region %u: its file is not open for reading and writing", index);
	if (err != 0)
		return why_set(why, -EINVAL,
			"region %u: its file is neither shmem (memfd, tmpfs) nor hugetlbfs", index);
	if (fstat(fd, &st) != 0 || st.st_size < 0)
		return why_set(
			why, -EINVAL, "region %u: size of its file: %s", index, strerror(errno));
	if (r->fd_offset + r->size_bytes > (uint64_t)st.st_size)
		return why_set(why, -EINVAL,
			"region %u ends at offset %#" PRIx64 " of a file of %#" PRIx64 " bytes",
			index, r->fd_offset + r->size_bytes, (uint64_t)st.st_size);
	return 0;
}

int mem_table_check(const struct vhost_user_mem_table *table, const int *fds, unsigned n_fds,
	bool any_file, struct why *why)
{
	if (table->nr_regions > VHOST_USER_MAX_REGIONS)
		return why_set(why, -EINVAL, "%u memory regions; at most %u are supported",
			table->nr_regions, VHOST_USER_MAX_REGIONS);
	if (n_fds != table->nr_regions)
		return why_set(why, -EINVAL, "%u descriptors for %u memory regions", n_fds,
			table->nr_regions);
	for (unsigned i = 0; i < table->nr_regions; i++) {
		const struct vhost_user_region *r = &table->regions[i];
		int err = check_numbers(r, i, why);

		if (err == 0)
			err = check_overlap(table, i, why);
		if (err == 0)
			err = check_file(r, i, fds[i], any_file, why);
		if (err != 0)
			return err;
	}
	return 0;
}

bool mem_table_same_layout(
	const struct vhost_user_mem_table *a, const struct vhost_user_mem_table *b)
{
	if (a->nr_regions != b->nr_regions)
		return false;
	for (unsigned i = 0; i < a->nr_regions; i++) {
		const struct vhost_user_region *x = &a->regions[i], *y = &b->regions[i];

		if (x->gpa != y->gpa || x->size_bytes != y->size_bytes ||
			x->user_addr != y->user_addr)
			return false;
	}
	return true;
}
