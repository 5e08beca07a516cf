/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* landlock(7). The numbers are the same on all architectures. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif
#define CREATE_RULESET_VERSION 1u
#define CREATE_RULESET_ERRATA  2u
#define RULE_PATH_BENEATH      1

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_REG    (UINT64_C(1) << 8)
#define FS_MAKE_SOCK   (UINT64_C(1) << 9)
#define FS_TRUNCATE    (UINT64_C(1) << 14)
#define FS_IOCTL_DEV   (UINT64_C(1) << 15)

#define FS_ALL_1 ((UINT64_C(1) << 13) - 1)
#define FS_ALL_2 ((UINT64_C(1) << 14) - 1) /* and to link or rename to another directory */
#define FS_ALL_3 (FS_ALL_2 | FS_TRUNCATE)
#define FS_ALL_5 (FS_ALL_3 | FS_IOCTL_DEV)

#define NET_ALL_4 UINT64_C(3) /* bind and connect, TCP */

#define SCOPE_SIGNAL_6 (UINT64_C(1) << 1)

/* Fixed: SCOPE_SIGNAL kept threads of one process from signalling each other. */
#define ERRATUM_SIGNALS_OF_THREADS (1l << 1)

/* What applies to a file that is no directory. */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) path_beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
};

static uint64_t rights(enum landlock_use use)
{
	const uint64_t reading = FS_READ_FILE | FS_READ_DIR;
	const uint64_t sockets = FS_READ_DIR | FS_MAKE_SOCK | FS_REMOVE_FILE;

	switch (use) {
	case LANDLOCK_READ:
		return reading;
	case LANDLOCK_SOCKETS:
		return sockets;
	case LANDLOCK_FILES:
		return reading | sockets | FS_WRITE_FILE | FS_MAKE_REG | FS_TRUNCATE;
	}
	return 0;
}

/* Every thread has a domain of its own, see every_thread.h, and must be able to signal the others.
 */
static bool can_scope_signals(int abi)
{
	const long fixed =
		abi < 6 ? 0 : syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_ERRATA);

	return fixed > 0 && (fixed & ERRATUM_SIGNALS_OF_THREADS) != 0;
}

/* All that a kernel of this version can restrict, except abstract Unix sockets. */
static struct ruleset_attr everything(int abi)
{
	static const uint64_t fs[] = {0, FS_ALL_1, FS_ALL_2, FS_ALL_3, FS_ALL_3, FS_ALL_5};
	const int known = abi < 5 ? abi : 5;

	return (struct ruleset_attr){
		.fs = fs[known],
		.net = known >= 4 ? NET_ALL_4 : 0,
		.scoped = can_scope_signals(abi) ? SCOPE_SIGNAL_6 : 0,
	};
}

void landlock_open(struct landlock *l)
{
	const int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	struct ruleset_attr attr;

	*l = (struct landlock){.ruleset = -1};
	if (abi > 0) {
		attr = everything(abi);
		l->handled = attr.fs;
		/* An older kernel takes fields that it does not know while they are 0. */
		l->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	}
	if (l->ruleset < 0)
		l->err = -errno;
}

void landlock_allow(struct landlock *l, const char *path, enum landlock_use use)
{
	struct path_beneath_attr attr = {.allowed = rights(use) & l->handled};
	struct stat st;

	if (l->err != 0)
		return;
	attr.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (attr.parent_fd < 0)
		return; /* what is not there, or not for us, need not be allowed */
	if (fstat(attr.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		attr.allowed &= FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, l->ruleset, RULE_PATH_BENEATH, &attr, 0) != 0)
		l->err = -errno;
	close(attr.parent_fd);
}

int landlock_restrict(int ruleset)
{
	return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : -errno;
}

void landlock_close(struct landlock *l)
{
	if (l->ruleset >= 0)
		close(l->ruleset);
	*l = (struct landlock){.ruleset = -1};
}
