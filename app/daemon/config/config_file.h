/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONFIG_FILE_H
#define VRNG_CONFIG_FILE_H

/*
 * Opening the configuration file without blocking MAIN. Its path may name, or come to name, a FIFO
 * without a writer. open(2) and read(2) would then wait for ever: at a start, while the signals
 * that end the daemon are blocked; at a reload, while MAIN has to feed the watchdog. So it is
 * opened with O_NONBLOCK. Regular files are read as they are; from a FIFO, a pipe (/dev/stdin, a
 * shell's
 * "<(...)") or a device the whole text is taken first, within a time and size that are bounded.
 *
 * Context: MAIN. Knows nothing of DPDK.
 */

#include "why.h"

#include <stdio.h>

/** Maximum size of a text from a file that is not regular. */
#define CONFIG_FILE_BYTES_MAX (16u << 20)

/** An open configuration. A zeroed one is fine for config_file_close(). */
struct config_file {
	FILE *file;
	char *text; /* taken from a file that is not regular; NULL: 'file' is the regular file */
};

/**
 * @param wait_ms  longest wait for the end of a file that is not regular; SIGINT and SIGTERM are
 *                 unblocked meanwhile, and end the process. 0: such files are refused
 * @return         0; -EISDIR; -EINVAL: not regular, or too long; -ETIMEDOUT; -ENOMEM; or what
 * open(2) and read(2) return. The caller owns 'cf' on success: config_file_close()
 */
int config_file_open(const char *path, unsigned wait_ms, struct config_file *cf, struct why *why);

void config_file_close(struct config_file *cf);

#endif
