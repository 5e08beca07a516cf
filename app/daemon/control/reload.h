/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_RELOAD_H
#define VRNG_RELOAD_H

/*
 * Reading the configuration again: what the file and the command line say now becomes true, as far
 * as that can be while guests are served. All of it, or nothing when something is wrong.
 *
 * Guests that are not in the file any more are removed, new ones added; of those that stay, terms,
 * lcore and the rights of their sockets become what the file says, also where that was changed over
 * the control socket. Guests that were added over the control socket are left alone.
 *
 * Context: MAIN.
 */

#include "daemon.h"

/**
 * Read the configuration again and apply it.
 *
 * @param applied  set to whether anything was changed: false when the configuration was refused;
 * true also when the host then failed one of its guests, whose socket could not be made
 * @return         0, and then the log says what cannot change now; or a negative errno
 */
int reload(struct daemon *d, bool *applied, struct why *why);

#endif
