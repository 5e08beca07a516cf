/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONFINE_H
#define VRNG_CONFINE_H

/*
 * The daemon's sandbox: which user it becomes and which files it keeps, worked out of its options,
 * and what the log says of it. sandbox.h has the rest.
 *
 * Kept are: the directories of the sockets (to make and remove sockets), of the sources and of what
 * they are links to (to read; but of the kernel's generator the device alone, and nothing around a
 * file that is in "/"), of --sandbox-dir (both), the EAL's own and hugetlbfs; /proc/self; and what
 * finds a group by its name: /etc, but as root only the three files, since root may read more
 * there.
 *
 * Context: MAIN.
 */

#include "config/options.h"
#include "config/spec.h"
#include "sandbox/sandbox.h"
#include "why.h"

struct worker;

/** Find the user, if one was asked for, and do what must be done before the EAL starts. */
int confine_begin(const struct options *opt, gid_t socket_gid, struct sandbox_report *report,
	struct why *why);

/**
 * Do the rest, when all runs, and log it. The sockets become the user's.
 *
 * @return  0 or a negative errno; then the process must end
 */
int confine(const struct options *opt, const struct spec *specs, unsigned n_specs,
	struct worker *const *workers, unsigned n_workers, struct sandbox_report *report,
	struct why *why);

/** Log which system calls were refused since the last time. Many times a second. */
void confine_tick(void);

#endif
