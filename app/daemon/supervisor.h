/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SUPERVISOR_H
#define VRNG_SUPERVISOR_H

/*
 * Tells whoever supervises the daemon how it is: systemd with Type=notify, or what else speaks its
 * protocol (sd_notify(3), "Notes": it is a stable interface). A message is a datagram of
 * VAR=VALUE lines to the Unix socket that NOTIFY_SOCKET names. That is all, so libsystemd, which
 * would bring itself and six more libraries into the process, is not used.
 *
 * Without NOTIFY_SOCKET all functions do nothing. None waits for a supervisor that does not read,
 * but supervisor_ready(), a second at most: that message must not get lost.
 *
 * Thread safety: none. Context: MAIN.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct supervisor {
	int fd;
	struct sockaddr_un address;
	socklen_t address_len; /* 0: there is nobody */
	uint64_t watchdog_ns;  /* it wants to be told at least so often that all is well; 0: no */
	char status[256];
	bool told; /* that status */
};

/**
 * Look who there is, in the environment.
 *
 * @return  0, also when there is nobody; -EINVAL when NOTIFY_SOCKET names no Unix socket, or a
 *          negative errno: then there is nobody, too
 */
int supervisor_open(struct supervisor *s);

/** A zeroed one is fine. */
void supervisor_close(struct supervisor *s);

/** It serves. */
void supervisor_ready(struct supervisor *s);

/** For a person, in one line. Told when it is other than before, or could not be told then. */
__attribute__((format(printf, 2, 3))) void supervisor_status(
	struct supervisor *s, const char *format, ...);

/** All is well: feeds the watchdog, if one is wanted. */
void supervisor_feed(const struct supervisor *s);

/** It ends. */
void supervisor_stopping(struct supervisor *s);

#endif
