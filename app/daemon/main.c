/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dpdk-vhost-rng: reads the command line, starts the EAL, and lets the daemon serve. Context: MAIN.
 */

#include "config/config.h"
#include "daemon.h"
#include "eal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

	if (err == 0 && config_print(&d->opt, stdout) != 0)
		err = why_set(why, -EIO, "cannot write the configuration to stdout");
	if (err != 0)
		say(why, "");
	return err == 0 ? EXIT_SUCCESS : 2;
}

/* @param eal_argc, eal_argv  as eal_start() takes them */
static int serve(struct daemon *d, int eal_argc, char **eal_argv)
{
	struct why why = {""};
	sigset_t signals;
	int err;

	/* With neither a file to read again nor a supervisor, who may think that there is one, it
	 * has its usual meaning: the terminal is gone. */
	block_signals(&signals, d->opt.config != NULL || getenv("NOTIFY_SOCKET") != NULL);
	err = daemon_prepare(d, &why);
	if (err == 0)
		err = eal_start(&d->opt, eal_argc, eal_argv, &d->eal, &why);
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
	int separator = options_find_separator(argc, argv), status = 2;
	static struct daemon d;
	struct why why = {""};

	d.argc = argc - separator;
	d.argv = argv + separator;
	d.argv[0] = argv[0]; /* getopt wants the program's name there */
	switch (config_load(d.argc, d.argv, &d.opt, &why)) {
	case OPTIONS_RUN:
		status = d.opt.check_config ? check_config(&d, &why) : serve(&d, separator, argv);
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
