/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_USER_H
#define VRNG_USER_H

/*
 * The user that the daemon becomes. Context: MAIN.
 */

#include "why.h"

#include <stdbool.h>
#include <sys/types.h>

#define USER_GROUPS_MAX 256

struct user {
	uid_t uid;
	gid_t gid;
	int n_groups;
	gid_t groups[USER_GROUPS_MAX];
};

/**
 * Find "USER[:GROUP]", names or numbers, and the other groups that USER is in.
 *
 * @param also  a group to have too; (gid_t)-1: none
 * @return      0; -ENOENT when there is none; -EINVAL for a number without a group that is known;
 *              -EPERM when this process may not become it
 */
int user_find(const char *name, gid_t also, struct user *user, struct why *why);

/** Is that who this process is, for good? */
bool user_is_self(const struct user *user);

/**
 * Become that user on all threads, for good.
 *
 * @return  0 or a negative errno; then the process must end
 */
int user_become(const struct user *user);

#endif
