/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BYTE_RING_H
#define VRNG_BYTE_RING_H

/*
 * A ring of random bytes from one producer (a feeder) to one consumer (an lcore).
 *
 * Each byte is handed out once: byte_ring_read() wipes what it copies out, before the producer can
 * see that there is room again, so that no byte stays behind in the ring and none is read twice.
 *
 * Thread safety: one producer thread and one consumer thread, without locks. Each field says who
 * writes it; each side has its own cache lines.
 */

#include "wipe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BYTE_RING_ALIGN 64

struct byte_ring {
	uint8_t *data;	 /* fixed after init */
	size_t capacity; /* bytes, a power of two; fixed after init */

	/* Producer: rw, consumer: ro. Positions count bytes and never wrap in practice (2^64). */
	_Alignas(BYTE_RING_ALIGN) uint64_t head;
	bool dry; /* nothing more is to be had from the source for now */

	/* Consumer: rw, producer: ro */
	_Alignas(BYTE_RING_ALIGN) uint64_t tail;

	/* Consumer only */
	_Alignas(BYTE_RING_ALIGN) uint64_t read_pos; /* tail, and what was read but not released */
	uint64_t head_seen;
};

/**
 * @param data      memory of the caller, which outlives the ring; the caller locks it, keeps it
 *                  out of core dumps, and wipes it when it has no more use
 * @param capacity  bytes, a power of two
 * @return          0; -EINVAL when 'capacity' is not a power of two
 */
int byte_ring_init(struct byte_ring *r, uint8_t *data, size_t capacity);

/**
 * Where the producer may write, behind 'skip_bytes' bytes that it has written and not yet handed
 * over. Context: producer.
 *
 * @param skip_bytes  at most the room that there is
 * @param room_bytes  contiguous bytes there, 0 when the ring is full
 */
uint8_t *byte_ring_room(struct byte_ring *r, size_t skip_bytes, size_t *room_bytes);

/** Hand 'len_bytes' bytes written at byte_ring_room() to the consumer. Context: producer. */
void byte_ring_produce(struct byte_ring *r, size_t len_bytes);

/** Say whether the source has run dry, for byte_ring_is_dry(). Context: producer. */
void byte_ring_set_dry(struct byte_ring *r, bool dry);

/** Bytes in the ring as the producer sees them (an upper bound). Context: producer. */
size_t byte_ring_fill(const struct byte_ring *r);

/**
 * Bytes at hand. Looks at the producer's line only when fewer than 'want_bytes' are known of.
 * Context: consumer.
 */
static inline size_t byte_ring_avail(struct byte_ring *r, size_t want_bytes)
{
	if (r->head_seen - r->read_pos < want_bytes)
		r->head_seen = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
	return r->head_seen - r->read_pos;
}

/**
 * Is the ring empty, and does the producer not expect more soon? Context: consumer.
 */
static inline bool byte_ring_is_dry(struct byte_ring *r)
{
	/* 'dry' first: a producer that has more clears it after it has produced. */
	return __atomic_load_n(&r->dry, __ATOMIC_ACQUIRE) && byte_ring_avail(r, 1) == 0;
}

/**
 * Copy the next 'len_bytes' bytes out and wipe them; at most what byte_ring_avail() said.
 * Context: consumer.
 */
static inline void byte_ring_read(struct byte_ring *r, uint8_t *dst, size_t len_bytes)
{
	while (len_bytes > 0) {
		size_t at = r->read_pos & (r->capacity - 1);
		size_t n = r->capacity - at;

		if (n > len_bytes)
			n = len_bytes;
		move_and_wipe(dst, r->data + at, n);
		dst += n;
		len_bytes -= n;
		r->read_pos += n;
	}
}

/** Give the room of what was read back to the producer. Context: consumer. */
static inline void byte_ring_release(struct byte_ring *r)
{
	__atomic_store_n(&r->tail, r->read_pos, __ATOMIC_RELEASE);
}

#endif
