/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BIND_CHECK_H
#define VRNG_BIND_CHECK_H

/*
 * Why a socket could not be made at a path: rte_vhost does not say, so it is tried once more.
 * Context: MAIN.
 */

#include "why.h"

/** What to do when bind(2) failed with this errno, > 0. */
const char *bind_check_advice(int err);

/**
 * After somebody failed to listen at 'path'. What is made there is removed again.
 *
 * @param why  names the path, what is wrong, and the way out
 * @return     a negative errno, always
 */
int bind_check(const char *path, struct why *why);

#endif
