/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_OPTIONS_H
#define VRNG_OPTIONS_H

/*
 * The command line: dpdk-vhost-rng [EAL options --] [options].
 *
 * Parsing touches nothing but its result: no file is opened, and what an option names is not
 * looked at here. Knows nothing of DPDK.
 */

#include "idle.h"
#include "sandbox/sandbox.h"
#include "why.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_LCORES_MAX 128

#define OPTIONS_SOURCES_MAX 8

/** Words of eal-options. */
#define OPTIONS_EAL_WORDS_MAX 63

/**
 * rte_vhost serves this many guests in a process: see README, "Limits". In server mode each needs
 * two places in its event thread, in client mode one.
 */
#define OPTIONS_SOCKETS_MAX	   511
#define OPTIONS_SOCKETS_MAX_CLIENT 1023

/** --guest options that may be given; each may be for many sockets. */
#define OPTIONS_RULES_MAX 64

#define OPTIONS_WEIGHT_MAX 1000

/** Nothing is said of it: in a rule; and in a guest until options_check() makes it that of all. */
#define OPTIONS_AS_IT_WAS	 UINT64_MAX
#define OPTIONS_MODE_AS_IT_WAS	 ((mode_t)-1)
#define OPTIONS_CLIENT_AS_IT_WAS UINT32_MAX

/** Terms of some sockets that are not as those of all. */
struct options_rule {
	uint64_t first, last; /* numbers of the sockets */
	uint64_t weight;
	uint64_t cap;
	uint64_t burst, burst_once;
};

/** A guest that has a section of its own in the configuration file. */
struct options_guest {
	const char *name;
	const char *socket;
	uint32_t client; /* 1: connect to its front-end's socket */
	mode_t mode;
	const char *group; /* NULL: leave it */
	uint64_t weight;
	uint64_t cap; /* BUDGET_UNLIMITED */
	uint64_t burst, burst_once;
	uint32_t lcore; /* UINT32_MAX: any */
};

/** Text that options refer to and own. */
struct options_string {
	struct options_string *next;
	char text[];
};

struct options {
	const char *socket_path; /* NULL: no guests to begin with */
	uint32_t socket_count;
	uint32_t period_ms;
	uint64_t max_bytes;    /* BUDGET_UNLIMITED when not given */
	uint64_t max_requests; /* so, too */
	bool fair;	       /* --sharing */
	bool smooth;	       /* --refill */
	uint64_t burst, burst_once;
	uint64_t turn_bytes;
	unsigned n_rules;
	struct options_rule rules[OPTIONS_RULES_MAX]; /* --guest; later ones win */
	unsigned n_sources;
	const char *sources[OPTIONS_SOURCES_MAX]; /* in the order of preference */
	uint64_t source_entropy_abits; /* of a byte, in 10^-18 bit (health.h); 0: by the kind of
					  source */
	bool drbg;		       /* --source-mode */
	bool source_mix;
	bool continue_unseeded; /* --source-failure */
	uint64_t reseed_bytes;
	uint32_t reseed_s;
	bool client;	    /* connect to the front-ends' sockets */
	mode_t socket_mode; /* OPTIONS_MODE_AS_IT_WAS until options_check() sets the default */
	const char *socket_group; /* NULL: leave it */
	struct idle_config idle;
	unsigned n_lcores; /* 0: choose */
	unsigned lcores[OPTIONS_LCORES_MAX];
	const char *control_socket;	/* NULL: none */
	struct sandbox_options sandbox; /* --sandbox, --sandbox-dir, --core-dumps, --user */
	bool telemetry;			/* by the EAL */
	const char *config;		/* NULL: none */
	const char *eal_options;	/* the file's, when the command line has none; NULL: none */
	bool check_config;
	uint32_t reload_pid; /* --reload; 0: not given */
	int log_level;	     /* RTE_LOG_* numbering: 1 (emergency) to 8 (debug) */
	unsigned n_guests;
	struct options_guest *guests; /* by their own sections */

	/* For whoever fills it in */
	struct options_string *kept;
	uint64_t given; /* a bit for each row of settings.c */
};

enum options_result {
	OPTIONS_RUN,	/* 'opt' is complete */
	OPTIONS_EXIT,	/* --help or --version was answered: exit 0 */
	OPTIONS_REFUSED /* exit 2 */
};

/** What holds when nothing is said. */
void options_init(struct options *opt);

/** Free what is kept. One that was initialized, or zeroed, is fine. */
void options_fini(struct options *opt);

/** A copy of a text that lives as long as 'opt'; NULL: no memory. */
const char *options_keep(struct options *opt, const char *text);

/**
 * Let the daemon's own part of the command line count.
 *
 * @param argv  argv[0] is the program's name; strings are kept by reference
 * @param why   said with OPTIONS_REFUSED
 */
enum options_result options_apply(int argc, char **argv, struct options *opt, struct why *why);

/**
 * When all was said: does it go together? Fills in what depends on each other.
 *
 * @return  0 or -EINVAL
 */
int options_check(struct options *opt, struct why *why);

/** How many sockets one process can serve in the mode that was asked for. */
uint32_t options_sockets_max(const struct options *opt);

/**
 * Find the "--" that ends EAL options.
 *
 * @return  its index in argv, or 0 when there is none
 */
int options_find_separator(int argc, char **argv);

#endif
