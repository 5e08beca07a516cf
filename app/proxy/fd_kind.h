/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_FD_KIND_H
#define VRNG_FD_KIND_H

/*
 * Find out what kind of file a received descriptor is, without /proc and without asking a file
 * system or driver that the peer may have chosen: such a file's poll() or stat() may never return.
 *
 * Thread safety: any thread.
 */

#include <stdbool.h>

/**
 * Is it an eventfd?
 *
 * eventfd(2) files share one inode with the other files of the kernel that have no name (epoll,
 * timerfd, signalfd, io_uring ...), so the inode alone rules out pipes, sockets, devices and FUSE.
 * Among the files with that inode, only an eventfd reports POLLOUT but neither POLLRDNORM nor
 * POLLWRNORM. (An eventfd whose counter is full, 2^64 - 2, reports no POLLOUT and is refused.)
 *
 * @return  0: yes; -EINVAL: no; -EBADF: no open descriptor; -EMFILE, -ENFILE, -ENOMEM: no eventfd
 * can be made to compare with
 */
int fd_check_eventfd(int fd);

/**
 * Can it be mapped for reading and writing as guest memory?
 *
 * Seals are a property of shmem (memfd, tmpfs) and hugetlbfs alone, and F_GET_SEALS asks no file
 * system. Pages of any other file may never arrive.
 *
 * @param any_file  accept other files than shmem and hugetlbfs, too
 * @return          0: yes; -EINVAL: a file of another kind; -EACCES: not open for reading and
 * writing; -EBADF: no open descriptor
 */
int fd_check_memory(int fd, bool any_file);

#endif
