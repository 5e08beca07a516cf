/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dpdk-vhost-rng: reads the command line, starts the EAL, and lets the daemon serve. Context: MAIN.
 */

#include "daemon.h"
#include "eal.h"
#include "options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Split "EAL options -- options" at the separator. */
static enum options_result parse_command_line(
	int argc, char **argv, struct options *opt, int *eal_argc)
{
	int separator = options_find_separator(argc, argv);

	*eal_argc = separator;
	if (separator == 0)
		return options_parse(argc, argv, opt);
	/* getopt wants a program's name before the options. */
	argv[separator] = argv[0];
	return options_parse(argc - separator, argv + separator, opt);
}

/* Before the first thread, so that all have it and only MAIN gets them. */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	static struct daemon d;
	struct why why = {""};
	sigset_t signals;
	int eal_argc, err;

	switch (parse_command_line(argc, argv, &d.opt, &eal_argc)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_EXIT:
		return EXIT_SUCCESS;
	case OPTIONS_REFUSED:
		return 2;
	}
	block_signals(&signals);
	err = daemon_prepare(&d, &why);
	if (err == 0)
		err = eal_start(&d.opt, eal_argc, argv, &d.eal, &why);
	if (err == 0) {
		err = daemon_serve(&d, &signals, &why);
		daemon_end(&d);
		eal_stop();
	}
	if (err != 0)
		fprintf(stderr, "dpdk-vhost-rng: %s\n", why.text);
	daemon_end(&d);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
