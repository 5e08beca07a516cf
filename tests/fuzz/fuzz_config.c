/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file: any bytes. What is taken keeps to the bounds that options.h promises, and
 * says the same when it is printed and read again. What is refused is refused with a reason.
 */
#include "fuzz.h"

#include "config/config.h"
#include "options_model.h"

#include <errno.h>

static int load(const void *text, size_t size, struct options *opt, struct why *why)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, size, "r");
	int err;

	FUZZ_CHECK(file != NULL);
	options_init(opt);
	why->text[0] = '\0';
	err = config_read_stream(file, "f", opt, why);
	fclose(file);
	return err == 0 ? options_check(opt, why) : err;
}

static char *print(const struct options *opt, size_t *size)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, size);

	FUZZ_CHECK(file != NULL);
	FUZZ_CHECK(config_print(opt, file) == 0);
	fclose(file);
	return text;
}

static void check(const struct options *opt)
{
	static struct options again;
	size_t size, size_again;
	char *text, *text_again;
	struct why why;

	options_model_check(opt);
	text = print(opt, &size);
	FUZZ_CHECK(load(text, size, &again, &why) == 0);
	text_again = print(&again, &size_again);
	FUZZ_CHECK(strcmp(text, text_again) == 0);
	options_fini(&again);
	free(text);
	free(text_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options opt;
	struct why why;
	int err;

	if (size == 0)
		return 0;
	err = load(data, size, &opt, &why);
	if (err == 0)
		check(&opt);
	else
		FUZZ_CHECK(err < 0 && err != -ENOMEM && why.text[0] != '\0');
	options_fini(&opt);
	return 0;
}
