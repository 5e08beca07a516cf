/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dpdk-vhost-rng: reads the command line, starts the EAL, and lets the daemon serve. Context: MAIN.
 */

#include "config/config.h"
#include "control/ask_reload.h"
#include "daemon.h"
#include "eal.h"
#include "exit_status.h"
#include "log.h"
#include "version.h"

#include <rte_version.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longest wait for the end of a --config that is a FIFO or pipe. */
#define CONFIG_WAIT_MS 10000

/*
 * Open each closed descriptor of 0 to 2, so that no source, socket or connection gets one of these
 * numbers and the log is never written to it. The access mode is the unusable one: reading from
 * such a standard input and writing to such a standard output fail, as they do when it is closed.
 *
 * @return  0 or -errno
 */
static int reserve_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags) < 0)
			return -errno;
	}
	return 0;
}

/*
 * Block the signals that MAIN reads from a descriptor. Done first: an early SIGHUP or SIGUSR1 must
 * not kill the process, and each thread must inherit the mask.
 */
static void block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGUSR1);
	sigaddset(signals, SIGHUP);
	sigprocmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Let SIGHUP end the process, as when the terminal goes away, also one that is pending. */
static void unblock_sighup(sigset_t *signals)
{
	sigset_t sighup;

	sigdelset(signals, SIGHUP);
	sigemptyset(&sighup);
	sigaddset(&sighup, SIGHUP);
	sigprocmask(SIG_UNBLOCK, &sighup, NULL);
}

static void say(const struct why *why, const char *more)
{
	char text[sizeof(why->text) + 32];

	snprintf(text, sizeof(text), "%s%s", why->text, more);
	log_error(text);
}

/* @param eal_argc  as eal_start() takes it */
static int check_config(struct daemon *d, int eal_argc)
{
	struct why why = {0};
	int err = daemon_check(d, eal_argc, &why);

	if (err == 0 && config_print(&d->opt, stdout) != 0)
		err = why_set(&why, -EIO, "cannot write the configuration to stdout");
	if (err != 0)
		say(&why, "");
	return exit_status(err);
}

/* @return  0: it was sent; the outcome is in that process's log alone */
static int send_sighup(struct daemon *d, int eal_argc, struct why *why)
{
	int err = daemon_check(d, eal_argc, why);

	if (err != 0)
		return err;
	if (kill((pid_t)d->opt.reload_pid, SIGHUP) != 0)
		return why_set(why, -errno, "--reload %u: cannot send SIGHUP: %s",
			d->opt.reload_pid, strerror(errno));
	fprintf(stderr,
		"dpdk-vhost-rng: --reload: SIGHUP sent to process %u; without --control-socket its "
		"log alone says whether it refuses the configuration\n",
		d->opt.reload_pid);
	return 0;
}

/* @param eal_argc  as eal_start() takes it */
static int reload_other(struct daemon *d, int eal_argc)
{
	struct why why = {0};
	int err;

	if (d->opt.config == NULL) {
		fputs("dpdk-vhost-rng: --reload: without --config there is nothing to read\n",
			stderr);
		return EXIT_SUCCESS;
	}
	if (d->opt.control_socket != NULL)
		err = ask_reload(&d->opt, &why);
	else
		err = send_sighup(d, eal_argc, &why);
	if (err != 0)
		say(&why, "");
	return exit_status(err);
}

/*
 * @param eal_argc, eal_argv  as eal_start() takes them
 * @param signals             the blocked signals
 */
static int serve(struct daemon *d, int eal_argc, char **eal_argv, sigset_t *signals)
{
	struct why why = {0};
	int err;

	/* A service manager sends SIGHUP to reload, whether there is a file to read again or not.
	 */
	if (d->opt.config == NULL && getenv("NOTIFY_SOCKET") == NULL)
		unblock_sighup(signals);
	/* Before log_set_level(), which at debug makes DPDK log the change of each level. */
	if (d->opt.log_level >= (int)RTE_LOG_NOTICE)
		LOG(NOTICE, "dpdk-vhost-rng %s, %s", VRNG_VERSION, rte_version());
	log_set_level(d->opt.log_level);
	err = daemon_prepare(d, eal_argc, &why);
	if (err == 0)
		err = eal_start(&d->opt, eal_argc, eal_argv, &d->eal, &why);
	if (err == 0) {
		err = daemon_serve(d, signals, &why);
		daemon_end(d);
		eal_stop();
	}
	if (err != 0)
		say(&why, "");
	return exit_status(err);
}

int main(int argc, char **argv)
{
	int separator = options_find_separator(argc, argv), status;
	static struct daemon d;
	struct why why = {0};
	sigset_t signals;

	if (reserve_standard_fds() != 0)
		return EXIT_FAILURE;
	block_signals(&signals);
	log_open();
	d.argc = argc - separator;
	d.argv = argv + separator;
	d.argv[0] = argv[0]; /* getopt wants the program's name there */
	switch (config_load(d.argc, d.argv, CONFIG_WAIT_MS, &d.opt, &why)) {
	case OPTIONS_RUN:
		if (d.opt.check_config)
			status = check_config(&d, separator);
		else if (d.opt.reload_pid != 0)
			status = reload_other(&d, separator);
		else
			status = serve(&d, separator, argv, &signals);
		break;
	case OPTIONS_EXIT:
		status = EXIT_SUCCESS;
		break;
	case OPTIONS_REFUSED:
	default:
		say(&why, "; see --help");
		status = exit_status(why.err);
		break;
	}
	daemon_end(&d);
	return status;
}
