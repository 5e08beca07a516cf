/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * What is told of a run: a table for people, JSON for programs.
 *
 * Thread-safety: none.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "args.h"
#include "limits.h"
#include "load.h"
#include "procstat.h"

#include <stdio.h>

struct report {
	const struct args *args;
	int argc;
	char **argv;
	const struct load *load;
	const struct limits *limits;	   /* NULL: not asked for */
	const struct procstat *backend;	   /* while it was measured; NULL: not asked for */
	const struct procstat_thread *own; /* the bench itself */
	const char *verdict;		   /* "ok" or what went wrong */
};

/** The guests together. The latency histogram is the caller's to free(). */
struct report_sum {
	struct player_counts counts;
	struct player_counts lifetime;
	double seconds;
	double jain; /* of the bytes: 1 when all got the same, 1/n when one got everything */
	struct histogram *latency;
};

/** @return 0 or -ENOMEM */
int report_sum(const struct load *l, struct report_sum *sum);

void report_table(const struct report *r, const struct report_sum *sum, FILE *to);

/** @return 0 or -ENOMEM */
int report_json(const struct report *r, const struct report_sum *sum, FILE *to);

/** So many while it was measured: how many in a second. */
double report_rate(const struct report_sum *sum, uint64_t n);

/** Each guest's latencies, the percentiles that are reported. */
#define REPORT_PERCENTILES 5
extern const double report_percentiles[REPORT_PERCENTILES];
extern const char *const report_percentile_names[REPORT_PERCENTILES];

#endif
