/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SNAPSHOT_H
#define VRNG_SNAPSHOT_H

/*
 * What there is to know of the daemon's parts at a moment, each as a plain structure with a table
 * of its fields, from which both the control socket and telemetry are written: so they cannot come
 * to say different things. docs/telemetry.md says what the fields mean.
 *
 * Thread safety: filling in needs what each function says. Counters are read one by one, so those
 * of a structure may be of slightly different moments.
 */

#include "daemon.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
	FIELD_NUMBER, /* uint64_t */
	FIELD_LIMIT,  /* uint64_t; UINT64_MAX: there is none */
	FIELD_YES,    /* bool */
	FIELD_TEXT,   /* const char *; NULL: there is none */
	FIELD_PATH,   /* so, with bytes of any kind */
};

struct field {
	const char *name; /* as over the control socket; NULL ends a table */
	enum field_kind kind;
	size_t at;
};

struct guest_snapshot {
	/* The guest's own: valid as long as it is there */
	const char *name, *socket, *mode, *state, *broken;
	uint64_t lcore, weight, cap, burst, age_s;
	bool pinned, draining;
	const char *waits_for;
	struct guest_counters {
		uint64_t requests, bytes, short_reqs, calls, kicks;
		uint64_t throttled, throttled_ns, starved, starved_ns, broken;
	} counters;
};

extern const struct field guest_fields[], guest_counter_fields[];

/** Context: MAIN, or with the guest table's lock held. */
void snapshot_guest(const struct guest *g, struct guest_snapshot *s);

struct lcore_snapshot {
	uint64_t lcore, cpu, guests;
	uint64_t reseeds, generated, drawn;
	bool overdue;
	uint64_t busy_ns, spinning_ns, pausing_ns, sleeping_ns, blocked_ns;
	uint64_t sleeps, blocks, wakes;
};

extern const struct field lcore_fields[];

/** Of worker number 'i'. Context: any, while the service runs. */
void snapshot_lcore(const struct daemon *d, unsigned i, struct lcore_snapshot *s);

struct source_snapshot {
	const char *file, *state;
	uint64_t bytes, unwell, errors;
};

extern const struct field source_fields[];

/** Of source number 'i'. Context: as above. */
void snapshot_source(const struct daemon *d, unsigned i, struct source_snapshot *s);

struct budget_snapshot {
	uint64_t max_bytes, max_requests, period_ms, guests, weights;
	const char *sharing, *refill;
};

extern const struct field budget_fields[];

/** Context: MAIN, or with the guest table's lock held. */
void snapshot_budget(const struct daemon *d, struct budget_snapshot *s);

#endif
