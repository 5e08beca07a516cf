/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
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

/* What applies to a file that is no directory. */
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net;
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
	case LANDLOCK_WRITE:
		return reading | FS_WRITE_FILE;
	case LANDLOCK_SOCKETS:
		return sockets;
	case LANDLOCK_FILES:
		return reading | sockets | FS_WRITE_FILE | FS_MAKE_REG | FS_TRUNCATE;
	}
	return 0;
}

static struct ruleset_attr everything(int abi, size_t *size)
{
	struct ruleset_attr attr = {.fs = FS_ALL_1};

	/* An older kernel takes fields that it does not know while they are 0. */
	*size = sizeof(attr);
	if (abi >= 2)
		attr.fs = FS_ALL_2;
	if (abi >= 3)
		attr.fs = FS_ALL_3;
	if (abi >= 4)
		attr.net = NET_ALL_4;
	if (abi >= 5)
		attr.fs = FS_ALL_5;
	return attr;
}

static int add_rule(int ruleset, const struct landlock_rule *rule, uint64_t handled)
{
	struct path_beneath_attr attr = {.allowed = rights(rule->use) & handled};
	struct stat st;
	long rc = 0;

	attr.parent_fd = open(rule->path, O_PATH | O_CLOEXEC);
	if (attr.parent_fd < 0)
		return 0; /* what is not there, or not for us, need not be allowed */
	if (fstat(attr.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		attr.allowed &= FS_OF_FILES;
	rc = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0);
	rc = rc == 0 ? 0 : -errno;
	close(attr.parent_fd);
	return (int)rc;
}

int landlock_open(const struct landlock_rule *rules, unsigned n_rules, int *abi)
{
	struct ruleset_attr attr;
	size_t size;
	int ruleset, err = 0;

	*abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	if (*abi < 0)
		return -errno;
	attr = everything(*abi, &size);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	for (unsigned i = 0; i < n_rules && err == 0; i++)
		err = add_rule(ruleset, &rules[i], attr.fs);
	if (err == 0)
		return ruleset;
	close(ruleset);
	return err;
}

int landlock_restrict(int ruleset)
{
	return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : -errno;
}
