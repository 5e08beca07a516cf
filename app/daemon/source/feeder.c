/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/feeder.h"

#include "clock.h"
#include "log.h"
#include "secret_mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One read: larger ones are no faster, and a ring would wait longer for its turn. */
#define READ_BYTES_MAX 65536
/* A ring that lacks less than this is full. */
#define READ_BYTES_MIN 4096

/* The ring of one source in a mix. */
#define MIX_RING_BYTES 8192

/* Naps with full rings: at 1 ms, 0.5 % of a CPU when idle. */
#define FULL_NAP_FIRST_NS UINT64_C(50000)
#define FULL_NAP_MAX_NS	  UINT64_C(1000000)
/* With rings that nobody empties for now, or seldom. */
#define LONG_NAP_MAX_NS UINT64_C(50000000)
/* Where lcores wake us. */
#define WOKEN_NAP_MAX_NS UINT64_C(500000000)

/* Naps without bytes: at most, then look at the paths. */
#define DRY_NAP_MAX_NS UINT64_C(500000000)

/* What the log last said of a source. */
struct said {
	enum intake_state state;
	uint64_t unwell;
	unsigned files;
	int follow_error;
};

struct feeder {
	struct feeder_config cfg;
	cpu_set_t cpus;
	size_t min_room; /* bytes that a ring lacks before it is fed */
	uint8_t *memory; /* of all rings */
	size_t memory_bytes;
	pthread_t thread;
	bool running;
	bool stop;	     /* MAIN: rw, FEEDER: ro */
	struct bell bell;    /* ends a nap */
	struct bell **bells; /* of the lcores; NULL: it never sleeps */

	/* FEEDER only */
	bool dry;
	unsigned serving; /* index of the source that served last */
	uint64_t nap_ns;  /* the last nap with full rings; 0: there was work since */
	struct said said[INTAKES_MAX];
	struct log_limit limit;

	/* FEEDER: rw, LCORE: ro; on a cache line that is seldom written */
	_Alignas(64) bool kernel_serves;

	_Alignas(64) struct byte_ring *mix_rings; /* behind rings[], one for each source */
	struct byte_ring rings[];
};

static unsigned n_mix_rings(const struct feeder_config *cfg)
{
	return cfg->mix_bytes > 0 ? cfg->n_intakes : 0;
}

static int create_rings(struct feeder *f)
{
	const struct feeder_config *cfg = &f->cfg;
	uint8_t *memory;

	f->memory_bytes = cfg->n_rings * cfg->ring_bytes + n_mix_rings(cfg) * MIX_RING_BYTES +
			  cfg->n_intakes * HEALTH_STARTUP_SAMPLES;
	memory = f->memory = secret_alloc(f->memory_bytes, "random bytes");
	if (memory == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < cfg->n_rings; i++, memory += cfg->ring_bytes)
		if (byte_ring_init(&f->rings[i], memory, cfg->ring_bytes) != 0)
			return -EINVAL;
	f->mix_rings = &f->rings[cfg->n_rings];
	for (unsigned i = 0; i < n_mix_rings(cfg); i++, memory += MIX_RING_BYTES)
		byte_ring_init(&f->mix_rings[i], memory, MIX_RING_BYTES);
	for (unsigned i = 0; i < cfg->n_intakes; i++, memory += HEALTH_STARTUP_SAMPLES)
		cfg->intakes[i].staging = memory;
	return 0;
}

int feeder_create(const struct feeder_config *cfg, struct feeder **feeder)
{
	unsigned n_rings = cfg->n_rings + n_mix_rings(cfg);
	struct feeder *f;
	int err;

	f = aligned_alloc(BYTE_RING_ALIGN, sizeof(*f) + n_rings * sizeof(f->rings[0]));
	if (f == NULL)
		return -ENOMEM;
	memset(f, 0, sizeof(*f) + n_rings * sizeof(f->rings[0]));
	f->cfg = *cfg;
	f->cpus = *cfg->cpus;
	f->min_room = cfg->keep_bytes / 2 < READ_BYTES_MIN ? cfg->keep_bytes / 2 : READ_BYTES_MIN;
	f->bells = calloc(cfg->n_rings, sizeof(f->bells[0]));
	err = bell_init(&f->bell);
	if (err == 0)
		err = f->bells == NULL ? -ENOMEM : create_rings(f);
	if (err != 0) {
		feeder_destroy(f);
		return err;
	}
	*feeder = f;
	return 0;
}

struct byte_ring *feeder_ring(struct feeder *f, unsigned index)
{
	return &f->rings[index];
}

const bool *feeder_kernel_serves(const struct feeder *f)
{
	return &f->kernel_serves;
}

void feeder_set_bell(struct feeder *f, unsigned index, struct bell *bell)
{
	f->bells[index] = bell;
}

struct bell *feeder_bell(struct feeder *f)
{
	return &f->bell;
}

/* With less in it, a ring is fed: see 'min_room'. */
size_t feeder_low_bytes(const struct feeder *f)
{
	return f->cfg.keep_bytes / 2;
}

/* The ring that has the least, if any lacks enough for a read. */
static struct byte_ring *neediest(struct feeder *f)
{
	size_t least = f->cfg.keep_bytes - f->min_room;
	struct byte_ring *found = NULL;

	for (unsigned i = 0; i < f->cfg.n_rings; i++) {
		size_t fill = byte_ring_fill(&f->rings[i]);

		if (fill <= least) {
			least = fill;
			found = &f->rings[i];
		}
	}
	return found;
}

static void set_dry(struct feeder *f, bool dry)
{
	if (f->dry == dry)
		return;
	f->dry = dry;
	for (unsigned i = 0; i < f->cfg.n_rings; i++)
		byte_ring_set_dry(&f->rings[i], dry);
	for (unsigned i = 0; dry && i < f->cfg.n_rings; i++)
		bell_ring(f->bells[i], BELL_BYTES);
}

/* Sleep so long, or until the bell rings, or, if 'sources', one that can be waited for has
 * something. */
static void nap(struct feeder *f, uint64_t ns, bool sources)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	struct pollfd fds[1 + INTAKES_MAX] = {{.fd = f->bell.fd, .events = POLLIN}};
	unsigned n = f->cfg.n_intakes;

	for (unsigned i = 0; i < n; i++) {
		const struct intake *in = &f->cfg.intakes[i];
		bool wait = sources && in->state == INTAKE_NOT_YET && in->source.pollable;

		fds[1 + i] = (struct pollfd){.fd = wait ? in->source.fd : -1, .events = POLLIN};
	}
	ppoll(fds, 1 + n, &ts, NULL);
	bell_disarm(&f->bell, fds[0].revents != 0);
	for (unsigned i = 0; i < n; i++)
		if (fds[1 + i].revents != 0)
			f->cfg.intakes[i].retry_ns = 0;
}

/* Lcores that draw from the kernel's generator themselves want to know whether it serves. */
static void tell_whether_kernel_serves(struct feeder *f)
{
	const struct intake *in = &f->cfg.intakes[f->serving];
	bool serves = f->cfg.mix_bytes == 0 && in->state == INTAKE_OK && in->source.door != NULL;

	if (serves != f->kernel_serves)
		__atomic_store_n(&f->kernel_serves, serves, __ATOMIC_RELAXED);
}

static void nap_full(struct feeder *f)
{
	uint64_t max_ns = f->cfg.patient || f->kernel_serves ? LONG_NAP_MAX_NS : FULL_NAP_MAX_NS;

	if (f->cfg.woken)
		max_ns = WOKEN_NAP_MAX_NS;
	f->nap_ns = f->nap_ns == 0 ? FULL_NAP_FIRST_NS : f->nap_ns * 2;
	if (f->nap_ns > max_ns)
		f->nap_ns = max_ns;
	bell_arm(&f->bell, BELL_BYTES);
	nap(f, neediest(f) == NULL ? f->nap_ns : 0, false);
}

/* No source gave anything: sleep until the first may be asked again. */
static void nap_dry(struct feeder *f, uint64_t now)
{
	uint64_t until = now + DRY_NAP_MAX_NS;

	set_dry(f, true);
	for (unsigned i = 0; i < f->cfg.n_intakes; i++) {
		const struct intake *in = &f->cfg.intakes[i];
		bool polled = in->state == INTAKE_NOT_YET && in->source.pollable;

		if (!polled && in->retry_ns < until)
			until = in->retry_ns;
	}
	nap(f, until > now ? until - now : 0, true);
}

/* Say what has become of a source, once. */
static void say(struct feeder *f, unsigned index, uint64_t now)
{
	const struct intake *in = &f->cfg.intakes[index];
	struct said *said = &f->said[index];
	const char *path = in->source.path;

	if (in->files != said->files)
		LOG_LIMITED(&f->limit, NOTICE, "source %s is another file now: reading it", path);
	said->files = in->files;
	if (in->source.follow_error != said->follow_error && in->source.follow_error != 0)
		LOG_LIMITED(&f->limit, WARNING,
			"source %s cannot be opened again: %s; the file that is open is read on%s",
			path, strerror(in->source.follow_error),
			in->source.follow_error == EACCES ? " (see --sandbox-dir and --user)" : "");
	said->follow_error = in->source.follow_error;
	if (in->state == INTAKE_STARTING ||
		(in->state == INTAKE_NOT_YET && !intake_is_out(in, now)))
		return; /* on its way, or a moment late */
	if (in->state == said->state && in->stats.unwell == said->unwell)
		return;
	said->state = in->state;
	said->unwell = in->stats.unwell;
	switch (in->state) {
	case INTAKE_OK:
		LOG_LIMITED(&f->limit, NOTICE, "source %s gives bytes again", path);
		break;
	case INTAKE_STARTING:
		break;
	case INTAKE_NOT_YET:
		LOG_LIMITED(&f->limit, WARNING, "source %s gives nothing", path);
		break;
	case INTAKE_ENDED:
		LOG_LIMITED(&f->limit, WARNING,
			"source %s has ended: nothing comes from it until it has more, or its path "
			"names another file",
			path);
		break;
	case INTAKE_FAILED:
		LOG_LIMITED(&f->limit, ERR, "source %s cannot be read: %s; trying again", path,
			strerror(in->source.error));
		break;
	case INTAKE_UNWELL:
		LOG_LIMITED(&f->limit, ERR,
			"source %s failed its %s test: what was read is discarded; trying again in "
			"%u s",
			path, health_test_name(in->failed_test),
			(unsigned)(in->backoff_ns / 1000000000));
		break;
	}
}

/* Read from a source unless it is to be left alone for now. True when it gave something. */
static bool feed_one(
	struct feeder *f, unsigned index, struct byte_ring *ring, size_t max_bytes, uint64_t now)
{
	struct intake *in = &f->cfg.intakes[index];

	if (now < in->retry_ns)
		return false;
	intake_feed(in, ring, max_bytes, now);
	say(f, index, now);
	return in->state == INTAKE_OK || in->state == INTAKE_STARTING;
}

/* Read from the first of 'n' sources that gives something; one that starts does not serve yet. */
static bool feed_first(
	struct feeder *f, unsigned n, struct byte_ring *ring, size_t max_bytes, uint64_t now)
{
	bool progress = false;

	if (max_bytes > READ_BYTES_MAX)
		max_bytes = READ_BYTES_MAX;
	for (unsigned i = 0; i < n; i++) {
		const struct intake *in = &f->cfg.intakes[i];

		progress |= feed_one(f, i, ring, max_bytes, now);
		if (in->state == INTAKE_OK && i != f->serving) {
			LOG_LIMITED(&f->limit, NOTICE, "source %s serves now", in->source.path);
			f->serving = i;
		}
		if (!intake_is_out(in, now))
			break; /* it serves, or is a moment late: no reason to turn to another */
	}
	return progress;
}

/* Has every source that is well given a piece to its ring, and at least one? */
static bool mix_is_ready(struct feeder *f, uint64_t now, bool *progress)
{
	bool any = false, all = true;

	for (unsigned i = 0; i < f->cfg.n_intakes; i++) {
		const struct intake *in = &f->cfg.intakes[i];
		struct byte_ring *ring = &f->mix_rings[i];

		if (byte_ring_fill(ring) < f->cfg.mix_bytes)
			*progress |= feed_one(f, i, ring, READ_BYTES_MIN / 2, now);
		if (byte_ring_fill(ring) >= f->cfg.mix_bytes)
			any = true;
		else if (!intake_is_out(in, now))
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
static bool feed_mix(struct feeder *f, struct byte_ring *ring, uint64_t now)
{
	size_t piece = f->cfg.mix_bytes;
	unsigned n = f->cfg.n_intakes, from = 0, given = 0;
	bool progress = false;

	if (!mix_is_ready(f, now, &progress))
		return progress;
	for (; given < n && from < 2 * n; from++) {
		struct byte_ring *source = &f->mix_rings[from % n];

		if (byte_ring_fill(source) >= piece) {
			move_piece(source, ring, piece);
			given++;
		}
	}
	return true;
}

/*
 * While lcores draw for themselves the rings stay full, and nobody would notice that the source has
 * changed, or that one which comes before it is well again: the rings have room for its start-up
 * test.
 */
static void with_full_rings(struct feeder *f, uint64_t now)
{
	if (f->kernel_serves) {
		intake_follow(&f->cfg.intakes[f->serving], now);
		say(f, f->serving, now);
		feed_first(f, f->serving, &f->rings[0], HEALTH_STARTUP_SAMPLES, now);
	}
	tell_whether_kernel_serves(f);
	nap_full(f);
}

/* Feed the neediest ring once, or sleep. */
static void feed(struct feeder *f)
{
	struct byte_ring *ring = neediest(f);
	uint64_t now = clock_now_ns();
	bool fed;

	if (ring == NULL) {
		with_full_rings(f, now);
		return;
	}
	f->nap_ns = 0;
	if (f->cfg.mix_bytes > 0)
		fed = feed_mix(f, ring, now);
	else
		fed = feed_first(
			f, f->cfg.n_intakes, ring, f->cfg.keep_bytes - byte_ring_fill(ring), now);
	tell_whether_kernel_serves(f);
	if (!fed) {
		nap_dry(f, now);
		return;
	}
	set_dry(f, false);
	bell_ring(f->bells[ring - f->rings], BELL_BYTES);
}

static void *feeder_main(void *arg)
{
	struct feeder *f = arg;
	char name[16];

	snprintf(name, sizeof(name), "vrng-feeder-%u", f->cfg.index);
	pthread_setname_np(pthread_self(), name);
	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED))
		feed(f);
	return NULL;
}

int feeder_start(struct feeder *f)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(f->cpus), &f->cpus);
	err = pthread_create(&f->thread, &attr, feeder_main, f);
	pthread_attr_destroy(&attr);
	f->running = err == 0;
	return -err;
}

void feeder_stop(struct feeder *f)
{
	if (!f->running)
		return;
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	eventfd_write(f->bell.fd, 1);
	pthread_join(f->thread, NULL);
	f->running = false;
}

void feeder_destroy(struct feeder *f)
{
	if (f == NULL)
		return;
	secret_free(f->memory, f->memory_bytes);
	bell_fini(&f->bell);
	free(f->bells);
	free(f);
}
