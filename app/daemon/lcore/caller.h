/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_CALLER_H
#define VRNG_CALLER_H

/*
 * Signals a guest's call descriptor, without ever waiting for anything.
 *
 * A write(2) to it may wait: to an eventfd whose counter is full, to a pipe that is, to whatever
 * else a front-end sent. O_NONBLOCK does not help, since it belongs to the open file, which the
 * front-end shares and may change between our setting it and our writing; and the kernel knows no
 * other non-blocking write to an eventfd (it has no RWF_NOWAIT, and cannot be opened anew). So the
 * kernel is made to signal the eventfd itself, as it does for kernel back-ends: as the completion
 * of an asynchronous read of nothing (io_submit(2) with IOCB_FLAG_RESFD), which is over when the
 * call returns. A counter that is full stays full. What is no eventfd is refused by the kernel:
 * nothing else can be signalled this way, and vhost-user asks for nothing else.
 *
 * One system call, and one more in every CALLER_BATCH calls.
 *
 * Where there is no io_setup(2) (CONFIG_AIO, a filter, fs.aio-max-nr, qemu-user) it is a write
 * after all, with O_NONBLOCK set just before: then a front-end that is out for it can make the
 * caller wait.
 *
 * Thread safety: none; a caller is one thread's, but for its creation and end.
 */

#include <linux/aio_abi.h>
#include <stdbool.h>

#define CALLER_BATCH 32

struct caller {
	aio_context_t ctx;
	int flaw; /* not 0: there is no 'ctx' */
	int null_fd;
	unsigned n_completed; /* that were not fetched yet */
	struct iocb read;     /* of no bytes of /dev/null */
};

/**
 * @return  0; else why it may come to wait, and it can be used all the same: -EAGAIN when
 *          fs.aio-max-nr is used up, -ENOSYS or -EPERM where there is no io_setup(2)
 */
int caller_init(struct caller *c);

/** Context: its thread runs no more. */
void caller_fini(struct caller *c);

/**
 * Add 1 to an eventfd.
 *
 * @return  0; -EAGAIN when the kernel had no memory for it; -EINVAL or -EBADF when 'fd' is none
 * Context: LCORE. Waits for nothing.
 */
int caller_call(struct caller *c, int fd);

/** Is 'fd' an eventfd? Yes, when /proc is not there to tell. Context: VHOST. */
bool caller_can_call(int fd);

#endif
