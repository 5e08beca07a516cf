/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_WHY_H
#define VRNG_WHY_H

/*
 * Why something was refused: a sentence for a person, which the caller shows where that person is:
 * on stderr, in the log, or in an answer over the control socket.
 */

#define WHY_SIZE 512

struct why {
	int err; /* the negative errno behind it */
	char text[WHY_SIZE];
};

/**
 * Set the error and its text, which is cut when it is too long. Control characters, which can only
 * come from a refused text, are escaped (text.h).
 *
 * @return  'err'
 */
__attribute__((format(printf, 3, 4))) int why_set(
	struct why *why, int err, const char *format, ...);

#endif
