/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * vhost-user messages for the fuzzer of the message stream: as a VMM would send them for a guest,
 * and then spoilt. What is done to them depends on the random state alone.
 *
 * Thread-safety: none.
 */
#ifndef E2E_DRAFT_H
#define E2E_DRAFT_H

#include "guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRAFT_MAX_BYTES 4096
#define DRAFT_MAX_FDS	16 /* more than the protocol allows */
#define DRAFT_MAX_KINDS 16

struct draft {
	struct vhost_user_header header;
	uint8_t payload[DRAFT_MAX_BYTES];
	size_t len_bytes; /* of the payload that is sent, whatever the header says */
	int fds[DRAFT_MAX_FDS];
	unsigned nr_fds;
	bool odd; /* the daemon may take it for a message that was broken off */
};

/** Descriptors of every kind, none of which is what a message wants. */
struct draft_kinds {
	int fds[DRAFT_MAX_KINDS];
	unsigned nr;
};

void draft_kinds_open(struct draft_kinds *kinds);
void draft_kinds_close(struct draft_kinds *kinds);

/** A request, as the VMM of this guest makes it. Of one that is none: some bytes. */
void draft_make(struct draft *d, const struct guest *g, uint32_t request, uint64_t *random);

/** Change something about it: a field, the header, the length, the descriptors. */
void draft_spoil(
	struct draft *d, const struct guest *g, const struct draft_kinds *kinds, uint64_t *random);

#endif
