/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest_ram.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES (2ULL << 20)
#ifndef MFD_HUGE_2MB /* in <linux/memfd.h>, which does not go together with <sys/mman.h> */
#define MFD_HUGE_2MB (21U << 26)
#endif

void guest_ram_init(struct guest_ram *ram)
{
	memset(ram, 0, sizeof(*ram));
}

void guest_ram_region_fini(struct guest_ram_region *region)
{
	if (region->host != NULL) {
		munmap(region->host, region->size_bytes);
		close(region->fd);
	}
	region->host = NULL;
	region->fd = -1;
}

void guest_ram_fini(struct guest_ram *ram)
{
	for (unsigned i = 0; i < ram->nr_regions; i++)
		guest_ram_region_fini(&ram->regions[i]);
	ram->nr_regions = 0;
}

static int open_backing(const struct guest_ram_region_cfg *cfg, uint64_t size_bytes)
{
	unsigned flags = MFD_CLOEXEC | (cfg->unsealable ? 0 : MFD_ALLOW_SEALING);
	int fd;

	if (cfg->backing == GUEST_RAM_FD) {
		fd = fcntl(cfg->fd, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (cfg->backing == GUEST_RAM_HUGETLB)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("guest-ram", flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) < 0)
		goto err_close;
	if (cfg->sealed && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto err_close;
	return fd;

err_close:;
	int err = -errno;

	close(fd);
	return err;
}

static int map_region(struct guest_ram_region *region, int fd)
{
	void *host = mmap(NULL, region->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		(off_t)region->fd_offset);

	if (host == MAP_FAILED)
		return -errno;
	region->host = host;
	region->fd = fd;
	return 0;
}

static int open_region(struct guest_ram_region *region, const struct guest_ram_region_cfg *cfg)
{
	int fd, err;

	*region = (struct guest_ram_region){
		.gpa = cfg->gpa,
		.size_bytes = cfg->size_bytes,
		.fd_offset = cfg->backing == GUEST_RAM_FD ? cfg->fd_offset : 0,
		.fd = -1,
		.cfg = *cfg,
	};
	if (cfg->size_bytes == 0)
		return -EINVAL;
	if (cfg->backing == GUEST_RAM_HUGETLB)
		region->size_bytes =
			(cfg->size_bytes + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
	fd = open_backing(cfg, region->size_bytes);
	if (fd < 0)
		return fd;
	err = map_region(region, fd);
	if (err < 0)
		close(fd);
	return err;
}

int guest_ram_add(struct guest_ram *ram, const struct guest_ram_region_cfg *cfg)
{
	int err;

	if (ram->nr_regions == GUEST_RAM_MAX_REGIONS)
		return -ENOSPC;
	err = open_region(&ram->regions[ram->nr_regions], cfg);
	if (err == 0)
		ram->nr_regions++;
	return err;
}

int guest_ram_add_memfd(struct guest_ram *ram, uint64_t gpa, uint64_t size_bytes)
{
	return guest_ram_add(
		ram, &(struct guest_ram_region_cfg){
			     .gpa = gpa, .size_bytes = size_bytes, .backing = GUEST_RAM_MEMFD});
}

int guest_ram_remap(struct guest_ram *ram, unsigned idx, bool fresh, struct guest_ram_region *old)
{
	struct guest_ram_region *region, next;
	int fd, err;

	if (idx >= ram->nr_regions)
		return -EINVAL;
	region = &ram->regions[idx];
	if (fresh) {
		if (region->cfg.backing == GUEST_RAM_FD)
			return -EINVAL;
		err = open_region(&next, &region->cfg);
		if (err < 0)
			return err;
		assert(next.host != NULL);
		memcpy(next.host, region->host, region->size_bytes);
		next.alloc_bytes = region->alloc_bytes;
	} else {
		next = *region;
		fd = fcntl(region->fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		err = map_region(&next, fd);
		if (err < 0) {
			close(fd);
			return err;
		}
	}
	*old = *region;
	*region = next;
	return 0;
}

int guest_ram_alloc(
	struct guest_ram *ram, unsigned idx, uint64_t len_bytes, uint64_t align, uint64_t *gpa)
{
	struct guest_ram_region *region;
	uint64_t start, offset;

	if (idx >= ram->nr_regions || align == 0 || (align & (align - 1)) != 0)
		return -EINVAL;
	region = &ram->regions[idx];
	start = (region->gpa + region->alloc_bytes + align - 1) & ~(align - 1);
	offset = start - region->gpa;
	if (offset > region->size_bytes || len_bytes > region->size_bytes - offset)
		return -ENOMEM;
	region->alloc_bytes = offset + len_bytes;
	*gpa = start;
	return 0;
}

void *guest_ram_span(
	const struct guest_ram *ram, uint64_t gpa, uint64_t want_bytes, uint64_t *got_bytes)
{
	for (unsigned i = 0; i < ram->nr_regions; i++) {
		const struct guest_ram_region *region = &ram->regions[i];
		uint64_t offset = gpa - region->gpa;

		if (offset >= region->size_bytes)
			continue;
		*got_bytes = region->size_bytes - offset;
		if (*got_bytes > want_bytes)
			*got_bytes = want_bytes;
		return region->host + offset;
	}
	*got_bytes = 0;
	return NULL;
}

void *guest_ram_at(const struct guest_ram *ram, uint64_t gpa, uint64_t len_bytes)
{
	uint64_t got;
	void *host = guest_ram_span(ram, gpa, len_bytes, &got);

	return got == len_bytes ? host : NULL;
}

int guest_ram_fill(const struct guest_ram *ram, uint64_t gpa, uint64_t len_bytes, uint8_t value)
{
	uint64_t got;

	for (; len_bytes > 0; gpa += got, len_bytes -= got) {
		void *host = guest_ram_span(ram, gpa, len_bytes, &got);

		if (host == NULL)
			return -EFAULT;
		memset(host, value, got);
	}
	return 0;
}

int guest_ram_read(const struct guest_ram *ram, uint64_t gpa, void *dst, uint64_t len_bytes)
{
	uint8_t *to = dst;
	uint64_t got;

	for (; len_bytes > 0; gpa += got, to += got, len_bytes -= got) {
		const void *host = guest_ram_span(ram, gpa, len_bytes, &got);

		if (host == NULL)
			return -EFAULT;
		memcpy(to, host, got);
	}
	return 0;
}

int guest_ram_write(const struct guest_ram *ram, uint64_t gpa, const void *src, uint64_t len_bytes)
{
	const uint8_t *from = src;
	uint64_t got;

	for (; len_bytes > 0; gpa += got, from += got, len_bytes -= got) {
		void *host = guest_ram_span(ram, gpa, len_bytes, &got);

		if (host == NULL)
			return -EFAULT;
		memcpy(host, from, got);
	}
	return 0;
}

/* Index of the first byte that isn't 'value', or 'len'. */
static uint64_t first_other(const uint8_t *bytes, uint64_t len, uint8_t value)
{
	if (len == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, len - 1) == 0))
		return len;
	for (uint64_t i = 0; i < len; i++) {
		if (bytes[i] != value)
			return i;
	}
	return len;
}

int guest_ram_check(const struct guest_ram *ram, uint64_t gpa, uint64_t len_bytes, uint8_t value,
	uint64_t *where)
{
	uint64_t got;

	for (; len_bytes > 0; gpa += got, len_bytes -= got) {
		const void *host = guest_ram_span(ram, gpa, len_bytes, &got);
		uint64_t good;

		if (host == NULL)
			return -EFAULT;
		good = first_other(host, got, value);
		if (good < got) {
			if (where != NULL)
				*where = gpa + good;
			return -EILSEQ;
		}
	}
	return 0;
}
