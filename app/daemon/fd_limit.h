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

/**
 * Open files that a guest may need: its socket, the connection (twice), kick, call, error, and up
 * to eight regions of memory.
 */
#define FD_LIMIT_PER_GUEST 14

/** Files that are kept open so that nobody else has them. A zeroed one has none. */
struct fd_reserve {
	unsigned n;
	int *fds;
};

/**
 * Keep 'n' files open.
 *
 * @return  0; -EMFILE or -ENFILE when there are not so many, or -ENOMEM: then none is kept
 * Context: MAIN.
 */
int fd_reserve(unsigned n, struct fd_reserve *r);

/** Let others have them. */
void fd_release(struct fd_reserve *r);

/** Is there no file left to open? Context: MAIN. */
bool fd_limit_is_reached(void);

#endif
