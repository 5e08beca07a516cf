/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The threads of a daemon under test, as the kernel sees them.
 */
#ifndef E2E_THREADS_H
#define E2E_THREADS_H

#include "daemon.h"

#include <stdint.h>

/** The id of the first thread whose name begins so; 0: there is none. */
pid_t thread_find(const struct daemon *d, const char *name);

/**
 * Stop one thread of the daemon, as nothing but a debugger can. Skips the test where that is not
 * allowed.
 */
void thread_stop(pid_t tid);

/** How long a thread has run on a CPU so far, in nanoseconds. */
uint64_t thread_cpu_ns(const struct daemon *d, pid_t tid);

/** How often the daemon's (first) lcore has gone to sleep so far. */
unsigned long lcore_sleeps(const struct daemon *d);

/** How often it goes to sleep in a second. Takes one. */
unsigned long lcore_sleeps_in_a_second(const struct daemon *d);

/** Wait until an lcore that is adaptive blocks. It may wake now and then, for the daemon itself. */
void lcore_wait_blocked(const struct daemon *d);

#endif
