/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONFIG_H
#define VRNG_CONFIG_H

/*
 * The configuration file: what the command line can say, and guests by name.
 *
 *	[daemon]
 *	control-socket = /run/rng-control.sock
 *	max-bytes = 1M
 *
 *	[guest vm1]
 *	socket = /run/rng/vm1.sock
 *	weight = 2
 *
 * Context: MAIN. Knows nothing of DPDK.
 */

#include "config/options.h"
#include "why.h"

#include <stdio.h>

/**
 * Read a file into options, but for those that were given before: the command line wins.
 *
 * @param path  what the file is called
 * @param why   names the file, the line, the section and the key of what is wrong
 * @return      0; -EINVAL for what it says; or what read(2) says
 */
int config_read_stream(FILE *file, const char *path, struct options *opt, struct why *why);

/**
 * All that holds: of the command line, and of the file that it names, if it does. As
 * options_apply() and options_check().
 *
 * @param wait_ms  as config_file_open()
 * @param opt      not initialized before; options_fini() is needed afterwards, whatever the result
 */
enum options_result config_load(
	int argc, char **argv, unsigned wait_ms, struct options *opt, struct why *why);

/** Write options as a file that says the same. @return 0; -EIO */
int config_print(const struct options *opt, FILE *file);

#endif
