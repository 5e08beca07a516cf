/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest.h"

#include "util.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

void guest_init(struct guest *g, const struct guest_cfg *cfg)
{
	const char *layout = getenv("VRNG_LAYOUT"), *calls = getenv("VRNG_CALLS");
	struct driver_cfg drv_cfg;

	*g = (struct guest){.cfg = *cfg};
	if (layout != NULL && strcmp(layout, "packed") == 0)
		g->cfg.packed = true;
	if (calls != NULL && strcmp(calls, "none") == 0)
		g->cfg.without_call = true;
	if (g->cfg.queue_size == 0)
		g->cfg.queue_size = 64;
	if (g->cfg.nr_regions == 0)
		g->cfg.nr_regions = 1;
	if (g->cfg.region_bytes == 0)
		g->cfg.region_bytes = 4 << 20;
	guest_ram_init(&g->ram);
	for (unsigned i = 0; i < g->cfg.nr_regions; i++) {
		uint64_t step = g->cfg.neighbours ? g->cfg.region_bytes : GUEST_GAP;

		struct guest_ram_region_cfg region = {
			.gpa = GUEST_GPA + i * step,
			.size_bytes = g->cfg.region_bytes,
			.backing = g->cfg.huge ? GUEST_RAM_HUGETLB : GUEST_RAM_MEMFD,
			.unsealable = g->cfg.unsealable,
		};

		assert_int_equal(guest_ram_add(&g->ram, &region), 0);
	}
	drv_cfg = (struct driver_cfg){
		.size = g->cfg.queue_size,
		.layout = g->cfg.packed ? DRIVER_PACKED : DRIVER_SPLIT,
		.event_idx = g->cfg.event_idx,
		.table_entries = g->cfg.table_entries,
		.start_idx = g->cfg.start_idx,
	};
	assert_int_equal(driver_init(&g->drv, &g->ram, &drv_cfg), 0);
	g->scratch_gpa = guest_alloc(g, 0, 64);
}

void guest_die(struct guest *g)
{
	frontend_destroy(g->fe);
	g->fe = NULL;
}

void guest_fini(struct guest *g)
{
	guest_die(g);
	driver_fini(&g->drv);
	guest_ram_fini(&g->ram);
}

static int start_ring(struct guest *g)
{
	return g->cfg.without_call ? frontend_start_ring_without_call(g->fe, &g->drv, g->base)
				   : frontend_start_ring(g->fe, &g->drv, g->base);
}

static uint64_t wanted_features(const struct guest *g)
{
	return (g->cfg.event_idx ? GUEST_EVENTS : 0) |
	       (g->cfg.table_entries > 0 ? GUEST_TABLES : 0) | (g->cfg.packed ? GUEST_PACKED : 0) |
	       (g->cfg.in_order ? GUEST_ORDER : 0);
}

int guest_attach(struct guest *g, const struct frontend_cfg *cfg)
{
	int err = frontend_create(cfg, &g->fe);

	if (err != 0)
		return err;
	g->base = driver_resume_base(&g->drv);
	err = frontend_negotiate(g->fe, wanted_features(g), NULL);
	if (err == 0)
		err = frontend_set_memory(g->fe, &g->ram);
	if (err == 0)
		err = start_ring(g);
	if (err != 0)
		guest_die(g);
	return err;
}

void guest_connect(struct guest *g, const char *path)
{
	uint64_t want = wanted_features(g);
	uint64_t got;

	assert_null(g->fe);
	assert_int_equal(frontend_create(&(struct frontend_cfg){.socket_path = path,
						 .timeout_ms = LIVENESS_MS},
				 &g->fe),
		0);
	assert_int_equal(frontend_negotiate(g->fe, want, &got), 0);
	assert_int_equal(got & want, want);
	assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
	g->base = driver_resume_base(&g->drv);
	guest_restart(g);
}

void guest_stop(struct guest *g)
{
	assert_int_equal(frontend_stop_ring(g->fe, &g->base), 0);
	assert_int_equal(g->base, driver_resume_base(&g->drv));
}

void guest_restart(struct guest *g)
{
	assert_int_equal(start_ring(g), 0);
}

void guest_reset(struct guest *g)
{
	assert_int_equal(frontend_stop_ring(g->fe, NULL), 0);
	driver_reset(&g->drv);
	g->base = driver_start_base(&g->drv);
	guest_restart(g);
}

unsigned guest_nr_direct(const struct guest *g, unsigned nr_bufs, unsigned nr_direct)
{
	return g->cfg.packed && nr_direct > 0 ? nr_bufs : nr_direct;
}

uint64_t guest_alloc(struct guest *g, unsigned region, uint64_t len_bytes)
{
	uint64_t gpa;

	assert_int_equal(guest_ram_alloc(&g->ram, region, len_bytes, 64, &gpa), 0);
	return gpa;
}

void guest_ask(struct guest *g, uint64_t gpa, uint32_t len_bytes, uint64_t cookie)
{
	struct driver_buf buf = {.gpa = gpa, .len_bytes = len_bytes, .writable = true};

	assert_int_equal(driver_add(&g->drv, &buf, 1, 1, cookie), 0);
}

void guest_show(struct guest *g)
{
	driver_publish(&g->drv);
	if (driver_kick_needed(&g->drv))
		frontend_kick(g->fe);
}

void guest_request(struct guest *g, uint64_t gpa, uint32_t len_bytes, uint64_t cookie)
{
	guest_ask(g, gpa, len_bytes, cookie);
	guest_show(g);
}

bool guest_take(struct guest *g, struct driver_used *used, int limit_ms)
{
	int64_t deadline_ms = now_ms() + limit_ms;
	enum driver_result result;

	while ((result = driver_take(&g->drv, used)) == DRIVER_EMPTY) {
		if (now_ms() >= deadline_ms)
			return false;
		sched_yield();
	}
	assert_int_equal(result, DRIVER_OK);
	assert_int_not_equal(used->len_bytes, 0);
	return true;
}

void guest_must_take(struct guest *g, struct driver_used *used)
{
	if (!guest_take(g, used, LIVENESS_MS))
		fail_msg("a request was not answered");
}

void guest_assert_quiet(struct guest *g, int ms)
{
	struct driver_used used;

	assert_false(guest_take(g, &used, ms));
}

void guest_assert_served(struct guest *g)
{
	struct driver_used used;

	assert_int_equal(guest_ram_fill(&g->ram, g->scratch_gpa, 64, 0), 0);
	guest_request(g, g->scratch_gpa, 64, 0x5e7ed);
	guest_must_take(g, &used);
	assert_int_equal(used.cookie, 0x5e7ed);
	assert_int_equal(guest_ram_check(&g->ram, g->scratch_gpa, 64, 0, NULL), -EILSEQ);
}
