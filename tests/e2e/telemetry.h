/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A client of DPDK's telemetry socket.
 *
 * Functions fail the running test when something is not as it must be, or LIVENESS_MS pass without
 * an answer.
 */
#ifndef E2E_TELEMETRY_H
#define E2E_TELEMETRY_H

#include "daemon.h"

#include <jansson.h>

/** Where the EAL makes its sockets, for this user. */
void telemetry_dir(char *dir, size_t size);

/** Connect to the socket of this daemon. @return a descriptor; -1: it has none */
int telemetry_try(const struct daemon *d);

/** The same, as soon as it has one. */
int telemetry_connect(const struct daemon *d);

/** Ask (printf), over a connection that there is. @return what the answer has for the command */
__attribute__((format(printf, 2, 3))) json_t *telemetry_ask(int fd, const char *format, ...);

#endif
