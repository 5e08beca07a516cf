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
 * @param why  what is wrong
 * @return     0, and then the log says what cannot change now; or a negative errno, and then
 * nothing has changed
 */
int reload(struct daemon *d, struct why *why);

#endif
