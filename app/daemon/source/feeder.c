/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/feeder.h"

#include "clock.h"
#include "secret_mem.h"
#include "source/lineup.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A ring that lacks less than this is full. */
#define ROOM_MIN_BYTES 4096

/* Naps with full rings: at 1 ms, 0.5 % of a CPU when idle. */
#define FULL_NAP_FIRST_NS UINT64_C(50000)
#define FULL_NAP_MAX_NS	  UINT64_C(1000000)
/* With rings that nobody empties for now, or seldom. */
#define LONG_NAP_MAX_NS UINT64_C(50000000)
/* Where lcores wake us. */
#define WOKEN_NAP_MAX_NS UINT64_C(500000000)

/* Naps without bytes: at most, then look at the paths. */
#define DRY_NAP_MAX_NS UINT64_C(500000000)

/* An lcore at the end of its ring. */
struct lane {
	struct byte_ring ring;
	struct bell *bell; /* NULL: it never sleeps */
};

struct feeder {
	struct feeder_config cfg;
	cpu_set_t cpus;
	size_t min_room; /* bytes that a ring lacks before it is fed */
	uint8_t *memory; /* for bytes: the rings', and the lineup's */
	size_t memory_bytes;
	pthread_t thread;
	bool running;
	bool stop;	  /* MAIN: rw, FEEDER: ro */
	struct bell bell; /* ends a nap */

	/* FEEDER only */
	struct lineup lineup;
	bool dry;
	uint64_t nap_ns; /* the last nap with full rings; 0: there was work since */

	/* FEEDER: rw, LCORE: ro; on a cache line that is seldom written */
	_Alignas(64) bool kernel_serves;

	struct lane lanes[];
};

static int create_rings(struct feeder *f)
{
	const struct feeder_config *cfg = &f->cfg;
	size_t rings_bytes = cfg->n_rings * cfg->ring_bytes;

	f->memory_bytes = rings_bytes + lineup_memory_bytes(cfg->n_intakes, cfg->mix_bytes);
	f->memory = secret_alloc(f->memory_bytes, "random bytes");
	if (f->memory == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < cfg->n_rings; i++)
		byte_ring_init(&f->lanes[i].ring, f->memory + i * cfg->ring_bytes, cfg->ring_bytes);
	lineup_init(
		&f->lineup, cfg->intakes, cfg->n_intakes, cfg->mix_bytes, f->memory + rings_bytes);
	return 0;
}

int feeder_create(const struct feeder_config *cfg, struct feeder **feeder)
{
	size_t size = sizeof(struct feeder) + cfg->n_rings * sizeof(struct lane);
	struct feeder *f;
	int err;

	f = aligned_alloc(_Alignof(struct feeder), size);
	if (f == NULL)
		return -ENOMEM;
	memset(f, 0, size);
	f->cfg = *cfg;
	f->cpus = *cfg->cpus;
	f->min_room = cfg->keep_bytes / 2 < ROOM_MIN_BYTES ? cfg->keep_bytes / 2 : ROOM_MIN_BYTES;
	err = bell_init(&f->bell);
	if (err == 0)
		err = create_rings(f);
	if (err != 0) {
		feeder_destroy(f);
		return err;
	}
	*feeder = f;
	return 0;
}

struct byte_ring *feeder_ring(struct feeder *f, unsigned index)
{
	return &f->lanes[index].ring;
}

const bool *feeder_kernel_serves(const struct feeder *f)
{
	return &f->kernel_serves;
}

void feeder_set_bell(struct feeder *f, unsigned index, struct bell *bell)
{
	f->lanes[index].bell = bell;
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

/* The lcore whose ring has the least, if any lacks enough for a read. */
static struct lane *neediest(struct feeder *f)
{
	size_t least = f->cfg.keep_bytes - f->min_room;
	struct lane *found = NULL;

	for (unsigned i = 0; i < f->cfg.n_rings; i++) {
		size_t fill = byte_ring_fill(&f->lanes[i].ring);

		if (fill <= least) {
			least = fill;
			found = &f->lanes[i];
		}
	}
	return found;
}

static void set_dry(struct feeder *f, bool dry)
{
	if (f->dry == dry)
		return;
	f->dry = dry;
	for (unsigned i = 0; i < f->cfg.n_rings; i++) {
		byte_ring_set_dry(&f->lanes[i].ring, dry);
		if (dry)
			bell_ring(f->lanes[i].bell, BELL_BYTES);
	}
}

/* Sleep so long, or until the bell rings, for which fds[0] is, or one of the others has something.
 */
static void nap(struct feeder *f, uint64_t ns, struct pollfd *fds, unsigned n)
{
	struct timespec ts = clock_timespec(ns);

	fds[0] = (struct pollfd){.fd = f->bell.fd, .events = POLLIN};
	ppoll(fds, n, &ts, NULL);
	bell_disarm(&f->bell, fds[0].revents != 0);
}

/* Lcores that draw from the kernel's generator themselves want to know whether it serves. */
static void tell_whether_kernel_serves(struct feeder *f)
{
	bool serves = lineup_kernel_serves(&f->lineup);

	if (serves != f->kernel_serves)
		__atomic_store_n(&f->kernel_serves, serves, __ATOMIC_RELAXED);
}

static void nap_full(struct feeder *f)
{
	uint64_t max_ns = f->cfg.patient || f->kernel_serves ? LONG_NAP_MAX_NS : FULL_NAP_MAX_NS;
	struct pollfd bell;

	if (f->cfg.woken)
		max_ns = WOKEN_NAP_MAX_NS;
	f->nap_ns = f->nap_ns == 0 ? FULL_NAP_FIRST_NS : f->nap_ns * 2;
	if (f->nap_ns > max_ns)
		f->nap_ns = max_ns;
	bell_arm(&f->bell, BELL_BYTES);
	nap(f, neediest(f) == NULL ? f->nap_ns : 0, &bell, 1);
}

/* No source gave anything: sleep until the first may be asked again. */
static void nap_dry(struct feeder *f, uint64_t now)
{
	struct pollfd fds[1 + INTAKES_MAX];
	uint64_t until = lineup_wait(&f->lineup, now, &fds[1]);

	set_dry(f, true);
	if (until > now + DRY_NAP_MAX_NS)
		until = now + DRY_NAP_MAX_NS;
	nap(f, until > now ? until - now : 0, fds, 1 + f->cfg.n_intakes);
	lineup_wake(&f->lineup, &fds[1]);
}

/* Feed the neediest ring once, or sleep. */
static void feed(struct feeder *f)
{
	struct lane *lane = neediest(f);
	uint64_t now = clock_now_ns();
	bool fed;

	if (lane == NULL) {
		/* While lcores draw for themselves the rings stay full, and nobody else would
		 * notice. */
		if (f->kernel_serves)
			lineup_look(&f->lineup, &f->lanes[0].ring, now);
		tell_whether_kernel_serves(f);
		nap_full(f);
		return;
	}
	f->nap_ns = 0;
	fed = lineup_feed(
		&f->lineup, &lane->ring, f->cfg.keep_bytes - byte_ring_fill(&lane->ring), now);
	tell_whether_kernel_serves(f);
	if (!fed) {
		nap_dry(f, now);
		return;
	}
	set_dry(f, false);
	bell_ring(lane->bell, BELL_BYTES);
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
	free(f);
}
