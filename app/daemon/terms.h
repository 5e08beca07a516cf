/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TERMS_H
#define VRNG_TERMS_H

/*
 * What the options mean for each guest's accounts. Pure; knows nothing of DPDK.
 */

#include "budget.h"
#include "options.h"

/** The terms of one guest, and what it is given once. */
struct terms {
	struct budget_terms bytes, requests;
	uint64_t once_bytes;
};

/** What guest number 'index' of opt->socket_count is entitled to. */
void terms_of(const struct options *opt, unsigned index, struct terms *terms);

#endif
