/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_COMMANDS_H
#define VRNG_COMMANDS_H

/*
 * The commands of the control protocol, as docs/control.md describes them.
 *
 * Context: MAIN.
 */

#include "control/request.h"

/** A control_fn. @param daemon  a struct daemon that serves */
int commands_do(void *daemon, const struct request *r, json_t **result, struct why *why);

#endif
