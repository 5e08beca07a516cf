/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_REPORT_H
#define VRNG_REPORT_H

/*
 * What the daemon says about itself, as JSON: the control socket sends it as it is, telemetry turns
 * it into its own form, so that they cannot come to say different things. docs/control.md and
 * docs/telemetry.md say what it means.
 *
 * Each report is whole, or NULL when there was no memory. Counters are read one by one, so those of
 * a report may be of slightly different moments.
 *
 * Context: MAIN, or what is said of a function.
 */

#include "daemon.h"

#include <jansson.h>

/** All but the guests. */
json_t *report_status(const struct daemon *d);

/** A list of all guests. */
json_t *report_guests(const struct daemon *d);

/** One guest: what it is to have, how it is, what it got. Context: or with the table's lock. */
json_t *report_guest(const struct guest *g);

/** What all guests together may have. Context: or with the table's lock. */
json_t *report_budget(const struct daemon *d);

/** Worker number 'i'. Context: any, while the service runs. */
json_t *report_lcore(const struct daemon *d, unsigned i);

/** Source number 'i'. Context: as above. */
json_t *report_source(const struct daemon *d, unsigned i);

/** "drbg" or "passthrough". Context: any. */
const char *report_source_mode(const struct daemon *d);

#endif
