/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PREFETCH_H
#define VRNG_PREFETCH_H

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

#endif
