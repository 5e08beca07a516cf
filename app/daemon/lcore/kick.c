/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/kick.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Only the kernel's name for it tells: to poll(2) it, and see, may be what never returns. */
static bool is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[32], name[sizeof(want)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, name, sizeof(name));
	return len == sizeof(want) - 1 && memcmp(name, want, sizeof(want) - 1) == 0;
}

void kick_init(struct kick *k, int fd)
{
	*k = (struct kick){.fd = fd >= 0 && is_eventfd(fd) ? fd : -1};
}
