/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include "turn.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOK_NS	     20000000 /* between two looks after sockets and time limits */
#define PROGRESS_NS  200000000
#define DRAIN_NS     1000000000
#define EVENTS	     64
#define SOCKET_EVENT (1ull << 32) /* in epoll's data: the socket of a guest, not its call */
#define FOR_EVER     UINT64_MAX

static volatile bool interrupted;

void load_interrupt(void)
{
	interrupted = true;
}

/* "PATH" of a single guest, else "PATH0", ... */
static char *path_of(const struct args *args, unsigned i)
{
	char *path = NULL;

	if (args->socket == NULL)
		return NULL;
	if (!args->numbered)
		return strdup(args->socket);
	return asprintf(&path, "%s%u", args->socket, i) < 0 ? NULL : path;
}

static enum load_status add_events(struct load *l, unsigned i)
{
	struct player *p = &l->players[i];
	struct epoll_event call = {.events = EPOLLIN, .data.u64 = i};
	struct epoll_event end = {.events = EPOLLRDHUP, .data.u64 = i | SOCKET_EVENT};

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, frontend_call_fd(p->fe), &call) < 0 ||
		epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, frontend_socket_fd(p->fe), &end) < 0)
		return why_set(&l->why, LOAD_BROKEN, "epoll: %s", strerror(errno));
	return LOAD_OK;
}

static enum load_status init_player(struct load *l, unsigned i)
{
	const struct args *args = l->args;
	struct player *p = &l->players[i];
	struct player_cfg cfg = {
		.socket_path = path_of(args, i),
		.size_bytes = args_size(args, i),
		.depth = args_depth(args, i),
		.queue_size = args_queue_size(args, i),
		.chain = args->chain,
		.indirect = args->indirect,
		.packed = args->packed,
		.event_idx = args->event_idx,
		.guards = args->verify,
		.timeout_ms = (int)(args->timeout_s * 1000 < 1e9 ? args->timeout_s * 1000 : 1e9),
	};

	if (args->socket != NULL && cfg.socket_path == NULL)
		return why_set(&l->why, LOAD_BROKEN, "out of memory");
	if (player_init(p, &cfg, &l->why) != 0)
		return LOAD_BROKEN;
	if (args->block)
		return add_events(l, i);
	driver_calls_off(&p->drv);
	return LOAD_OK;
}

enum load_status load_init(struct load *l, const struct args *args, FILE *output)
{
	enum load_status status = LOAD_OK;

	*l = (struct load){.args = args, .output = output};
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->players = calloc(args->nr_guests, sizeof(*l->players));
	if (l->epoll_fd < 0 || l->players == NULL)
		return why_set(&l->why, LOAD_BROKEN, "cannot start: %s", strerror(errno));
	ticks_init(&l->ticks);
	l->timeout = ticks_from_ns(&l->ticks, (uint64_t)(args->timeout_s * 1e9));
	if (args->rate > 0)
		l->interval = args->nr_guests / args->rate * 1e9 / l->ticks.ns_per_tick;
	if (args->verify && verify_create(ticks_now(&l->ticks), &l->verify) != 0)
		return why_set(&l->why, LOAD_BROKEN, "no memory for --verify");
	while (status == LOAD_OK && l->nr_players < args->nr_guests)
		status = init_player(l, l->nr_players++);
	return status;
}

void load_fini(struct load *l)
{
	for (unsigned i = 0; i < l->nr_players; i++) {
		free((char *)l->players[i].cfg.socket_path);
		player_fini(&l->players[i]);
	}
	free(l->players);
	verify_destroy(l->verify);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
}

static enum load_status say_silent(struct load *l, const struct player *p)
{
	if (driver_resume_base(&p->drv) != p->drv.used_next)
		return why_set(&l->why, LOAD_BROKEN,
			"%s: the back-end answered and made no call for %g s; --wait poll needs "
			"none",
			player_name(p), l->args->timeout_s);
	return why_set(&l->why, LOAD_BROKEN,
		"%s: no answer for %g s with %u requests outstanding; a back-end with a limit may "
		"need a longer --timeout",
		player_name(p), l->args->timeout_s, p->drv.nr_offered);
}

/* Whether sockets are open and answers come. */
static enum load_status look_after(struct load *l, uint64_t now)
{
	l->look_next = now + ticks_from_ns(&l->ticks, LOOK_NS);
	for (unsigned i = 0; i < l->nr_players; i++) {
		struct player *p = &l->players[i];
		struct pollfd pfd = {.events = POLLRDHUP};

		if (p->drv.nr_offered > 0 && (int64_t)(now - p->last_answer) > (int64_t)l->timeout)
			return say_silent(l, p);
		if (p->fe == NULL)
			continue;
		pfd.fd = frontend_socket_fd(p->fe);
		if (poll(&pfd, 1, 0) > 0)
			return why_set(&l->why, LOAD_BROKEN,
				"%s: the back-end closed the connection", player_name(p));
	}
	return LOAD_OK;
}

static void count_calls(struct player *p)
{
	if (p->fe != NULL)
		p->total.calls += frontend_wait_call(p->fe, 0);
}

/* Sleep until a call, a request that is due, or 'until'. */
static enum load_status sleep_until_called(struct load *l, uint64_t *now, uint64_t until)
{
	struct epoll_event events[EVENTS];
	uint64_t wake = l->look_next < until ? l->look_next : until, wait_ns;
	struct timespec timeout;
	int n;

	for (unsigned i = 0; l->interval > 0 && i < l->nr_players; i++)
		if (l->players[i].nr_idle > 0 && l->players[i].left > 0 && l->players[i].due < wake)
			wake = l->players[i].due;
	wait_ns = wake > *now ? ticks_to_ns(&l->ticks, wake - *now) : 0;
	timeout.tv_sec = (time_t)(wait_ns / 1000000000);
	timeout.tv_nsec = (long)(wait_ns % 1000000000);
	n = epoll_pwait2(l->epoll_fd, events, EVENTS, &timeout, NULL);
	*now = ticks_now(&l->ticks);
	for (int i = 0; i < n; i++) {
		struct player *p = &l->players[events[i].data.u64 & UINT32_MAX];

		if (events[i].data.u64 & SOCKET_EVENT)
			return why_set(&l->why, LOAD_BROKEN,
				"%s: the back-end closed the connection", player_name(p));
		count_calls(p);
		p->active = true;
	}
	return LOAD_OK;
}

/* Open loop: whether a request is due and a chain is free for it. */
static bool is_due(const struct load *l, const struct player *p, uint64_t now)
{
	return l->interval > 0 && p->nr_idle > 0 && p->left > 0 && p->due <= now;
}

/* Whether 'p' may be left alone until it is called. */
static bool may_sleep(const struct load *l, struct player *p, uint64_t now)
{
	return !is_due(l, p, now) && (p->drv.nr_offered == 0 || !driver_calls_on(&p->drv));
}

/* A turn for each guest. @param busy  how many have more to do or were answered */
static enum load_status round_of_turns(struct load *l, uint64_t *now, unsigned *busy)
{
	unsigned found;

	*busy = 0;
	for (unsigned i = 0; i < l->nr_players; i++) {
		struct player *p = &l->players[i];
		enum load_status status;

		if (!p->active && !is_due(l, p, *now))
			continue;
		p->active = true;
		status = turn_take(l, p, now, &found);
		if (status != LOAD_OK)
			return status;
		if (found == 0 && l->args->block && may_sleep(l, p, *now))
			p->active = false;
		else if (found > 0 || l->args->block)
			++*busy;
	}
	return LOAD_OK;
}

static bool all_done(const struct load *l)
{
	for (unsigned i = 0; i < l->nr_players; i++)
		if (l->players[i].left > 0 || l->players[i].drv.nr_offered > 0)
			return false;
	return true;
}

/* Play until 'until', or until nothing is left to offer and to answer. */
static enum load_status run(struct load *l, uint64_t until)
{
	uint64_t start = ticks_now(&l->ticks), now = start, show = now;
	enum load_status status = LOAD_OK;
	unsigned busy;

	l->look_next = now + ticks_from_ns(&l->ticks, LOOK_NS);
	for (unsigned i = 0; i < l->nr_players; i++) {
		struct player *p = &l->players[i];

		p->active = true;
		p->last_answer = now;
		p->due = start + (uint64_t)(l->interval * i / l->nr_players);
	}
	while (status == LOAD_OK && now < until && !interrupted) {
		status = round_of_turns(l, &now, &busy);
		if (busy > 0 && now < l->look_next)
			continue;
		now = ticks_now(&l->ticks);
		if (status == LOAD_OK && busy == 0 && all_done(l))
			break;
		if (status == LOAD_OK && busy == 0 && l->args->block)
			status = sleep_until_called(l, &now, until);
		if (status == LOAD_OK && now >= l->look_next)
			status = look_after(l, now);
		if (l->progress != NULL && now - show > ticks_from_ns(&l->ticks, PROGRESS_NS)) {
			l->progress(l, ticks_to_ns(&l->ticks, now - start));
			show = now;
		}
	}
	return status;
}

static void allow(struct load *l, uint64_t requests)
{
	for (unsigned i = 0; i < l->nr_players; i++)
		l->players[i].left = requests;
}

enum load_status load_warm_up(struct load *l, uint64_t duration_ns)
{
	enum load_status status;

	allow(l, FOR_EVER);
	if (duration_ns == 0)
		return LOAD_OK;
	status = run(l, ticks_now(&l->ticks) + ticks_from_ns(&l->ticks, duration_ns));
	if (status == LOAD_OK && l->args->count != 0) {
		/* What is counted must not hold what was asked for before. */
		allow(l, 0);
		status = run(l, ticks_now(&l->ticks) + l->timeout);
	}
	return status;
}

static struct player_counts difference(const struct player_counts *a, const struct player_counts *b)
{
	return (struct player_counts){
		.requests = a->requests - b->requests,
		.bytes = a->bytes - b->bytes,
		.shorts = a->shorts - b->shorts,
		.empties = a->empties - b->empties,
		.kicks = a->kicks - b->kicks,
		.calls = a->calls - b->calls,
	};
}

/* Open loop: what came due before 'now' and was never offered. */
static void count_unsent(struct load *l, uint64_t now)
{
	for (unsigned i = 0; l->interval > 0 && i < l->nr_players; i++)
		if (l->players[i].left > 0 && l->players[i].due < now)
			l->unsent += (uint64_t)((double)(now - l->players[i].due) / l->interval);
}

enum load_status load_measure(struct load *l)
{
	uint64_t requests = 0, from, to;
	enum load_status status;

	for (unsigned i = 0; i < l->nr_players; i++) {
		count_calls(&l->players[i]);
		l->players[i].mark = l->players[i].total;
		histogram_reset(l->players[i].latency);
	}
	allow(l, l->args->count != 0 ? l->args->count : FOR_EVER);
	if (l->args->period_ms > 0)
		l->periods = (struct periods){
			.length = ticks_from_ns(&l->ticks, (uint64_t)(l->args->period_ms * 1e6)),
			.n = l->args->nr_periods,
		};
	l->recording = true;
	l->recording_from = from = ticks_now(&l->ticks);
	to = l->args->count != 0
		     ? FOR_EVER
		     : from + ticks_from_ns(&l->ticks, (uint64_t)(l->args->duration_s * 1e9));
	status = run(l, to);
	to = ticks_now(&l->ticks);
	l->recording = false;
	l->measured_ns = ticks_to_ns(&l->ticks, to - from);
	count_unsent(l, to);
	for (unsigned i = 0; i < l->nr_players; i++) {
		struct player *p = &l->players[i];

		count_calls(p);
		p->measured = difference(&p->total, &p->mark);
		requests += p->total.requests;
	}
	if (status == LOAD_OK && requests == 0 && !interrupted)
		return why_set(&l->why, LOAD_BROKEN, "%s: not one answer in %g s",
			player_name(&l->players[0]), l->args->duration_s + l->args->warm_up_s);
	return status;
}

enum load_status load_finish(struct load *l)
{
	uint64_t patience = ticks_from_ns(&l->ticks, DRAIN_NS), now;
	enum load_status status;
	unsigned found;

	interrupted = false;
	allow(l, 0);
	status = run(l, ticks_now(&l->ticks) + (patience < l->timeout ? patience : l->timeout));
	for (unsigned i = 0; status == LOAD_OK && i < l->nr_players; i++)
		if (player_stop(&l->players[i], &l->why) != 0)
			status = LOAD_BROKEN;
	for (unsigned i = 0; status == LOAD_OK && i < l->nr_players; i++) {
		struct player *p = &l->players[i];

		do
			status = turn_take(l, p, &now, &found);
		while (status == LOAD_OK && found > 0);
		count_calls(p);
		if (status == LOAD_OK && l->verify != NULL &&
			verify_surroundings(l->verify, p, &l->why) != 0)
			status = LOAD_WRONG;
	}
	return status;
}
