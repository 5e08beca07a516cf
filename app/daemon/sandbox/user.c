/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/user.h"

#include "parse.h"
#include "vhost/sockets.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The name may be a number that has no entry: then it has no groups. */
static const struct passwd *find_entry(const char *name, uid_t *uid)
{
	const struct passwd *pw = getpwnam(name);
	uint64_t number;

	if (pw == NULL && parse_range(name, 0, UINT32_MAX - 1, &number) == 0) {
		*uid = (uid_t)number;
		pw = getpwuid(*uid);
	}
	if (pw != NULL)
		*uid = pw->pw_uid;
	return pw;
}

static void add_group(struct user *user, gid_t gid)
{
	for (int i = 0; i < user->n_groups; i++)
		if (user->groups[i] == gid)
			return;
	if (user->n_groups < USER_GROUPS_MAX)
		user->groups[user->n_groups++] = gid;
}

static int check_rights(const char *name, const struct user *user, struct why *why)
{
	if (user_is_self(user) || geteuid() == 0)
		return 0;
	return why_set(why, -EPERM,
		"--user '%s': only root can become another user, and this is user %u: start it as "
		"root, or leave --user out",
		name, (unsigned)geteuid());
}

int user_find(const char *name, gid_t also, struct user *user, struct why *why)
{
	char copy[256], *group = copy, *base;
	const struct passwd *pw;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", name) >= sizeof(copy))
		return why_set(why, -ENAMETOOLONG, "--user '%s' is too long", name);
	*user = (struct user){.uid = (uid_t)-1};
	base = strsep(&group, ":");
	pw = find_entry(base, &user->uid);
	if (user->uid == (uid_t)-1)
		return why_set(why, -ENOENT, "--user '%s' is no user of this system", base);
	if (pw != NULL) {
		user->gid = pw->pw_gid;
		user->n_groups = USER_GROUPS_MAX;
		if (getgrouplist(pw->pw_name, pw->pw_gid, user->groups, &user->n_groups) < 0)
			user->n_groups = USER_GROUPS_MAX; /* it is in more: these must do */
	}
	if (group == NULL && pw == NULL)
		return why_set(why, -EINVAL,
			"--user '%s' is a number that this system knows no group for: give it as "
			"USER:GROUP",
			name);
	if (group != NULL && sockets_find_group(group, &user->gid) != 0)
		return why_set(
			why, -ENOENT, "--user '%s': '%s' is no group of this system", name, group);
	add_group(user, user->gid);
	if (also != (gid_t)-1)
		add_group(user, also);
	return check_rights(name, user, why);
}

bool user_is_self(const struct user *user)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	return getresuid(&r, &e, &s) == 0 && r == user->uid && e == r && s == r &&
	       getresgid(&rg, &eg, &sg) == 0 && rg == user->gid && eg == rg && sg == rg;
}

int user_become(const struct user *user)
{
	/* A user may be told to be itself; only root can set groups. */
	if (geteuid() != 0 && user_is_self(user))
		return 0;
	if (setgroups((size_t)user->n_groups, user->groups) != 0)
		return -errno;
	if (setresgid(user->gid, user->gid, user->gid) != 0)
		return -errno;
	if (setresuid(user->uid, user->uid, user->uid) != 0)
		return -errno;
	/* It would be of no use if it could be undone. */
	if (user->uid != 0 && setresuid(0, 0, 0) == 0)
		return -EPERM;
	return 0;
}
