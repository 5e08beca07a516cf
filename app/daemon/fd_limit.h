/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FD_LIMIT_H
#define VRNG_FD_LIMIT_H

#include <stdbool.h>
#include <sys/resource.h>

/**
 * Raise the number of files that the process may have open to 'need', or as far as it may; the
 * hard limit, too, where the process has the right to. Never lowers anything.
 *
 * @return  what it is afterwards
 * Context: MAIN.
 */
rlim_t fd_limit_raise(rlim_t need);

/** Is there no file left to open? Context: MAIN. */
bool fd_limit_is_reached(void);

#endif
