/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_NAMES_H
#define VRNG_NAMES_H

/*
 * What levels of the log are called wherever a person or a program reads or says them. They have
 * RTE_LOG_*'s numbers. Pure.
 */

/** @param level  one that has a name */
const char *names_log_level(int level);

/** @return 0; -EINVAL when no level is called so */
int names_find_log_level(const char *name, int *level);

#endif
