/* SPDX-License-Identifier: BSD-3-Clause */
#include "rude.h"

#include "util.h"

#include <signal.h>
#include <stdlib.h>

#define POISON 0xa5

int rude_start(void **state)
{
	((struct daemon *)daemon_fixture(state, sizeof(struct rude)))->inspected = true;
	return 0;
}

int rude_setup(void **state)
{
	struct rude *r = *state;

	if (!daemon_is_alive(&r->daemon))
		daemon_start(&r->daemon, 2, NULL);
	honest_start(&r->honest, r->daemon.socket[1]);
	return 0;
}

int rude_teardown(void **state)
{
	struct rude *r = *state;

	/* A test that failed may have left a daemon that hangs: the next test gets a new one. */
	if (r->honest.running && r->daemon.pid > 0)
		(void)daemon_stop(&r->daemon, SIGKILL, NULL);
	honest_fini(&r->honest);
	guest_fini(&r->guest);
	return 0;
}

void rude_new_guest(struct rude *r, const struct guest_cfg *cfg)
{
	struct guest_cfg mine = *cfg;

	guest_fini(&r->guest);
	mine.queue_size = RUDE_QUEUE;
	mine.nr_regions = 2;
	mine.region_bytes = 64 << 10;
	guest_init(&r->guest, &mine);
	assert_int_equal(guest_ram_fill(&r->guest.ram, r->guest.ram.regions[1].gpa,
				 mine.region_bytes, POISON),
		0);
}

void rude_connect(struct rude *r)
{
	guest_die(&r->guest);
	driver_reset(&r->guest.drv);
	guest_connect(&r->guest, r->daemon.socket[0]);
}

void rude_check_others(struct rude *r)
{
	const struct guest_ram_region *second = &r->guest.ram.regions[1];

	daemon_assert_alive(&r->daemon);
	honest_check(&r->honest);
	daemon_assert_alive(&r->daemon);
	assert_int_equal(
		guest_ram_check(&r->guest.ram, second->gpa, second->size_bytes, POISON, NULL), 0);
}

void rude_recover_by_reset(struct rude *r)
{
	rude_check_others(r);
	guest_reset(&r->guest);
	guest_assert_served(&r->guest);
}

void rude_recover_by_reconnect(struct rude *r)
{
	rude_check_others(r);
	rude_connect(r);
	guest_assert_served(&r->guest);
}

void rude_resets_under_noise(struct rude *r, const struct guest_cfg *cfg,
	void (*noise)(struct guest *g, unsigned times, unsigned *seed))
{
	int64_t end_ms = now_ms() + 1500;
	unsigned turns = 0, seed = 1;

	rude_new_guest(r, cfg);
	rude_connect(r);
	for (; now_ms() < end_ms; turns++) {
		noise(&r->guest, 1 + turns % 500, &seed);
		guest_reset(&r->guest);
	}
	print_message("# %u resets under noise\n", turns);
	/* The noise may have named any byte of the first region, but of no other memory. */
	rude_recover_by_reset(r);
	honest_stop(&r->honest);
}
