/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SHORTAGE_H
#define VRNG_SHORTAGE_H

/*
 * Says in the log when the process has no descriptor left, and when it has again: rte_vhost, which
 * cannot take connections then, says nothing.
 *
 * Thread safety: none. Context: MAIN.
 */

/** To be called now and then. */
void shortage_tick(void);

#endif
