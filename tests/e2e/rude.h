/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The stage for misbehaviour: a daemon with two sockets, an honest guest at work on one, and on
 * the other a guest that tells one lie after the other. After each lie the daemon must live, the
 * bystander must be served without a loss, memory that no request named must be untouched, and the
 * liar must be served again once it is honest: after a reset of its ring, and after a reconnect.
 */
#ifndef E2E_RUDE_H
#define E2E_RUDE_H

#include "daemon.h"
#include "guest.h"
#include "honest.h"

#define RUDE_QUEUE 16

struct rude {
	struct daemon daemon;
	struct guest guest; /* two regions; the second is not named by anybody */
	struct honest honest;
};

/**
 * cmocka fixtures: of the group (the state is a struct rude; daemon_fixture_end() is its end), and
 * of each test.
 */
int rude_start(void **state);
int rude_setup(void **state);
int rude_teardown(void **state);

/** A new liar, not yet connected. */
void rude_new_guest(struct rude *r, const struct guest_cfg *cfg);

/** Connect it, with a queue that is empty. */
void rude_connect(struct rude *r);

/**
 * A new liar, whose ring is reset again and again under noise, and is served in the end.
 *
 * @param noise  writes into the queue, wherever it likes, so many times
 */
void rude_resets_under_noise(struct rude *r, const struct guest_cfg *cfg,
	void (*noise)(struct guest *g, unsigned times, unsigned *seed));

/** The daemon lives, the bystander is served, and the second region is as it was. */
void rude_check_others(struct rude *r);

/** rude_check_others(), then the liar is honest again: after a reset of its ring it is served. */
void rude_recover_by_reset(struct rude *r);

/** rude_check_others(), then the liar is honest again: after a reconnect it is served. */
void rude_recover_by_reconnect(struct rude *r);

#endif
