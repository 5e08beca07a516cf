/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <stdio.h>
#include <time.h>

int log_type;

void log_setup(int level)
{
	log_type = rte_log_register("vhost_rng");
	if (log_type < 0)
		log_type = RTE_LOGTYPE_USER1;
	rte_openlog_stream(stderr);
	rte_log_set_global_level(RTE_LOG_DEBUG);
	rte_log_set_level_pattern("lib.*", level == RTE_LOG_DEBUG ? RTE_LOG_DEBUG : RTE_LOG_ERR);
	rte_log_set_level((uint32_t)log_type, (uint32_t)level);
}

bool log_limit_pass(struct log_limit *limit)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if ((uint64_t)now.tv_sec != limit->second) {
		if (limit->left_out > 0)
			LOG(WARNING, "%u more lines like the next one were left out",
				limit->left_out);
		limit->second = (uint64_t)now.tv_sec;
		limit->lines = 0;
		limit->left_out = 0;
	}
	if (limit->lines == LOG_LIMIT_LINES) {
		limit->left_out++;
		return false;
	}
	limit->lines++;
	return true;
}
