/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_REPORT_H
#define VRNG_REPORT_H

/*
 * What the daemon says about itself over the control socket.
 *
 * Context: MAIN.
 */

#include "daemon.h"

#include <jansson.h>

/** All but the guests. */
json_t *report_status(const struct daemon *d);

/** One guest: what it is to have, how it is, what it got. */
json_t *report_guest(const struct guest *g);

#endif
