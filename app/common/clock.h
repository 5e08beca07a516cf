/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CLOCK_H
#define VRNG_CLOCK_H

#include <stdint.h>
#include <time.h>

/**
 * The one clock of both programs: nanoseconds of CLOCK_MONOTONIC. Any context: it is read from the
 * vDSO.
 *
 * The TSC alone would do on an lcore, but for the EAL's estimate of its rate, which is rounded to
 * 10 MHz: too coarse for a budget that is exact.
 */
static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/** Such a time, or a span of it, for a system call. */
static inline struct timespec clock_timespec(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

#endif
