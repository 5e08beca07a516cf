/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PREFETCH_H
#define VRNG_PREFETCH_H

#include <linux/virtio_ring.h>

/**
 * Ask for a line that will be read now and written soon, as a packed ring's are: it crosses over
 * from the other side's cache once, not once to be read and once more to be written. Compilers make
 * this of __builtin_prefetch(p, 1) for newer x86 CPUs only; for older ones it does nothing.
 *
 * @param p  any address, also of no memory
 */
static inline void prefetch_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw (%0)" : : "r"(p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/** Descriptors of a packed ring in a line, and lines that are asked for ahead: two measured best.
 */
#define PREFETCH_LINE_DESCS 4
#define PREFETCH_AHEAD	    2

/**
 * For whoever goes along a packed ring, driver or device: ask for a line ahead, once for each.
 *
 * @param index  of 'd'; a wrap counter above it does no harm
 */
static inline void prefetch_packed(const struct vring_packed_desc *d, unsigned index)
{
	if (index % PREFETCH_LINE_DESCS == 0)
		prefetch_write(d + PREFETCH_AHEAD * PREFETCH_LINE_DESCS);
}

#endif
