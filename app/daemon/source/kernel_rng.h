/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_KERNEL_RNG_H
#define VRNG_KERNEL_RNG_H

/*
 * The kernel's generator by its fastest door: getrandom() in the vDSO, which Linux has since 6.11.
 *
 * The bytes mean the same as those of /dev/urandom and getrandom(2): the kernel gives the thread a
 * key, and the vDSO makes bytes of it, with fast key erasure, until the kernel's own generator is
 * seeded anew; then the key is taken from it again. That is the only system call. The state is the
 * kernel's kind of memory for it (MAP_DROPPABLE): never in a swap, a core dump or a forked child.
 *
 * Thread safety: none; one thread at a time uses a struct kernel_rng.
 */

#include <stdbool.h>
#include <stddef.h>

struct kernel_rng;

/**
 * Return whether the kernel's generator is initialised, which is for good. Until then, early in the
 * boot of a machine without a fast source of entropy, /dev/urandom gives bytes that can be guessed,
 * and the vDSO waits. True also where the kernel does not tell (before Linux 3.17).
 *
 * A system call that does not wait. Context: any.
 */
bool kernel_rng_is_ready(void);

/**
 * @return  0; -ENOTSUP when the kernel or the C library has no such door, -ENOMEM.
 *          Context: MAIN, FEEDER.
 */
int kernel_rng_open(struct kernel_rng **rng);

/** NULL is fine. */
void kernel_rng_close(struct kernel_rng *rng);

/**
 * Fill 'buf'. Only once kernel_rng_is_ready() has returned true. Bounded: a nanosecond and a half a
 * byte or so, no system call but for a new key.
 *
 * @return  0 or a negative errno: nothing of 'buf' is to be used then. Context: any.
 */
int kernel_rng_read(struct kernel_rng *rng, void *buf, size_t len_bytes);

#endif
