/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SANDBOX_H
#define VRNG_SANDBOX_H

/*
 * What the process gives up when it has started, so that who takes it over has little of it.
 *
 * Order, and why. Core dumps and namespaces go first, before there are other threads: what is
 * forked off a namespace later stays in it. The rest comes when all is running: sockets listen,
 * sources are open, lcores poll, hugepages are mapped. Then: the capability bounding set (needs a
 * capability), the user (as root), then on every thread the capabilities, no_new_privs and
 * Landlock, which Linux has for each thread (every_thread.h); then the seccomp filter of the
 * process, on all threads at once; and last, by each lcore itself, between two turns, its own
 * narrower one, which could not be there before that (syscall_filter.h). Threads that are started
 * later have what their parent has.
 *
 * What it can't have (a container forbids it, the kernel lacks it) the process goes on without, and
 * says so; unless 'require'. A user that was asked for, it must become.
 *
 * libcap-ng is not used: it changes the calling thread only, and keeps state that is not for signal
 * handlers.
 *
 * Context: MAIN, unless said otherwise.
 */

#include "sandbox/landlock.h"
#include "sandbox/user.h"
#include "why.h"

#include <stdbool.h>
#include <stddef.h>

/* In the order in which they are given up. */
enum sandbox_part {
	SANDBOX_DUMPS, /* no core dumps; other processes of the user cannot trace this one */
	SANDBOX_NAMESPACES,
	SANDBOX_CAPS,	    /* this one and the next ones: when all runs */
	SANDBOX_PRIVILEGES, /* no_new_privs */
	SANDBOX_LANDLOCK,
	SANDBOX_SECCOMP,
	SANDBOX_PARTS,
};

#define SANDBOX_DIRS_MAX 8

/** What was asked for. */
struct sandbox_options {
	unsigned off; /* bits of parts that are not wanted */
	bool core_dumps;
	bool require; /* all parts that are wanted, or do not start */
	const char *user;
	unsigned n_dirs;
	const char *dirs[SANDBOX_DIRS_MAX]; /* where sockets and sources may be later */
};

/** What has become of each part: in force, or why not. */
struct sandbox_report {
	struct {
		bool wanted, in_force;
		char why_not[96];
	} parts[SANDBOX_PARTS];
};

/**
 * The words of --sandbox: "on", "off", "require", "no-PART", with commas between.
 *
 * @return  0 or -EINVAL
 */
int sandbox_parse(const char *words, struct sandbox_options *so);

/** Room for all of them. */
#define SANDBOX_WORDS_SIZE 80

/** Words that sandbox_parse() makes the same of. */
void sandbox_words(const struct sandbox_options *so, char words[SANDBOX_WORDS_SIZE]);

/** What of it a person calls 'part', and what no-PART calls it. */
const char *sandbox_part_name(enum sandbox_part part);

/**
 * What must be done before there are other threads: dumps and namespaces.
 *
 * @return  0; a negative errno if something is required and can't be had
 */
int sandbox_begin(const struct sandbox_options *so, struct sandbox_report *report, struct why *why);

struct sandbox_config {
	const struct sandbox_options *options;
	const struct user *user; /* to become; NULL: stay */
	struct landlock *files;	 /* which it keeps; its own of /proc are added */

	/* Let all lcores call sandbox_enter_lcore(): 0, or a negative errno. NULL: there is none */
	int (*confine_lcores)(void *lcores);
	void *lcores;
};

/**
 * All the rest.
 *
 * @return  0; a negative errno if something is required, or the user, and can't be had: then the
 *          process must end
 */
int sandbox_enter(const struct sandbox_config *cfg, struct sandbox_report *report, struct why *why);

/**
 * Put the calling thread under the filter of lcores, if there is one. Context: LCORE, not in a
 * turn.
 *
 * @return  0 or a negative errno
 */
int sandbox_enter_lcore(void);

#endif
