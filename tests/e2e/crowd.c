/* SPDX-License-Identifier: BSD-3-Clause */
#include "crowd.h"

#include "driver_rude.h"
#include "guest.h"
#include "lies.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE	     16
#define BUF_BYTES    512
#define REGION_BYTES (64 << 10)
#define TIMEOUT_MS   5000
#define ACTS_MAX     12	  /* in a life */
#define HALF_ONE_IN  1000 /* lives that end in the middle of a message: the socket closes for it */
#define FLOOD	     2000

struct one {
	struct crowd *crowd;
	char path[100];
	pthread_t thread;
	unsigned seed;
	struct guest guest;
	uint64_t gpa; /* of a buffer */
	bool honest;  /* since it connected */
	bool noisy;   /* its memory is full of noise */
	bool away;    /* w: thread, r: main */
	struct crowd_counts counts;
	const char *complaint;
};

struct crowd {
	struct spring *spring;
	bool stop, pause; /* main: w, threads: r */
	unsigned n;
	struct one ones[];
};

static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static unsigned chance(struct one *o, unsigned n)
{
	return (unsigned)rand_r(&o->seed) % n;
}

static bool goes_on(const struct one *o)
{
	return !__atomic_load_n(&o->crowd->stop, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&o->crowd->pause, __ATOMIC_ACQUIRE);
}

/* Acts. Each leaves a guest that can act again, or has lost its connection. */

/* The daemon was killed. */
static bool is_cut_off(const struct one *o)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(o->guest.fe), .events = POLLRDHUP};

	return poll(&pfd, 1, 0) == 1;
}

static void be_served(struct one *o)
{
	struct guest *g = &o->guest;
	uint8_t bytes[BUF_BYTES];
	struct driver_used used;
	const char *what;

	guest_request(g, o->gpa, BUF_BYTES, 0);
	for (int64_t end_ms = now_ms() + TIMEOUT_MS; now_ms() < end_ms && goes_on(o);) {
		enum driver_result result = driver_take(&g->drv, &used);

		if (result == DRIVER_EMPTY) {
			if (is_cut_off(o))
				break;
			usleep(200);
			continue;
		}
		if (!o->honest)
			return;
		if (result != DRIVER_OK || used.len_bytes == 0) {
			o->complaint = "one that was honest got an illegal answer";
			return;
		}
		count(&o->counts.answers);
		if (guest_ram_read(&g->ram, o->gpa, bytes, used.len_bytes) != 0)
			return;
		what = spring_judge(o->crowd->spring, bytes, used.len_bytes);
		if (what != NULL)
			o->complaint = what;
		return;
	}
	o->honest = false; /* the buffer is still the daemon's */
}

/* Lies from here on: what it is answered says nothing any more. */
static void lie(struct one *o)
{
	o->honest = false;
	count(&o->counts.lies);
}

static void scribble(struct one *o)
{
	struct guest *g = &o->guest;

	lie(o);
	o->noisy = true;
	lies_scribble(g, 1 + chance(o, 100), &o->seed);
	if (frontend_stop_ring(g->fe, NULL) != 0)
		return;
	driver_reset(&g->drv);
	g->base = driver_start_base(&g->drv);
	(void)frontend_start_ring(g->fe, &g->drv, g->base);
}

static void talk_nonsense(struct one *o)
{
	const char *what;

	/* As lies want it: a queue that is empty, and memory in which there is no other. */
	if (o->noisy || frontend_stop_ring(o->guest.fe, NULL) != 0)
		return;
	lie(o);
	driver_reset(&o->guest.drv);
	if (!lies_tell(&o->guest, chance(o, lies_nr), &what))
		o->complaint = what;
}

/* The region that the daemon is about to write to, and this process never touches. */
static void take_memory_away(struct one *o)
{
	struct guest_ram_region *r = &o->guest.ram.regions[1];

	lie(o);
	if (o->guest.drv.nr_free > 0)
		guest_request(&o->guest, r->gpa, BUF_BYTES, 0);
	(void)!ftruncate(r->fd, 0);
	if (o->guest.drv.nr_free > 0)
		guest_request(&o->guest, r->gpa + BUF_BYTES, BUF_BYTES, 0);
	usleep(1000);
}

static void read_no_answers(struct one *o)
{
	struct vhost_user_header header = {
		.request = VHOST_USER_GET_FEATURES, .flags = VHOST_USER_VERSION};

	lie(o);
	for (unsigned i = 0; i < FLOOD; i++)
		if (send(frontend_socket_fd(o->guest.fe), &header, sizeof(header),
			    MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			usleep(100);
}

static void say_half(struct one *o)
{
	struct vhost_user_header header = {
		.request = VHOST_USER_SET_FEATURES, .flags = VHOST_USER_VERSION, .size_bytes = 8};

	lie(o);
	(void)frontend_send_raw(o->guest.fe, &header, NULL, 0, NULL, 0);
	usleep(30000);
}

static void act(struct one *o)
{
	switch (chance(o, 10)) {
	case 0:
	case 1:
		scribble(o);
		break;
	case 2:
	case 3:
		talk_nonsense(o);
		guest_die(&o->guest);
		break;
	case 4:
		take_memory_away(o);
		guest_die(&o->guest);
		break;
	case 5:
		if (chance(o, 8) == 0)
			read_no_answers(o);
		break;
	case 6:
		if (frontend_stop_ring(o->guest.fe, &o->guest.base) == 0 && o->honest)
			(void)frontend_start_ring(o->guest.fe, &o->guest.drv, o->guest.base);
		break;
	default:
		if (o->honest)
			be_served(o);
		break;
	}
}

/* From birth to death: memory, a connection, some acts. */
static void live(struct one *o)
{
	struct frontend_cfg cfg = {.socket_path = o->path, .timeout_ms = TIMEOUT_MS};
	struct guest_cfg guest = {.queue_size = QUEUE,
		.table_entries = 4,
		.event_idx = chance(o, 2),
		.nr_regions = 2,
		.region_bytes = REGION_BYTES,
		.unsealable = true};
	struct guest *g = &o->guest;

	guest_init(g, &guest);
	o->gpa = guest_alloc(g, 0, BUF_BYTES);
	o->honest = true;
	o->noisy = false;
	if (guest_attach(g, &cfg) != 0) {
		count(&o->counts.refusals);
		guest_fini(g);
		usleep(20000 + chance(o, 100000));
		return;
	}
	count(&o->counts.connections);
	for (unsigned n = 1 + chance(o, ACTS_MAX); n > 0 && g->fe != NULL && goes_on(o); n--) {
		act(o);
		usleep(chance(o, 20000));
	}
	if (g->fe != NULL && chance(o, HALF_ONE_IN) == 0)
		say_half(o);
	if (g->fe != NULL && chance(o, 4) == 0)
		(void)frontend_stop_ring(g->fe, NULL);
	else
		count(&o->counts.deaths);
	guest_fini(g);
}

static void *run(void *arg)
{
	struct one *o = arg;

	while (!__atomic_load_n(&o->crowd->stop, __ATOMIC_ACQUIRE) && o->complaint == NULL) {
		bool pause = __atomic_load_n(&o->crowd->pause, __ATOMIC_ACQUIRE);

		__atomic_store_n(&o->away, pause, __ATOMIC_RELEASE);
		if (pause)
			usleep(10000);
		else
			live(o);
	}
	__atomic_store_n(&o->away, true, __ATOMIC_RELEASE);
	return NULL;
}

void crowd_start(
	struct crowd **crowd, const char *prefix, unsigned first, unsigned n, struct spring *spring)
{
	struct crowd *c = calloc(1, sizeof(*c) + n * sizeof(c->ones[0]));

	assert_non_null(c);
	c->spring = spring;
	for (unsigned i = 0; i < n; i++) {
		struct one *o = &c->ones[i];

		o->crowd = c;
		o->seed = i + 1;
		snprintf(o->path, sizeof(o->path), "%s%u", prefix, first + i);
		assert_int_equal(pthread_create(&o->thread, NULL, run, o), 0);
		c->n++;
	}
	*crowd = c;
}

void crowd_pause(struct crowd *c, bool pause)
{
	int64_t deadline_ms = now_ms() + 3 * LIVENESS_MS;

	__atomic_store_n(&c->pause, pause, __ATOMIC_RELEASE);
	for (unsigned i = 0; pause && i < c->n; i++) {
		while (!__atomic_load_n(&c->ones[i].away, __ATOMIC_ACQUIRE)) {
			if (now_ms() > deadline_ms)
				fail_msg("a guest of the crowd does not come to its end");
			sleep_ms(5);
		}
	}
}

const char *crowd_counts(const struct crowd *c, struct crowd_counts *sum)
{
	const char *complaint = NULL;

	*sum = (struct crowd_counts){0};
	for (unsigned i = 0; i < c->n; i++) {
		const struct one *o = &c->ones[i];

		sum->connections += __atomic_load_n(&o->counts.connections, __ATOMIC_RELAXED);
		sum->refusals += __atomic_load_n(&o->counts.refusals, __ATOMIC_RELAXED);
		sum->answers += __atomic_load_n(&o->counts.answers, __ATOMIC_RELAXED);
		sum->lies += __atomic_load_n(&o->counts.lies, __ATOMIC_RELAXED);
		sum->deaths += __atomic_load_n(&o->counts.deaths, __ATOMIC_RELAXED);
		if (o->complaint != NULL)
			complaint = o->complaint;
	}
	return complaint;
}

void crowd_destroy(struct crowd *c)
{
	if (c == NULL)
		return;
	__atomic_store_n(&c->stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < c->n; i++)
		pthread_join(c->ones[i].thread, NULL);
	free(c);
}
