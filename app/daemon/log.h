/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LOG_H
#define VRNG_LOG_H

/*
 * The daemon's log, through rte_log. Context: MAIN, VHOST, FEEDER; never LCORE.
 *
 * A guest or a front-end can cause events as fast as it likes. What it causes is logged by
 * LOG_LIMITED, which lets a few lines a second through and says how many it left out.
 */

#include <rte_log.h>

#include <stdbool.h>
#include <stdint.h>

extern int log_type;

#define LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, (uint32_t)log_type, "vhost-rng: " fmt "\n", ##__VA_ARGS__)

/** How many lines a second one kind of event may log. */
#define LOG_LIMIT_LINES 10

/** One for each place that can be flooded. VHOST or MAIN: rw, by whoever logs there. */
struct log_limit {
	uint64_t second;
	unsigned lines, left_out;
};

/** May one more line be logged? Says first what was left out before. */
bool log_limit_pass(struct log_limit *limit);

#define LOG_LIMITED(limit, level, fmt, ...)             \
	do {                                            \
		if (log_limit_pass(limit))              \
			LOG(level, fmt, ##__VA_ARGS__); \
	} while (0)

/**
 * Send the log to stderr. 'level' (RTE_LOG_ERR to RTE_LOG_DEBUG) is what the daemon logs; DPDK's
 * libraries log errors, and at debug what they have.
 * Context: MAIN, once before and once after rte_eal_init(), which resets levels.
 */
void log_setup(int level);

/** Log more, or less, from now on. Context: MAIN. */
void log_set_level(int level);

#endif
