/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LOG_LEVEL_H
#define VRNG_LOG_LEVEL_H

/*
 * What levels of the log are called wherever a person or a program reads or says them. They have
 * RTE_LOG_*'s numbers. Pure.
 */

/** @param level  one that has a name */
const char *log_level_name(int level);

/** @return 0; -EINVAL when no level is called so */
int log_level_find(const char *name, int *level);

#endif
