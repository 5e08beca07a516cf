/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon.h"

#include "budget.h"
#include "clock.h"
#include "control/commands.h"
#include "control/reload.h"
#include "control/telemetry.h"
#include "fd_limit.h"
#include "lcore/worker.h"
#include "log.h"
#include "sandbox/confine.h"
#include "secret_mem.h"
#include "shortage.h"
#include "vhost/vhost_thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Open files that the process needs without any guests. */
#define FDS_OWN 64

/* How often MAIN looks at what cannot be told to it. */
#define TICK_NS UINT64_C(500000000)

/* How often it wakes an lcore that sleeps, when nobody watches. */
#define WAKE_NS UINT64_C(30000000000)

/* How long another daemon may take to start in the same directory. */
#define LOCK_WAIT_S 5

/* Before anything is started */

/* Check guests' own lcores; where EAL options decide which ones poll, guests_check() does it. */
static int check_lcores(const struct daemon *d, int eal_argc, struct why *why)
{
	struct eal eal;
	int err = eal_check(&d->opt, eal_argc, &eal, why);

	for (unsigned i = 0; i < d->specs.n && err == 0 && eal.n_polling > 0; i++) {
		const struct spec *spec = &d->specs.all[i];
		bool polls = spec->lcore == SPEC_ANY_LCORE;

		for (unsigned k = 0; k < eal.n_polling; k++)
			polls |= eal.polling[k] == spec->lcore;
		if (!polls)
			err = spec_refuse_lcore(spec, why);
	}
	return err;
}

int daemon_check(struct daemon *d, int eal_argc, struct why *why)
{
	int err = specs_make(&d->opt, &d->specs, why);

	if (err == 0)
		err = service_check(&d->opt, why);
	if (err == 0)
		err = check_lcores(d, eal_argc, why);
	if (err == 0)
		err = confine_check(d, why);
	if (err == 0)
		err = guests_check_sockets(d->specs.all, d->specs.n, d->opt.control_socket, why);
	return err;
}

int daemon_prepare(struct daemon *d, int eal_argc, struct why *why)
{
	int err = daemon_check(d, eal_argc, why);

	if (d->opt.sandbox.require)
		secret_require();
	if (err == 0)
		err = service_open(&d->opt, &d->service, why);
	if (err == 0)
		err = guests_prepare_sockets(NULL, d->specs.all, d->specs.n, d->opt.control_socket,
			LOCK_WAIT_S, &d->lock, why);
	if (err == 0)
		err = confine_begin(d, why);
	return err;
}

/* Starting */

static rlim_t fds_needed(unsigned n_guests)
{
	return (rlim_t)n_guests * FD_LIMIT_PER_GUEST + FDS_OWN;
}

/* For all that may come; a word about those who are there. */
static void raise_fd_limit(unsigned n_guests)
{
	rlim_t need = fds_needed(n_guests), got = fd_limit_raise(fds_needed(GUESTS_MAX));

	if (got < need)
		LOG(WARNING,
			"%u guests may need %ju open files, the limit is %ju: raise it (ulimit -n, or "
			"LimitNOFILE in a systemd unit)",
			n_guests, (uintmax_t)need, (uintmax_t)got);
}

static int start_guests(struct daemon *d, struct why *why)
{
	const struct guests_config cfg = {
		.workers = service_workers(d->service),
		.period_ns = (uint64_t)d->opt.period_ms * 1000000u,
		.epoch_ns = service_epoch_ns(d->service),
		.limits = {d->opt.max_bytes, d->opt.max_requests},
		.room = d->eal.room,
	};
	int err = guests_create(&cfg, &d->guests);

	if (err != 0)
		return why_set(why, err, "cannot set up the guests: %s", strerror(-err));
	raise_fd_limit(d->specs.n);
	err = guests_check(d->guests, d->specs.all, d->specs.n, why);
	if (err == 0)
		err = guests_start(d->guests, d->specs.all, d->specs.n, why);
	return err;
}

static void handle_signal(void *arg, uint32_t ready)
{
	struct daemon *d = arg;
	struct signalfd_siginfo info;

	if (read(d->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1) {
		service_reseed(d->service, false);
		return;
	}
	if (info.ssi_signo == SIGHUP) {
		struct why why;
		bool applied;

		if (d->opt.config == NULL)
			LOG(WARNING, "SIGHUP: there is no --config to read again");
		else if (reload(d, &applied, &why) != 0)
			LOG(ERR, "SIGHUP: %s%s", applied ? "" : "nothing has changed: ", why.text);
		return;
	}
	LOG(NOTICE, "%s: ending", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
	d->ending = true;
}

static int start_events(struct daemon *d, const sigset_t *signals, struct why *why)
{
	int err = events_create(&d->events);

	if (err != 0)
		return why_set(why, err, "cannot make an epoll descriptor: %s", strerror(-err));
	d->signals = (struct event_handler){
		.fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK),
		.handle = handle_signal,
		.arg = d,
	};
	if (d->signals.fd < 0)
		return why_set(why, -errno, "cannot make a signal descriptor: %s", strerror(errno));
	err = events_add(d->events, &d->signals, EPOLLIN);
	return err == 0 ? 0 : why_set(why, err, "cannot wait for signals: %s", strerror(-err));
}

/* How often an lcore that sleeps is woken, to see whether it can be. */
static uint64_t wake_ns(const struct daemon *d)
{
	return d->supervisor.watchdog_ns > 0 ? d->supervisor.watchdog_ns / 4 : WAKE_NS;
}

static int start(struct daemon *d, const sigset_t *signals, struct why *why)
{
	int err = start_events(d, signals, why);

	if (err == 0)
		err = service_start(d->service, &d->eal, why);
	if (err == 0 && pulse_create(service_workers(d->service), wake_ns(d), &d->pulse) != 0)
		err = why_set(why, -ENOMEM, "no memory");
	if (err == 0)
		err = start_guests(d, why);
	if (err == 0 && d->opt.control_socket != NULL)
		err = control_create(
			d->events, d->opt.control_socket, commands_do, d, &d->control, why);
	sockets_unlock(&d->lock);
	if (err == 0)
		err = telemetry_start(d, why);
	if (err == 0)
		err = confine(d, why);
	return err;
}

/* Serving */

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

/* That makes a difference to how many there can be. */
static void say_whose_sockets(const struct daemon *d)
{
	unsigned n_clients = 0;

	for (unsigned i = 0; i < d->specs.n; i++)
		n_clients += d->specs.all[i].client;
	if (n_clients > 0 && n_clients < d->specs.n)
		LOG(NOTICE,
			"%u sockets are the front-ends', to which it connects, the others its "
			"own; one process serves %u guests, or %u in client mode",
			n_clients, OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
	else if (n_clients > 0 || (d->specs.n == 0 && d->opt.client))
		LOG(NOTICE,
			"sockets are the front-ends', to which it connects; one process serves "
			"at most %u guests so",
			OPTIONS_SOCKETS_MAX_CLIENT);
	else
		LOG(NOTICE, "sockets are its own; one process serves at most %u guests so",
			OPTIONS_SOCKETS_MAX);
}

/* One line that says what is served, where, by which lcores, within what budget. */
static void say_what_is_served(const struct daemon *d)
{
	const struct workers *workers = service_workers(d->service);
	const struct options *opt = &d->opt;
	char lcores[256] = "", budget[192], where[SOCKETS_PATH_SIZE + 8] = "", range[16] = "";
	size_t len = 0;

	for (unsigned i = 0; i < workers->n && len < sizeof(lcores); i++)
		len += (size_t)snprintf(lcores + len, sizeof(lcores) - len, "%s%u",
			i > 0 ? "," : "", worker_lcore(workers->all[i]));
	describe_budget(opt, budget, sizeof(budget));
	if (opt->socket_count > 0 && opt->n_guests == 0)
		snprintf(where, sizeof(where), " at %s0", opt->socket_path);
	if (opt->socket_count > 1 && opt->n_guests == 0)
		snprintf(range, sizeof(range), "..%u", opt->socket_count - 1);
	LOG(NOTICE, "serving %u guest%s%s%s from %s%s%s, lcore%s %s polling, %s", d->specs.n,
		d->specs.n != 1 ? "s" : "", where, range, opt->sources[0],
		opt->n_sources > 1 ? " and others" : "", opt->drbg ? " through CTR_DRBG" : "",
		workers->n > 1 ? "s" : "", lcores, budget);
	say_whose_sockets(d);
	if (opt->drbg)
		LOG(NOTICE, "CTR_DRBG with AES-256 by %s", worker_keystream_name(workers->all[0]));
	if (d->eal.shared_cpu)
		LOG(WARNING, "the polling lcore shares its CPU with all else: expect low rates and "
			     "long waits; give the process a second CPU");
}

static void tell_supervisor(struct daemon *d)
{
	const struct guest_counts n = guests_count(d->guests);

	supervisor_status(&d->supervisor, "%u of %u guests served", n.served, n.all);
}

/* How long MAIN may wait for something to happen. */
static uint64_t tick_ns(const struct daemon *d)
{
	uint64_t watchdog_ns = d->supervisor.watchdog_ns;

	/* One tick may find a poke unanswered, the next one feeds. */
	return watchdog_ns > 0 && watchdog_ns / 4 < TICK_NS ? watchdog_ns / 4 : TICK_NS;
}

static void tick(struct daemon *d)
{
	guests_tick(d->guests);
	service_tick(d->service);
	confine_tick();
	shortage_tick();
	if (pulse_beats(d->pulse, clock_now_ns()))
		supervisor_feed(&d->supervisor);
	tell_supervisor(d);
	if (d->draining && guests_table(d->guests)->n == 0) {
		LOG(NOTICE, "drained: ending");
		d->ending = true;
	}
}

int daemon_serve(struct daemon *d, const sigset_t *signals, struct why *why)
{
	int err = supervisor_open(&d->supervisor);

	if (err != 0)
		LOG(WARNING, "cannot tell NOTIFY_SOCKET's owner that it serves: %s",
			strerror(-err));
	err = start(d, signals, why);
	if (err != 0)
		return err;
	say_what_is_served(d);
	tell_supervisor(d);
	supervisor_ready(&d->supervisor);
	while (!d->ending) {
		uint64_t settle_ns = guests_settle(d->guests), wake_ns = vhost_thread_tick();
		uint64_t limit_ns = settle_ns < wake_ns ? settle_ns : wake_ns;

		events_wait(d->events, limit_ns < tick_ns(d) ? limit_ns : tick_ns(d));
		tick(d);
	}
	supervisor_stopping(&d->supervisor);
	return 0;
}

void daemon_drain(struct daemon *d, bool draining)
{
	if (draining != d->draining)
		LOG(NOTICE, "%s",
			draining ? "draining: no new front-end may come" : "not draining");
	d->draining = draining;
	guests_drain(d->guests, NULL, draining);
}

void daemon_end(struct daemon *d)
{
	telemetry_stop();
	control_destroy(d->control);
	guests_destroy(d->guests);
	pulse_destroy(d->pulse);
	supervisor_close(&d->supervisor);
	if (d->service != NULL)
		service_stop(d->service);
	service_close(d->service);
	if (d->events != NULL && d->signals.fd >= 0)
		close(d->signals.fd);
	events_destroy(d->events);
	confine_tick(); /* what was refused at the end */
	sockets_unlock(&d->lock);
	specs_fini(&d->specs);
	options_fini(&d->opt);
	*d = (struct daemon){0};
}
