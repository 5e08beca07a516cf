/* SPDX-License-Identifier: BSD-3-Clause */
#include "usage.h"

#include "stats.h"

/* What a kind of sweep takes is the mean of about so many samples. */
#define COSTS 8

void usage_init(struct usage *u, uint64_t now_ns)
{
	*u = (struct usage){.left = USAGE_WINDOW, .begin_ns = now_ns};
}

void usage_look(struct usage *u, uint64_t now_ns)
{
	if (u->left == 0)
		u->since_ns = u->last_ns;
	u->last_ns = now_ns;
}

static void learn(uint64_t *cost_ns, uint64_t ns)
{
	if (*cost_ns == 0)
		*cost_ns = ns * COSTS;
	else
		*cost_ns += ns - *cost_ns / COSTS;
}

/* The part of a window that its busy sweeps took. */
static uint64_t busy_part(const struct usage *u, uint64_t window_ns)
{
	const uint32_t n_other = USAGE_WINDOW - u->n_busy;
	double busy, other;

	if (n_other == 0)
		return window_ns;
	/* Of a kind that was not seen yet it is taken to be as the other. */
	busy = (double)(u->cost_ns[1] > 0 ? u->cost_ns[1] : u->cost_ns[0]) * u->n_busy;
	other = (double)(u->cost_ns[0] > 0 ? u->cost_ns[0] : u->cost_ns[1]) * n_other;
	return busy > 0 ? (uint64_t)((double)window_ns * (busy / (busy + other))) : 0;
}

void usage_close(struct usage *u, bool busy, uint64_t now_ns)
{
	uint64_t window_ns, busy_ns;

	if (now_ns > u->last_ns)
		learn(&u->cost_ns[busy], now_ns - u->last_ns);
	window_ns = now_ns > u->begin_ns ? now_ns - u->begin_ns : 0;
	busy_ns = busy_part(u, window_ns);
	stats_add(&u->busy_ns, busy_ns);
	stats_add(&u->other_ns, window_ns - busy_ns);
	u->left = USAGE_WINDOW;
	u->n_busy = 0;
	u->since_ns = 0;
	u->begin_ns = now_ns;
}
