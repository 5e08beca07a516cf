/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include "stream.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

#define READABLE 0x3c

void arena_init(struct arena *arena, struct guest *guest, uint64_t gpa, uint64_t len_bytes)
{
	*arena = (struct arena){.guest = guest, .gpa = gpa, .len_bytes = len_bytes};
	arena->want = malloc(len_bytes);
	arena->have = malloc(len_bytes);
	assert_non_null(arena->want);
	assert_non_null(arena->have);
	arena_clear(arena);
}

void arena_fini(struct arena *arena)
{
	free(arena->want);
	free(arena->have);
	*arena = (struct arena){0};
}

void arena_sync(struct arena *arena)
{
	struct guest *g = arena->guest;
	uint8_t bytes[ARENA_SYNC_BYTES];
	int64_t at;

	guest_assert_served(g);
	assert_int_equal(guest_ram_read(&g->ram, g->scratch_gpa, bytes, sizeof(bytes)), 0);
	at = stream_locate(bytes, sizeof(bytes));
	if (at < 0)
		fail_msg("what the guest got is not from the source");
	arena->stream_at = (uint64_t)at + sizeof(bytes);
}

void arena_clear(struct arena *arena)
{
	memset(arena->want, STREAM_POISON, arena->len_bytes);
	assert_int_equal(
		guest_ram_fill(&arena->guest->ram, arena->gpa, arena->len_bytes, STREAM_POISON), 0);
}

void arena_prepare(struct arena *arena, const struct driver_buf *bufs, unsigned nr_bufs)
{
	for (unsigned i = 0; i < nr_bufs; i++) {
		if (bufs[i].writable || bufs[i].len_bytes == 0)
			continue;
		memset(arena->want + (bufs[i].gpa - arena->gpa), READABLE, bufs[i].len_bytes);
		assert_int_equal(guest_ram_fill(&arena->guest->ram, bufs[i].gpa, bufs[i].len_bytes,
					 READABLE),
			0);
	}
}

uint64_t arena_answered(
	struct arena *arena, const struct driver_buf *bufs, unsigned nr_bufs, uint32_t len_bytes)
{
	uint64_t room = 0;

	for (unsigned i = 0; i < nr_bufs; i++) {
		uint32_t n = bufs[i].len_bytes < len_bytes ? bufs[i].len_bytes : len_bytes;

		if (!bufs[i].writable)
			continue;
		room += bufs[i].len_bytes;
		stream_bytes(arena->stream_at, arena->want + (bufs[i].gpa - arena->gpa), n);
		arena->stream_at += n;
		len_bytes -= n;
	}
	return room;
}

void arena_check(struct arena *arena)
{
	assert_int_equal(
		guest_ram_read(&arena->guest->ram, arena->gpa, arena->have, arena->len_bytes), 0);
	if (memcmp(arena->want, arena->have, arena->len_bytes) == 0)
		return;
	for (uint64_t i = 0; i < arena->len_bytes; i++) {
		if (arena->want[i] != arena->have[i])
			fail_msg("byte %#llx of guest memory is %#x and not %#x (%#x: unwritten)",
				(unsigned long long)(arena->gpa + i), arena->have[i],
				arena->want[i], STREAM_POISON);
	}
}
