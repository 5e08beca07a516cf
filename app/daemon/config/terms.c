/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/terms.h"

/* What lcores need to hear of a change, with much to spare: they answer within microseconds. */
#define NOTICE_NS UINT64_C(20000000)

void terms_of(const struct limits *limits, const struct spec *spec, uint32_t weight_lo,
	uint32_t weight_total, struct terms *terms)
{
	terms->bytes = (struct budget_terms){
		.per_period = limits->max_bytes,
		.weight_lo = weight_lo,
		.weight_hi = weight_lo + spec->weight,
		.weight_total = weight_total,
		.cap = spec->cap,
		.depth = spec->burst,
	};
	terms->requests = terms->bytes;
	terms->requests.per_period = limits->max_requests;
	terms->requests.cap = BUDGET_UNLIMITED;
	terms->requests.depth = 0;
}

void terms_without_share(const struct limits *limits, const struct spec *spec, struct terms *terms)
{
	terms_of(limits, spec, 0, 1, terms);
	terms->bytes.weight_hi = terms->requests.weight_hi = 0;
}

uint64_t terms_change_from(uint64_t now_ns, uint64_t period_ns, uint64_t pending, uint64_t *wait_ns)
{
	*wait_ns = 0;
	if (pending != UINT64_MAX && pending > now_ns / period_ns) {
		uint64_t start_ns = pending * period_ns;

		if (start_ns - now_ns > NOTICE_NS)
			return pending; /* all are told anew, in time */
		*wait_ns = start_ns - now_ns;
	}
	return (now_ns + *wait_ns + NOTICE_NS) / period_ns + 1;
}
