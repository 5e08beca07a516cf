/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SESSION_MEM_H
#define VRNG_SESSION_MEM_H

/*
 * A front-end's memory table, as rte_vhost has mapped it. A part of session.c: the library checks
 * that a table can be mapped, and not what is behind it.
 *
 * Context: as the callbacks of session.c, while the library has a table: after one was accepted.
 */

#include "guest_mem.h"
#include "vhost/guard.h"

/**
 * Seal the memory against shrinking where that can be done, and guard it.
 *
 * @param log  guard the log of dirty memory, too, which the library has mapped
 */
void session_mem_cover(int vid, bool log, struct guard *guard);

/** Set up 'mem'. @return NULL, or what is wrong with the table */
const char *session_mem_load(int vid, struct guest_mem *mem);

#endif
