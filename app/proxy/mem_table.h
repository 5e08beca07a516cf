/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_MEM_TABLE_H
#define VRNG_MEM_TABLE_H

/*
 * The memory table of SET_MEM_TABLE: checks of its arithmetic and of the files behind it.
 *
 * Security model: everything is what a front-end sent. The size of a file may change after the
 * check; what maps the memory has to survive that.
 *
 * Thread safety: none needed. Context: PROXY.
 */

#include "vhost_user.h"
#include "why.h"

#include <stdbool.h>

/**
 * Check a table: at most VHOST_USER_MAX_REGIONS regions, one descriptor for each, no region of size
 * 0, no sum of address and size or of offset and size beyond 2^64 - 1, no two regions that overlap
 * in guest-physical or in the front-end's addresses, descriptors that fd_check_memory() accepts,
 * and regions that end within their files.
 *
 * @param table     nr_regions is not yet believed; the regions up to it were received
 * @param fds       borrowed; n_fds of them
 * @param any_file  as for fd_check_memory()
 * @return          0, or -EINVAL with 'why' set: region and value, without the request's name
 */
int mem_table_check(const struct vhost_user_mem_table *table, const int *fds, unsigned n_fds,
	bool any_file, struct why *why);

/** Do both tables have the same regions, whatever the files and offsets behind them? */
bool mem_table_same_layout(
	const struct vhost_user_mem_table *a, const struct vhost_user_mem_table *b);

#endif
