/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SYSCALL_FILTER_H
#define VRNG_SYSCALL_FILTER_H

/*
 * seccomp: which system calls the process may make from now on, and which an lcore.
 *
 * What is not on the list fails with EPERM, and can be seen: by the process itself (refused.h), and
 * in the kernel's log (audit). It does not end the process: a path of some libc or DPDK that nobody
 * thought of would then take all guests' bytes away, and a call that is refused does no harm. Calls
 * that neither the daemon nor a library of its makes on any path, but that who has taken it over
 * wants (execve, ptrace, io_uring, modules, mounts, other namespaces) end the process.
 *
 * No memory becomes executable, no process is made, sockets are Unix sockets, no file gets a
 * set-user-ID or set-group-ID bit, and signals go to threads of this process alone: fcntl() is
 * filtered by its command, because with F_SETOWN and O_ASYNC the kernel signals any process of the
 * user.
 *
 * The process's filter is put on all its threads by the kernel (TSYNC); that works while no thread
 * has another one. So lcores add theirs afterwards. An lcore keeps what its loop needs (call
 * drivers, wait, the time, getrandom for the vDSO's generator), what a SIGBUS handler needs to put
 * memory in a page's place, and what abort(3) needs. It opens nothing.
 *
 * Both are made with SECCOMP_FILTER_FLAG_SPEC_ALLOW: before Linux 5.16 a filter would otherwise
 * switch speculative store bypass off on polling lcores, which run no code but ours.
 */

#include <stdbool.h>

struct syscall_filter;

enum syscall_filter_kind { SYSCALL_FILTER_PROCESS, SYSCALL_FILTER_LCORE };

/**
 * Make a filter, which nothing has yet.
 *
 * @param seen  what is refused raises SIGSYS, whose handler is refused.h's; false: EPERM at once
 * @return      0 or a negative errno
 * Context: MAIN.
 */
int syscall_filter_create(enum syscall_filter_kind kind, bool seen, struct syscall_filter **filter);

/** Does not lift it. NULL is fine. Context: MAIN. */
void syscall_filter_destroy(struct syscall_filter *filter);

/**
 * Put it on the calling thread (LCORE) or on all of the process (PROCESS), for good.
 *
 * @return  0; -ECANCELED when another thread has a filter of its own; or another negative errno
 * Context: any; PROCESS: MAIN.
 */
int syscall_filter_apply(const struct syscall_filter *filter);

#endif
