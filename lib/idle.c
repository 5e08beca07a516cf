/* SPDX-License-Identifier: BSD-3-Clause */
#include "idle.h"

#include <string.h>

/* The first sleep is this part of the longest; each is twice the one before. */
#define FIRST_SLEEP 16

/* Less is not worth a system call: sleeping takes as long. */
#define SLEEP_MIN_NS UINT64_C(2000)

/* A pause that nobody can end. */
#define PAUSE_MAX_NS UINT64_C(10000)

void idle_init(struct idle *idle, const struct idle_config *cfg, uint64_t now_ns)
{
	memset(idle, 0, sizeof(*idle));
	idle->cfg = *cfg;
	idle->account = IDLE_SPINNING;
	idle->now_ns = idle->since_ns = now_ns;
}

void idle_account(struct idle *idle, uint64_t now_ns)
{
	enum idle_state state = idle->busy ? IDLE_BUSY : idle->account;

	if (now_ns > idle->now_ns) {
		stats_add(&idle->stats.ns[state], now_ns - idle->now_ns);
		idle->now_ns = now_ns;
	}
	/* The step is over, and what follows is work of some kind. */
	idle->account = IDLE_SPINNING;
}

/* The next rung of the ladder from short sleeps to blocking. */
static struct idle_step climb(struct idle *idle, uint64_t wait_ns)
{
	uint64_t max = idle->cfg.max_sleep_ns, sleep = idle->sleep_ns * 2;

	if (idle->sleep_ns >= max) {
		stats_add(&idle->stats.blocks, 1);
		return (struct idle_step){IDLE_BLOCKED, wait_ns};
	}
	if (idle->sleep_ns == 0)
		sleep = max / FIRST_SLEEP;
	if (sleep < SLEEP_MIN_NS)
		sleep = SLEEP_MIN_NS;
	if (sleep > max)
		sleep = max;
	idle->sleep_ns = sleep;
	stats_add(&idle->stats.sleeps, 1);
	return (struct idle_step){IDLE_SLEEPING, sleep < wait_ns ? sleep : wait_ns};
}

static struct idle_step step(struct idle *idle, uint64_t wait_ns)
{
	uint64_t idle_ns = idle->now_ns - idle->since_ns, spin_ns = idle->cfg.spin_ns;

	if (idle_ns < spin_ns)
		return (struct idle_step){IDLE_SPINNING, 0};
	if (idle->cfg.policy == IDLE_PAUSE || idle_ns - spin_ns < spin_ns || wait_ns < SLEEP_MIN_NS)
		return (struct idle_step){
			IDLE_PAUSING, wait_ns < PAUSE_MAX_NS ? wait_ns : PAUSE_MAX_NS};
	return climb(idle, wait_ns);
}

struct idle_step idle_next(struct idle *idle, uint64_t now_ns, uint64_t due_ns)
{
	struct idle_step next;
	uint64_t wait_ns;

	idle_account(idle, now_ns);
	now_ns = idle->now_ns;
	if (idle->busy) {
		idle->busy = false;
		idle->since_ns = now_ns;
		idle->sleep_ns = 0;
	}
	wait_ns = due_ns == UINT64_MAX ? UINT64_MAX : due_ns > now_ns ? due_ns - now_ns : 0;
	next = step(idle, wait_ns);
	idle->account = next.state;
	return next;
}
