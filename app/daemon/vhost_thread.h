/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_VHOST_THREAD_H
#define VRNG_VHOST_THREAD_H

/**
 * Let rte_vhost's event thread see a socket that was made a moment ago.
 *
 * rte_vhost of DPDK 22.11 adds a listener to its event thread's poll() only when that wakes up,
 * which may take a second. A signal that does nothing wakes it. (Later versions use epoll, which
 * sees the listener at once, and name the thread otherwise: then nothing is found here.)
 *
 * Context: MAIN.
 */
void vhost_thread_wake(void);

#endif
