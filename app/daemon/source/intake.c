/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/intake.h"

#include "stats.h"

#include <string.h>

#define MS UINT64_C(1000000)

/* When to ask again, by state: the first time, and at most. It doubles in between. */
static const struct backoff {
	uint64_t first_ns, max_ns;
} backoffs[] = {
	[INTAKE_NOT_YET] = {MS / 20, 10 * MS}, /* where poll() cannot tell when */
	[INTAKE_ENDED] = {MS, 100 * MS},
	[INTAKE_FAILED] = {100 * MS, 1000 * MS},
	[INTAKE_UNWELL] = {1000 * MS, 60000 * MS}, /* hysteresis: each failure doubles it */
};

/* A source that has failed no test for so long is trusted as at first. */
#define TRUST_NS (60000 * MS)

/* Silence that is worth a word, and reason to turn to another source. */
#define SILENCE_NS (1000 * MS)

#define FOLLOW_INTERVAL_NS (500 * MS)

uint64_t intake_entropy(uint64_t entropy_abits, bool is_kernel)
{
	if (entropy_abits != 0)
		return entropy_abits;
	return is_kernel ? 8 * HEALTH_BIT : HEALTH_BIT; /* what is conditioned, or not */
}

int intake_open(struct intake *in, const char *path, uint64_t entropy_abits)
{
	int err;

	memset(in, 0, sizeof(*in));
	in->source.fd = -1;
	err = source_open(&in->source, path);
	if (err != 0)
		return err;
	in->entropy_abits = intake_entropy(entropy_abits, in->source.is_kernel);
	err = health_init(&in->health, in->entropy_abits);
	if (err != 0)
		source_close(&in->source);
	return err;
}

void intake_close(struct intake *in)
{
	if (in->source.path != NULL)
		source_close(&in->source);
}

/* @param last_ns  the last back-off, of whatever state; 0: there was none */
static uint64_t next_backoff(enum intake_state state, uint64_t last_ns)
{
	const struct backoff *b = &backoffs[state];

	if (last_ns < b->first_ns || last_ns > b->max_ns)
		return b->first_ns;
	return 2 * last_ns < b->max_ns ? 2 * last_ns : b->max_ns;
}

static enum intake_state enter(struct intake *in, enum intake_state state, uint64_t now_ns)
{
	if (state != in->state)
		in->since_ns = now_ns;
	if (state == INTAKE_OK || state == INTAKE_STARTING) {
		in->backoff_ns = in->retry_ns = 0;
	} else if (state == INTAKE_UNWELL) {
		/* Whatever it did since the last time: see TRUST_NS. */
		if (now_ns - in->unwell_until_ns >= TRUST_NS)
			in->unwell_backoff_ns = 0;
		in->unwell_backoff_ns = next_backoff(state, in->unwell_backoff_ns);
		in->retry_ns = in->unwell_until_ns = now_ns + in->unwell_backoff_ns;
	} else {
		in->backoff_ns = next_backoff(state, in->backoff_ns);
		in->retry_ns = now_ns + in->backoff_ns;
	}
	in->state = state;
	__atomic_store_n(&in->stats.state, state, __ATOMIC_RELAXED);
	return state;
}

static size_t room_of(const struct byte_ring *ring)
{
	return ring->capacity - byte_ring_fill(ring);
}

/*
 * Fill the room behind the ring's head, which has so much: with the run that was held back, or with
 * zeros to wipe what the consumer was not shown.
 */
static void fill(struct byte_ring *ring, uint8_t value, size_t len_bytes)
{
	size_t room;

	for (size_t done = 0; done < len_bytes; done += room) {
		uint8_t *at = byte_ring_room(ring, done, &room);

		if (room > len_bytes - done)
			room = len_bytes - done;
		memset(at, value, room);
	}
}

static void start_anew(struct intake *in)
{
	health_restart(&in->health);
	explicit_bzero(in->staging, in->staged);
	in->staged = 0;
	in->run_bytes = 0;
}

void intake_follow(struct intake *in, uint64_t now_ns)
{
	struct source was;

	if (in->stays || now_ns - in->followed_ns < FOLLOW_INTERVAL_NS)
		return;
	in->followed_ns = now_ns;
	was = in->source;
	if (!source_follow(&in->source, in->state == INTAKE_FAILED))
		return;
	if (in->source.dev != was.dev || in->source.ino != was.ino)
		in->files++;
	start_anew(in); /* with its own bytes alone */
}

static void give_on(struct intake *in, struct byte_ring *ring, size_t len_bytes)
{
	byte_ring_produce(ring, len_bytes);
	stats_add(&in->stats.bytes, len_bytes);
}

static enum intake_state unwell(struct intake *in, enum health_result result, uint64_t now_ns)
{
	start_anew(in);
	stats_add(&in->stats.unwell, 1);
	in->failed_test = result;
	return enter(in, INTAKE_UNWELL, now_ns);
}

/* The source gave nothing. */
static enum intake_state without_bytes(struct intake *in, enum source_state state, uint64_t now_ns)
{
	switch (state) {
	case SOURCE_NOT_YET:
		return enter(in, INTAKE_NOT_YET, now_ns);
	case SOURCE_ENDED:
		return enter(in, INTAKE_ENDED, now_ns);
	default:
		stats_add(&in->stats.errors, 1);
		return enter(in, INTAKE_FAILED, now_ns);
	}
}

/* Give on what was written behind the ring's head, but for the run that it ends with. */
static enum intake_state give_tested(
	struct intake *in, struct byte_ring *ring, size_t bytes, uint64_t now_ns)
{
	size_t hold = in->health.run < bytes ? in->health.run : bytes;

	in->run_value = in->health.last;
	in->run_bytes = (unsigned)hold;
	give_on(in, ring, bytes - hold);
	fill(ring, 0, hold);
	return enter(in, INTAKE_OK, now_ns);
}

/* The first bytes of a source stay out of the ring until they all were tested. */
static enum intake_state start_up(struct intake *in, struct byte_ring *ring, uint64_t now_ns)
{
	uint8_t *at = in->staging + in->staged;
	enum source_state state;
	enum health_result result;
	size_t got, room;

	state = source_read(&in->source, at, HEALTH_STARTUP_SAMPLES - in->staged, &got);
	if (state != SOURCE_OK)
		return without_bytes(in, state, now_ns);
	in->staged += got;
	result = health_test(&in->health, at, got);
	if (result != HEALTH_OK)
		return unwell(in, result, now_ns);
	if (in->staged < HEALTH_STARTUP_SAMPLES)
		return enter(in, INTAKE_STARTING, now_ns);

	/* A source that comes back is tested with a full ring, too: nobody needs these bytes then.
	 */
	if (room_of(ring) < HEALTH_STARTUP_SAMPLES) {
		explicit_bzero(in->staging, in->staged);
		in->staged = 0;
		return enter(in, INTAKE_OK, now_ns);
	}
	for (size_t done = 0; done < HEALTH_STARTUP_SAMPLES; done += room) {
		at = byte_ring_room(ring, done, &room);
		if (room > HEALTH_STARTUP_SAMPLES - done)
			room = HEALTH_STARTUP_SAMPLES - done;
		memcpy(at, in->staging + done, room);
	}
	explicit_bzero(in->staging, in->staged);
	in->staged = 0;
	return give_tested(in, ring, HEALTH_STARTUP_SAMPLES, now_ns);
}

enum intake_state intake_feed(
	struct intake *in, struct byte_ring *ring, size_t max_bytes, uint64_t now_ns)
{
	size_t held, room, got;
	enum source_state state;
	enum health_result result;
	uint8_t *at;

	intake_follow(in, now_ns);
	held = in->run_bytes;
	if (in->health.samples >= HEALTH_STARTUP_SAMPLES && room_of(ring) <= held) {
		if (in->state == INTAKE_OK)
			return INTAKE_OK;
		start_anew(in);
	}
	if (in->health.samples < HEALTH_STARTUP_SAMPLES)
		return start_up(in, ring, now_ns);

	fill(ring, in->run_value, held);
	at = byte_ring_room(ring, held, &room);
	state = source_read(&in->source, at, room < max_bytes ? room : max_bytes, &got);
	if (state != SOURCE_OK) {
		/* It stopped for now: a run that passed the tests so far need not wait. */
		give_on(in, ring, held);
		in->run_bytes = 0;
		return without_bytes(in, state, now_ns);
	}
	result = health_test(&in->health, at, got);
	if (result != HEALTH_OK) {
		fill(ring, 0, held + got);
		return unwell(in, result, now_ns);
	}
	return give_tested(in, ring, held + got, now_ns);
}

bool intake_is_out(const struct intake *in, uint64_t now_ns)
{
	switch (in->state) {
	case INTAKE_OK:
		return false;
	case INTAKE_NOT_YET:
		return now_ns - in->since_ns >= SILENCE_NS;
	default:
		return true;
	}
}

bool intake_is_polled(const struct intake *in)
{
	/* A device whose generator is not initialised may be ready for poll(2). */
	return in->state == INTAKE_NOT_YET && in->source.pollable && in->source.is_ready;
}

uint64_t intake_wake_ns(const struct intake *in, uint64_t now_ns)
{
	if (!intake_is_polled(in))
		return in->retry_ns;
	return intake_is_out(in, now_ns) ? UINT64_MAX : in->since_ns + SILENCE_NS;
}
