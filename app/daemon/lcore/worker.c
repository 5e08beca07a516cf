/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/worker_loop.h"

#include "lcore/sleeper.h"
#include "lcore/tap.h"
#include "log.h"
#include "secret_mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

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
		err = secret_protect(key, key_bytes, "the cipher's key");
		if (err != 0)
			return err;
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
	budget_init(&w->bytes, &bytes);
	budget_init(&w->requests, &requests);
	return roster_init(&w->roster, cfg->max_guests);
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
	err = caller_init(&w->caller);
	if (err != 0)
		LOG(WARNING,
			"no asynchronous I/O (%s): a hostile front-end can make lcore %u wait when it "
			"calls its guest; allow io_setup(2), or raise fs.aio-max-nr",
			strerror(-err), w->lcore);
	err = create_budgets(w, cfg);
	if (err == 0)
		err = create_entropy(w, cfg);
	if (err == 0 && cfg->idle.policy != IDLE_POLL)
		err = sleeper_create(cfg, &w->sleeper);
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
	caller_fini(&w->caller);
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
	const struct idle_stats *rest;

	*times = (struct idle_stats){0};
	if (w->sleeper == NULL) {
		times->ns[IDLE_BUSY] = stats_read(&w->usage.busy_ns);
		times->ns[IDLE_SPINNING] = stats_read(&w->usage.other_ns);
		return;
	}
	rest = &w->sleeper->idle.stats;
	for (unsigned i = 0; i < IDLE_STATES; i++)
		times->ns[i] = stats_read(&rest->ns[i]);
	times->sleeps = stats_read(&rest->sleeps);
	times->blocks = stats_read(&rest->blocks);
}

const struct sleeper_latency *worker_latency(const struct worker *w)
{
	return w->sleeper != NULL ? &w->sleeper->latency : NULL;
}

struct bell *worker_bell(const struct worker *w)
{
	return w->sleeper != NULL ? &w->sleeper->bell : NULL;
}

unsigned worker_lcore(const struct worker *w)
{
	return w->lcore;
}

unsigned worker_load(const struct worker *w)
{
	return __atomic_load_n(&w->n_attached, __ATOMIC_RELAXED);
}

bool worker_sleeps(const struct worker *w)
{
	return w->sleeper != NULL && bell_is_armed(&w->sleeper->bell);
}

struct worker *workers_find(const struct workers *workers, uint32_t lcore)
{
	for (unsigned i = 0; i < workers->n; i++)
		if (worker_lcore(workers->all[i]) == lcore)
			return workers->all[i];
	return NULL;
}
