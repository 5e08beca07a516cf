/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include "caller.h"
#include "clock.h"
#include "guard.h"
#include "log.h"
#include "roster.h"
#include "sandbox.h"
#include "secret_mem.h"
#include "sleeper.h"
#include "tap.h"
#include "times.h"

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

/* Watches ahead of the one that is looked at: their rings' words are on the way then. */
#define PREFETCH 8

enum call_op {
	CALL_JOIN,
	CALL_LEAVE,
	CALL_ATTACH,
	CALL_DETACH,
	CALL_CHANGE,
	CALL_CONFINE,
	CALL_STOP
};

struct nonce {
	uint8_t random[32];
	uint64_t seconds, nanoseconds, process, lcore;
};

struct worker {
	/* Fixed when it is created */
	unsigned lcore;
	bool shared_cpu;
	uint64_t epoch_ns;
	struct sleeper *sleeper; /* NULL: it always polls */
	struct nonce nonce;
	struct caller *caller;	     /* LCORE: rw, while it runs */
	struct keystream *keystream; /* LCORE: rw, while it runs; NULL: no DRBG */

	/* LCORE: rw */
	struct budget bytes, requests;
	struct budget_account **accounts; /* that have joined: of bytes, then of requests */
	struct entropy entropy;
	struct rng_supply supply;
	struct roster roster; /* of the attached guests */
	unsigned starved;     /* guests that found no bytes in this sweep */
	unsigned turns;	      /* in this sweep */
	uint32_t hits_seen;   /* guard_hits() when it was last looked after */
	struct usage usage;   /* what its time goes to; 'busy_ns', 'other_ns' others: ro */

	/* LCORE: rw, VHOST: ro */
	unsigned n_attached;

	/* A call to the lcore. MAIN, VHOST: rw under call_lock; LCORE: ro while call != answer */
	pthread_mutex_t call_lock;
	bool running;
	enum call_op op;
	struct guest *arg;
	const struct worker_change *changes; /* of CALL_CHANGE */
	unsigned n_changes;
	int confine_error;	      /* LCORE: rw, of CALL_CONFINE */
	_Alignas(64) uint32_t call;   /* MAIN, VHOST: rw, LCORE: ro */
	uint32_t asked;		      /* MAIN, VHOST: set bits, LCORE: clears them */
	_Alignas(64) uint32_t answer; /* LCORE: rw, MAIN, VHOST: ro */
};

/* What an lcore is asked for that nobody waits for. */
#define ASKED_RESEED 1u
#define ASKED_DUE    2u /* and not a byte without it */
#define ASKED_POKE   4u

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

	if (cfg->drbg) {
		int err = keystream_create(KEYSTREAM_AUTO, &w->keystream);

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
	return entropy_init(&w->entropy, &entropy);
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

static inline bool is_called(const struct worker *w)
{
	return __atomic_load_n(&w->call, __ATOMIC_ACQUIRE) != w->answer;
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

/* The lcore's side */

static void notify(struct worker *w, struct guest *g)
{
	/* Anything but a kernel without memory will not get better by asking again. */
	if (g->call_fd >= 0 && caller_call(w->caller, g->call_fd) == -EAGAIN)
		return;
	stats_add(&g->dev.stats.calls, g->call_fd >= 0);
	g->dev.call_owed = false;
}

/* Since when a request may have waited that is served now; 0: it is not asked. */
static inline uint64_t since_ns(const struct worker *w)
{
	uint64_t since = usage_since_ns(&w->usage);

	if (__builtin_expect(since == 0, 1) || w->sleeper == NULL)
		return since;
	return sleeper_woke_ns(w->sleeper) > since ? sleeper_woke_ns(w->sleeper) : since;
}

/* Leave a guest alone until it is attached anew. */
static void break_off(struct worker *w, struct guest *g)
{
	times_wait(g, false);
	__atomic_store_n(&g->fault, g->dev.vq.broken, __ATOMIC_RELEASE);
	roster_remove(&w->roster, g);
}

/* Give active[i] its turn. True when something was done. */
static bool turn(struct worker *w, unsigned i)
{
	struct guest *g = w->roster.active[i];
	const bool waited = g->dev.waiting;
	enum rng_result r = rng_device_poll(&g->dev, &w->supply);
	uint64_t since;

	w->turns++;
	if (g->dev.call_owed)
		notify(w, g);
	if (__builtin_expect(waited || r == RNG_WAIT, 0))
		times_wait(g, r == RNG_WAIT);
	since = since_ns(w);
	if (__builtin_expect(since != 0, 0) && r == RNG_SERVED)
		times_service(g, since);
	if (r == RNG_BROKEN) {
		break_off(w, g);
		return true;
	}
	if (r == RNG_WAIT && !g->dev.starved && !g->dev.call_owed) {
		roster_park(&w->roster, i);
		return false;
	}
	w->starved += r == RNG_WAIT && g->dev.starved;
	roster_watch(&w->roster, i);
	return r == RNG_SERVED;
}

static void count_attached(struct worker *w, int n)
{
	__atomic_store_n(&w->n_attached, w->n_attached + (unsigned)n, __ATOMIC_RELAXED);
}

static void change_terms(struct worker *w)
{
	for (unsigned i = 0; i < w->n_changes; i++) {
		const struct worker_change *c = &w->changes[i];

		budget_change(&w->bytes, &c->guest->dev.bytes, &c->bytes, c->from_period);
		budget_change(&w->requests, &c->guest->dev.requests, &c->requests, c->from_period);
	}
	/* They may be the first that have a limit. */
	roster_unpark(&w->roster);
}

/* Do what a caller asks. False: stop. */
static bool answer_call(struct worker *w)
{
	struct guest *g = w->arg;
	bool go_on = true;

	switch (w->op) {
	case CALL_JOIN:
		budget_join(&w->bytes, &g->dev.bytes);
		budget_join(&w->requests, &g->dev.requests);
		break;
	case CALL_LEAVE:
		budget_leave(&w->bytes, &g->dev.bytes);
		budget_leave(&w->requests, &g->dev.requests);
		break;
	case CALL_ATTACH:
		roster_add(&w->roster, g);
		count_attached(w, 1);
		break;
	case CALL_DETACH:
		roster_remove(&w->roster, g);
		if (w->sleeper != NULL)
			sleeper_forget(w->sleeper, g);
		rng_device_stop(&g->dev, &w->supply);
		times_wait(g, false);
		if (g->dev.call_owed)
			notify(w, g);
		count_attached(w, -1);
		break;
	case CALL_CHANGE:
		change_terms(w);
		break;
	case CALL_CONFINE:
		w->confine_error = sandbox_enter_lcore();
		break;
	case CALL_STOP:
		go_on = false;
		break;
	}
	__atomic_store_n(&w->answer, w->call, __ATOMIC_RELEASE);
	return go_on;
}

/* Others asked for something. That it is taken is the answer to a poke. */
static void do_asked(struct worker *w)
{
	uint32_t asked = __atomic_exchange_n(&w->asked, 0, __ATOMIC_ACQ_REL);

	if (!w->entropy.is_drbg)
		return;
	if (asked & (ASKED_RESEED | ASKED_DUE))
		entropy_want_reseed(&w->entropy, asked & ASKED_DUE);
	/* Now, if there is a seed; also one that was asked for before, while nobody wants bytes. */
	entropy_avail(&w->entropy, 1);
}

/* Those who wait for their allowance are looked at when it may have come. */
static void tell_time(struct worker *w)
{
	uint64_t now = clock_now_ns() - w->epoch_ns;
	bool more = budget_advance(&w->bytes, now);

	more |= budget_advance(&w->requests, now);
	if (more)
		roster_unpark(&w->roster);
}

/* A turn for each guest that has work, until a caller wants something. True: something was done. */
static bool take_turns(struct worker *w)
{
	struct roster *r = &w->roster;
	bool busy = false;

	for (unsigned n = r->n_active; n > 0 && !is_called(w); n--) {
		unsigned i = r->next, ahead = i + PREFETCH, before;

		if (i >= r->n_active)
			i = r->next = 0;
		if (ahead < r->n_active)
			__builtin_prefetch(r->watches[ahead].word);
		before = r->n_active;
		if (virtq_watch_fired(&r->watches[i]))
			busy |= turn(w, i);
		if (r->n_active == before)
			r->next++; /* else another one is at its place now */
		if (r->n_active == 0)
			break;
	}
	return busy;
}

static bool is_hit(const struct guest *g)
{
	return guard_is_hit(g->guard);
}

/* Somebody's memory was taken away, maybe one of ours: it goes on no further than this sweep. */
static void drop_hit(struct worker *w)
{
	struct guest *g;

	w->hits_seen = guard_hits();
	while ((g = roster_find(&w->roster, is_hit)) != NULL) {
		g->dev.vq.broken = guard_fault;
		stats_add(&g->dev.stats.broken, 1);
		break_off(w, g);
	}
}

/* When there is something to do because of the time; UINT64_MAX: not known of. */
static uint64_t due_ns(const struct worker *w)
{
	const struct budget *bytes = &w->bytes, *requests = &w->requests;
	uint64_t next = UINT64_MAX;

	/* Does anybody wait for an allowance, here or on an lcore that may borrow from us? */
	if (w->roster.n_parked == 0 && (!bytes->cfg.fair || bytes->cfg.exchange == NULL))
		return UINT64_MAX;
	if (bytes->limited)
		next = bytes->next_ns;
	if (requests->limited && requests->next_ns < next)
		next = requests->next_ns;
	return next < UINT64_MAX - w->epoch_ns ? next + w->epoch_ns : UINT64_MAX;
}

/* There was nothing to do. */
static void rest(struct worker *w)
{
	if (w->sleeper != NULL)
		sleeper_rest(w->sleeper, &w->roster, w->supply.sharers > 0, due_ns(w));
	else if (w->shared_cpu)
		sched_yield();
	else
		rte_pause();
}

static void sweep(struct worker *w)
{
	bool busy;

	if (__builtin_expect(usage_begin(&w->usage), 0))
		usage_look(&w->usage, clock_now_ns());
	if (w->bytes.limited || w->requests.limited)
		tell_time(w);
	if (__builtin_expect(__atomic_load_n(&w->asked, __ATOMIC_RELAXED) != 0, 0))
		do_asked(w);
	busy = take_turns(w);
	if (__builtin_expect(guard_hits() != w->hits_seen, 0))
		drop_hit(w);
	/* Who found nothing in this sweep has a part of what comes before the next, or in it. */
	w->supply.sharers = w->starved;
	w->starved = 0;
	w->supply.busy = w->turns;
	w->turns = 0;
	if (!busy)
		rest(w);
	else if (w->sleeper != NULL)
		sleeper_busy(w->sleeper);
	if (__builtin_expect(usage_end(&w->usage, busy), 0))
		usage_close(&w->usage, busy, clock_now_ns());
}

static int worker_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "vrng-lcore-%u", w->lcore);
	pthread_setname_np(pthread_self(), name);
	if (w->sleeper != NULL)
		sleeper_begin(w->sleeper);
	usage_init(&w->usage, clock_now_ns());
	do {
		sweep(w);
	} while (!is_called(w) || answer_call(w));
	return 0;
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
	int err = rte_eal_remote_launch(worker_main, w, w->lcore);

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
