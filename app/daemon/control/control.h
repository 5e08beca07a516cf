/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CONTROL_H
#define VRNG_CONTROL_H

/*
 * The control socket: who may open it (mode 0600: this user and root) may change what the daemon
 * does, one line of JSON for each request and each answer. docs/control.md describes the protocol.
 *
 * A client harms itself alone: a line that is too long ends its connection, and one that does not
 * read its answers is not asked for more until it does. Nothing is done twice before others had
 * their turn. Of more than CONTROL_CLIENTS_MAX the one that was silent for longest must go.
 *
 * Context: MAIN.
 */

#include "control/request.h"
#include "events.h"
#include "why.h"

#define CONTROL_CLIENTS_MAX 16

struct control;

/**
 * Does what a request asks for.
 *
 * @param result  set to an object, or left NULL
 * @return        0 or a negative errno
 */
typedef int control_fn(void *arg, const struct request *r, json_t **result, struct why *why);

/**
 * Listen at 'path', from which a stale socket was removed.
 *
 * @return  0 or a negative errno
 */
int control_create(struct events *ev, const char *path, control_fn *fn, void *arg,
	struct control **control, struct why *why);

/** Close all, and remove the socket's file. NULL is fine. */
void control_destroy(struct control *c);

#endif
