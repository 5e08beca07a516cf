/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The stage for what may go wrong around a daemon: bystanders who must not notice are at work on
 * its last sockets, and a guest comes and goes on the others.
 */
#ifndef E2E_STAGE_H
#define E2E_STAGE_H

#include "daemon.h"
#include "faults.h"
#include "guest.h"
#include "honest.h"

#define STAGE_HONEST 2

struct stage {
	struct daemon daemon;
	struct faults *faults; /* NULL: none */
	struct honest honest[STAGE_HONEST];
	struct guest guest;
	char control[96]; /* a path for a control socket */
};

/** cmocka fixtures of a test, whose state is a struct stage. Nothing runs yet. */
int stage_setup(void **state);
int stage_teardown(void **state);

/** Daemons from now on have faults. Or the test is skipped: see faults_create(). */
void stage_order_faults(struct stage *st);

/** Start the daemon with these words, and the bystanders; the guest is made, and not connected. */
void stage_start(struct stage *st, unsigned nr_sockets, const char *const *more);

/** The latter, around a daemon that serves already. */
void stage_enter(struct stage *st, unsigned nr_sockets);

/** The daemon lives, and the bystanders are served. */
void stage_check_others(struct stage *st);

/** The bystanders come to their end, without complaint. @return how many answers they had */
uint64_t stage_stop_others(struct stage *st);

/**
 * The stage's guest comes, with a queue that is empty, and asks.
 *
 * @param timeout_ms  of each message
 * @return            whether it is served; else it was refused or disconnected, nothing in between
 */
bool stage_come(struct stage *st, unsigned socket, int timeout_ms);

/** The same for another guest. */
bool stage_guest_comes(struct stage *st, struct guest *g, unsigned socket, int timeout_ms);

#endif
