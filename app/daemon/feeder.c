/* SPDX-License-Identifier: BSD-3-Clause */
#include "feeder.h"

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* One read: larger ones are no faster, and a ring would wait longer for its turn. */
#define READ_BYTES_MAX 65536
/* A ring with less room than this is full. */
#define READ_BYTES_MIN 4096

/* Naps, in microseconds: they start at the first figure and double up to the second. */
#define NAP_FULL_US  50, 1000	     /* rings full: at 1 ms, 0.5 % of a CPU when idle */
#define NAP_EMPTY_US 50, 10000	     /* nothing yet, and poll() cannot tell when */
#define NAP_ENDED_US 1000, 100000    /* at the end of the file */
#define NAP_FAIL_US  100000, 1000000 /* after a read error */
#define NAP_POLL_US  500000	     /* at most, in poll(): then look at the path */

#define FOLLOW_INTERVAL_NS UINT64_C(500000000)
#define FOLLOW_TURNS	   64			/* reads at full speed between looks at the clock */
#define SILENCE_NS	   UINT64_C(1000000000) /* say when nothing came for so long */

struct feeder {
	struct source *source;
	unsigned n_rings;
	size_t ring_bytes;
	cpu_set_t cpus;
	uint8_t *memory; /* of all rings */
	pthread_t thread;
	bool running;
	bool stop;   /* MAIN: rw, FEEDER: ro */
	int stop_fd; /* MAIN: writes to end a nap, FEEDER: polls */

	/* FEEDER only */
	enum source_state state;
	enum source_state said; /* what the log last said of the source */
	struct log_limit limit;
	unsigned nap_us;      /* 0: the next nap is the first */
	uint64_t since_ns;    /* of 'state' */
	uint64_t followed_ns; /* when the path was last looked at */
	uint64_t turns;

	struct byte_ring rings[];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int feeder_create(const struct feeder_config *cfg, struct feeder **feeder)
{
	size_t total = cfg->n_rings * cfg->ring_bytes;
	struct feeder *f;

	f = aligned_alloc(BYTE_RING_ALIGN, sizeof(*f) + cfg->n_rings * sizeof(f->rings[0]));
	if (f == NULL)
		return -ENOMEM;
	memset(f, 0, sizeof(*f));
	f->source = cfg->source;
	f->n_rings = cfg->n_rings;
	f->ring_bytes = cfg->ring_bytes;
	f->cpus = *cfg->cpus;
	f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->stop_fd < 0 || f->memory == MAP_FAILED)
		goto err;
	if (mlock(f->memory, total) != 0)
		LOG(WARNING,
			"cannot lock %zu bytes of memory: %s; random bytes may reach the swap. Raise "
			"the memlock limit (ulimit -l)",
			total, strerror(errno));
	madvise(f->memory, total, MADV_DONTDUMP);
	for (unsigned i = 0; i < f->n_rings; i++)
		if (byte_ring_init(&f->rings[i], f->memory + i * f->ring_bytes, f->ring_bytes) != 0)
			goto err;
	*feeder = f;
	return 0;
err:
	if (f->memory == MAP_FAILED)
		f->memory = NULL;
	feeder_destroy(f);
	return -ENOMEM;
}

struct byte_ring *feeder_ring(struct feeder *f, unsigned index)
{
	return &f->rings[index];
}

/* The ring that has the least, if any has room for a read. */
static struct byte_ring *neediest(struct feeder *f)
{
	struct byte_ring *neediest = NULL;
	size_t least = f->ring_bytes - READ_BYTES_MIN;

	for (unsigned i = 0; i < f->n_rings; i++) {
		size_t fill = byte_ring_fill(&f->rings[i]);

		if (fill <= least) {
			least = fill;
			neediest = &f->rings[i];
			if (fill == 0)
				break;
		}
	}
	return neediest;
}

/* Sleep until something is to be read from 'fd' (-1: from none), the time is up, or we stop. */
static void nap(struct feeder *f, int fd, unsigned us)
{
	struct pollfd fds[] = {{.fd = f->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	ppoll(fds, 2, &ts, NULL);
}

static unsigned longer(struct feeder *f, unsigned first_us, unsigned max_us)
{
	f->nap_us = f->nap_us == 0 ? first_us : f->nap_us * 2;
	if (f->nap_us > max_us)
		f->nap_us = max_us;
	return f->nap_us;
}

static void say(struct feeder *f, enum source_state state)
{
	const char *path = f->source->path;

	if (state == f->said)
		return;
	f->said = state;
	switch (state) {
	case SOURCE_OK:
		LOG_LIMITED(&f->limit, NOTICE, "source %s gives bytes again", path);
		break;
	case SOURCE_NOT_YET:
		LOG_LIMITED(
			&f->limit, WARNING, "source %s gives nothing: guests wait for it", path);
		break;
	case SOURCE_ENDED:
		LOG_LIMITED(&f->limit, WARNING,
			"source %s has ended: guests wait until it has more, or its path names "
			"another file",
			path);
		break;
	case SOURCE_FAILED:
		LOG_LIMITED(&f->limit, ERR,
			"source %s cannot be read: %s; guests wait, trying again", path,
			strerror(f->source->error));
		break;
	}
}

static void set_dry(struct feeder *f, bool dry)
{
	for (unsigned i = 0; i < f->n_rings; i++)
		byte_ring_set_dry(&f->rings[i], dry);
}

/* The source gave nothing. Wait until it may have more. */
static void wait_source(struct feeder *f, enum source_state state)
{
	uint64_t now = now_ns();

	if (state != f->state) {
		f->state = state;
		f->since_ns = now;
		f->nap_us = 0;
		set_dry(f, true);
	}
	switch (state) {
	case SOURCE_NOT_YET:
		if (now - f->since_ns >= SILENCE_NS)
			say(f, state);
		if (f->source->pollable)
			nap(f, f->source->fd, NAP_POLL_US);
		else
			nap(f, -1, longer(f, NAP_EMPTY_US));
		break;
	case SOURCE_ENDED:
		say(f, state);
		nap(f, -1, longer(f, NAP_ENDED_US));
		break;
	default:
		say(f, state);
		nap(f, -1, longer(f, NAP_FAIL_US));
	}
}

/* Read once into the neediest ring, or wait. */
static void feed(struct feeder *f)
{
	struct byte_ring *ring = neediest(f);
	enum source_state state;
	size_t room, got;
	uint8_t *at;

	if (ring == NULL) {
		nap(f, -1, longer(f, NAP_FULL_US));
		return;
	}
	at = byte_ring_room(ring, &room);
	state = source_read(f->source, at, room < READ_BYTES_MAX ? room : READ_BYTES_MAX, &got);
	if (state != SOURCE_OK) {
		wait_source(f, state);
		return;
	}
	byte_ring_produce(ring, got);
	f->nap_us = 0;
	if (f->state != SOURCE_OK) {
		f->state = SOURCE_OK;
		set_dry(f, false);
		say(f, SOURCE_OK);
	}
}

/* Look now and then whether the path still names the file that is open. */
static void follow(struct feeder *f)
{
	uint64_t now;

	if (f->nap_us == 0 && ++f->turns % FOLLOW_TURNS != 0)
		return;
	now = now_ns();
	if (now - f->followed_ns < FOLLOW_INTERVAL_NS)
		return;
	f->followed_ns = now;
	if (source_follow(f->source, f->state == SOURCE_FAILED))
		LOG_LIMITED(&f->limit, NOTICE, "source %s is another file now: reading it",
			f->source->path);
}

static void *feeder_main(void *arg)
{
	struct feeder *f = arg;

	pthread_setname_np(pthread_self(), "vrng-feeder-0");
	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		follow(f);
		feed(f);
	}
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
	eventfd_write(f->stop_fd, 1);
	pthread_join(f->thread, NULL);
	f->running = false;
}

void feeder_destroy(struct feeder *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->n_rings; i++)
		byte_ring_fini(&f->rings[i]);
	if (f->memory != NULL)
		munmap(f->memory, f->n_rings * f->ring_bytes);
	if (f->stop_fd >= 0)
		close(f->stop_fd);
	free(f);
}
