/* SPDX-License-Identifier: BSD-3-Clause */
#include "names.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LEVELS (sizeof(log_levels) / sizeof(log_levels[0]))

static const char *const log_levels[] = {
	[4] = "error",
	[5] = "warning",
	[6] = "notice",
	[7] = "info",
	[8] = "debug",
};

const char *names_log_level(int level)
{
	return log_levels[level];
}

int names_find_log_level(const char *name, int *level)
{
	for (size_t i = 4; i < LEVELS; i++) {
		if (strcmp(name, log_levels[i]) == 0) {
			*level = (int)i;
			return 0;
		}
	}
	return -EINVAL;
}
