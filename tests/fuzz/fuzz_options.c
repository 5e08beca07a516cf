/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line: any words. What is taken keeps to the bounds that options.h promises, and
 * makes a guest of each socket.
 */
#include "fuzz.h"

#include "config/options.h"
#include "options_model.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1], *argv[WORDS_MAX + 2] = {(char *)(uintptr_t) "dpdk-vhost-rng"};
	static struct options opt;
	enum options_result r;
	struct why why;
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
	options_init(&opt);
	r = options_apply(argc - separator, argv + separator, &opt, &why);
	if (r == OPTIONS_RUN && options_check(&opt, &why) != 0)
		r = OPTIONS_REFUSED;
	hush(false);
	FUZZ_CHECK(r == OPTIONS_RUN || r == OPTIONS_EXIT || r == OPTIONS_REFUSED);
	if (r == OPTIONS_RUN)
		options_model_check(&opt);
	options_fini(&opt);
	return 0;
}
