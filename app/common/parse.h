/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PARSE_H
#define VRNG_PARSE_H

/*
 * Numbers on a command line. No sign, no space before or after, nothing left over.
 */

#include <stdint.h>
#include <sys/types.h>

/** A whole number from 'min' to 'max'. @return 0, -EINVAL or -ERANGE */
int parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *value);

/**
 * A number of bytes: digits, then nothing, or k, M, G, T (powers of 1000), or Ki, Mi, Gi, Ti
 * (powers of 1024). 'K' is taken for 'k'.
 *
 * @return  0; -EINVAL when 's' is no such number; -ERANGE when it is not 'min' to 'max'
 */
int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *bytes);

/**
 * A decimal number: digits, then nothing, or a point and 1 to 'places' digits.
 *
 * @param places  decimal places of the result, 0 to 19
 * @param value   set to the number times 10^places, without any rounding
 * @return        0; -EINVAL if 's' is no such number; -ERANGE if it has more places, or 'value'
 *                does not fit
 */
int parse_decimal(const char *s, unsigned places, uint64_t *value);

/**
 * Different numbers, one by one or as ranges: "2,4-6".
 *
 * @param list  room for 'max' numbers; 'n' is set to how many there are
 * @return      0 or -EINVAL
 */
int parse_list(const char *s, unsigned *list, unsigned max, unsigned *n);

/** "7" or "3-5". @return 0; -EINVAL when it is neither, or the last is less than the first */
int parse_span(const char *s, uint64_t *first, uint64_t *last);

#endif
