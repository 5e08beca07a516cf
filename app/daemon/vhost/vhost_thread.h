/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_VHOST_THREAD_H
#define VRNG_VHOST_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/** Size of a thread's name, including its NUL (TASK_COMM_LEN). */
#define VHOST_THREAD_NAME_SIZE 16

enum vhost_thread { VHOST_THREAD_EVENTS, VHOST_THREAD_RECONNECT, VHOST_THREADS };

/**
 * Set the calling thread's name to the one that DPDK has for this thread of rte_vhost, which is
 * about to be created.
 *
 * rte_vhost creates the two threads with its first socket, and with its first one in client mode.
 * DPDK names a thread by writing to /proc/self/task/TID/comm, and the sandbox allows no write
 * access below /proc. But a new thread inherits the name of its creator.
 *
 * @param previous  receives the name that vhost_thread_unname() restores
 * Context: MAIN.
 */
void vhost_thread_name(enum vhost_thread id, char previous[VHOST_THREAD_NAME_SIZE]);

/**
 * Restore the calling thread's name.
 *
 * @param created  the thread exists: later calls of vhost_thread_name() for it have no effect
 * Context: MAIN.
 */
void vhost_thread_unname(
	enum vhost_thread id, const char previous[VHOST_THREAD_NAME_SIZE], bool created);

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
