/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_ASK_RELOAD_H
#define VRNG_ASK_RELOAD_H

/*
 * --reload: another process, the daemon that runs, is asked over its control socket to read its
 * configuration again. Unlike SIGHUP that has an answer, which becomes an exit status: a service
 * manager then knows whether the reload was refused.
 *
 * Context: MAIN, of a process that serves nothing.
 */

#include "config/options.h"
#include "why.h"

/**
 * Send "reload" to the daemon, and wait for its answer.
 *
 * @param opt  with 'control_socket' and 'reload_pid'
 * @return     0 when the daemon has read its configuration; -EINVAL when it has refused it, could
 *             not apply all of it, or when another process has the control socket; another
 *             negative errno when it does not answer
 */
int ask_reload(const struct options *opt, struct why *why);

#endif
