/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SERVICE_H
#define VRNG_SERVICE_H

/*
 * What makes bytes: the sources, the feeder that reads them, and the workers on their lcores. It
 * knows guests only as those who join a worker.
 *
 * Context: MAIN.
 */

#include "config/options.h"
#include "eal.h"
#include "source/intake.h"
#include "why.h"

struct service;
struct workers;

/**
 * Check the sources without opening them.
 *
 * @return  0; -EINVAL when a seed from them has too many bytes; or as source_check()
 */
int service_check(const struct options *opt, struct why *why);

/**
 * Open the sources. Nothing runs yet.
 *
 * @param opt  that service_check() found well; kept by reference
 * @return     0 or a negative errno
 */
int service_open(const struct options *opt, struct service **service, struct why *why);

/**
 * Start the feeder and the workers.
 *
 * @return  0 or a negative errno; service_stop() ends what was started
 */
int service_start(struct service *s, const struct eal *eal, struct why *why);

/** End what runs. No guest is attached. */
void service_stop(struct service *s);

/** Close the sources, and free. NULL is fine. */
void service_close(struct service *s);

/** The workers that poll: all of them from service_start() to service_stop(). */
const struct workers *service_workers(const struct service *s);

/** When the first period of the budget starts. */
uint64_t service_epoch_ns(const struct service *s);

/**
 * What is known of source number 'i', by all that read it: the sum of their counters, and the state
 * of the one that is worst. Context: any thread.
 */
void service_source(const struct service *s, unsigned i, struct intake_stats *sum);

/** What worker number 'i' drew from the kernel by itself, for stats_read(); NULL: it does not. */
const struct intake_stats *service_tap(const struct service *s, unsigned i);

/** Let all DRBGs be seeded again. @param due  not a byte without it */
void service_reseed(struct service *s, bool due);

/** Reseed after so many seconds. */
void service_set_reseed_time(struct service *s, uint32_t seconds);

/** What is to be done now and then: reseed when it is time, say when that is overdue. */
void service_tick(struct service *s);

#endif
