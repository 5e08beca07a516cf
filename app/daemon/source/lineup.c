/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/lineup.h"

#include <errno.h>
#include <string.h>

/* One read: larger ones are no faster, and a ring would wait longer for its turn. */
#define READ_BYTES_MAX 65536

/* Of a mix: the ring of one source, and a read into it. */
#define MIX_RING_BYTES 8192
#define MIX_READ_BYTES 2048

size_t lineup_memory_bytes(unsigned n_intakes, size_t piece_bytes)
{
	return n_intakes * (HEALTH_STARTUP_SAMPLES + (piece_bytes > 0 ? MIX_RING_BYTES : 0));
}

void lineup_init(struct lineup *l, struct intake *intakes, unsigned n_intakes, size_t piece_bytes,
	uint8_t *memory)
{
	*l = (struct lineup){
		.intakes = intakes, .n_intakes = n_intakes, .piece_bytes = piece_bytes};
	for (unsigned i = 0; i < n_intakes; i++, memory += HEALTH_STARTUP_SAMPLES)
		intakes[i].staging = memory;
	for (unsigned i = 0; piece_bytes > 0 && i < n_intakes; i++, memory += MIX_RING_BYTES)
		byte_ring_init(&l->pieces[i], memory, MIX_RING_BYTES);
}

static void say_of_path(struct lineup *l, const struct source *s)
{
	if (s->follow_error == 0)
		return;
	LOG_LIMITED(&l->limit, WARNING,
		"source %s cannot be opened again: %s; the file that is open is read on%s", s->path,
		strerror(s->follow_error),
		s->follow_error == EACCES ? " (see --sandbox-dir and --user)" : "");
}

static void say_of_state(struct lineup *l, const struct intake *in)
{
	const char *path = in->source.path;

	switch (in->state) {
	case INTAKE_OK:
		LOG_LIMITED(&l->limit, NOTICE, "source %s gives bytes again", path);
		break;
	case INTAKE_STARTING:
		break;
	case INTAKE_NOT_YET:
		if (in->source.is_ready)
			LOG_LIMITED(&l->limit, WARNING, "source %s gives nothing", path);
		else
			LOG_LIMITED(&l->limit, WARNING,
				"source %s: the kernel's random number generator is not initialised "
				"yet; nothing is read until it is. A virtio-rng device or RDSEED "
				"initialises it sooner",
				path);
		break;
	case INTAKE_ENDED:
		LOG_LIMITED(&l->limit, WARNING,
			"source %s has ended: nothing comes from it until it has more, or its path "
			"names another file",
			path);
		break;
	case INTAKE_FAILED:
		LOG_LIMITED(&l->limit, ERR, "source %s cannot be read: %s; trying again", path,
			strerror(in->source.error));
		break;
	case INTAKE_UNWELL:
		LOG_LIMITED(&l->limit, ERR,
			"source %s failed its %s test: what was read is discarded; trying again in "
			"%u s",
			path, health_test_name(in->failed_test),
			(unsigned)(in->unwell_backoff_ns / 1000000000));
		break;
	}
}

/* Say what has become of a source, once. */
static void say(struct lineup *l, unsigned index, uint64_t now_ns)
{
	const struct intake *in = &l->intakes[index];
	struct said *said = &l->said[index];

	if (in->files != said->files)
		LOG_LIMITED(&l->limit, NOTICE, "source %s is another file now: reading it",
			in->source.path);
	said->files = in->files;
	if (in->source.follow_error != said->follow_error)
		say_of_path(l, &in->source);
	said->follow_error = in->source.follow_error;
	if (in->state == INTAKE_STARTING ||
		(in->state == INTAKE_NOT_YET && in->source.is_ready && !intake_is_out(in, now_ns)))
		return; /* on its way, or a moment late */
	if (in->state != said->state || in->stats.unwell != said->unwell)
		say_of_state(l, in);
	said->state = in->state;
	said->unwell = in->stats.unwell;
}

/* Read from a source unless it is to be left alone for now. True when it gave something. */
static bool feed_one(
	struct lineup *l, unsigned index, struct byte_ring *ring, size_t max_bytes, uint64_t now_ns)
{
	struct intake *in = &l->intakes[index];

	if (now_ns < in->retry_ns)
		return false;
	intake_feed(in, ring, max_bytes, now_ns);
	say(l, index, now_ns);
	return in->state == INTAKE_OK || in->state == INTAKE_STARTING;
}

/* Read from the first of 'n' sources that gives something; one that starts does not serve yet. */
static bool feed_first(
	struct lineup *l, unsigned n, struct byte_ring *ring, size_t max_bytes, uint64_t now_ns)
{
	bool progress = false;

	if (max_bytes > READ_BYTES_MAX)
		max_bytes = READ_BYTES_MAX;
	for (unsigned i = 0; i < n; i++) {
		const struct intake *in = &l->intakes[i];

		progress |= feed_one(l, i, ring, max_bytes, now_ns);
		if (in->state == INTAKE_OK && i != l->serving) {
			LOG_LIMITED(&l->limit, NOTICE, "source %s serves now", in->source.path);
			l->serving = i;
		}
		if (!intake_is_out(in, now_ns))
			break; /* it serves, or is a moment late: no reason to turn to another */
	}
	return progress;
}

/* In a mix: has it given its part of the next seed? */
static bool has_piece(const struct lineup *l, unsigned index)
{
	return l->piece_bytes > 0 && byte_ring_fill(&l->pieces[index]) >= l->piece_bytes;
}

/* Has every source that is well given a piece to its ring, and at least one? */
static bool mix_is_ready(struct lineup *l, uint64_t now_ns, bool *progress)
{
	bool any = false, all = true;

	for (unsigned i = 0; i < l->n_intakes; i++) {
		if (!has_piece(l, i))
			*progress |= feed_one(l, i, &l->pieces[i], MIX_READ_BYTES, now_ns);
		if (has_piece(l, i))
			any = true;
		else if (!intake_is_out(&l->intakes[i], now_ns))
			all = false;
	}
	return any && all;
}

/* Move a piece from one ring to another. */
static void move_piece(struct byte_ring *from, struct byte_ring *to, size_t len_bytes)
{
	byte_ring_avail(from, len_bytes);
	while (len_bytes > 0) {
		size_t room;
		uint8_t *at = byte_ring_room(to, 0, &room);

		if (room > len_bytes)
			room = len_bytes;
		byte_ring_read(from, at, room);
		byte_ring_produce(to, room);
		len_bytes -= room;
	}
	byte_ring_release(from);
}

/*
 * Put a seed together of a piece of each source; in the place of one that is out another gives a
 * second piece, as far as it has one.
 */
static bool feed_mix(struct lineup *l, struct byte_ring *ring, uint64_t now_ns)
{
	unsigned n = l->n_intakes, given = 0;
	bool progress = false;

	if (!mix_is_ready(l, now_ns, &progress))
		return progress;
	for (unsigned from = 0; given < n && from < 2 * n; from++) {
		if (has_piece(l, from % n)) {
			move_piece(&l->pieces[from % n], ring, l->piece_bytes);
			given++;
		}
	}
	return true;
}

bool lineup_feed(struct lineup *l, struct byte_ring *ring, size_t max_bytes, uint64_t now_ns)
{
	if (l->piece_bytes > 0)
		return feed_mix(l, ring, now_ns);
	return feed_first(l, l->n_intakes, ring, max_bytes, now_ns);
}

uint64_t lineup_wait(const struct lineup *l, uint64_t now_ns, struct pollfd *fds)
{
	uint64_t until_ns = UINT64_MAX;
	bool wanted = true;

	for (unsigned i = 0; i < l->n_intakes; i++) {
		const struct intake *in = &l->intakes[i];
		bool asked = wanted && !has_piece(l, i);

		fds[i] = (struct pollfd){
			.fd = asked && intake_is_polled(in) ? in->source.fd : -1, .events = POLLIN};
		if (asked && intake_wake_ns(in, now_ns) < until_ns)
			until_ns = intake_wake_ns(in, now_ns);
		/* Those behind one that is a moment late are not asked: see feed_first(). */
		wanted = l->piece_bytes > 0 || (wanted && intake_is_out(in, now_ns));
	}
	return until_ns;
}

void lineup_wake(struct lineup *l, const struct pollfd *fds)
{
	for (unsigned i = 0; i < l->n_intakes; i++)
		if (fds[i].revents != 0)
			l->intakes[i].retry_ns = 0;
}

void lineup_look(struct lineup *l, struct byte_ring *ring, uint64_t now_ns)
{
	intake_follow(&l->intakes[l->serving], now_ns);
	say(l, l->serving, now_ns);
	feed_first(l, l->serving, ring, HEALTH_STARTUP_SAMPLES, now_ns);
}

bool lineup_kernel_serves(const struct lineup *l)
{
	const struct intake *in = &l->intakes[l->serving];

	return l->piece_bytes == 0 && in->state == INTAKE_OK && in->source.door != NULL;
}
