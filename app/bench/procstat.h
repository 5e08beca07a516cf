/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What a process costs: CPU time and context switches of its threads, from /proc.
 *
 * Thread-safety: none needed; the process may start and end threads meanwhile.
 */
#ifndef BENCH_PROCSTAT_H
#define BENCH_PROCSTAT_H

#include <stdint.h>
#include <sys/types.h>

#define PROCSTAT_THREADS_MAX 1024

struct procstat_thread {
	pid_t tid;
	char name[16];
	int cpu; /* where it ran last */
	uint64_t cpu_ns;
	uint64_t voluntary;   /* context switches: it waited */
	uint64_t involuntary; /* it was made to wait */
};

struct procstat {
	unsigned nr_threads;
	struct procstat_thread threads[PROCSTAT_THREADS_MAX]; /* the first so many */
};

/** Look at a process. @return 0 or -errno: -ENOENT, there is no such process */
int procstat_read(pid_t pid, struct procstat *ps);

/**
 * What 'after' has more than 'before'. Threads that are new count in full, those that have ended
 * not at all.
 */
void procstat_subtract(struct procstat *after, const struct procstat *before);

/** Sum of the threads, with no tid, name and CPU. */
struct procstat_thread procstat_sum(const struct procstat *ps);

#endif
