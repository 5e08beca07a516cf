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
#include "sandbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_LCORES_MAX 128

#define OPTIONS_SOURCES_MAX 8

/**
 * rte_vhost serves this many guests in a process: see README, "Limits". In server mode each needs
 * two places in its event thread, in client mode one.
 */
#define OPTIONS_SOCKETS_MAX	   511
#define OPTIONS_SOCKETS_MAX_CLIENT 1023

/** --guest options that may be given; each may be for many sockets. */
#define OPTIONS_RULES_MAX 64

#define OPTIONS_WEIGHT_MAX 1000

/** In a rule: nothing is said of it. */
#define OPTIONS_AS_IT_WAS UINT64_MAX

/** Terms of some sockets that are not as those of all. */
struct options_rule {
	uint64_t first, last; /* numbers of the sockets */
	uint64_t weight;
	uint64_t cap;
	uint64_t burst, burst_once;
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
	double source_entropy;			  /* bits in a byte; 0: by the kind of source */
	bool drbg;				  /* --source-mode */
	bool source_mix;
	bool continue_unseeded; /* --source-failure */
	uint64_t reseed_bytes;
	uint32_t reseed_s;
	const char *drbg_only;	 /* an option that was given and needs 'drbg'; NULL: none */
	bool client;		 /* connect to the front-ends' sockets */
	const char *server_only; /* an option that was given and does not go with 'client' */
	mode_t socket_mode;
	const char *socket_group; /* NULL: leave it */
	struct idle_config idle;
	bool idle_times_given; /* an option that 'poll' has no use for */
	unsigned n_lcores;     /* 0: choose */
	unsigned lcores[OPTIONS_LCORES_MAX];
	const char *control_socket;	/* NULL: none */
	struct sandbox_options sandbox; /* --sandbox, --sandbox-dir, --core-dumps, --user */
	int log_level;			/* RTE_LOG_* numbering: 1 (emergency) to 8 (debug) */
};

enum options_result {
	OPTIONS_RUN,	/* 'opt' is complete */
	OPTIONS_EXIT,	/* --help or --version was answered: exit 0 */
	OPTIONS_REFUSED /* a message was written to stderr: exit 2 */
};

/**
 * Parse the daemon's own part of the command line.
 *
 * @param argv  argv[0] is the program's name; strings are kept by reference
 */
enum options_result options_parse(int argc, char **argv, struct options *opt);

/** How many sockets one process can serve in the mode that was asked for. */
uint32_t options_sockets_max(const struct options *opt);

/**
 * Find the "--" that ends EAL options.
 *
 * @return  its index in argv, or 0 when there is none
 */
int options_find_separator(int argc, char **argv);

#endif
