/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_VHOST_THREAD_H
#define VRNG_VHOST_THREAD_H

#include <stdint.h>

/**
 * Let rte_vhost's event thread see a socket that was made a moment ago.
 *
 * rte_vhost of DPDK 22.11 adds a listener to its event thread's poll() only when that wakes up,
 * which may take a second. A signal that does nothing wakes it; and because the thread may be on
 * its way into poll() with the old list just then, it is woken again a few times. (From DPDK 24.07
 * on it is epoll, which sees the listener at once, and does not mind.)
 *
 * Context: MAIN.
 */
void vhost_thread_wake(void);

/** Wake it again if it is time. @return nanoseconds after which to call again; UINT64_MAX: no need
 */
uint64_t vhost_thread_tick(void);

#endif
