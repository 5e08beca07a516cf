/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LOG_H
#define VRNG_LOG_H

/*
 * The daemon's log: rte_log, written to stderr. Context: MAIN, VHOST, FEEDER; never LCORE.
 *
 * Levels: ERR for what stops guests from being served or an operator's request from being done,
 * WARNING for what will or may, NOTICE for changes of the daemon's own state, INFO for front-ends
 * that come and go.
 *
 * A guest or a front-end can cause events at any rate. LOG_LIMITED logs such events: it writes
 * LOG_LIMIT_LINES lines in a second, and then the number of lines that it left out.
 */

#include <rte_log.h>

#include <stdbool.h>
#include <stdint.h>

extern int log_type;

#define LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, (uint32_t)log_type, "vhost-rng: " fmt "\n", ##__VA_ARGS__)

/** Lines in a second for one kind of event. */
#define LOG_LIMIT_LINES 10

/** The limit of one place that logs. The thread that logs there: rw. */
struct log_limit {
	uint64_t second;
	unsigned lines, left_out;
};

/** Whether one more line may be logged. Logs first how many lines were left out before it. */
bool log_limit_pass(struct log_limit *limit);

#define LOG_LIMITED(limit, level, fmt, ...)             \
	do {                                            \
		if (log_limit_pass(limit))              \
			LOG(level, fmt, ##__VA_ARGS__); \
	} while (0)

/**
 * Send the log to stderr, without limits for now: a person waits for what the EAL reports while it
 * starts. Where stderr is a stream of systemd's journal, each line begins with its priority. A line
 * for which stderr has no room, because its reader has stopped, is left out and counted: no thread
 * waits for the reader.
 * Context: MAIN, once, before rte_eal_init() and the first LOG().
 */
void log_open(void);

/**
 * Log lines of 'level' (RTE_LOG_ERR to RTE_LOG_DEBUG) and above. DPDK's libraries log errors, and
 * everything at debug. rte_eal_init() resets levels: call this before and after it.
 * Context: MAIN.
 */
void log_set_level(int level);

/** Limit the lines of DPDK's libraries, except at debug. Context: MAIN, after rte_eal_init(). */
void log_limit_libraries(void);

/** Write "dpdk-vhost-rng: TEXT", the reason why the program ends. Context: MAIN. */
void log_error(const char *text);

#endif
