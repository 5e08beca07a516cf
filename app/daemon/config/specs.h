/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SPECS_H
#define VRNG_SPECS_H

/*
 * All guests that the options ask for: those of --socket-path, and those with a section of their
 * own. Groups are looked for in the system; no socket is touched.
 *
 * Context: MAIN. Knows nothing of DPDK.
 */

#include "config/options.h"
#include "config/spec.h"
#include "why.h"

/**
 * @param specs  set to a list of '*n_specs', the caller's to free()
 * @return       0; -EMFILE for more than one process can serve; -EEXIST for two of one name or with
 *               one socket; -ENAMETOOLONG; -ENOENT for a group that is not there; -ENOMEM
 */
int specs_make(const struct options *opt, struct spec **specs, unsigned *n_specs, struct why *why);

/** What a guest has of which nothing is said. @return 0; -ENOENT for --socket-group */
int specs_default(const struct options *opt, struct spec *spec, struct why *why);

#endif
