/* SPDX-License-Identifier: BSD-3-Clause */
#include "turn.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define BURST 32 /* answers taken in one turn: the other guests wait no longer */

/* The bytes of an answer, in the guest's order. */
static enum load_status write_out(struct load *l, const struct player *p, uint16_t id, uint32_t len)
{
	for (unsigned k = 0; len > 0; k++) {
		uint32_t n = player_piece_bytes(p, k);

		n = n < len ? n : len;
		if (fwrite(player_piece(p, p->slot_of[id], k), 1, n, l->output) != n)
			return why_set(&l->why, LOAD_BROKEN, "cannot write %s: %s", l->args->output,
				strerror(errno));
		len -= n;
	}
	return LOAD_OK;
}

static enum load_status refuse_answer(struct load *l, const struct player *p,
	enum driver_result result, const struct driver_used *u)
{
	if (result == DRIVER_BAD_ID)
		return why_set(&l->why, LOAD_WRONG,
			"%s: an answer for request %" PRIu32 ", which is not "
			"outstanding",
			player_name(p), u->id);
	if (result == DRIVER_TOO_LONG)
		return why_set(&l->why, LOAD_WRONG,
			"%s: an answer that claims %" PRIu32 " bytes of %" PRIu32, player_name(p),
			u->len_bytes, p->cfg.size_bytes);
	return why_set(&l->why, LOAD_WRONG, "%s: more answers than requests are outstanding",
		player_name(p));
}

static enum load_status look_into(
	struct load *l, struct player *p, const struct driver_used *used, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		enum load_status status = LOAD_OK;

		if (l->verify != NULL && verify_answer(l->verify, p, (uint16_t)used[i].id,
						 used[i].len_bytes, &l->why) != 0)
			return LOAD_WRONG;
		if (l->output != NULL)
			status = write_out(l, p, (uint16_t)used[i].id, used[i].len_bytes);
		if (status != LOAD_OK)
			return status;
	}
	return LOAD_OK;
}

/* Requests that were published together have one latency. */
static void record(
	const struct load *l, struct player *p, uint64_t start, unsigned together, uint64_t now)
{
	if (l->recording && (int64_t)(start - l->recording_from) >= 0)
		histogram_record(p->latency, ticks_to_ns(&l->ticks, now - start), together);
}

/* Count a burst. */
static void account(
	struct load *l, struct player *p, const struct driver_used *used, unsigned n, uint64_t now)
{
	uint64_t bytes = 0, start = used[0].cookie;
	unsigned shorts = 0, empties = 0, together = 0;

	for (unsigned i = 0; i < n; i++) {
		bytes += used[i].len_bytes;
		shorts += used[i].len_bytes < p->cfg.size_bytes;
		empties += used[i].len_bytes == 0;
		if (used[i].cookie != start) {
			record(l, p, start, together, now);
			start = used[i].cookie;
			together = 0;
		}
		together++;
		p->idle[p->nr_idle++] = (uint16_t)used[i].id;
	}
	record(l, p, start, together, now);
	p->total.requests += n;
	p->total.bytes += bytes;
	p->total.shorts += shorts;
	p->total.empties += empties;
	p->last_answer = now;
	if (l->periods.length > 0 && l->recording)
		periods_count(&l->periods, now, bytes);
}

/* Offer what may be offered now; publish it. */
static void offer_all(struct load *l, struct player *p, uint64_t now)
{
	uint64_t n = p->left < p->nr_idle ? p->left : p->nr_idle;

	if (l->interval > 0) {
		uint64_t late =
			p->due > now ? 0 : (uint64_t)((double)(now - p->due) / l->interval) + 1;

		n = late < n ? late : n;
	}
	if (n == 0)
		return;
	if (p->drv.nr_offered == 0)
		p->last_answer = now;
	p->nr_idle -= (unsigned)n;
	for (unsigned i = 0; i < n; i++) {
		uint16_t id = p->idle[p->nr_idle + i];

		if (l->verify != NULL)
			verify_prepare(l->verify, p, id);
		if (l->interval > 0)
			driver_set_cookie(
				&p->drv, id, p->due + (uint64_t)((double)i * l->interval));
		else
			driver_set_cookie(&p->drv, id, now);
	}
	driver_offer_some(&p->drv, &p->idle[p->nr_idle], (unsigned)n);
	if (l->interval > 0)
		p->due += (uint64_t)((double)n * l->interval);
	p->left -= n;
	player_publish(p);
}

enum load_status turn_take(struct load *l, struct player *p, uint64_t *now, unsigned *found)
{
	struct driver_used used[BURST];
	enum driver_result result;
	enum load_status status;
	unsigned n;

	result = driver_take_some(&p->drv, used, BURST, &n);
	*found = n;
	if (n > 0) {
		*now = ticks_now(&l->ticks);
		account(l, p, used, n, *now);
		if (l->verify != NULL || l->output != NULL) {
			status = look_into(l, p, used, n);
			if (status != LOAD_OK)
				return status;
			*now = ticks_now(&l->ticks);
		}
	}
	if (n < BURST && result != DRIVER_EMPTY)
		return refuse_answer(l, p, result, &used[n]);
	if (p->nr_idle > 0 && p->left > 0)
		offer_all(l, p, *now);
	return LOAD_OK;
}
