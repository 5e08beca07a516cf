/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A client of the daemon's control socket.
 *
 * Functions fail the running test when something is not as it must be, or LIVENESS_MS pass without
 * an answer.
 */
#ifndef E2E_CLIENT_H
#define E2E_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/** Connect, as soon as somebody listens there. @return a descriptor */
int client_connect(const char *path);

/** Send 'len' bytes. */
void client_send(int fd, const char *text, size_t len);

/** The next line, as JSON; NULL: the connection was closed instead. */
json_t *client_receive(int fd);

/**
 * Send a line (printf) and take its answer, over a connection of its own.
 *
 * @return  the answer
 */
__attribute__((format(printf, 2, 3))) json_t *client_ask(const char *path, const char *format, ...);

/** The same; it must succeed. @return its result */
__attribute__((format(printf, 2, 3))) json_t *client_must(
	const char *path, const char *format, ...);

/** The same; it must be refused with this code, and a message that contains 'says'. */
__attribute__((format(printf, 4, 5))) void client_must_not(
	const char *path, const char *code, const char *says, const char *format, ...);

/** client_must(), whose result is of no interest. */
#define client_do(...) json_decref(client_must(__VA_ARGS__))

/** A number within a result: "counters.bytes" of an object. */
json_int_t client_number(const json_t *object, const char *path);

#endif
