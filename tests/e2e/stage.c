/* SPDX-License-Identifier: BSD-3-Clause */
#include "stage.h"

#include "util.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int stage_setup(void **state)
{
	struct stage *st = daemon_fixture(state, sizeof(*st));

	st->daemon.inspected = true;
	snprintf(st->control, sizeof(st->control), "%s/control", st->daemon.dir);
	return 0;
}

int stage_teardown(void **state)
{
	struct stage *st = *state;

	/* A test that failed may have left a daemon that hangs. */
	if (st->honest[0].running && st->daemon.pid > 0)
		(void)daemon_stop(&st->daemon, SIGKILL, NULL);
	for (unsigned i = 0; i < STAGE_HONEST; i++)
		honest_fini(&st->honest[i]);
	guest_fini(&st->guest);
	faults_destroy(st->faults);
	return daemon_fixture_end(state);
}

void stage_order_faults(struct stage *st)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/faults", st->daemon.dir);
	st->faults = faults_create(path);
}

void stage_start(struct stage *st, unsigned nr_sockets, const char *const *more)
{
	daemon_start(&st->daemon, nr_sockets, more);
	/* Its sockets accept before it has opened, and closed, all that it does at start. */
	daemon_wait_until_said(&st->daemon, "vhost-rng: serving");
	stage_enter(st, nr_sockets);
}

void stage_enter(struct stage *st, unsigned nr_sockets)
{
	for (unsigned i = 0; i < STAGE_HONEST; i++)
		honest_start(&st->honest[i], st->daemon.socket[nr_sockets - STAGE_HONEST + i]);
	guest_init(&st->guest, &(struct guest_cfg){0});
}

void stage_check_others(struct stage *st)
{
	daemon_assert_alive(&st->daemon);
	for (unsigned i = 0; i < STAGE_HONEST; i++)
		honest_check(&st->honest[i]);
}

uint64_t stage_stop_others(struct stage *st)
{
	uint64_t answers = 0;

	for (unsigned i = 0; i < STAGE_HONEST; i++) {
		honest_stop(&st->honest[i]);
		answers += st->honest[i].nr_answers;
	}
	return answers;
}

static bool is_served(struct stage *st, struct guest *g)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(g->fe), .events = POLLRDHUP};
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	struct driver_used used;

	guest_request(g, g->scratch_gpa, 64, 0);
	while (!guest_take(g, &used, 1)) {
		if (poll(&pfd, 1, 0) == 1)
			return false;
		if (now_ms() > deadline_ms)
			fail_msg("a guest is neither served nor disconnected; allocation %llu "
				 "failed, if one did",
				(unsigned long long)(st->faults != NULL ? st->faults->first : 0));
	}
	return true;
}

bool stage_come(struct stage *st, unsigned socket, int timeout_ms)
{
	return stage_guest_comes(st, &st->guest, socket, timeout_ms);
}

bool stage_guest_comes(struct stage *st, struct guest *g, unsigned socket, int timeout_ms)
{
	struct frontend_cfg cfg = {
		.socket_path = st->daemon.socket[socket], .timeout_ms = timeout_ms};

	driver_reset(&g->drv);
	return guest_attach(g, &cfg) == 0 && is_served(st, g);
}
