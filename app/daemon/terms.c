/* SPDX-License-Identifier: BSD-3-Clause */
#include "terms.h"

static void apply(uint64_t *value, uint64_t said)
{
	if (said != OPTIONS_AS_IT_WAS)
		*value = said;
}

/* All rules for a guest, one over the other. */
static struct options_rule rule_of(const struct options *opt, unsigned index)
{
	struct options_rule all = {
		.weight = 1,
		.cap = BUDGET_UNLIMITED,
		.burst = opt->burst,
		.burst_once = opt->burst_once,
	};

	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *rule = &opt->rules[i];

		if (index < rule->first || index > rule->last)
			continue;
		apply(&all.weight, rule->weight);
		apply(&all.cap, rule->cap);
		apply(&all.burst, rule->burst);
		apply(&all.burst_once, rule->burst_once);
	}
	return all;
}

void terms_of(const struct options *opt, unsigned index, struct terms *terms)
{
	struct options_rule mine = rule_of(opt, index);
	uint32_t lo = 0, total = 0;

	for (unsigned i = 0; i < opt->socket_count; i++) {
		if (i == index)
			lo = total;
		total += (uint32_t)rule_of(opt, i).weight;
	}
	terms->bytes = (struct budget_terms){
		.per_period = opt->max_bytes,
		.weight_lo = lo,
		.weight_hi = lo + (uint32_t)mine.weight,
		.weight_total = total,
		.cap = mine.cap,
		.depth = mine.burst,
	};
	terms->requests = terms->bytes;
	terms->requests.per_period = opt->max_requests;
	terms->requests.cap = BUDGET_UNLIMITED;
	terms->requests.depth = 0;
	terms->once_bytes = mine.burst_once;
}
