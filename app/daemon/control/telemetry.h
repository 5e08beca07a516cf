/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TELEMETRY_H
#define VRNG_TELEMETRY_H

/*
 * Counters and states by DPDK's telemetry: /vhost_rng/... for dpdk-telemetry.py and its like. It
 * changes nothing; docs/telemetry.md describes it. The EAL makes the socket, if it was told to.
 * What is said is what report.h says, and histograms.
 *
 * Context: MAIN starts and stops it; the EAL's threads, one for each client, ask. They see the
 * daemon under a lock of this module, guests and limits under the guest table's, and all else by
 * stats_read() and what else is for any thread: nobody waits for them but MAIN, when a guest comes
 * or goes, for as long as it takes to report on one.
 */

#include "daemon.h"
#include "why.h"

/** Let the commands be known. @return 0 or a negative errno */
int telemetry_start(const struct daemon *d, struct why *why);

/** Afterwards nobody looks at the daemon any more. One that was not started is fine. */
void telemetry_stop(void);

#endif
