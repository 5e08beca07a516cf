/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_EVENTFD_CHECK_H
#define VRNG_EVENTFD_CHECK_H

/**
 * Is a descriptor that somebody sent an eventfd? Only the kernel's name for it tells: to poll(2)
 * it, and see, may be what never returns.
 *
 * @return  0: yes; -EINVAL: no; else why it cannot be told, when /proc is not there
 * Context: any.
 */
int eventfd_check(int fd);

#endif
