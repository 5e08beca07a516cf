/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_EAL_H
#define VRNG_EAL_H

/*
 * Starting the EAL, and who runs where. When the user gave no EAL options they are worked out:
 * no hugepages; no PCI; one CPU for control and the rest of what is asked for to poll.
 */

#include "config/options.h"
#include "why.h"

#include <sched.h>
#include <stdbool.h>

struct eal {
	unsigned n_polling;
	unsigned polling[OPTIONS_LCORES_MAX]; /* lcore ids */
	bool shared_cpu;		      /* the lcore that polls has no CPU of its own */
	unsigned room;			      /* guests that its heap was made for; 0: not known */
	cpu_set_t helper_cpus;		      /* for threads that neither poll nor control */
};

/**
 * Find the lcores that would poll, without starting the EAL.
 *
 * @param eal_argc  as eal_start() takes it
 * @param eal       'polling' and 'n_polling' are set; 0 where the EAL's options decide
 * @return          0; -EINVAL when this process cannot run on a CPU of --lcores
 */
int eal_check(const struct options *opt, int eal_argc, struct eal *eal, struct why *why);

/**
 * Start the EAL.
 *
 * @param eal_argc, eal_argv  the user's EAL options, eal_argv[0] being the program; eal_argc 0:
 *                            take those of 'opt', or work them out
 * @return                    0; -EINVAL when the options are refused; or another negative errno
 * Context: MAIN, once.
 */
int eal_start(
	const struct options *opt, int eal_argc, char **eal_argv, struct eal *eal, struct why *why);

/** Context: MAIN, when all lcores have returned. */
void eal_stop(void);

/** The CPU that an lcore runs on, or -1 when it may run on several. */
int eal_lcore_cpu(unsigned lcore);

#endif
