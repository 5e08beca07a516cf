/* SPDX-License-Identifier: BSD-3-Clause */
#include "options_model.h"

#include "budget.h"
#include "config/spec.h"
#include "fuzz.h"
#include "health.h"
#include "text.h"

/* Texts that reach the log have no control character. */
static void check_text(const char *text)
{
	struct why why;

	FUZZ_CHECK(text == NULL || text_check(text, &why) == 0);
}

void options_model_check(const struct options *opt)
{
	const struct spec otherwise = {.weight = 1};
	struct spec spec;

	if (opt->socket_path != NULL)
		FUZZ_CHECK(opt->socket_path[0] != '\0' && opt->socket_count >= 1);
	else
		FUZZ_CHECK(opt->socket_count == 0 &&
			   (opt->control_socket != NULL || opt->n_guests > 0));
	FUZZ_CHECK(opt->period_ms >= 1);
	FUZZ_CHECK(opt->max_bytes == BUDGET_UNLIMITED ||
		   (opt->max_bytes >= 1 && opt->max_bytes <= INT64_MAX));
	FUZZ_CHECK(opt->max_requests == BUDGET_UNLIMITED ||
		   (opt->max_requests >= 1 && opt->max_requests <= INT64_MAX));
	FUZZ_CHECK(opt->burst <= INT64_MAX && opt->burst_once <= INT64_MAX);
	FUZZ_CHECK(opt->turn_bytes >= 64 && opt->turn_bytes <= 1 << 30);
	FUZZ_CHECK(opt->n_rules <= OPTIONS_RULES_MAX);
	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *r = &opt->rules[i];

		FUZZ_CHECK(r->first <= r->last && r->last < opt->socket_count);
		FUZZ_CHECK(r->weight == OPTIONS_AS_IT_WAS ||
			   (r->weight >= 1 && r->weight <= OPTIONS_WEIGHT_MAX));
	}
	check_text(opt->socket_path);
	check_text(opt->socket_group);
	check_text(opt->control_socket);
	check_text(opt->config);
	check_text(opt->eal_options);
	check_text(opt->sandbox.user);
	for (unsigned i = 0; i < opt->n_guests; i++) {
		check_text(opt->guests[i].name);
		check_text(opt->guests[i].socket);
		check_text(opt->guests[i].group);
	}
	for (unsigned i = 0; i < opt->n_sources; i++)
		check_text(opt->sources[i]);
	FUZZ_CHECK(opt->n_sources >= 1 && opt->n_sources <= OPTIONS_SOURCES_MAX);
	FUZZ_CHECK(opt->source_entropy_abits == 0 ||
		   (opt->source_entropy_abits >= HEALTH_BIT / 10 &&
			   opt->source_entropy_abits <= 8 * HEALTH_BIT));
	FUZZ_CHECK(opt->reseed_bytes >= 1 && opt->reseed_s >= 1);
	FUZZ_CHECK(opt->socket_mode <= 0777);
	FUZZ_CHECK(opt->idle.spin_ns <= 1000000000 && opt->idle.max_sleep_ns <= 10000000);
	FUZZ_CHECK(opt->sandbox.n_dirs <= SANDBOX_DIRS_MAX);
	FUZZ_CHECK(opt->n_lcores <= OPTIONS_LCORES_MAX);
	for (unsigned i = 0; i < opt->socket_count; i += 1 + opt->socket_count / 4) {
		if (spec_of_socket(opt, &otherwise, i, &spec) != 0)
			continue;
		FUZZ_CHECK(spec_name_is_valid(spec.name));
		FUZZ_CHECK(strlen(spec.path) < sizeof(spec.path));
		FUZZ_CHECK(spec.weight >= 1 && spec.weight <= OPTIONS_WEIGHT_MAX);
	}
	for (unsigned i = 0; i < opt->n_guests; i++) {
		const struct options_guest *g = &opt->guests[i];

		FUZZ_CHECK(spec_name_is_valid(g->name));
		FUZZ_CHECK(g->socket != NULL && g->socket[0] != '\0');
		FUZZ_CHECK(g->weight >= 1 && g->weight <= OPTIONS_WEIGHT_MAX);
		FUZZ_CHECK(g->cap >= 1);
		FUZZ_CHECK(g->client <= 1 && g->mode <= 0777);
		FUZZ_CHECK(g->burst <= INT64_MAX && g->burst_once <= INT64_MAX);
		for (unsigned k = 0; k < i; k++)
			FUZZ_CHECK(strcmp(opt->guests[k].name, g->name) != 0);
	}
}
