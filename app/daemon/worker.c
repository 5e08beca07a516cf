/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include "clock.h"
#include "log.h"

#include <rte_config.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* What one guest may be given in one turn: some 50 microseconds of copying. */
#define TURN_BYTES (256u * 1024)

/*
 * rte_vhost keeps its own index of what it last signalled, modulo 65,536, and compares: it must be
 * asked before it could take a long way for a short one.
 */
#define NOTIFY_AT_LEAST_EVERY 16384

/* How often a caller looks for the lcore's answer before it gives up its CPU. */
#define CALL_SPINS 1000

enum call_op { CALL_ATTACH, CALL_DETACH, CALL_STOP };

struct nonce {
	uint8_t random[32];
	uint64_t seconds, nanoseconds, process, lcore;
};

struct worker {
	/* Fixed when it is created */
	unsigned lcore;
	bool shared_cpu;
	bool limited; /* there is a budget: turns need the time */
	uint64_t epoch_ns;
	int (*notify)(struct guest *g);
	struct nonce nonce;
	struct keystream *keystream; /* LCORE: rw, while it runs; NULL: no DRBG */

	/* LCORE: rw */
	struct budget budget;
	struct entropy entropy;
	struct rng_supply supply;
	unsigned n_guests;
	unsigned starved;      /* guests that found no bytes in this sweep */
	unsigned next;	       /* whose turn it is */
	struct guest **guests; /* attached */
	struct budget_slot *slots;

	/* A call to the lcore. MAIN, VHOST: rw under call_lock; LCORE: ro while call != answer */
	pthread_mutex_t call_lock;
	bool running;
	enum call_op op;
	struct guest *arg;
	_Alignas(64) uint32_t call;   /* MAIN, VHOST: rw, LCORE: ro */
	uint32_t reseed;	      /* MAIN, VHOST: set bits, LCORE: clears them */
	_Alignas(64) uint32_t answer; /* LCORE: rw, MAIN, VHOST: ro */
};

#define RESEED_WANTED 1u
#define RESEED_DUE    2u

/*
 * What no two DRBGs have in common, whatever they are seeded with: 256 bits of the kernel's
 * generator (SP 800-90A §8.6.7), the time, the process and the lcore.
 */
static void make_nonce(struct nonce *nonce, unsigned lcore)
{
	struct timespec now;

	memset(nonce, 0, sizeof(*nonce));
	/* Early at boot, without a generator that is ready, the others must do. */
	if (getrandom(nonce->random, sizeof(nonce->random), GRND_NONBLOCK) < 0)
		LOG(NOTICE, "the kernel's generator is not ready: the nonce is time and process");
	clock_gettime(CLOCK_REALTIME, &now);
	nonce->seconds = (uint64_t)now.tv_sec;
	nonce->nanoseconds = (uint64_t)now.tv_nsec;
	nonce->process = (uint64_t)getpid();
	nonce->lcore = lcore;
}

static int create_entropy(struct worker *w, const struct worker_config *cfg)
{
	static const char person[] = "dpdk-vhost-rng CTR_DRBG";
	struct entropy_config entropy = {
		.ring = cfg->ring,
		.seed_bytes = cfg->seed_bytes,
		.reseed_bytes = cfg->reseed_bytes,
		.continue_unseeded = cfg->continue_unseeded,
		.nonce = {&w->nonce, sizeof(w->nonce)},
		.person = {person, sizeof(person) - 1},
	};

	if (cfg->drbg) {
		int err = keystream_create(KEYSTREAM_AUTO, &w->keystream);

		if (err != 0)
			return err;
		make_nonce(&w->nonce, cfg->lcore);
		entropy.keystream = w->keystream;
	}
	return entropy_init(&w->entropy, &entropy);
}

int worker_create(const struct worker_config *cfg, struct worker **worker)
{
	struct worker *w;
	int err;

	w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		return -ENOMEM;
	/* It has the DRBG's state. */
	if (mlock(w, sizeof(*w)) != 0 && cfg->drbg)
		LOG(WARNING,
			"cannot lock %zu bytes of memory: %s; secrets may reach the swap. Raise the "
			"memlock limit (ulimit -l)",
			sizeof(*w), strerror(errno));
	madvise(w, sizeof(*w), MADV_DONTDUMP);
	w->guests = calloc(cfg->max_guests, sizeof(w->guests[0]));
	w->slots = calloc(cfg->max_guests, sizeof(w->slots[0]));
	if (w->guests == NULL || w->slots == NULL) {
		worker_destroy(w);
		return -ENOMEM;
	}
	w->lcore = cfg->lcore;
	w->shared_cpu = cfg->shared_cpu;
	w->epoch_ns = cfg->epoch_ns;
	w->notify = cfg->notify;
	budget_init(&w->budget, cfg->max_bytes, cfg->period_ns, cfg->total_weight, w->slots,
		cfg->max_guests);
	w->limited = !budget_is_unlimited(&w->budget);
	w->supply.budget = &w->budget;
	w->supply.entropy = &w->entropy;
	w->supply.turn_bytes = TURN_BYTES;
	pthread_mutex_init(&w->call_lock, NULL);
	err = create_entropy(w, cfg);
	if (err != 0) {
		worker_destroy(w);
		return err;
	}
	*worker = w;
	return 0;
}

void worker_destroy(struct worker *w)
{
	if (w == NULL)
		return;
	free(w->guests);
	free(w->slots);
	entropy_fini(&w->entropy);
	keystream_destroy(w->keystream);
	munmap(w, sizeof(*w));
}

const char *worker_keystream_name(const struct worker *w)
{
	return w->keystream != NULL ? keystream_name(w->keystream) : NULL;
}

const struct entropy_stats *worker_entropy_stats(const struct worker *w)
{
	return &w->entropy.stats;
}

unsigned worker_lcore(const struct worker *w)
{
	return w->lcore;
}

int worker_adopt(struct worker *w, struct guest *g, uint32_t weight_lo, uint32_t weight_hi)
{
	g->worker = w;
	return budget_add(&w->budget, weight_lo, weight_hi, &g->dev.budget_slot);
}

/* The lcore's side */

static void notify(struct worker *w, struct guest *g)
{
	if (w->notify(g) != 0)
		return;
	g->notified_used = g->dev.vq.cfg.last_used;
	if (g->dev.call_owed)
		stats_add(&g->dev.stats.calls, 1);
	g->dev.call_owed = false;
}

static inline bool notify_is_due(const struct guest *g)
{
	return g->dev.call_owed ||
	       (uint16_t)(g->dev.vq.cfg.last_used - g->notified_used) >= NOTIFY_AT_LEAST_EVERY;
}

static void remove_guest(struct worker *w, struct guest *g)
{
	for (unsigned i = 0; i < w->n_guests; i++) {
		if (w->guests[i] == g) {
			w->guests[i] = w->guests[--w->n_guests];
			return;
		}
	}
}

/* Give one guest its turn. True when something was done. */
static inline bool turn(struct worker *w, struct guest *g, uint64_t now)
{
	enum rng_result r = rng_device_poll(&g->dev, &w->supply, now);

	if (notify_is_due(g))
		notify(w, g);
	if (r == RNG_BROKEN) {
		__atomic_store_n(&g->fault, g->dev.vq.broken, __ATOMIC_RELEASE);
		remove_guest(w, g);
	}
	if (r == RNG_WAIT && g->dev.starved)
		w->starved++;
	return r == RNG_SERVED;
}

/* Do what a caller asks. False: stop. */
static bool answer_call(struct worker *w)
{
	struct guest *g = w->arg;
	bool go_on = true;

	switch (w->op) {
	case CALL_ATTACH:
		w->guests[w->n_guests++] = g;
		break;
	case CALL_DETACH:
		remove_guest(w, g);
		rng_device_stop(&g->dev, &w->supply);
		break;
	case CALL_STOP:
		go_on = false;
		break;
	}
	__atomic_store_n(&w->answer, w->call, __ATOMIC_RELEASE);
	return go_on;
}

static inline bool is_called(const struct worker *w)
{
	return __atomic_load_n(&w->call, __ATOMIC_ACQUIRE) != w->answer;
}

/* Others asked for a reseed. */
static void reseed(struct worker *w)
{
	uint32_t asked = __atomic_exchange_n(&w->reseed, 0, __ATOMIC_ACQUIRE);

	if (!w->entropy.is_drbg)
		return;
	entropy_want_reseed(&w->entropy, asked & RESEED_DUE);
	entropy_avail(&w->entropy, 1); /* now, if there is a seed */
}

/* A turn for each guest, until a caller wants something: it may change the list. */
static void sweep(struct worker *w)
{
	uint64_t now = w->limited ? clock_now_ns() - w->epoch_ns : 0;
	bool busy = false;

	if (__builtin_expect(__atomic_load_n(&w->reseed, __ATOMIC_RELAXED) != 0, 0))
		reseed(w);
	for (unsigned n = w->n_guests; n > 0 && !is_called(w); n--) {
		if (w->next >= w->n_guests)
			w->next = 0;
		if (w->n_guests > 0)
			busy |= turn(w, w->guests[w->next++], now);
	}
	/* Who found nothing in this sweep has a part of what comes before the next, or in it. */
	w->supply.sharers = w->starved;
	w->starved = 0;
	if (busy)
		return;
	if (w->shared_cpu)
		sched_yield();
	else
		rte_pause();
}

static int worker_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "vrng-lcore-%u", w->lcore);
	pthread_setname_np(pthread_self(), name);
	do {
		sweep(w);
	} while (!is_called(w) || answer_call(w));
	return 0;
}

/* The callers' side */

static void call(struct worker *w, enum call_op op, struct guest *g)
{
	uint32_t n;

	pthread_mutex_lock(&w->call_lock);
	w->op = op;
	w->arg = g;
	n = w->call + 1;
	__atomic_store_n(&w->call, n, __ATOMIC_RELEASE);
	for (unsigned spins = 0; __atomic_load_n(&w->answer, __ATOMIC_ACQUIRE) != n; spins++) {
		if (spins < CALL_SPINS && !w->shared_cpu)
			rte_pause();
		else
			sched_yield();
	}
	pthread_mutex_unlock(&w->call_lock);
}

int worker_start(struct worker *w)
{
	int err = rte_eal_remote_launch(worker_main, w, w->lcore);

	w->running = err == 0;
	return err;
}

void worker_stop(struct worker *w)
{
	if (!w->running)
		return;
	call(w, CALL_STOP, NULL);
	rte_eal_wait_lcore(w->lcore);
	w->running = false;
}

void worker_reseed(struct worker *w, bool due)
{
	__atomic_fetch_or(&w->reseed, due ? RESEED_DUE : RESEED_WANTED, __ATOMIC_RELEASE);
}

void worker_attach(struct worker *w, struct guest *g)
{
	g->fault = NULL;
	call(w, CALL_ATTACH, g);
}

void worker_detach(struct worker *w, struct guest *g)
{
	call(w, CALL_DETACH, g);
}
