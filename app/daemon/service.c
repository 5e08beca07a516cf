/* SPDX-License-Identifier: BSD-3-Clause */
#include "service.h"

#include "budget.h"
#include "clock.h"
#include "lcore/tap.h"
#include "lcore/worker.h"
#include "log.h"
#include "source/feeder.h"
#include "stats.h"
#include "vhost/session.h"

#include <errno.h>
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

/* Rings of lcores are fed by several feeders where the source gives more to more readers. */
struct line {
	struct feeder *feeder;
	struct intake intakes[INTAKES_MAX];
};

struct service {
	const struct options *opt;
	unsigned n_lines;
	struct line lines[OPTIONS_LCORES_MAX]; /* lcore i is on line i % n_lines */
	size_t piece_bytes;		       /* of one source, in a seed */
	size_t seed_bytes;
	uint64_t epoch_ns;
	struct workers workers;
	struct tap *taps[OPTIONS_LCORES_MAX]; /* NULL: that lcore has none */
	uint64_t tap_failures;		      /* as last logged */
	/* Where lcores lend to each other what their guests do not use: bytes, and requests */
	struct budget_exchange *exchanges;
	uint32_t reseed_s;
	bool reseed_overdue;		 /* as last logged */
	bool failed[OPTIONS_LCORES_MAX]; /* logged: the DRBG of worker number i */
	uint64_t reseeded_s;		 /* when a reseed was last due */
};

static int refuse_source(const char *path, int err, struct why *why)
{
	return why_set(why, err,
		"cannot read --filename %s: %s; choose a device, FIFO or file that can be read",
		path, strerror(-err));
}

/* One more. */
static int open_line(struct service *s, struct why *why)
{
	struct line *line = &s->lines[s->n_lines++];
	const struct options *opt = s->opt;

	for (unsigned i = 0; i < opt->n_sources; i++) {
		int err =
			intake_open(&line->intakes[i], opt->sources[i], opt->source_entropy_abits);

		if (err != 0)
			return refuse_source(opt->sources[i], err, why);
	}
	return 0;
}

/* Return the number of bytes that a source gives to a seed. */
static size_t piece_bytes(uint64_t entropy_abits)
{
	return health_bytes_with(SEED_ENTROPY_BITS, entropy_abits);
}

static size_t seed_bytes(const struct options *opt, uint64_t least_entropy)
{
	return piece_bytes(least_entropy) * (opt->source_mix ? opt->n_sources : 1);
}

int service_check(const struct options *opt, struct why *why)
{
	uint64_t least_entropy = HEALTH_ENTROPY_MAX, entropy;

	for (unsigned i = 0; i < opt->n_sources; i++) {
		bool is_kernel = false;
		int err = source_check(opt->sources[i], &is_kernel);

		if (err != 0)
			return refuse_source(opt->sources[i], err, why);
		entropy = intake_entropy(opt->source_entropy_abits, is_kernel);
		if (entropy < least_entropy)
			least_entropy = entropy;
	}
	if (opt->drbg && seed_bytes(opt, least_entropy) > ENTROPY_SEED_BYTES_MAX)
		return why_set(why, -EINVAL,
			"with %.2f bits of entropy in a byte a seed has %zu bytes, more than %d: "
			"mix fewer sources, or claim more --source-entropy",
			(double)least_entropy / (double)HEALTH_BIT, seed_bytes(opt, least_entropy),
			ENTROPY_SEED_BYTES_MAX);
	return 0;
}

static int open_sources(struct service *s, struct why *why)
{
	const struct intake *intakes = s->lines[0].intakes;
	const struct options *opt = s->opt;
	uint64_t least_entropy = HEALTH_ENTROPY_MAX;
	int err = open_line(s, why);

	if (err != 0)
		return err;
	for (unsigned i = 0; i < opt->n_sources; i++)
		if (intakes[i].entropy_abits < least_entropy)
			least_entropy = intakes[i].entropy_abits;
	s->piece_bytes = piece_bytes(least_entropy);
	s->seed_bytes = seed_bytes(opt, least_entropy);
	/* Another file may have come to the path since service_check(). */
	if (opt->drbg && s->seed_bytes > ENTROPY_SEED_BYTES_MAX)
		return why_set(why, -EAGAIN, "a source has become another file: start again");
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
	for (unsigned i = 0; i < s->n_lines; i++)
		for (unsigned j = 0; j < s->opt->n_sources; j++)
			intake_close(&s->lines[i].intakes[j]);
	free(s);
}

_Static_assert(OPTIONS_LCORES_MAX <= BUDGET_LCORES_MAX, "each lcore has its place in an exchange");

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
		struct feeder *feeder = s->lines[i % s->n_lines].feeder;
		struct worker_config cfg = {
			.lcore = eal->polling[i],
			.shared_cpu = eal->shared_cpu,
			.idle = opt->idle,
			.max_guests = GUESTS_MAX,
			.ring = feeder_ring(feeder, i / s->n_lines),
			.low_bytes = feeder_low_bytes(feeder),
			.ring_bell = feeder_bell(feeder),
			.tap = s->taps[i],
			.drbg = opt->drbg,
			.seed_bytes = s->seed_bytes,
			.reseed_bytes = opt->reseed_bytes,
			.continue_unseeded = opt->continue_unseeded,
			.bytes = budget_config(s, eal, i, CRUMB_BYTES, &s->exchanges[0]),
			.requests = budget_config(s, eal, i, 1, &s->exchanges[1]),
			.epoch_ns = s->epoch_ns,
			.turn_bytes = opt->turn_bytes,
		};
		int err = worker_create(&cfg, &s->workers.all[i]);

		if (err != 0)
			return err;
		s->workers.n = i + 1;
		feeder_set_bell(feeder, i / s->n_lines, worker_bell(s->workers.all[i]));
	}
	return 0;
}

static int start_workers(struct service *s)
{
	for (unsigned i = 0; i < s->workers.n; i++) {
		int err = worker_start(s->workers.all[i]);

		if (err != 0)
			return err;
	}
	return 0;
}

/* Do lcores draw from the kernel's generator themselves? */
static bool lcores_draw(const struct service *s)
{
	bool door = false;

	for (unsigned i = 0; i < s->opt->n_sources; i++)
		door |= s->lines[0].intakes[i].source.door != NULL;
	return door && !s->opt->drbg;
}

/*
 * How many feeders: one, but where all bytes come from the kernel's generator, of which each CPU
 * has its own; then as many as have work and a CPU.
 */
static unsigned feeders_wanted(const struct service *s, const struct eal *eal)
{
	unsigned n_cpus = (unsigned)CPU_COUNT(&eal->helper_cpus);

	if (s->opt->drbg || lcores_draw(s))
		return 1; /* seeds are few; or it has nothing to do */
	for (unsigned i = 0; i < s->opt->n_sources; i++)
		if (!s->lines[0].intakes[i].source.is_kernel)
			return 1;
	return n_cpus < eal->n_polling ? n_cpus : eal->n_polling;
}

static int create_feeders(
	struct service *s, const struct eal *eal, struct feeder_config *cfg, struct why *why)
{
	unsigned n = feeders_wanted(s, eal);
	int err = 0;

	while (s->n_lines < n && err == 0)
		err = open_line(s, why);
	if (err != 0)
		return err;
	for (unsigned i = 0; i < n && err == 0; i++) {
		cfg->index = i;
		cfg->intakes = s->lines[i].intakes;
		cfg->n_rings = (eal->n_polling - i + n - 1) / n;
		err = feeder_create(cfg, &s->lines[i].feeder);
	}
	return err == 0 ? 0 : why_set(why, err, "cannot make a feeder: %s", strerror(-err));
}

static int create_taps(struct service *s, const struct eal *eal)
{
	int err = 0;

	for (unsigned i = 0; i < eal->n_polling && lcores_draw(s) && err == 0; i++)
		err = tap_create(s->opt->source_entropy_abits,
			feeder_kernel_serves(s->lines[0].feeder), &s->taps[i]);
	return err;
}

int service_start(struct service *s, const struct eal *eal, struct why *why)
{
	const struct options *opt = s->opt;
	struct feeder_config feeder = {
		.n_intakes = opt->n_sources,
		.ring_bytes = opt->drbg ? SEED_RING_BYTES : BYTES_RING_BYTES,
		/* Two seeds and no more: old ones are worth less. */
		.keep_bytes = opt->drbg ? 2 * s->seed_bytes : BYTES_RING_BYTES,
		.patient = opt->drbg,
		.woken = opt->idle.policy == IDLE_ADAPTIVE,
		.mix_bytes = opt->source_mix ? s->piece_bytes : 0,
		.cpus = &eal->helper_cpus,
	};
	int err = create_feeders(s, eal, &feeder, why);

	if (err != 0)
		return err;
	err = create_taps(s, eal);
	if (err == 0)
		err = create_workers(s, eal);
	for (unsigned i = 0; i < s->n_lines && err == 0; i++)
		err = feeder_start(s->lines[i].feeder);
	if (err == 0)
		err = start_workers(s);
	if (err == -EILSEQ)
		return why_set(why, err, "cannot start: a DRBG failed its self-test, see above");
	return err == 0 ? 0 : why_set(why, err, "cannot start: %s", strerror(-err));
}

void service_stop(struct service *s)
{
	for (unsigned i = 0; i < s->workers.n; i++)
		worker_stop(s->workers.all[i]);
	for (unsigned i = 0; i < s->n_lines; i++)
		if (s->lines[i].feeder != NULL)
			feeder_stop(s->lines[i].feeder);
	for (unsigned i = 0; i < s->workers.n; i++)
		worker_destroy(s->workers.all[i]);
	s->workers.n = 0;
	for (unsigned i = 0; i < OPTIONS_LCORES_MAX; i++) {
		tap_destroy(s->taps[i]);
		s->taps[i] = NULL;
	}
	for (unsigned i = 0; i < s->n_lines; i++) {
		feeder_destroy(s->lines[i].feeder);
		s->lines[i].feeder = NULL;
	}
	free(s->exchanges);
	s->exchanges = NULL;
}

const struct workers *service_workers(const struct service *s)
{
	return &s->workers;
}

uint64_t service_epoch_ns(const struct service *s)
{
	return s->epoch_ns;
}

void service_source(const struct service *s, unsigned i, struct intake_stats *sum)
{
	*sum = (struct intake_stats){0};
	for (unsigned k = 0; k < s->n_lines; k++) {
		const struct intake_stats *stats = &s->lines[k].intakes[i].stats;
		uint64_t state = stats_read(&stats->state);

		sum->bytes += stats_read(&stats->bytes);
		sum->unwell += stats_read(&stats->unwell);
		sum->errors += stats_read(&stats->errors);
		if (state > sum->state)
			sum->state = state;
	}
}

const struct intake_stats *service_tap(const struct service *s, unsigned i)
{
	return s->taps[i] != NULL ? tap_stats(s->taps[i]) : NULL;
}

void service_reseed(struct service *s, bool due)
{
	for (unsigned i = 0; i < s->workers.n; i++)
		worker_reseed(s->workers.all[i], due);
}

void service_set_reseed_time(struct service *s, uint32_t seconds)
{
	s->reseed_s = seconds;
}

static void say_which_failed(struct service *s)
{
	for (unsigned i = 0; i < s->workers.n; i++) {
		if (s->failed[i] ||
			stats_read(&worker_entropy_stats(s->workers.all[i])->failed) == 0)
			continue;
		s->failed[i] = true;
		LOG(ERR,
			"the DRBG of lcore %u failed its self-test, and gives nothing any more: its guests "
			"wait; move them to another lcore, and look at that CPU",
			worker_lcore(s->workers.all[i]));
	}
}

static void say_whether_overdue(struct service *s)
{
	bool overdue = false;

	for (unsigned i = 0; i < s->workers.n; i++)
		overdue |= !s->failed[i] &&
			   stats_read(&worker_entropy_stats(s->workers.all[i])->overdue) != 0;
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

/* An lcore cannot log what its tap found. */
static void say_whether_taps_failed(struct service *s)
{
	uint64_t failures = 0;

	for (unsigned i = 0; i < s->workers.n; i++)
		if (s->taps[i] != NULL)
			failures += stats_read(&tap_stats(s->taps[i])->unwell) +
				    stats_read(&tap_stats(s->taps[i])->errors);
	if (failures != s->tap_failures)
		LOG(ERR,
			"the kernel's generator, as lcores draw from it, failed a test or gave nothing: "
			"what was drawn is discarded; feeders serve, and it is tried again");
	s->tap_failures = failures;
}

void service_tick(struct service *s)
{
	uint64_t now_s = clock_now_ns() / 1000000000u;

	say_whether_taps_failed(s);
	if (!s->opt->drbg)
		return;
	if (s->reseeded_s == 0)
		s->reseeded_s = now_s;
	if (now_s - s->reseeded_s >= s->reseed_s) {
		s->reseeded_s = now_s;
		service_reseed(s, true);
	}
	say_which_failed(s);
	say_whether_overdue(s);
}
