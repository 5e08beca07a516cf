/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * dpdk-vhost-rng: starts everything in order, waits for a signal, and ends everything in the
 * reverse order. Context: MAIN.
 */

#include "budget.h"
#include "clock.h"
#include "eal.h"
#include "feeder.h"
#include "intake.h"
#include "log.h"
#include "options.h"
#include "placement.h"
#include "session.h"
#include "sockets.h"
#include "stats.h"
#include "terms.h"
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* Read ahead for each lcore: a few milliseconds of /dev/urandom, which fit a second-level cache. */
#define BYTES_RING_BYTES (512u * 1024)

/* Room for two seeds at the lowest entropy, and for a start-up test. */
#define SEED_RING_BYTES (16u * 1024)

/*
 * Min-entropy of a seed: one and a half times the security strength of 256 bits, as SP 800-90A has
 * it for entropy and nonce together.
 */
#define SEED_ENTROPY_BITS 384

/* Listener, connection, kick, call, error, and up to eight regions; and the process's own. */
#define FDS_PER_GUEST 13
#define FDS_OWN	      64

/* Less than a usual request is not given out while more is to come in the period. */
#define CRUMB_BYTES 64

/* How often MAIN looks at what cannot be told to it. */
#define TICK_MS 500

struct daemon {
	struct options opt;
	int eal_argc; /* 0: no EAL options were given */
	char **eal_argv;
	gid_t socket_gid;
	int socket_lock;
	unsigned n_intakes;
	struct intake intakes[INTAKES_MAX];
	size_t piece_bytes; /* of one source, in a seed */
	size_t seed_bytes;
	struct eal eal;
	struct feeder *feeder;
	unsigned n_workers;
	struct worker *workers[OPTIONS_LCORES_MAX];
	/* Where lcores lend to each other what their guests do not use */
	struct budget_exchange *exchanges; /* of bytes, and of requests */
	unsigned n_guests;
	struct guest *guests;
	const char **faults; /* of each guest, as last logged */
	bool reseed_overdue; /* as last logged */
	uint64_t reseeded_s; /* when a reseed was last due */
};

static void close_sources(struct daemon *d)
{
	for (unsigned i = 0; i < d->n_intakes; i++)
		intake_close(&d->intakes[i]);
}

static int open_sources(struct daemon *d)
{
	const struct options *opt = &d->opt;
	double least_entropy = 8;

	for (unsigned i = 0; i < opt->n_sources; i++) {
		int err = intake_open(&d->intakes[i], opt->sources[i], opt->source_entropy);

		if (err != 0) {
			fprintf(stderr,
				"dpdk-vhost-rng: cannot read --filename %s: %s; choose a device, FIFO "
				"or file that can be read\n",
				opt->sources[i], strerror(-err));
			return err;
		}
		d->n_intakes = i + 1;
		if (d->intakes[i].entropy_bits < least_entropy)
			least_entropy = d->intakes[i].entropy_bits;
	}
	d->piece_bytes = (size_t)ceil(SEED_ENTROPY_BITS / least_entropy);
	d->seed_bytes = d->piece_bytes * (opt->source_mix ? d->n_intakes : 1);
	if (opt->drbg && d->seed_bytes > ENTROPY_SEED_BYTES_MAX) {
		fprintf(stderr,
			"dpdk-vhost-rng: with %.2f bits of entropy in a byte a seed has %zu bytes, more "
			"than %d: mix fewer sources, or claim more --source-entropy\n",
			least_entropy, d->seed_bytes, ENTROPY_SEED_BYTES_MAX);
		return -EINVAL;
	}
	return 0;
}

/* Everything that can be found wrong before anything is started. */
static int prepare(struct daemon *d)
{
	const struct options *opt = &d->opt;
	int err;

	if (opt->socket_count > OPTIONS_SOCKETS_MAX) {
		fprintf(stderr,
			"dpdk-vhost-rng: --socket-count %u is more than the %d sockets that one "
			"process can serve: start several, each with its own --socket-path\n",
			opt->socket_count, OPTIONS_SOCKETS_MAX);
		return -EMFILE;
	}
	d->socket_gid = (gid_t)-1;
	if (opt->socket_group != NULL) {
		err = sockets_find_group(opt->socket_group, &d->socket_gid);
		if (err != 0)
			return err;
	}
	err = open_sources(d);
	if (err == 0)
		err = sockets_prepare(opt->socket_path, opt->socket_count, &d->socket_lock);
	if (err != 0)
		close_sources(d);
	return err;
}

static void raise_fd_limit(unsigned n_guests)
{
	rlim_t need = (rlim_t)n_guests * FDS_PER_GUEST + FDS_OWN;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
		return;
	limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < need)
		LOG(WARNING,
			"%u guests may need %ju open files, the limit is %ju: raise it (ulimit -n, or "
			"LimitNOFILE in a systemd unit)",
			n_guests, (uintmax_t)need, (uintmax_t)limit.rlim_cur);
}

/* How lcore number 'index' keeps one of its two budgets. */
static struct budget_config budget_config(
	const struct daemon *d, unsigned index, uint64_t crumb, struct budget_exchange *exchange)
{
	return (struct budget_config){
		.period_ns = (uint64_t)d->opt.period_ms * 1000000u,
		.smooth = d->opt.smooth,
		.fair = d->opt.fair,
		.crumb = crumb,
		.exchange = d->eal.n_polling > 1 ? exchange : NULL,
		.lcore = index,
		.n_lcores = d->eal.n_polling,
	};
}

static int create_workers(struct daemon *d)
{
	const struct options *opt = &d->opt;
	uint64_t epoch_ns = clock_now_ns();
	size_t size = 2 * sizeof(d->exchanges[0]);

	d->exchanges = aligned_alloc(_Alignof(struct budget_exchange), size);
	if (d->exchanges == NULL)
		return -ENOMEM;
	memset(d->exchanges, 0, size);
	for (unsigned i = 0; i < d->eal.n_polling; i++) {
		struct worker_config cfg = {
			.lcore = d->eal.polling[i],
			.shared_cpu = d->eal.shared_cpu,
			.max_guests = d->n_guests,
			.ring = feeder_ring(d->feeder, i),
			.drbg = opt->drbg,
			.seed_bytes = d->seed_bytes,
			.reseed_bytes = opt->reseed_bytes,
			.continue_unseeded = opt->continue_unseeded,
			.bytes = budget_config(d, i, CRUMB_BYTES, &d->exchanges[0]),
			.requests = budget_config(d, i, 1, &d->exchanges[1]),
			.epoch_ns = epoch_ns,
			.turn_bytes = opt->turn_bytes,
			.notify = session_notify,
		};
		int err = worker_create(&cfg, &d->workers[i]);

		if (err != 0)
			return err;
		d->n_workers = i + 1;
	}
	return 0;
}

static int create_guests(struct daemon *d)
{
	d->guests = aligned_alloc(64, d->n_guests * sizeof(d->guests[0]));
	d->faults = calloc(d->n_guests, sizeof(d->faults[0]));
	if (d->guests == NULL || d->faults == NULL)
		return -ENOMEM;
	memset(d->guests, 0, d->n_guests * sizeof(d->guests[0]));
	for (unsigned i = 0; i < d->n_guests; i++) {
		struct guest *g = &d->guests[i];
		struct terms terms;

		g->index = i;
		sockets_path(d->opt.socket_path, i, g->path);
		terms_of(&d->opt, i, &terms);
		budget_open(&g->dev.bytes, &terms.bytes, terms.once_bytes);
		budget_open(&g->dev.requests, &terms.requests, 0);
	}
	return 0;
}

static int start_workers(struct daemon *d)
{
	for (unsigned i = 0; i < d->n_workers; i++) {
		int err = worker_start(d->workers[i]);

		if (err != 0)
			return err;
	}
	for (unsigned i = 0; i < d->n_guests; i++)
		worker_join(d->workers[i % d->n_workers], &d->guests[i]);
	placement_init(d->workers, d->n_workers);
	return 0;
}

static void describe_budget(const struct options *opt, char *text, size_t size)
{
	char bytes[32] = "", requests[32] = "";

	if (opt->max_bytes != BUDGET_UNLIMITED)
		snprintf(bytes, sizeof(bytes), "%" PRIu64 " bytes", opt->max_bytes);
	if (opt->max_requests != BUDGET_UNLIMITED)
		snprintf(requests, sizeof(requests), "%" PRIu64 " requests", opt->max_requests);
	if (bytes[0] == '\0' && requests[0] == '\0')
		snprintf(text, size, "without limit for all");
	else
		snprintf(text, size, "%s%s%s in %" PRIu32 " ms for all, %s sharing%s", bytes,
			bytes[0] != '\0' && requests[0] != '\0' ? " and " : "", requests,
			opt->period_ms, opt->fair ? "fair" : "strict",
			opt->smooth ? ", smooth refill" : "");
}

/* One line that says what is served, where, by which lcores, within what budget. */
static void say_what_is_served(const struct daemon *d)
{
	const struct options *opt = &d->opt;
	char lcores[256] = "", budget[192], range[16] = "";
	size_t len = 0;

	for (unsigned i = 0; i < d->n_workers && len < sizeof(lcores); i++)
		len += (size_t)snprintf(lcores + len, sizeof(lcores) - len, "%s%u",
			i > 0 ? "," : "", worker_lcore(d->workers[i]));
	describe_budget(opt, budget, sizeof(budget));
	if (d->n_guests > 1)
		snprintf(range, sizeof(range), "..%u", d->n_guests - 1);
	LOG(NOTICE, "serving %u guest%s at %s0%s from %s%s%s, lcore%s %s polling, %s", d->n_guests,
		d->n_guests > 1 ? "s" : "", opt->socket_path, range, opt->sources[0],
		opt->n_sources > 1 ? " and others" : "", opt->drbg ? " through CTR_DRBG" : "",
		d->n_workers > 1 ? "s" : "", lcores, budget);
	if (opt->drbg)
		LOG(NOTICE, "CTR_DRBG with AES-256 by %s", worker_keystream_name(d->workers[0]));
	if (d->eal.shared_cpu)
		LOG(WARNING, "the polling lcore shares its CPU with all else: expect low rates and "
			     "long waits; give the process a second CPU");
}

static int start(struct daemon *d)
{
	const struct options *opt = &d->opt;
	struct feeder_config feeder = {
		.intakes = d->intakes,
		.n_intakes = d->n_intakes,
		.n_rings = d->eal.n_polling,
		.ring_bytes = opt->drbg ? SEED_RING_BYTES : BYTES_RING_BYTES,
		/* Two seeds and no more: old ones are worth less. */
		.keep_bytes = opt->drbg ? 2 * d->seed_bytes : BYTES_RING_BYTES,
		.mix_bytes = opt->source_mix ? d->piece_bytes : 0,
		.cpus = &d->eal.helper_cpus,
	};
	int err;

	d->n_guests = opt->socket_count;
	raise_fd_limit(d->n_guests);
	err = feeder_create(&feeder, &d->feeder);
	if (err == 0)
		err = create_workers(d);
	if (err == 0)
		err = create_guests(d);
	if (err == 0)
		err = feeder_start(d->feeder);
	if (err == 0)
		err = start_workers(d);
	if (err != 0) {
		LOG(ERR, "cannot start: %s", strerror(-err));
		return err;
	}
	err = session_start_all(d->guests, d->n_guests);
	if (err != 0)
		return err;
	for (unsigned i = 0; i < d->n_guests && err == 0; i++)
		err = sockets_set_rights(d->guests[i].path, d->opt.socket_mode, d->socket_gid);
	if (err != 0)
		session_stop_all();
	return err;
}

static void stop(struct daemon *d)
{
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_stop(d->workers[i]);
	if (d->feeder != NULL)
		feeder_stop(d->feeder);
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_destroy(d->workers[i]);
	feeder_destroy(d->feeder);
	free(d->exchanges);
	free(d->guests);
	free(d->faults);
}

/* An lcore cannot log; so MAIN says what it found. */
static void report_faults(struct daemon *d)
{
	static struct log_limit limit;

	for (unsigned i = 0; i < d->n_guests; i++) {
		const char *fault = __atomic_load_n(&d->guests[i].fault, __ATOMIC_ACQUIRE);

		if (fault != NULL && fault != d->faults[i])
			LOG_LIMITED(&limit, WARNING,
				"guest %u: ring broken: %s; served again when its driver resets it",
				i, fault);
		d->faults[i] = fault;
	}
}

static void reseed_all(struct daemon *d, bool due)
{
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_reseed(d->workers[i], due);
}

/* Reseed when it is time; say when a reseed is overdue, and when no more. */
static void keep_seeded(struct daemon *d)
{
	bool overdue = false;
	uint64_t now_s = clock_now_ns() / 1000000000u;

	if (d->reseeded_s == 0)
		d->reseeded_s = now_s;
	if (now_s - d->reseeded_s >= d->opt.reseed_s) {
		d->reseeded_s = now_s;
		reseed_all(d, true);
	}
	for (unsigned i = 0; i < d->n_workers; i++)
		overdue |= stats_read(&worker_entropy_stats(d->workers[i])->overdue) != 0;
	if (overdue == d->reseed_overdue)
		return;
	d->reseed_overdue = overdue;
	if (!overdue)
		LOG(NOTICE, "seeded again");
	else if (d->opt.continue_unseeded)
		LOG(WARNING, "a reseed is due and no source gives a seed: going on without");
	else
		LOG(ERR, "a reseed is due and no source gives a seed: guests wait for it");
}

static void wait_for_signal(struct daemon *d, const sigset_t *signals)
{
	const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
	int sig;

	do {
		sig = sigtimedwait(signals, NULL, &tick);
		report_faults(d);
		if (sig == SIGUSR1)
			reseed_all(d, false);
		if (d->opt.drbg)
			keep_seeded(d);
	} while (sig < 0 || sig == SIGUSR1);
	LOG(NOTICE, "%s: ending", sig == SIGINT ? "SIGINT" : "SIGTERM");
}

/* Split "EAL options -- options" at the separator. */
static enum options_result parse_command_line(struct daemon *d, int argc, char **argv)
{
	int separator = options_find_separator(argc, argv);

	d->eal_argv = argv;
	if (separator == 0)
		return options_parse(argc, argv, &d->opt);
	d->eal_argc = separator;
	/* getopt wants a program's name before the options. */
	argv[separator] = argv[0];
	return options_parse(argc - separator, argv + separator, &d->opt);
}

int main(int argc, char **argv)
{
	struct daemon d = {.socket_lock = -1};
	sigset_t signals;

	switch (parse_command_line(&d, argc, argv)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_EXIT:
		return EXIT_SUCCESS;
	case OPTIONS_REFUSED:
		return 2;
	}

	/* Before the first thread, so that all have it and only wait_for_signal() gets them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	if (prepare(&d) != 0)
		return EXIT_FAILURE;
	if (eal_start(&d.opt, d.eal_argc, d.eal_argv, &d.eal) != 0) {
		sockets_unlock(d.socket_lock);
		close_sources(&d);
		return EXIT_FAILURE;
	}
	int err = start(&d);

	sockets_unlock(d.socket_lock);
	if (err == 0) {
		say_what_is_served(&d);
		wait_for_signal(&d, &signals);
		session_stop_all();
	}
	stop(&d);
	close_sources(&d);
	eal_stop();
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
