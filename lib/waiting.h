/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_WAITING_H
#define VRNG_WAITING_H

/*
 * How long a guest has waited, and for what. Who reads it has the time that passes, too, while the
 * guest waits on and nobody looks at it.
 *
 * One writer, any number of readers, who never make it wait. The clock is the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

enum waiting_for {
	WAITING_FOR_NOTHING,
	WAITING_FOR_TOKENS,
	WAITING_FOR_BYTES,
	WAITING_KINDS,
};

struct waiting {
	uint32_t sequence; /* odd: the writer is at it */
	uint32_t kind;	   /* enum waiting_for */
	uint64_t since_ns; /* up to which it is counted */
	uint64_t ns[WAITING_KINDS];
};

/** It waits for this now. Context: the writer. */
void waiting_set(struct waiting *w, enum waiting_for kind, uint64_t now_ns);

/**
 * @param ns  set to how long it has waited for each kind, up to now
 * @return    what it waits for now
 * Context: any.
 */
enum waiting_for waiting_read(const struct waiting *w, uint64_t now_ns, uint64_t ns[WAITING_KINDS]);

#endif
