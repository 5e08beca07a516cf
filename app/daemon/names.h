/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_NAMES_H
#define VRNG_NAMES_H

/*
 * What states and levels are called wherever a person or a program reads of them. Pure.
 */

#include <stdint.h>

/** @param state  enum guest_state */
const char *names_guest_state(unsigned state);

/** @param state  enum intake_state */
const char *names_intake_state(uint64_t state);

/** @param policy  enum idle_policy */
const char *names_idle_policy(unsigned policy);

/** @return 0; -EINVAL when no policy is called so */
int names_find_idle_policy(const char *name, unsigned *policy);

/** @param level  RTE_LOG_* numbering */
const char *names_log_level(int level);

/** @return 0; -EINVAL when no level is called so */
int names_find_log_level(const char *name, int *level);

#endif
