/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SPEC_H
#define VRNG_SPEC_H

/*
 * What a guest is to have: its name, its socket, its terms. From the command line, the
 * configuration file, or over the control socket. Plain data; knows nothing of DPDK.
 */

#include "config/options.h"
#include "vhost/sockets.h"
#include "why.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** The 0 at the end included. */
#define SPEC_NAME_SIZE 64

/** lcore: any that polls. */
#define SPEC_ANY_LCORE UINT32_MAX

struct spec {
	char name[SPEC_NAME_SIZE];
	char path[SOCKETS_PATH_SIZE];
	bool client; /* the socket is the front-end's: connect to it, and leave it as it is */
	mode_t mode; /* of a socket of ours */
	gid_t gid;   /* (gid_t)-1: leave it */
	uint32_t weight;
	uint32_t lcore;	     /* that serves it; SPEC_ANY_LCORE: the one with the least to do */
	uint64_t cap;	     /* most bytes in a period; BUDGET_UNLIMITED */
	uint64_t burst;	     /* bytes of its share that it may keep for later periods */
	uint64_t burst_once; /* bytes beyond its share, one time */
};

/** All guests that the options ask for. A zeroed one has none. */
struct specs {
	struct spec otherwise; /* what a guest has of which nothing is said */
	unsigned n;
	struct spec *all;
};

/** Places for sockets and connections in rte_vhost's event thread, in a process. */
#define SPEC_PLACES_MAX 1023

/** How many of them a guest needs: a socket of ours and its connection, or a connection of ours. */
static inline unsigned spec_places(const struct spec *spec)
{
	return spec->client ? 1 : 2;
}

/** 1 to 63 letters, digits and . _ - which no log, file or protocol of ours takes for more. */
bool spec_name_is_valid(const char *name);

/**
 * The guest of socket number 'index' of --socket-path, which has that number for its name, with the
 * terms of all and those that --guest says.
 *
 * @param otherwise  what it has of which nothing is said
 * @return           0; -ENAMETOOLONG when its path has more bytes than a socket's can have
 */
int spec_of_socket(
	const struct options *opt, const struct spec *otherwise, unsigned index, struct spec *spec);

/**
 * The guests of --socket-path, and those with a section of their own. Groups are looked for in the
 * system; no socket is touched. Context: MAIN.
 *
 * @param opt    that options_check() found well
 * @param specs  specs_fini() it, whatever the result
 * @return       0; -E2BIG for more than one process can serve; -EEXIST for two of one name or with
 *               one socket; -ENAMETOOLONG; -ENOENT for a group that is not there; -ENOMEM
 */
int specs_make(const struct options *opt, struct specs *specs, struct why *why);

/**
 * Refuse a guest whose lcore does not poll.
 *
 * @return  -EINVAL, always
 */
int spec_refuse_lcore(const struct spec *spec, struct why *why);

void specs_fini(struct specs *specs);

#endif
