/* SPDX-License-Identifier: BSD-3-Clause */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 32
#define SETS	    (1u << 17)
#define STREAK_MAX  8

struct block {
	uint8_t bytes[BLOCK_BYTES]; /* all 0: none */
};

struct verify {
	struct {
		struct block first, last; /* the first one that fell here, and the last */
	} * seen;
	uint64_t state;
	struct verify_counts counts;
};

int verify_create(uint64_t seed, struct verify **out)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	v->state = seed;
	v->seen = calloc(SETS, sizeof(*v->seen));
	if (v->seen == NULL) {
		free(v);
		return -ENOMEM;
	}
	*out = v;
	return 0;
}

void verify_destroy(struct verify *v)
{
	if (v == NULL)
		return;
	free(v->seen);
	free(v);
}

/* splitmix64: poison needs to be new, not secret. */
static uint64_t next_word(struct verify *v)
{
	uint64_t z = v->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint8_t poison_byte(uint64_t poison, uint32_t offset)
{
	uint8_t bytes[8];

	memcpy(bytes, &poison, 8);
	return bytes[offset % 8];
}

void verify_prepare(struct verify *v, struct player *p, uint16_t id)
{
	unsigned slot = p->slot_of[id];
	uint64_t poison = next_word(v);

	p->poison[slot] = poison;
	for (unsigned k = 0; k < p->cfg.chain; k++) {
		uint8_t *at = player_piece(p, slot, k);
		uint32_t len = player_piece_bytes(p, k), i;

		for (i = 0; i + 8 <= len; i += 8)
			memcpy(at + i, &poison, 8);
		memcpy(at + i, &poison, len - i);
	}
}

/* Offset of 8 bytes of poison among the first 'len'; UINT32_MAX if there are none. */
static uint32_t find_poison(struct verify *v, const uint8_t *at, uint32_t len, uint64_t poison)
{
	uint32_t i;
	unsigned same = 0;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, at + i, 8);
		if (word == poison)
			return i;
	}
	v->counts.words += i / 8;
	if (len < 8 || i == len)
		return UINT32_MAX;
	v->counts.words++;
	for (i = len - 8; i < len; i++)
		same += at[i] == poison_byte(poison, i);
	return same == 8 ? len - 8 : UINT32_MAX;
}

/* Whether anything but poison lies from 'from' to 'len'. */
static bool is_written(const uint8_t *at, uint32_t from, uint32_t len, uint64_t poison)
{
	for (uint32_t i = from; i < len; i++)
		if (at[i] != poison_byte(poison, i))
			return true;
	return false;
}

/* Guards are between buffers: from a buffer's end to the next one's start. */
static bool guard_is_whole(const struct player *p, unsigned slot, unsigned k)
{
	const uint8_t *at = player_piece(p, slot, k) + player_piece_bytes(p, k);
	uint32_t len = p->stride_bytes - player_piece_bytes(p, k);

	for (uint32_t i = 0; i < len; i++)
		if (at[i] != PLAYER_GUARD_VALUE)
			return false;
	return true;
}

static bool is_repeated(struct verify *v, const uint8_t *bytes)
{
	struct block *first, *last;
	uint64_t set;

	memcpy(&set, bytes, 8);
	set = (set * 0x9e3779b97f4a7c15) >> 47;
	first = &v->seen[set].first;
	last = &v->seen[set].last;
	v->counts.blocks++;
	if (memcmp(first->bytes, bytes, BLOCK_BYTES) == 0 ||
		memcmp(last->bytes, bytes, BLOCK_BYTES) == 0)
		return true;
	memcpy(last->bytes, bytes, BLOCK_BYTES);
	if (memcmp(first->bytes, (const uint8_t[BLOCK_BYTES]){0}, BLOCK_BYTES) == 0)
		memcpy(first->bytes, bytes, BLOCK_BYTES);
	return false;
}

/* Blocks of 32 bytes; smaller buffers are put together. */
static bool has_repeat(struct verify *v, struct player *p, const uint8_t *at, uint32_t len)
{
	uint32_t i, n;

	for (i = 0; i + BLOCK_BYTES <= len; i += BLOCK_BYTES)
		if (is_repeated(v, at + i))
			return true;
	while (i < len) {
		n = BLOCK_BYTES - p->nr_partial;
		n = n < len - i ? n : len - i;
		memcpy(p->partial + p->nr_partial, at + i, n);
		p->nr_partial += n;
		i += n;
		if (p->nr_partial == BLOCK_BYTES) {
			p->nr_partial = 0;
			if (is_repeated(v, p->partial))
				return true;
		}
	}
	return false;
}

static int judge_ends(struct player *p, unsigned slot, uint32_t len, struct why *why)
{
	uint64_t poison = p->poison[slot];
	uint32_t left = len;
	unsigned k = 0;

	for (; k + 1 < p->cfg.chain && left > player_piece_bytes(p, k); k++)
		left -= player_piece_bytes(p, k);
	p->first_streak =
		player_piece(p, slot, 0)[0] == poison_byte(poison, 0) ? p->first_streak + 1 : 0;
	p->last_streak = player_piece(p, slot, k)[left - 1] == poison_byte(poison, left - 1)
				 ? p->last_streak + 1
				 : 0;
	if (p->first_streak >= STREAK_MAX || p->last_streak >= STREAK_MAX)
		return why_set(why, -EILSEQ,
			"%s: the %s byte of %d answers in a row was not written", player_name(p),
			p->first_streak >= STREAK_MAX ? "first" : "last", STREAK_MAX);
	return 0;
}

int verify_answer(
	struct verify *v, struct player *p, uint16_t id, uint32_t len_bytes, struct why *why)
{
	unsigned slot = p->slot_of[id];
	uint64_t poison = p->poison[slot];
	uint32_t left = len_bytes;
	bool behind = false;

	v->counts.answers++;
	if (len_bytes == 0)
		return why_set(why, -EILSEQ,
			"%s: an answer of no bytes (virtio 1.3 5.4.6.1 wants one or more)",
			player_name(p));
	for (unsigned k = 0; k < p->cfg.chain; k++) {
		const uint8_t *at = player_piece(p, slot, k);
		uint32_t room = player_piece_bytes(p, k);
		uint32_t len = left < room ? left : room;
		uint32_t where = find_poison(v, at, len, poison);

		if (where != UINT32_MAX)
			return why_set(why, -EILSEQ,
				"%s: 8 bytes of an answer were not written: at offset %" PRIu32
				" of buffer %u, with %" PRIu32 " bytes claimed of %" PRIu32,
				player_name(p), where, k, len_bytes, p->cfg.size_bytes);
		if (!guard_is_whole(p, slot, k))
			return why_set(why, -EILSEQ,
				"%s: something was written behind the end of a buffer of %" PRIu32
				" bytes",
				player_name(p), room);
		if (has_repeat(v, p, at, len))
			return why_set(why, -EILSEQ, "%s: a block of 32 bytes was given twice",
				player_name(p));
		behind = behind || is_written(at, len, room, poison);
		left -= len;
	}
	v->counts.behind += behind;
	return judge_ends(p, slot, len_bytes, why);
}

int verify_surroundings(struct verify *v, struct player *p, struct why *why)
{
	if (!p->cfg.packed &&
		memcmp(p->drv.desc, p->laid_out, p->cfg.queue_size * sizeof(*p->laid_out)) != 0)
		return why_set(
			why, -EILSEQ, "%s: the descriptor table was written to", player_name(p));
	for (unsigned i = 0; i < PLAYER_GUARD_BYTES; i++)
		if (player_piece(p, 0, 0)[-1 - (int)i] != PLAYER_GUARD_VALUE)
			return why_set(why, -EILSEQ,
				"%s: something was written before the first buffer",
				player_name(p));
	for (unsigned slot = 0; slot < p->cfg.depth; slot++)
		for (unsigned k = 0; k < p->cfg.chain; k++)
			if (!guard_is_whole(p, slot, k))
				return why_set(why, -EILSEQ,
					"%s: something was written between two buffers",
					player_name(p));
	return 0;
}

struct verify_counts verify_counts(const struct verify *v)
{
	return v->counts;
}
