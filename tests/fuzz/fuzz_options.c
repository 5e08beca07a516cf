/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line: any words. What is taken keeps to the bounds that options.h promises, and
 * makes a guest of each socket.
 */
#include "fuzz.h"

#include "budget.h"
#include "options.h"
#include "spec.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#define WORDS_MAX 64
#define TEXT_MAX  4096

/* What it has to say goes nowhere. */
static void hush(bool on)
{
	static int saved[2] = {-1, -1}, nowhere = -1;

	if (nowhere < 0) {
		nowhere = open("/dev/null", O_WRONLY);
		saved[0] = dup(STDOUT_FILENO);
		saved[1] = dup(STDERR_FILENO);
		FUZZ_CHECK(nowhere >= 0 && saved[0] >= 0 && saved[1] >= 0);
	}
	fflush(stdout);
	fflush(stderr);
	dup2(on ? nowhere : saved[0], STDOUT_FILENO);
	dup2(on ? nowhere : saved[1], STDERR_FILENO);
}

static void check(const struct options *opt)
{
	struct spec spec;

	FUZZ_CHECK(opt->socket_path != NULL && opt->socket_path[0] != '\0');
	FUZZ_CHECK(opt->socket_count >= 1);
	FUZZ_CHECK(opt->period_ms >= 1);
	FUZZ_CHECK(opt->max_bytes == BUDGET_UNLIMITED ||
		   (opt->max_bytes >= 1 && opt->max_bytes <= INT64_MAX));
	FUZZ_CHECK(opt->turn_bytes >= 1);
	FUZZ_CHECK(opt->n_rules <= OPTIONS_RULES_MAX);
	for (unsigned i = 0; i < opt->n_rules; i++) {
		const struct options_rule *r = &opt->rules[i];

		FUZZ_CHECK(r->first <= r->last && r->last < opt->socket_count);
		FUZZ_CHECK(r->weight == OPTIONS_AS_IT_WAS ||
			   (r->weight >= 1 && r->weight <= OPTIONS_WEIGHT_MAX));
	}
	FUZZ_CHECK(opt->n_sources >= 1 && opt->n_sources <= OPTIONS_SOURCES_MAX);
	FUZZ_CHECK(opt->source_entropy >= 0 && opt->source_entropy <= 8);
	FUZZ_CHECK(opt->reseed_bytes >= 1 && opt->reseed_s >= 1);
	FUZZ_CHECK((opt->socket_mode & ~07777u) == 0);
	FUZZ_CHECK(opt->n_lcores <= OPTIONS_LCORES_MAX);
	FUZZ_CHECK(opt->drbg_only == NULL || opt->drbg);
	for (unsigned i = 0; i < opt->socket_count; i += 1 + opt->socket_count / 4) {
		if (spec_of_socket(opt, i, (gid_t)-1, &spec) != 0)
			continue;
		FUZZ_CHECK(spec_name_is_valid(spec.name));
		FUZZ_CHECK(strlen(spec.path) < sizeof(spec.path));
		FUZZ_CHECK(spec.weight >= 1 && spec.weight <= OPTIONS_WEIGHT_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1], *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "dpdk-vhost-rng"};
	static struct options opt;
	enum options_result r;
	int argc = 1, separator;

	if (size > TEXT_MAX)
		size = TEXT_MAX;
	memcpy(text, data, size);
	if (size > 0 && data[size - 1] == '\n')
		size--; /* as files end */
	text[size] = '\0';
	/* A word a line. */
	for (char *rest = text, *word; argc <= WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;)
		argv[argc++] = word;
	separator = options_find_separator(argc, argv);
	FUZZ_CHECK(separator >= 0 && separator < argc);
	FUZZ_CHECK(separator == 0 || strcmp(argv[separator], "--") == 0);
	argv[separator] = argv[0];
	hush(true);
	r = options_parse(argc - separator, argv + separator, &opt);
	hush(false);
	FUZZ_CHECK(r == OPTIONS_RUN || r == OPTIONS_EXIT || r == OPTIONS_REFUSED);
	if (r == OPTIONS_RUN)
		check(&opt);
	return 0;
}
