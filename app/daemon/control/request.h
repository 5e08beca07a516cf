/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_REQUEST_H
#define VRNG_REQUEST_H

/*
 * One request of the control protocol, which docs/control.md describes: a line of JSON, an object
 * with "command" and what that takes. What is written here about a request that is refused goes to
 * whoever sent it.
 *
 * Thread safety: none. Knows nothing of DPDK.
 */

#include "why.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Of the protocol. It changes when an old client would misunderstand the answers. */
#define REQUEST_VERSION 1

/** The longest line that is taken, without the newline. */
#define REQUEST_LINE_MAX 16384

struct request {
	json_t *root;
	json_t *id;	     /* borrowed; NULL: none was given */
	const char *command; /* in 'root' */
};

/**
 * Parse a line.
 *
 * @return  0; -EPROTO when it is no request of this protocol's version. 'id' is set when it was
 *          found all the same. request_fini() is needed either way.
 */
int request_parse(const char *line, size_t len, struct request *r, struct why *why);

void request_fini(struct request *r);

/** Has it this key? */
bool request_has(const struct request *r, const char *key);

/**
 * Are there no keys but these, "command", "id" and "version"?
 *
 * @param keys  ends with NULL
 * @return      0 or -EINVAL
 */
int request_only(const struct request *r, const char *const *keys, struct why *why);

/** A string that must be there, without control characters. @return 0 or -EINVAL */
int request_string(const struct request *r, const char *key, const char **value, struct why *why);

/**
 * A whole number that may be there; else '*value' is left alone.
 *
 * @return  0; -EINVAL when it is something else, or not min..max
 */
int request_number(const struct request *r, const char *key, uint64_t min, uint64_t max,
	uint64_t *value, struct why *why);

/** The same, and null stands for 'null'. */
int request_number_or_null(const struct request *r, const char *key, uint64_t min, uint64_t max,
	uint64_t null, uint64_t *value, struct why *why);

/** true or false, which may be there. @return 0 or -EINVAL */
int request_bool(const struct request *r, const char *key, bool *value, struct why *why);

/** A string of any bytes, such as a path: what is not UTF-8 is not shown. */
json_t *request_text(const char *text);

/**
 * The answer, as a line with its newline.
 *
 * @param err     0, or a negative errno
 * @param result  of a request that was done, an object; taken over; NULL: {}
 * @return        the caller's to free(); NULL: no memory
 */
char *request_answer(const struct request *r, int err, json_t *result, const struct why *why);

#endif
