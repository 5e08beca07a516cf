/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_GUESTS_H
#define VRNG_GUESTS_H

/*
 * The set of guests: who is added, changed, moved and removed while others are served, who notice
 * nothing of it but the new shares of the budget.
 *
 * Shares. What the guests' weights say holds from the next period on, for all of them at once, so
 * that all shares add up in every period. A guest that is added has no share before that, and what
 * a removed one had left of its own is gone. guests_settle() tells the lcores.
 *
 * Context: MAIN, which holds no lock. The table may be read by others, as it says.
 */

#include "config/terms.h"
#include "guest_table.h"
#include "why.h"

struct guests;
struct workers;

struct guests_config {
	const struct workers *workers; /* which poll; they outlive the guests */
	uint64_t period_ns;
	uint64_t epoch_ns; /* when the first period starts */
	struct limits limits;
	unsigned room; /* guests that the EAL's heap was made for; 0: not known */
};

/** @return 0; -ENOMEM, or as session_init() */
int guests_create(const struct guests_config *cfg, struct guests **guests);

/** Remove all, and free. NULL is fine. */
void guests_destroy(struct guests *gs);

struct guest_table *guests_table(struct guests *gs);

struct guest_counts {
	unsigned all, connected, served; /* who is served is connected, too */
	uint32_t weights;		 /* their sum */
};

/** Context: MAIN, or with the table's lock. */
struct guest_counts guests_count(const struct guests *gs);

/** What all of them together may have, as last set. */
const struct limits *guests_limits(const struct guests *gs);

/** Do the lcores poll that guests of these specifications are to have? @return 0 or -EINVAL */
int guests_check(
	const struct guests *gs, const struct spec *specs, unsigned n_specs, struct why *why);

/**
 * See that guests of these specifications can have their sockets, and make room for those that are
 * ours, as sockets_check() and sockets_prepare() do; but for those that guests of ours have
 * already.
 *
 * @param gs     NULL: there are no guests yet
 * @param more   the path of one more socket of ours; NULL: none
 * @param lock   set to what sockets_unlock() takes, when the guests were added
 * @return       as sockets_check() and sockets_prepare(); -ENOMEM
 */
int guests_prepare_sockets(const struct guests *gs, const struct spec *specs, unsigned n_specs,
	const char *more, unsigned wait_s, struct sockets_lock *lock, struct why *why);

/**
 * Check without touching anything that guests of these specifications can have their sockets: that
 * directories are there and may be written to, that no other file is at a socket's path, and that
 * this process may give its sockets to their groups. Whether a socket is in use is not looked at.
 *
 * @param more  the path of one more socket of ours; NULL: none
 * @return      as sockets_check(), sockets_check_own() and sockets_check_rights()
 */
int guests_check_sockets(
	const struct spec *specs, unsigned n_specs, const char *more, struct why *why);

/**
 * Add the first guests. They have their shares at once.
 *
 * @param specs  that passed guests_check(); their sockets were prepared
 * @return       0 or a negative errno; then guests_destroy() is all that may follow
 */
int guests_start(struct guests *gs, const struct spec *specs, unsigned n_specs, struct why *why);

/**
 * Add a guest.
 *
 * @param by_control  it is not in the configuration, which then leaves it alone
 * @return  0; -EEXIST when there is one of its name or with its socket; -EINVAL when its lcore does
 *          not poll; -E2BIG when there are too many; or as sockets_prepare()
 */
int guests_add(struct guests *gs, const struct spec *spec, bool by_control, struct why *why);

/** The same when its socket was prepared. */
int guests_add_prepared(
	struct guests *gs, const struct spec *spec, bool by_control, struct why *why);

/** Close a guest's connection and socket, and forget it. */
void guests_remove(struct guests *gs, struct guest *g);

/**
 * Change a guest's weight, cap and burst, its lcore, and the rights of its socket, to those of a
 * specification of the same name and path.
 *
 * @return  0; -EINVAL when its lcore does not poll; or as sockets_set_rights(). Nothing was
 * changed.
 */
int guests_change(struct guests *gs, struct guest *g, const struct spec *spec, struct why *why);

/** Change what all of them together may have. */
void guests_limit(struct guests *gs, const struct limits *limits);

/**
 * Let no new front-end come to a guest, and remove it when it has none; or stop that.
 *
 * @param g  NULL: all that there are
 */
void guests_drain(struct guests *gs, struct guest *g, bool draining);

/**
 * Tell the lcores what has changed in the terms.
 *
 * @return  nanoseconds after which to call again; UINT64_MAX: no need
 */
uint64_t guests_settle(struct guests *gs);

/** What is to be done now and then: say which rings are broken, remove those that are drained. */
void guests_tick(struct guests *gs);

#endif
