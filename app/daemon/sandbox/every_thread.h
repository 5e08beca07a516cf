/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_EVERY_THREAD_H
#define VRNG_EVERY_THREAD_H

/*
 * Run a function on every thread of the process, whoever made it.
 *
 * Linux keeps capabilities, Landlock domains and no_new_privs for each thread, and has no call that
 * changes them for all (seccomp has; Landlock from Linux 7.0 on). The EAL and rte_vhost start
 * threads of their own, which run no code of ours. So each is sent a signal, whose handler does it:
 * what glibc does for setuid(2). System calls that it interrupts are restarted, or end with EINTR,
 * as poll(2) does; all threads that we know of bear that.
 *
 * Context: MAIN, one call at a time.
 */

/**
 * @param fn       async-signal-safe
 * @param wait_ms  for one thread, to begin: it may be off its CPU for long, on a machine that is
 *                 overloaded
 * @return         0; the first negative errno that 'fn' returned; -ETIMEDOUT when a thread
 *                 blocks the signal; what opendir(3) of /proc/self/task says. The others have run
 *                 it even so, and one that was not waited for does not run it later.
 */
int every_thread(int (*fn)(void), unsigned wait_ms);

#endif
