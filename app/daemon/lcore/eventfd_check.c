/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/eventfd_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int eventfd_check(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[32], name[sizeof(want)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, name, sizeof(name));
	if (len < 0)
		return -errno;
	return len == sizeof(want) - 1 && memcmp(name, want, sizeof(want) - 1) == 0 ? 0 : -EINVAL;
}
