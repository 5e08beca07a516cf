/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A model of a guest's memory, as a VMM would share it over vhost-user: up to 8 regions of
 * guest-physical addresses, each a shared mapping of a file descriptor, with whatever gaps and
 * neighbours the caller gives them.
 *
 * Nothing here is hostile: the caller is the guest. Addresses that don't exist are reported with
 * NULL or -EFAULT, so that a test can ask.
 *
 * Two regions may be neighbours in guest-physical space; their host mappings need not be, so
 * a range that crosses from one to the other has no single host pointer. guest_ram_span() walks
 * such a range, the fill, copy and check functions do so themselves.
 *
 * Thread-safety: none; one thread sets the memory up. Reading and writing through pointers that
 * were handed out needs no function of this module.
 */
#ifndef FRONTEND_GUEST_RAM_H
#define FRONTEND_GUEST_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_RAM_MAX_REGIONS 8

enum guest_ram_backing {
	GUEST_RAM_MEMFD,   /* an anonymous file of ordinary pages */
	GUEST_RAM_HUGETLB, /* an anonymous file of huge pages, size rounded up to 2 MiB */
	GUEST_RAM_FD,	   /* the caller's file descriptor */
};

struct guest_ram_region_cfg {
	uint64_t gpa;
	uint64_t size_bytes;
	enum guest_ram_backing backing;
	bool sealed;	    /* memfd, hugetlb: forbid resizing, as QEMU does */
	bool unsealable;    /* memfd, hugetlb: nobody can forbid it, as with a file */
	int fd;		    /* GUEST_RAM_FD: duplicated, the caller keeps his own */
	uint64_t fd_offset; /* GUEST_RAM_FD: where in the file the region starts, page aligned */
};

struct guest_ram_region {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t fd_offset;
	uint64_t alloc_bytes; /* handed out by guest_ram_alloc() so far */
	uint8_t *host;
	int fd;
	struct guest_ram_region_cfg cfg;
};

struct guest_ram {
	unsigned nr_regions;
	struct guest_ram_region regions[GUEST_RAM_MAX_REGIONS];
};

/** An empty guest memory; needs no more than guest_ram_fini() at its end. */
void guest_ram_init(struct guest_ram *ram);

/** Unmap and close everything. Accepts a memory that is only initialised. */
void guest_ram_fini(struct guest_ram *ram);

/**
 * Add a region. Regions are not checked against each other: overlaps are the caller's to want.
 *
 * @return 0; -ENOSPC when there are 8 already, -EINVAL for a size of 0, or what memfd_create,
 *         ftruncate, dup, or mmap said (-ENOMEM: no huge pages). On failure nothing was added.
 */
int guest_ram_add(struct guest_ram *ram, const struct guest_ram_region_cfg *cfg);

/** Add an ordinary, unsealed memfd region; the short form of guest_ram_add(). */
int guest_ram_add_memfd(struct guest_ram *ram, uint64_t gpa, uint64_t size_bytes);

/**
 * Map region 'idx' a second time, at another host address, and use that from now on. Pointers
 * into the old mapping stay valid until the caller ends it with guest_ram_region_fini().
 *
 * @param fresh  false: the same file (memory moved in the VMM); true: a new file of the same
 *               kind, filled with a copy of what the region holds now (memory moved for real)
 * @param old    takes the old region over
 * @return       0 or -errno; on failure nothing has changed
 */
int guest_ram_remap(struct guest_ram *ram, unsigned idx, bool fresh, struct guest_ram_region *old);

/** Unmap and close one region that guest_ram_remap() handed out. */
void guest_ram_region_fini(struct guest_ram_region *region);

/**
 * Take bytes that were never handed out from region 'idx', aligned to 'align' (a power of two)
 * in guest-physical space. There is no free: memory lives as long as the guest.
 *
 * @return 0 and *gpa; -EINVAL without such a region, -ENOMEM when it has no room
 */
int guest_ram_alloc(
	struct guest_ram *ram, unsigned idx, uint64_t len_bytes, uint64_t align, uint64_t *gpa);

/** Host address of a range that lies in one region; NULL when it doesn't. */
void *guest_ram_at(const struct guest_ram *ram, uint64_t gpa, uint64_t len_bytes);

/**
 * Host address of the start of a range and, in *got_bytes, how much of it follows there, at most
 * 'want_bytes'. NULL when 'gpa' is not mapped.
 */
void *guest_ram_span(
	const struct guest_ram *ram, uint64_t gpa, uint64_t want_bytes, uint64_t *got_bytes);

/** Set a range to one byte value. @return 0, or -EFAULT when part of it is not mapped */
int guest_ram_fill(const struct guest_ram *ram, uint64_t gpa, uint64_t len_bytes, uint8_t value);

/** Copy a range out. @return 0, or -EFAULT when part of it is not mapped */
int guest_ram_read(const struct guest_ram *ram, uint64_t gpa, void *dst, uint64_t len_bytes);

/** Copy into a range. @return 0, or -EFAULT when part of it is not mapped */
int guest_ram_write(const struct guest_ram *ram, uint64_t gpa, const void *src, uint64_t len_bytes);

/**
 * Look for the first byte of a range that differs from 'value': the check of a guard area or
 * of poison that must still be there.
 *
 * @return 0 when all are 'value', -EILSEQ and *where (may be NULL) when one isn't, -EFAULT when
 *         part of the range is not mapped
 */
int guest_ram_check(const struct guest_ram *ram, uint64_t gpa, uint64_t len_bytes, uint8_t value,
	uint64_t *where);

#endif
