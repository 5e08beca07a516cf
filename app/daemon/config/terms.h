/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TERMS_H
#define VRNG_TERMS_H

/*
 * What limits and weights mean for each guest's accounts. Pure; knows nothing of DPDK.
 */

#include "budget.h"
#include "config/spec.h"

/** What all guests together may have in a period; BUDGET_UNLIMITED: no limit. */
struct limits {
	uint64_t max_bytes, max_requests;
};

/** The terms of one guest's accounts. */
struct terms {
	struct budget_terms bytes, requests;
};

/**
 * What a guest is entitled to.
 *
 * @param weight_lo     the weights of all guests before it
 * @param weight_total  of all guests; > 0
 */
void terms_of(const struct limits *limits, const struct spec *spec, uint32_t weight_lo,
	uint32_t weight_total, struct terms *terms);

/**
 * What a guest is entitled to until the others have made room for it: nothing of what is shared;
 * its cap alone counts where nothing is limited.
 */
void terms_without_share(const struct limits *limits, const struct spec *spec, struct terms *terms);

/**
 * The period that all terms may change from when they change now.
 *
 * Lcores need a moment to hear of it; and the change that was made before, from period 'pending'
 * on, must have come, or be made again in whole.
 *
 * @param pending  UINT64_MAX: there was none before
 * @param wait_ns  set to how long to wait before that is known; 0: it is
 */
uint64_t terms_change_from(
	uint64_t now_ns, uint64_t period_ns, uint64_t pending, uint64_t *wait_ns);

#endif
