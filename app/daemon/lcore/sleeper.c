/* SPDX-License-Identifier: BSD-3-Clause */
#define ALLOW_EXPERIMENTAL_API /* rte_power_monitor() and rte_power_pause() in DPDK 22.11 */

#include "lcore/sleeper.h"

#include "clock.h"
#include "lcore/worker_loop.h"

#include <rte_config.h>
#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <rte_power_intrinsics.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A call is owed to a guest that could not be made: when to try again. */
#define OWED_NS UINT64_C(50000)

/* Reading the clock takes as long as a sweep: who spins does it once in so many sweeps. */
#define SPINS 16

/* A pause where the CPU has no way to wait. */
#define PAUSES 16

int sleeper_create(const struct worker_config *cfg, struct sleeper **sleeper)
{
	struct rte_cpu_intrinsics cpu;
	struct sleeper *s = calloc(1, sizeof(*s));
	int err;

	if (s == NULL)
		return -ENOMEM;
	s->low_bytes = cfg->low_bytes;
	s->ring_bell = cfg->ring_bell;
	/* Not by the lcore itself: MAIN may already be asked for what is counted. */
	idle_init(&s->idle, &cfg->idle, clock_now_ns());
	rte_cpu_get_intrinsics_support(&cpu);
	s->can_monitor = cpu.power_monitor;
	s->can_pause = cpu.power_pause;
	err = bell_init(&s->bell);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (err == 0 && s->epoll < 0)
		err = -errno;
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

void sleeper_begin(void)
{
	/* The kernel may be late by 50 us otherwise, to save power: as long as our longest sleep.
	 */
	prctl(PR_SET_TIMERSLACK, 1);
}

/* What might wake the lcore */

/* Make sure that a guest wakes us, or that we look at it in time. True: it has work. */
static bool prepare(const struct sleeper *s, struct guest *g, uint64_t now_ns, uint64_t *until_ns)
{
	struct rng_device *dev = &g->dev;
	uint64_t look_ns = kick_listen(s->epoll, g, now_ns);

	if (dev->call_owed && now_ns + OWED_NS < look_ns)
		look_ns = now_ns + OWED_NS;
	if (look_ns < *until_ns)
		*until_ns = look_ns;
	/* For bytes or tokens: these wake us. Or nobody would hear its kicks. */
	if (dev->waits_for != WAITING_FOR_NOTHING || g->kick.fd < 0)
		return false;
	return !dev->vq.kicks_on && virtq_enable_kicks(&dev->vq);
}

static bool is_starved(const struct worker *w)
{
	return w->supply.sharers > 0;
}

/* For guests, or for a DRBG that is to be seeded anew. */
static bool wants_bytes(const struct worker *w)
{
	const struct entropy *e = &w->entropy;

	return is_starved(w) || (entropy_is_drbg(e) && (e->reseed_wanted || e->reseed_due));
}

/* Bytes for those who wait for them; or none are to come, and what was begun is to be ended. A seed
 * is taken, if there is one. */
static bool has_news(struct worker *w)
{
	size_t avail = entropy_avail(&w->entropy, 1);

	if (!is_starved(w) || avail > 0)
		return is_starved(w);
	if (!entropy_is_dry(&w->entropy))
		return false;
	for (unsigned i = 0; i < w->roster.n_active; i++)
		if (rng_device_can_end(&w->roster.guests[i]->dev))
			return true;
	return false;
}

/* Nothing will be missed from here on, until '*until_ns'. False: there is something to do. */
static bool prepare_all(struct worker *w, uint64_t now_ns, uint64_t *until_ns)
{
	for (unsigned i = 0; i < w->roster.n_active; i++)
		if (prepare(w->sleeper, w->roster.guests[i], now_ns, until_ns))
			return false;
	return !wants_bytes(w) || !has_news(w);
}

/* Resting */

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

static void pause_for(const struct worker *w, uint64_t ns)
{
	uint64_t until_tsc = rte_get_tsc_cycles() + ns * rte_get_tsc_hz() / 1000000000u;

	if (w->shared_cpu)
		worker_spin(w);
	else if (w->sleeper->can_monitor && w->roster.n_active == 1)
		monitor(&w->roster.watches[0], until_tsc);
	else if (w->sleeper->can_pause)
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
	struct timespec ts = clock_timespec(ns);
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
		kick_hear(s->epoll, now_ns);
}

/* Sleep, or block. */
static void lie_down(struct worker *w, struct idle_step step)
{
	struct sleeper *s = w->sleeper;
	bool block = step.state == IDLE_BLOCKED;
	uint64_t now_ns = s->idle.now_ns, until_ns = now_ns + step.ns;

	if (until_ns < now_ns)
		until_ns = UINT64_MAX;
	bell_arm(&s->bell, BELL_CALL | (wants_bytes(w) ? BELL_BYTES : 0));
	if (is_wanted(w) || (block && !prepare_all(w, now_ns, &until_ns)))
		bell_disarm(&s->bell, false);
	else
		wait_for(s, block, until_ns == UINT64_MAX ? UINT64_MAX : until_ns - now_ns);
}

void sleeper_rest(struct worker *w, uint64_t due_ns)
{
	struct sleeper *s = w->sleeper;
	struct idle_step step;
	bool took;

	if (s->spins > 0) {
		s->spins--;
		worker_spin(w);
		return;
	}
	took = s->idle.busy || wants_bytes(w);
	step = idle_next(&s->idle, clock_now_ns(), due_ns);
	if (took && byte_ring_avail(w->entropy.cfg.ring, s->low_bytes) < s->low_bytes)
		bell_ring(s->ring_bell, BELL_BYTES);
	if (step.state == IDLE_SPINNING)
		s->spins = SPINS;
	else if (step.state == IDLE_PAUSING)
		pause_for(w, step.ns);
	else
		lie_down(w, step);
}
