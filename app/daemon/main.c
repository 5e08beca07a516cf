/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dpdk-vhost-rng: reads the command line, starts the EAL, and lets the daemon serve. Context: MAIN.
 */

#include "config/config.h"
#include "daemon.h"
#include "eal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As many words as the file's eal-options can have, and the program's name. */
#define EAL_WORDS_MAX 64

/* The EAL's part of the command line; argc 0: there is none. */
struct eal_words {
	int argc;
	char **argv;
	char *in_file[EAL_WORDS_MAX + 1];
};

/* Split "EAL options -- options" at the separator. */
static void split_command_line(int argc, char **argv, struct daemon *d, struct eal_words *eal)
{
	int separator = options_find_separator(argc, argv);

	d->argc = argc - separator;
	d->argv = argv + separator;
	eal->argc = separator;
	eal->argv = argv;
	/* getopt wants a program's name before the options. */
	argv[separator] = argv[0];
}

/* Those of the file count when the command line has none. */
static int take_eal_options(struct daemon *d, struct eal_words *eal, struct why *why)
{
	char *rest, *word;

	if (eal->argc > 0 || d->opt.eal_options == NULL)
		return 0;
	rest = (char *)options_keep(&d->opt, d->opt.eal_options);
	eal->in_file[eal->argc++] = eal->argv[0];
	eal->argv = eal->in_file;
	while (rest != NULL && (word = strsep(&rest, " \t")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (eal->argc == EAL_WORDS_MAX)
			return why_set(
				why, -1, "eal-options has more than %d words", EAL_WORDS_MAX - 1);
		eal->in_file[eal->argc++] = word;
	}
	return 0;
}

/* Before the first thread, so that all have it and only MAIN gets them. */
static void block_signals(sigset_t *signals, bool take_sighup)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGUSR1);
	if (take_sighup)
		sigaddset(signals, SIGHUP);
	sigprocmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void say(const struct why *why, const char *more)
{
	fprintf(stderr, "dpdk-vhost-rng: %s%s\n", why->text, more);
}

static int check_config(struct daemon *d, struct why *why)
{
	int err = specs_make(&d->opt, &d->specs, why);

	if (err == 0)
		err = config_print(&d->opt, stdout);
	else
		say(why, "");
	return err == 0 ? EXIT_SUCCESS : 2;
}

static int serve(struct daemon *d, const struct eal_words *eal)
{
	struct why why = {""};
	sigset_t signals;
	int err;

	/* With neither a file to read again nor a supervisor, who may think that there is one, it
	 * has its usual meaning: the terminal is gone. */
	block_signals(&signals, d->opt.config != NULL || getenv("NOTIFY_SOCKET") != NULL);
	err = daemon_prepare(d, &why);
	if (err == 0)
		err = eal_start(&d->opt, eal->argc, eal->argv, &d->eal, &why);
	if (err == 0) {
		err = daemon_serve(d, &signals, &why);
		daemon_end(d);
		eal_stop();
	}
	if (err != 0)
		say(&why, "");
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct daemon d;
	static struct eal_words eal;
	struct why why = {""};
	int status = 2;

	split_command_line(argc, argv, &d, &eal);
	switch (config_load(d.argc, d.argv, &d.opt, &why)) {
	case OPTIONS_RUN:
		if (take_eal_options(&d, &eal, &why) != 0)
			say(&why, "");
		else
			status = d.opt.check_config ? check_config(&d, &why) : serve(&d, &eal);
		break;
	case OPTIONS_EXIT:
		status = EXIT_SUCCESS;
		break;
	case OPTIONS_REFUSED:
		say(&why, "; see --help");
		break;
	}
	daemon_end(&d);
	return status;
}
