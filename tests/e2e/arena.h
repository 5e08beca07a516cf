/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * A range of guest memory that requests' buffers lie in, of which every byte is accounted for: what
 * a request got must be the stream's next bytes, and all else must be as it was, between the
 * buffers, behind the length that was claimed, and in what the device may only read.
 *
 * It works for a daemon whose source is a file of the stream, while no other guest asks.
 */
#ifndef E2E_ARENA_H
#define E2E_ARENA_H

#include "guest.h"

#define ARENA_SYNC_BYTES 64

struct arena {
	struct guest *guest;
	uint64_t gpa;
	uint64_t len_bytes;
	uint64_t stream_at; /* the next byte that the guest must get */
	uint8_t *want;	    /* what the range must hold */
	uint8_t *have;
};

/** The range may cross regions of the guest's memory. It is filled with STREAM_POISON. */
void arena_init(struct arena *arena, struct guest *guest, uint64_t gpa, uint64_t len_bytes);
void arena_fini(struct arena *arena);

/** Ask for ARENA_SYNC_BYTES, outside of the range, to find out which bytes of the stream are next.
 */
void arena_sync(struct arena *arena);

/** Poison everything again. Only while nothing is outstanding. */
void arena_clear(struct arena *arena);

/** Put recognisable bytes into the readable ones of a chain's buffers. */
void arena_prepare(struct arena *arena, const struct driver_buf *bufs, unsigned nr_bufs);

/**
 * An answer came for these buffers: the stream's next bytes are expected in them.
 *
 * @return  how many bytes the writable buffers have room for
 */
uint64_t arena_answered(
	struct arena *arena, const struct driver_buf *bufs, unsigned nr_bufs, uint32_t len_bytes);

/** Compare; fails the test with the first byte that is not as it must be. */
void arena_check(struct arena *arena);

#endif
