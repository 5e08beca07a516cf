/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_REFUSED_H
#define VRNG_REFUSED_H

/*
 * System calls that a filter refused (syscall_filter.h): how many, and which one was last, so that
 * the process can tell of them itself. The kernel's log, which has them too, is not there for
 * everybody: not in a container, and not without audit.
 *
 * The filter answers such a call with SIGSYS. Its handler counts, lets the call fail with EPERM,
 * and goes on. On a thread that blocks the signal the call ends the process instead: none of ours
 * does, and libc only around calls that are allowed.
 */

#include <stddef.h>
#include <stdint.h>

/**
 * Install the handler, for all threads.
 *
 * @return  0; -ENOTSUP: not on this architecture; or another negative errno
 * Context: MAIN.
 */
int refused_install(void);

/** How many there were. Context: any. */
uint64_t refused_count(void);

/**
 * What the last one was, and of which thread: "socket (41) of thread 4711, vrng-feeder-0".
 *
 * Context: MAIN.
 */
void refused_describe(char *text, size_t size);

#endif
