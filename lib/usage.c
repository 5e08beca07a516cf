/* SPDX-License-Identifier: BSD-3-Clause */
#include "usage.h"

#include "stats.h"

/* What a kind of sweep takes is the mean of about so many samples. */
#define COSTS 8

void usage_init(struct usage *l, uint64_t now_ns)
{
	*l = (struct usage){.left = USAGE_WINDOW, .begin_ns = now_ns};
}

void usage_timed_begin(struct usage *l, uint64_t now_ns)
{
	if (usage_is_last(l))
		l->since_ns = l->last_ns;
	l->last_ns = now_ns;
}

static void learn(uint64_t *cost_ns, uint64_t ns)
{
	if (*cost_ns == 0)
		*cost_ns = ns * COSTS;
	else
		*cost_ns += ns - *cost_ns / COSTS;
}

/* The part of a window that its busy sweeps took. */
static uint64_t busy_part(const struct usage *l, uint64_t window_ns)
{
	const uint32_t n_other = USAGE_WINDOW - l->n_busy;
	double busy, other;

	if (n_other == 0)
		return window_ns;
	/* Of a kind that was not seen yet it is taken to be as the other. */
	busy = (double)(l->cost_ns[1] > 0 ? l->cost_ns[1] : l->cost_ns[0]) * l->n_busy;
	other = (double)(l->cost_ns[0] > 0 ? l->cost_ns[0] : l->cost_ns[1]) * n_other;
	return busy > 0 ? (uint64_t)((double)window_ns * (busy / (busy + other))) : 0;
}

void usage_timed_end(struct usage *l, bool busy, uint64_t now_ns)
{
	uint64_t window_ns, busy_ns;

	l->n_busy += busy;
	if (!usage_is_last(l))
		return;
	if (now_ns > l->last_ns)
		learn(&l->cost_ns[busy], now_ns - l->last_ns);
	window_ns = now_ns > l->begin_ns ? now_ns - l->begin_ns : 0;
	busy_ns = busy_part(l, window_ns);
	stats_add(&l->busy_ns, busy_ns);
	stats_add(&l->other_ns, window_ns - busy_ns);
	l->left = USAGE_WINDOW;
	l->n_busy = 0;
	l->since_ns = 0;
	l->begin_ns = now_ns;
}
