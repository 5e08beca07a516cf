/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A VMM with its guest for the fuzzer of the message stream. It begins a conversation as it should
 * be and spoils it: messages changed, left out, sent twice, out of order, in pieces, broken off;
 * with descriptors of the wrong kind; while its guest asks, lies about its ring, and writes into
 * it; while it takes memory away; and then goes, somehow. All of it follows from one number.
 *
 * Thread-safety: none.
 */
#ifndef E2E_LIAR_H
#define E2E_LIAR_H

#include "draft.h"

struct liar_story {
	unsigned nr_messages;
	unsigned nr_connections;
	bool odd; /* the daemon may think that messages were broken off */
};

/** Tell one story to whoever listens at 'path'. The connection is closed at its end. */
void liar_tell(
	const char *path, uint64_t seed, const struct draft_kinds *kinds, struct liar_story *story);

#endif
