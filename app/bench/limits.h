/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What a CPU of this machine can do, whatever back-end runs on it: the parts that a request must be
 * made of. Rates are per second of CPU time of the thread that measures, so that a back-end that
 * polls the same CPU halves the share of time but not the figure (its cache it does disturb).
 *
 * To wake a thread is the least that a back-end which sleeps adds to a request. It is measured by
 * the clock: a back-end that polls there is in the way.
 *
 * Thread-safety: limits_measure() starts threads and waits for them.
 */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <stdint.h>

#define LIMITS_KEYSTREAM_MAX 65536 /* bytes of one Generate */
#define LIMITS_BULK_BYTES    65536

struct limits {
	int cpu;
	const char *source;
	char source_error[64]; /* why the source was not measured; "" if it was */
	char cipher[64];
	uint32_t keystream_call_bytes;
	double source_mbps;	 /* 10^6 bytes/s; one read(2) a request */
	double source_bulk_mbps; /* LIMITS_BULK_BYTES a read(2), as who reads ahead does */
	double keystream_mbps;
	double copy_mbps;
	double calls_per_s;		   /* eventfd_write() */
	uint64_t wake_p50_ns, wake_p99_ns; /* of a thread that waits for an eventfd, after 5 ms */
};

/**
 * Measure for requests of 'size_bytes', 'depth' of them at a time. Takes about two seconds.
 *
 * @param cpu     where to; must be one that the process may run on
 * @param source  measured when it is a device or a regular file (reading a FIFO would use it up)
 * @return        0; -errno of starting a thread there
 */
int limits_measure(
	int cpu, const char *source, uint32_t size_bytes, unsigned depth, struct limits *limits);

/** The last CPU that the process may run on and that isn't 'not_this'; that one if there's none. */
int limits_choose_cpu(int not_this);

#endif
