/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef E2E_WATCHED_H
#define E2E_WATCHED_H

/*
 * A budget, as it can be seen from outside. Nobody tells a guest when a period begins, but:
 *  - an answer was given after the last look that found none, and before the look that found it;
 *    so what was given within a known stretch of time is known, however slow this test runs;
 *  - a stretch of L ms touches at most floor(L / P) + 2 periods, and may hold that many shares.
 * With requests larger than a share, each answer is all that a guest got in one period. For that
 * the bytes come from a DRBG, which has any number at hand. A request for which there are too few
 * stays open over several turns of its guest, and on an lcore that is held up in between it ends in
 * a later period than it began: then it is answered with bytes of both.
 */
#include "daemon.h"
#include "guest.h"
#include "util.h"

#define WATCHED_GUESTS	    3
#define WATCHED_ANSWERS_MAX 4096
#define WATCHED_DEPTH	    60

struct watched_answer {
	int64_t after_us, before_us; /* when it was given */
	uint32_t len_bytes;
	unsigned guest;
};

struct watched {
	struct guest guest;
	uint64_t gpa;
	uint32_t buf_bytes;
	int64_t empty_us; /* the last look that found nothing */
	unsigned nr_answers;
	uint64_t bytes;
};

struct watch {
	struct daemon daemon;
	struct watched watched[WATCHED_GUESTS];
	unsigned nr_guests;
	struct watched_answer answers[WATCHED_ANSWERS_MAX];
	unsigned nr_answers;
};

/** A fixture with nothing in it, and its end. For cmocka. */
int watched_setup(void **state);
int watched_teardown(void **state);

/** Start the daemon with a limit, and a DRBG. */
void watched_start(
	struct watch *fx, unsigned nr_sockets, const char *max_bytes, const char *period);

/** A guest that asks for more than it can get, always, in buffers of this size. */
struct watched *watched_add(struct watch *fx, unsigned socket, uint32_t buf_bytes);

/** Fill its ring with requests. */
void watched_ask(struct watched *w);

/** Look once at guest number 'i'. @return its answer, or NULL */
struct watched_answer *watched_look(struct watch *fx, unsigned i);

/** All guests ask and look until each has had 'nr' answers. */
void watched_until(struct watch *fx, unsigned nr);

/** All guests ask and look for so long. */
void watched_for(struct watch *fx, unsigned ms);

/** Within any stretch of time guest 'i' (all: WATCHED_GUESTS) had no more than its shares. */
void watched_assert_within_shares(
	const struct watch *fx, unsigned guest, uint64_t share, unsigned period_ms);

#endif
