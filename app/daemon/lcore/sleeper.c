/* SPDX-License-Identifier: BSD-3-Clause */
#define ALLOW_EXPERIMENTAL_API /* rte_power_monitor() and rte_power_pause() in DPDK 22.11 */

#include "lcore/sleeper.h"

#include "clock.h"

#include <rte_config.h>
#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_power_intrinsics.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Wakes in vain in a row for which a guest's kicks are not heard for a while. An honest guest has
 * one: of a kick that was on its way when its ring was looked at. */
#define VAIN_MAX    4
#define MUTE_MIN_NS UINT64_C(1000000)
#define MUTE_MAX_NS UINT64_C(128000000)

/* A call is owed to a guest that could not be made: when to try again. */
#define OWED_NS UINT64_C(50000)

/* Reading the clock takes as long as a sweep: who spins does it once in so many sweeps. */
#define SPINS 16

/* A pause where the CPU has no way to wait. */
#define PAUSES 16

/* Kicks that are collected by one system call. */
#define EVENTS 16

struct sleeper {
	struct sleeper_config cfg;
	struct bell bell;
	struct idle idle;
	int epoll; /* of the kick descriptors of those guests that are heard */
	bool can_monitor, can_pause;
	unsigned spins; /* before the clock is read again */
	uint64_t woke_ns;
	struct sleeper_latency latency;
};

int sleeper_create(const struct sleeper_config *cfg, struct sleeper **sleeper)
{
	struct rte_cpu_intrinsics cpu;
	struct sleeper *s = calloc(1, sizeof(*s));
	int err;

	if (s == NULL)
		return -ENOMEM;
	s->cfg = *cfg;
	/* Not by the lcore itself: MAIN may already be asked for what is counted. */
	idle_init(&s->idle, &s->cfg.idle, clock_now_ns());
	rte_cpu_get_intrinsics_support(&cpu);
	s->can_monitor = cpu.power_monitor;
	s->can_pause = cpu.power_pause;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = s->epoll < 0 ? -errno : 0;
	if (bell_init(&s->bell) != 0 && err == 0)
		err = -EMFILE;
	if (err != 0) {
		sleeper_destroy(s);
		return err;
	}
	*sleeper = s;
	return 0;
}

void sleeper_destroy(struct sleeper *s)
{
	if (s == NULL)
		return;
	bell_fini(&s->bell);
	if (s->epoll >= 0)
		close(s->epoll);
	free(s);
}

struct bell *sleeper_bell(struct sleeper *s)
{
	return &s->bell;
}

const struct idle_stats *sleeper_stats(const struct sleeper *s)
{
	return &s->idle.stats;
}

const struct sleeper_latency *sleeper_latency(const struct sleeper *s)
{
	return &s->latency;
}

uint64_t sleeper_woke_ns(const struct sleeper *s)
{
	return s->woke_ns;
}

void sleeper_begin(struct sleeper *s)
{
	/* The kernel may be late by 50 us otherwise, to save power: as long as our longest sleep.
	 */
	prctl(PR_SET_TIMERSLACK, 1);
}

void sleeper_busy(struct sleeper *s)
{
	idle_busy(&s->idle);
}

/* Listening */

static bool listen_to(struct sleeper *s, struct guest *g)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = g};
	struct kick *k = &g->kick;

	k->heard = k->fd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, k->fd, &event) == 0;
	return k->heard;
}

void sleeper_forget(struct sleeper *s, struct guest *g)
{
	if (g->kick.heard)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, g->kick.fd, NULL);
	g->kick.heard = false;
}

/* It kicked in vain too often. */
static void mute(struct sleeper *s, struct guest *g, uint64_t now_ns)
{
	struct kick *k = &g->kick;

	sleeper_forget(s, g);
	k->mute_ns = k->mute_ns == 0 ? MUTE_MIN_NS : k->mute_ns * 2;
	if (k->mute_ns > MUTE_MAX_NS)
		k->mute_ns = MUTE_MAX_NS;
	k->look_ns = now_ns + k->mute_ns;
}

/* These kicked. That their rings have work is seen by the next sweep, and here at the next time:
 * a guest that had a turn has its kicks off. */
static void hear(struct sleeper *s, uint64_t now_ns)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(s->epoll, events, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		struct guest *g = events[i].data.ptr;

		stats_add(&g->dev.stats.kicks, 1);
		if (g->dev.vq.broken != NULL)
			sleeper_forget(s, g);
		else if (++g->kick.vain > VAIN_MAX)
			mute(s, g, now_ns);
	}
}

/*
 * Make sure that a guest wakes us, or that we look at it in time. True: it has work.
 */
static bool prepare(struct sleeper *s, struct guest *g, uint64_t now_ns, uint64_t *until_ns)
{
	struct rng_device *dev = &g->dev;
	struct kick *k = &g->kick;
	uint64_t look_ns = UINT64_MAX;

	if (dev->call_owed)
		look_ns = now_ns + OWED_NS;
	if (!dev->vq.kicks_on && !dev->waiting) { /* it had work: that was not in vain */
		k->vain = 0;
		k->mute_ns = k->look_ns = 0;
	}
	if (!k->heard && (now_ns < k->look_ns || !listen_to(s, g))) {
		if (now_ns >= k->look_ns)
			k->look_ns = now_ns + KICK_LOOK_NS;
		if (k->look_ns < look_ns)
			look_ns = k->look_ns;
	}
	if (look_ns < *until_ns)
		*until_ns = look_ns;
	/* For bytes or tokens: these wake us. Or nobody would hear its kicks. */
	if (dev->waiting || k->fd < 0)
		return false;
	return !dev->vq.kicks_on && virtq_enable_kicks(&dev->vq);
}

/* Bytes for those who wait for them; or none are to come, and what was begun is to be ended. A seed
 * is taken, if there is one. */
static bool has_news(struct sleeper *s, const struct roster *r, bool starved)
{
	size_t avail = entropy_avail(s->cfg.entropy, 1);

	if (!starved || avail > 0)
		return starved;
	if (!entropy_is_dry(s->cfg.entropy))
		return false;
	for (unsigned i = 0; i < r->n_active; i++) {
		const struct virtq *vq = &r->active[i]->dev.vq;

		if (virtq_is_open(vq) && virtq_open_bytes(vq) > 0)
			return true;
	}
	return false;
}

/* For guests, or for a DRBG that is to be seeded anew. */
static bool wants_bytes(const struct sleeper *s, bool starved)
{
	const struct entropy *e = s->cfg.entropy;

	return starved || (e->is_drbg && (e->reseed_wanted || e->reseed_due));
}

/* Nothing will be missed from here on, until '*until_ns'. False: there is something to do. */
static bool prepare_all(struct sleeper *s, const struct roster *r, bool starved, uint64_t *until_ns)
{
	uint64_t now_ns = s->idle.now_ns;

	for (unsigned i = 0; i < r->n_active; i++)
		if (prepare(s, r->active[i], now_ns, until_ns))
			return false;
	return !wants_bytes(s, starved) || !has_news(s, r, starved);
}

/* Resting */

static void spin(const struct sleeper *s)
{
	if (s->cfg.shared_cpu)
		sched_yield();
	else
		rte_pause();
}

/* The CPU asks when it has begun to watch the word: is it as it was? */
static int has_changed(const uint64_t value, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	return value == opaque[0] ? 0 : -1;
}

/* Wait for a ring's word to change. */
static void monitor(const struct virtq_watch *watch, uint64_t until_tsc)
{
	struct rte_power_monitor_cond cond = {
		.addr = (volatile void *)(uintptr_t)watch->word,
		.size = sizeof(*watch->word),
		.fn = has_changed,
		.opaque = {__atomic_load_n(watch->word, __ATOMIC_RELAXED)},
	};

	if (!virtq_watch_fired(watch))
		rte_power_monitor(&cond, until_tsc);
}

static void pause_for(const struct sleeper *s, const struct roster *r, uint64_t ns)
{
	uint64_t until_tsc = rte_get_tsc_cycles() + ns * rte_get_tsc_hz() / 1000000000u;

	if (s->cfg.shared_cpu)
		sched_yield();
	else if (s->can_monitor && r->n_active == 1)
		monitor(&r->watches[0], until_tsc);
	else if (s->can_pause)
		rte_power_pause(until_tsc);
	else
		for (unsigned i = 0; i < PAUSES; i++)
			rte_pause();
}

/* It ran at 'now_ns', and was to run at 'when_ns'. */
static void note_late(struct latency *l, uint64_t when_ns, uint64_t now_ns)
{
	latency_add(l, now_ns > when_ns ? now_ns - when_ns : 0);
}

/* Wait until the bell rings; with 'kicks', until a guest kicks. */
static void wait_for(struct sleeper *s, bool kicks, uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
	struct pollfd fds[2] = {
		{.fd = s->bell.fd, .events = POLLIN}, {.fd = s->epoll, .events = POLLIN}};
	uint64_t begin_ns = s->idle.now_ns, now_ns;

	ppoll(fds, kicks ? 2 : 1, ns == UINT64_MAX ? NULL : &ts, NULL);
	now_ns = clock_now_ns();
	idle_account(&s->idle, now_ns);
	s->woke_ns = now_ns;
	/* A ring that was on its way from before says nothing. */
	if (fds[0].revents != 0 && bell_rung_ns(&s->bell) >= begin_ns)
		note_late(&s->latency.wake, bell_rung_ns(&s->bell), now_ns);
	else if (fds[0].revents == 0 && fds[1].revents == 0 && ns != UINT64_MAX)
		note_late(&s->latency.timer, begin_ns + ns, now_ns);
	bell_disarm(&s->bell, fds[0].revents != 0);
	if (fds[1].revents != 0)
		hear(s, now_ns);
}

static void rest(struct sleeper *s, const struct roster *r, bool starved, struct idle_step step)
{
	bool block = step.state == IDLE_BLOCKED;
	uint64_t now_ns = s->idle.now_ns, until_ns = now_ns + step.ns;

	if (until_ns < now_ns)
		until_ns = UINT64_MAX;
	bell_arm(&s->bell, BELL_CALL | (wants_bytes(s, starved) ? BELL_BYTES : 0));
	if (s->cfg.is_wanted(s->cfg.arg) || (block && !prepare_all(s, r, starved, &until_ns)))
		bell_disarm(&s->bell, false);
	else
		wait_for(s, block, until_ns == UINT64_MAX ? UINT64_MAX : until_ns - now_ns);
}

void sleeper_rest(struct sleeper *s, const struct roster *r, bool starved, uint64_t due_ns)
{
	struct byte_ring *ring = s->cfg.entropy->cfg.ring;
	struct idle_step step;
	bool took;

	if (s->spins > 0) {
		s->spins--;
		spin(s);
		return;
	}
	took = s->idle.busy || wants_bytes(s, starved);
	step = idle_next(&s->idle, clock_now_ns(), due_ns);
	if (took && byte_ring_avail(ring, s->cfg.low_bytes) < s->cfg.low_bytes)
		bell_ring(s->cfg.ring_bell, BELL_BYTES);
	if (step.state == IDLE_SPINNING)
		s->spins = SPINS;
	else if (step.state == IDLE_PAUSING)
		pause_for(s, r, step.ns);
	else
		rest(s, r, starved, step);
}
