/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TEXT_H
#define VRNG_TEXT_H

/*
 * Control characters in texts from outside: names, paths, words of the command line, lines of the
 * configuration file, strings of control requests. In the log a line feed makes a second line that
 * looks like the daemon's own; on a terminal ESC changes what is shown; XML 1.0 (libvirt) has no
 * notation for most of them. So a text with one is refused, and messages that show a refused text
 * escape it.
 *
 * Control characters are U+0001 to U+001F, U+007F, and U+0080 to U+009F in UTF-8.
 *
 * Pure.
 */

#include "why.h"

#include <stddef.h>

/**
 * Refuse a text with a control character.
 *
 * @return  0; -EINVAL: 'why' goes on after the name of the option or key
 */
int text_check(const char *text, struct why *why);

/**
 * Copy a text with each control character as \xNN, cut where 'size' ends.
 *
 * @param size  at least 1; the 0 at the end included
 */
void text_escape(const char *text, char *to, size_t size);

#endif
