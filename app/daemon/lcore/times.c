/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/times.h"

#include "clock.h"

void times_wait(struct guest *g, bool waits)
{
	enum waiting_for kind = WAITING_FOR_NOTHING;

	if (waits)
		kind = g->dev.starved ? WAITING_FOR_BYTES : WAITING_FOR_TOKENS;
	waiting_set(&g->waiting, kind, clock_now_ns());
}

void times_service(struct guest *g, uint64_t since_ns)
{
	uint64_t now_ns = clock_now_ns();

	latency_add(&g->service, now_ns > since_ns ? now_ns - since_ns : 0);
}

void times_read(const struct usage *usage, const struct idle_stats *idle, struct idle_stats *times)
{
	*times = (struct idle_stats){0};
	if (idle == NULL) {
		times->ns[IDLE_BUSY] = stats_read(&usage->busy_ns);
		times->ns[IDLE_SPINNING] = stats_read(&usage->other_ns);
		return;
	}
	for (unsigned i = 0; i < IDLE_STATES; i++)
		times->ns[i] = stats_read(&idle->ns[i]);
	times->sleeps = stats_read(&idle->sleeps);
	times->blocks = stats_read(&idle->blocks);
}
