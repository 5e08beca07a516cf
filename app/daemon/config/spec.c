/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/spec.h"

#include "budget.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool spec_name_is_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len < SPEC_NAME_SIZE && strspn(name, letters) == len;
}

static void apply(uint64_t *value, uint64_t said)
{
	if (said != OPTIONS_AS_IT_WAS)
		*value = said;
}

int spec_of_socket(const struct options *opt, unsigned index, gid_t gid, struct spec *spec)
{
	uint64_t weight = 1;

	*spec = (struct spec){
		.client = opt->client,
		.mode = opt->socket_mode,
		.gid = gid,
		.lcore = SPEC_ANY_LCORE,
		.cap = BUDGET_UNLIMITED,
		.burst = opt->burst,
		.burst_once = opt->burst_once,
	};
	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *rule = &opt->rules[i];

		if (index < rule->first || index > rule->last)
			continue;
		apply(&weight, rule->weight);
		apply(&spec->cap, rule->cap);
		apply(&spec->burst, rule->burst);
		apply(&spec->burst_once, rule->burst_once);
	}
	spec->weight = (uint32_t)weight;
	snprintf(spec->name, sizeof(spec->name), "%u", index);
	return sockets_path(opt->socket_path, index, spec->path) ? 0 : -ENAMETOOLONG;
}
