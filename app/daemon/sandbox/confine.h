/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONFINE_H
#define VRNG_CONFINE_H

/*
 * The daemon's sandbox: which user it becomes and which files it keeps (files.h), worked out of its
 * options, and what the log says of it. sandbox.h has the rest.
 *
 * Context: MAIN.
 */

#include "daemon.h"
#include "why.h"

/**
 * Check --sandbox-dir, and find the user of --user.
 *
 * @return  0; -ENOENT, -ENOTDIR, ... for a directory; or as user_find()
 */
int confine_check(const struct daemon *d, struct why *why);

/** Do what must be done before the EAL starts, when confine_check() found all well. */
int confine_begin(struct daemon *d, struct why *why);

/**
 * Do the rest, when all runs, and log it. The sockets become the user's.
 *
 * @return  0 or a negative errno; then the process must end
 */
int confine(struct daemon *d, struct why *why);

/** Log which system calls were refused since the last time. Many times a second. */
void confine_tick(void);

#endif
