/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FILES_H
#define VRNG_FILES_H

/*
 * Which files the daemon keeps: the directories of the sockets (to make and remove sockets), of the
 * sources, of --config and of what they are links to (to read; but of the kernel's generator the
 * device alone, and nothing around a file that is in "/"), of --sandbox-dir (both), the EAL's own
 * and hugetlbfs; and what finds a group by its name: /etc, but as root only the three files, since
 * root may read more there.
 *
 * Context: MAIN.
 */

#include "config/options.h"
#include "config/spec.h"
#include "sandbox/landlock.h"

#include <sys/types.h>

/**
 * Allow them.
 *
 * @param uid  who the daemon will be
 */
void files_allow(struct landlock *l, const struct options *opt, const struct spec *specs,
	unsigned n_specs, uid_t uid);

/** Log what of them this process, whose user may have changed, may not use later. */
void files_warn(const struct options *opt, const struct spec *specs, unsigned n_specs);

#endif
