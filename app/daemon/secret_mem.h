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
 * From now on memory that cannot be protected is an error, and not only a warning.
 * Context: MAIN, before the first of the functions below.
 */
void secret_require(void);

/**
 * @param what  for the log, if it cannot be protected: then secrets may reach the swap
 * @return      aligned to a page; NULL if there is no memory, or with secret_require() if it cannot
 *              be protected
 */
void *secret_alloc(size_t len_bytes, const char *what);

/** Wipe and free. NULL is fine. */
void secret_free(void *mem, size_t len_bytes);

/**
 * Lock memory that a library allocated, and keep it out of core dumps.
 *
 * @param mem  NULL: the secret is where it cannot be protected, which is logged, too
 * @return     0; with secret_require() -ENOMEM if it cannot be protected
 */
int secret_protect(void *mem, size_t len_bytes, const char *what);

#endif
