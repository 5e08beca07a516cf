/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SECRET_MEM_H
#define VRNG_SECRET_MEM_H

/*
 * Memory for keys and for random bytes that nobody has had yet: zeroed, locked, out of core dumps
 * and of forked children, and wiped when it goes.
 *
 * Context: MAIN.
 */

#include <stddef.h>

/**
 * @param what  for the log, when it cannot be locked: then secrets may reach the swap
 * @return      aligned to a page; NULL when there is no memory
 */
void *secret_alloc(size_t len_bytes, const char *what);

/** Wipe and free. NULL is fine. */
void secret_free(void *mem, size_t len_bytes);

/** Lock memory that somebody else allocated, and keep it out of core dumps. NULL is fine. */
void secret_protect(void *mem, size_t len_bytes, const char *what);

#endif
