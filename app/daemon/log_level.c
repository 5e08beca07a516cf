/* SPDX-License-Identifier: BSD-3-Clause */
#include "log_level.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LEVELS (sizeof(names) / sizeof(names[0]))

static const char *const names[] = {
	[4] = "error",
	[5] = "warning",
	[6] = "notice",
	[7] = "info",
	[8] = "debug",
};

const char *log_level_name(int level)
{
	return names[level];
}

int log_level_find(const char *name, int *level)
{
	for (size_t i = 4; i < LEVELS; i++) {
		if (strcmp(name, names[i]) == 0) {
			*level = (int)i;
			return 0;
		}
	}
	return -EINVAL;
}
