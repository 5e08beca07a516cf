/* SPDX-License-Identifier: BSD-3-Clause */
#include "service.h"

#include "budget.h"
#include "clock.h"
#include "feeder.h"
#include "log.h"
#include "placement.h"
#include "session.h"
#include "stats.h"
#include "worker.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Read ahead for each lcore: a few milliseconds of /dev/urandom, which fit a second-level cache. */
#define BYTES_RING_BYTES (512u * 1024)

/* Room for two seeds at the lowest entropy, and for a start-up test. */
#define SEED_RING_BYTES (16u * 1024)

/*
 * Min-entropy of a seed: one and a half times the security strength of 256 bits, as SP 800-90A has
 * it for entropy and nonce together.
 */
#define SEED_ENTROPY_BITS 384

/* Less than a usual request is not given out while more is to come in the period. */
#define CRUMB_BYTES 64

struct service {
	const struct options *opt;
	unsigned n_intakes;
	struct intake intakes[INTAKES_MAX];
	size_t piece_bytes; /* of one source, in a seed */
	size_t seed_bytes;
	uint64_t epoch_ns;
	struct feeder *feeder;
	unsigned n_workers;
	struct worker *workers[OPTIONS_LCORES_MAX];
	/* Where lcores lend to each other what their guests do not use: bytes, and requests */
	struct budget_exchange *exchanges;
	uint32_t reseed_s;
	bool reseed_overdue; /* as last logged */
	uint64_t reseeded_s; /* when a reseed was last due */
};

static int open_sources(struct service *s, struct why *why)
{
	const struct options *opt = s->opt;
	double least_entropy = 8;

	for (unsigned i = 0; i < opt->n_sources; i++) {
		int err = intake_open(&s->intakes[i], opt->sources[i], opt->source_entropy);

		if (err != 0)
			return why_set(why, err,
				"cannot read --filename %s: %s; choose a device, FIFO or file that "
				"can be read",
				opt->sources[i], strerror(-err));
		s->n_intakes = i + 1;
		if (s->intakes[i].entropy_bits < least_entropy)
			least_entropy = s->intakes[i].entropy_bits;
	}
	s->piece_bytes = (size_t)ceil(SEED_ENTROPY_BITS / least_entropy);
	s->seed_bytes = s->piece_bytes * (opt->source_mix ? s->n_intakes : 1);
	if (opt->drbg && s->seed_bytes > ENTROPY_SEED_BYTES_MAX)
		return why_set(why, -EINVAL,
			"with %.2f bits of entropy in a byte a seed has %zu bytes, more than %d: "
			"mix fewer sources, or claim more --source-entropy",
			least_entropy, s->seed_bytes, ENTROPY_SEED_BYTES_MAX);
	return 0;
}

int service_open(const struct options *opt, struct service **service, struct why *why)
{
	struct service *s = calloc(1, sizeof(*s));
	int err;

	if (s == NULL)
		return why_set(why, -ENOMEM, "no memory");
	s->opt = opt;
	s->reseed_s = opt->reseed_s;
	err = open_sources(s, why);
	if (err != 0) {
		service_close(s);
		return err;
	}
	*service = s;
	return 0;
}

void service_close(struct service *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->n_intakes; i++)
		intake_close(&s->intakes[i]);
	free(s);
}

/* How lcore number 'index' keeps one of its two budgets. */
static struct budget_config budget_config(const struct service *s, const struct eal *eal,
	unsigned index, uint64_t crumb, struct budget_exchange *exchange)
{
	return (struct budget_config){
		.period_ns = (uint64_t)s->opt->period_ms * 1000000u,
		.smooth = s->opt->smooth,
		.fair = s->opt->fair,
		.crumb = crumb,
		.exchange = eal->n_polling > 1 ? exchange : NULL,
		.lcore = index,
		.n_lcores = eal->n_polling,
	};
}

static int create_workers(struct service *s, const struct eal *eal)
{
	const struct options *opt = s->opt;
	size_t size = 2 * sizeof(s->exchanges[0]);

	s->epoch_ns = clock_now_ns();
	s->exchanges = aligned_alloc(_Alignof(struct budget_exchange), size);
	if (s->exchanges == NULL)
		return -ENOMEM;
	memset(s->exchanges, 0, size);
	for (unsigned i = 0; i < eal->n_polling; i++) {
		struct worker_config cfg = {
			.lcore = eal->polling[i],
			.shared_cpu = eal->shared_cpu,
			.max_guests = GUESTS_MAX,
			.ring = feeder_ring(s->feeder, i),
			.drbg = opt->drbg,
			.seed_bytes = s->seed_bytes,
			.reseed_bytes = opt->reseed_bytes,
			.continue_unseeded = opt->continue_unseeded,
			.bytes = budget_config(s, eal, i, CRUMB_BYTES, &s->exchanges[0]),
			.requests = budget_config(s, eal, i, 1, &s->exchanges[1]),
			.epoch_ns = s->epoch_ns,
			.turn_bytes = opt->turn_bytes,
			.notify = session_notify,
		};
		int err = worker_create(&cfg, &s->workers[i]);

		if (err != 0)
			return err;
		s->n_workers = i + 1;
	}
	return 0;
}

static int start_workers(struct service *s)
{
	for (unsigned i = 0; i < s->n_workers; i++) {
		int err = worker_start(s->workers[i]);

		if (err != 0)
			return err;
	}
	placement_init(s->workers, s->n_workers);
	return 0;
}

int service_start(struct service *s, const struct eal *eal, struct why *why)
{
	const struct options *opt = s->opt;
	struct feeder_config feeder = {
		.intakes = s->intakes,
		.n_intakes = s->n_intakes,
		.n_rings = eal->n_polling,
		.ring_bytes = opt->drbg ? SEED_RING_BYTES : BYTES_RING_BYTES,
		/* Two seeds and no more: old ones are worth less. */
		.keep_bytes = opt->drbg ? 2 * s->seed_bytes : BYTES_RING_BYTES,
		.mix_bytes = opt->source_mix ? s->piece_bytes : 0,
		.cpus = &eal->helper_cpus,
	};
	int err = feeder_create(&feeder, &s->feeder);

	if (err == 0)
		err = create_workers(s, eal);
	if (err == 0)
		err = feeder_start(s->feeder);
	if (err == 0)
		err = start_workers(s);
	return err == 0 ? 0 : why_set(why, err, "cannot start: %s", strerror(-err));
}

void service_stop(struct service *s)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		worker_stop(s->workers[i]);
	if (s->feeder != NULL)
		feeder_stop(s->feeder);
	for (unsigned i = 0; i < s->n_workers; i++)
		worker_destroy(s->workers[i]);
	s->n_workers = 0;
	feeder_destroy(s->feeder);
	s->feeder = NULL;
	free(s->exchanges);
	s->exchanges = NULL;
}

struct worker *const *service_workers(const struct service *s)
{
	return s->workers;
}

unsigned service_n_workers(const struct service *s)
{
	return s->n_workers;
}

uint64_t service_epoch_ns(const struct service *s)
{
	return s->epoch_ns;
}

const struct intake *service_intakes(const struct service *s, unsigned *n)
{
	*n = s->n_intakes;
	return s->intakes;
}

void service_reseed(struct service *s, bool due)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		worker_reseed(s->workers[i], due);
}

void service_set_reseed_time(struct service *s, uint32_t seconds)
{
	s->reseed_s = seconds;
}

static void say_whether_overdue(struct service *s)
{
	bool overdue = false;

	for (unsigned i = 0; i < s->n_workers; i++)
		overdue |= stats_read(&worker_entropy_stats(s->workers[i])->overdue) != 0;
	if (overdue == s->reseed_overdue)
		return;
	s->reseed_overdue = overdue;
	if (!overdue)
		LOG(NOTICE, "seeded again");
	else if (s->opt->continue_unseeded)
		LOG(WARNING, "a reseed is due and no source gives a seed: going on without");
	else
		LOG(ERR, "a reseed is due and no source gives a seed: guests wait for it");
}

void service_tick(struct service *s)
{
	uint64_t now_s = clock_now_ns() / 1000000000u;

	if (!s->opt->drbg)
		return;
	if (s->reseeded_s == 0)
		s->reseeded_s = now_s;
	if (now_s - s->reseeded_s >= s->reseed_s) {
		s->reseeded_s = now_s;
		service_reseed(s, true);
	}
	say_whether_overdue(s);
}
