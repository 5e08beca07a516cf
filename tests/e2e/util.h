/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * Small things that every end-to-end test needs: the clock, the one time limit, CPUs.
 *
 * What a test says about time is either a bound that holds however loaded the machine is (no grant
 * before its period), or LIVENESS_MS, which is far beyond anything that works.
 */
#ifndef E2E_UTIL_H
#define E2E_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIVENESS_MS   20000
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** Monotonic time. */
int64_t now_ms(void);
int64_t now_us(void);

void sleep_ms(int ms);

/**
 * LIVENESS_MS of time in which the one that waits has run: a machine that stood still, with all
 * that is on it, is no reason to complain. For loops that look every second at least.
 */
struct patience {
	int64_t looked_ms, waited_ms;
};

void patience_begin(struct patience *p);
bool patience_is_over(struct patience *p);

/**
 * Keep the calling thread (and threads it starts) on CPU 0, away from the lcore of a daemon that
 * polls another one. The daemons started later get the whole set of CPUs back: see daemon_run().
 */
void stay_off_lcores(void);

/** Undo stay_off_lcores(). Async-signal-safe: for use between fork and exec. */
void use_all_cpus(void);

/** Write a file anew. Fails the test if that fails. */
void write_file(const char *path, const void *data, size_t len_bytes);

/** Number from the environment, or 'otherwise'. */
unsigned env_number(const char *name, unsigned otherwise);

#endif
