/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_EXIT_STATUS_H
#define VRNG_EXIT_STATUS_H

/*
 * The exit status of a start that failed. Service managers decide by it whether to repeat the start
 * (RestartPreventExitStatus=2 in config/systemd).
 *
 * The error number decides, wherever in the start the error occurred. Functions that a start calls
 * therefore return a number of the right class, and translate foreign ones (rte_errno).
 *
 * Thread safety: pure.
 */

/** A repeat may succeed: memory, descriptors or hugepages are short, a socket is in use. */
#define EXIT_STATUS_FAILED 1

/** A repeat fails again until the configuration or the host is changed. */
#define EXIT_STATUS_REFUSED 2

/**
 * Return the exit status for an error.
 *
 * @param err  0 or a negative errno
 * @return     0 for 0; EXIT_STATUS_REFUSED when an option is wrong, or when the file, directory,
 *             group, user or CPU that it names is missing, wrong or forbidden; else
 *             EXIT_STATUS_FAILED
 */
int exit_status(int err);

#endif
