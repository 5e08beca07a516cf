/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/worker_loop.h"

#include "clock.h"
#include "lcore/caller.h"
#include "lcore/sleeper.h"
#include "lcore/tap.h"
#include "lcore/times.h"
#include "log.h"
#include "secret_mem.h"

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
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* How often a caller looks for the lcore's answer before it gives up its CPU. */
#define CALL_SPINS 1000

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
	size_t key_bytes;
	void *key;
	int err;

	if (cfg->drbg) {
		err = keystream_create(KEYSTREAM_AUTO, &w->keystream);
		if (err != 0)
			return err;
		key = keystream_secret(w->keystream, &key_bytes);
		secret_protect(key, key_bytes, "the cipher's key");
		make_nonce(&w->nonce, cfg->lcore);
		entropy.keystream = w->keystream;
	} else if (cfg->tap != NULL) {
		entropy.own = tap_ring(cfg->tap);
		entropy.refill = tap_refill;
		entropy.refill_arg = cfg->tap;
	}
	err = entropy_init(&w->entropy, &entropy);
	if (err == -EILSEQ)
		LOG(ERR,
			"the DRBG failed its self-test on lcore %u with AES-256 by %s: mend the library or "
			"the CPU, or take --source-mode passthrough",
			cfg->lcore, keystream_name(w->keystream));
	return err;
}

static int create_budgets(struct worker *w, const struct worker_config *cfg)
{
	struct budget_config bytes = cfg->bytes, requests = cfg->requests;

	w->accounts = calloc(2 * (size_t)cfg->max_guests, sizeof(w->accounts[0]));
	if (w->accounts == NULL)
		return -ENOMEM;
	bytes.accounts = w->accounts;
	requests.accounts = w->accounts + cfg->max_guests;
	bytes.max_accounts = requests.max_accounts = cfg->max_guests;
	budget_init(&w->bytes, &bytes);
	budget_init(&w->requests, &requests);
	return roster_init(&w->roster, cfg->max_guests);
}

static bool is_wanted(const void *worker)
{
	const struct worker *w = worker;

	return is_called(w) || __atomic_load_n(&w->asked, __ATOMIC_RELAXED) != 0;
}

static int create_sleeper(struct worker *w, const struct worker_config *cfg)
{
	struct sleeper_config sleeper = {
		.idle = cfg->idle,
		.shared_cpu = cfg->shared_cpu,
		.entropy = &w->entropy,
		.low_bytes = cfg->low_bytes,
		.ring_bell = cfg->ring_bell,
		.is_wanted = is_wanted,
		.arg = w,
	};

	return cfg->idle.policy == IDLE_POLL ? 0 : sleeper_create(&sleeper, &w->sleeper);
}

int worker_create(const struct worker_config *cfg, struct worker **worker)
{
	struct worker *w;
	int err;

	w = secret_alloc(sizeof(*w), "the generator's state");
	if (w == NULL)
		return -ENOMEM;
	w->lcore = cfg->lcore;
	w->shared_cpu = cfg->shared_cpu;
	w->epoch_ns = cfg->epoch_ns;
	w->supply.bytes = &w->bytes;
	w->supply.requests = &w->requests;
	w->supply.entropy = &w->entropy;
	w->supply.turn_bytes = cfg->turn_bytes;
	pthread_mutex_init(&w->call_lock, NULL);
	err = caller_create(&w->caller);
	if (err == 0 && caller_flaw(w->caller) != 0)
		LOG(WARNING,
			"no asynchronous I/O (%s): a hostile front-end can make lcore %u wait when it "
			"calls its guest; allow io_setup(2), or raise fs.aio-max-nr",
			strerror(-caller_flaw(w->caller)), w->lcore);
	if (err == 0)
		err = create_budgets(w, cfg);
	if (err == 0)
		err = create_entropy(w, cfg);
	if (err == 0)
		err = create_sleeper(w, cfg);
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
	sleeper_destroy(w->sleeper);
	roster_fini(&w->roster);
	free(w->accounts);
	entropy_fini(&w->entropy);
	keystream_destroy(w->keystream);
	caller_destroy(w->caller);
	secret_free(w, sizeof(*w));
}

const char *worker_keystream_name(const struct worker *w)
{
	return w->keystream != NULL ? keystream_name(w->keystream) : NULL;
}

const struct entropy_stats *worker_entropy_stats(const struct worker *w)
{
	return &w->entropy.stats;
}

void worker_times(const struct worker *w, struct idle_stats *times)
{
	times_read(&w->usage, w->sleeper != NULL ? sleeper_stats(w->sleeper) : NULL, times);
}

const struct sleeper_latency *worker_latency(const struct worker *w)
{
	return w->sleeper != NULL ? sleeper_latency(w->sleeper) : NULL;
}

struct bell *worker_bell(const struct worker *w)
{
	return w->sleeper != NULL ? sleeper_bell(w->sleeper) : NULL;
}

unsigned worker_lcore(const struct worker *w)
{
	return w->lcore;
}

unsigned worker_load(const struct worker *w)
{
	return __atomic_load_n(&w->n_attached, __ATOMIC_RELAXED);
}

/* The callers' side */

/* Under call_lock, when the arguments are there. */
static void call_and_wait(struct worker *w, enum call_op op)
{
	uint32_t n;

	w->op = op;
	n = w->call + 1;
	__atomic_store_n(&w->call, n, __ATOMIC_RELEASE);
	bell_ring(worker_bell(w), BELL_CALL);
	for (unsigned spins = 0; __atomic_load_n(&w->answer, __ATOMIC_ACQUIRE) != n; spins++) {
		if (spins < CALL_SPINS && !w->shared_cpu)
			rte_pause();
		else
			sched_yield();
	}
}

static void call(struct worker *w, enum call_op op, struct guest *g)
{
	pthread_mutex_lock(&w->call_lock);
	w->arg = g;
	call_and_wait(w, op);
	pthread_mutex_unlock(&w->call_lock);
}

int worker_start(struct worker *w)
{
	int err;

	/* Not by the lcore itself: MAIN may already be asked for what is counted. */
	usage_init(&w->usage, clock_now_ns());
	err = rte_eal_remote_launch(worker_loop, w, w->lcore);
	w->running = err == 0;
	return err;
}

int worker_confine(struct worker *w)
{
	call(w, CALL_CONFINE, NULL);
	return w->confine_error;
}

void worker_stop(struct worker *w)
{
	if (!w->running)
		return;
	call(w, CALL_STOP, NULL);
	rte_eal_wait_lcore(w->lcore);
	w->running = false;
}

void worker_join(struct worker *w, struct guest *g)
{
	call(w, CALL_JOIN, g);
	g->worker = w;
	__atomic_store_n(&g->lcore, w->lcore, __ATOMIC_RELAXED);
}

void worker_leave(struct worker *w, struct guest *g)
{
	call(w, CALL_LEAVE, g);
	g->worker = NULL;
}

void worker_change_terms(struct worker *w, const struct worker_change *changes, unsigned n_changes)
{
	pthread_mutex_lock(&w->call_lock);
	w->changes = changes;
	w->n_changes = n_changes;
	call_and_wait(w, CALL_CHANGE);
	pthread_mutex_unlock(&w->call_lock);
}

static void ask(struct worker *w, uint32_t what)
{
	__atomic_fetch_or(&w->asked, what, __ATOMIC_RELEASE);
	bell_ring(worker_bell(w), BELL_CALL);
}

bool worker_poke(struct worker *w)
{
	if (__atomic_load_n(&w->asked, __ATOMIC_ACQUIRE) & ASKED_POKE)
		return false;
	ask(w, ASKED_POKE);
	return true;
}

bool worker_sleeps(const struct worker *w)
{
	return w->sleeper != NULL && bell_is_armed(sleeper_bell(w->sleeper));
}

void worker_reseed(struct worker *w, bool due)
{
	ask(w, due ? ASKED_DUE : ASKED_RESEED);
}

void worker_attach(struct worker *w, struct guest *g)
{
	__atomic_store_n(&g->fault, NULL, __ATOMIC_RELAXED); /* MAIN looks at it, any time */
	call(w, CALL_ATTACH, g);
}

void worker_detach(struct worker *w, struct guest *g)
{
	call(w, CALL_DETACH, g);
}
