/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What it takes to wake a thread that waits for an eventfd: the least that a back-end which sleeps
 * adds to a request.
 *
 * Thread-safety: starts one thread and waits for it.
 */
#ifndef BENCH_WAKE_H
#define BENCH_WAKE_H

#include <stdint.h>

struct wake_times {
	uint64_t p50_ns, p99_ns;
};

/**
 * Wake a thread on a CPU again and again, 5 ms after it went to sleep, so that its CPU sleeps, too.
 *
 * @param cpu  where it sleeps; the calling thread should have another one
 * @return     0; -errno of starting a thread there, or of an eventfd
 */
int wake_measure(int cpu, struct wake_times *times);

#endif
