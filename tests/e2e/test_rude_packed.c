/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that lies in a packed ring, and a VMM that lies about one: see rude.h for what must hold
 * after each lie. The split ring has test_rude_ring.c, the messages test_rude_protocol.c.
 */
#include "driver_rude.h"
#include "rude.h"
#include "util.h"

#include <stdlib.h>

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

/* Addresses that are filled in when the lie is told. */
#define HERE   0x1000000000000ull /* 64 bytes in the first region */
#define TABLE  0x2000000000000ull /* the indirect table of chain 0 */
#define END    0x3000000000000ull /* minus a little: before the end of the first region */
#define VICTIM 0x4000000000000ull /* in the second region: whoever follows the lie writes there */

struct lie {
	const char *what;
	unsigned n_descs; /* the last of 'desc' is repeated */
	struct vring_packed_desc desc[2];
	struct vring_packed_desc table[2];
};

static const struct lie lies[] = {
	{"a chain round the ring", RUDE_QUEUE, {{HERE, 64, 0, W | N}, {HERE, 64, 0, W | N}}, {{0}}},
	{"a chain of nothing round the ring", RUDE_QUEUE,
		{{HERE, 0, 0, W | N}, {HERE, 0, 0, W | N}}, {{0}}},
	{"a readable chain round the ring", RUDE_QUEUE, {{HERE, 64, 0, N}, {HERE, 64, 0, N}},
		{{0}}},
	{"a chain that goes on nowhere", 1, {{HERE, 64, 0, W | N}}, {{0}}},
	{"an id that is none", 1, {{HERE, 64, 0xffff, W}}, {{0}}},
	{"the same id all over", RUDE_QUEUE, {{HERE, 64, 0, W}, {HERE, 64, 0, W}}, {{0}}},
	{"readable after writable", 2, {{HERE, 64, 0, W | N}, {HERE, 64, 0, 0}}, {{0}}},
	{"address 0", 1, {{0, 64, 0, W}}, {{0}}},
	{"across the region's end", 1, {{END - 8, 64, 0, W}}, {{0}}},
	{"from the region to 4 GiB on", 1, {{HERE, UINT32_MAX, 0, W}}, {{0}}},
	{"round the address space's end", 1, {{UINT64_MAX - 15, UINT32_MAX, 0, W}}, {{0}}},
	{"good, then unmapped", 2, {{HERE, 64, 0, W | N}, {0, 64, 0, W}}, {{0}}},
	{"table of no length", 1, {{TABLE, 0, 0, I}}, {{VICTIM, 64, 0, W}}},
	{"table of half an entry", 1, {{TABLE, 8, 0, I}}, {{VICTIM, 64, 0, W}}},
	{"table of 4 GiB", 1, {{TABLE, 0xfffffff0u, 0, I}}, {{VICTIM, 64, 0, W}}},
	{"table unmapped", 1, {{0, 32, 0, I}}, {{0}}},
	{"table across the region's end", 1, {{END - 16, 64, 0, I}}, {{0}}},
	{"table and next", 2, {{TABLE, 16, 0, I | N}, {VICTIM, 64, 0, W}}, {{VICTIM, 64, 0, W}}},
	{"next and table", 2, {{HERE, 64, 0, W | N}, {TABLE, 16, 0, I}}, {{VICTIM, 64, 0, W}}},
	{"unmapped in a table", 1, {{TABLE, 16, 0, I}}, {{0, 64, 0, W}}},
};

static void fill_in(struct guest *g, struct vring_packed_desc *d)
{
	const struct guest_ram_region *region = &g->ram.regions[0];

	if (d->addr == HERE)
		d->addr = g->scratch_gpa;
	else if (d->addr == TABLE)
		d->addr = g->drv.tables_gpa;
	else if (d->addr <= END && END - d->addr < 4096)
		d->addr = region->gpa + region->size_bytes - (END - d->addr);
	else if (d->addr == VICTIM)
		d->addr = g->ram.regions[1].gpa + 4096;
}

static void tell(struct guest *g, const struct lie *lie)
{
	struct vring_packed_desc *table = driver_rude_table(&g->drv, 0);

	for (unsigned i = 0; i < 2; i++) {
		table[i] = lie->table[i];
		fill_in(g, &table[i]);
	}
	for (unsigned i = 0; i < lie->n_descs; i++) {
		struct vring_packed_desc d = lie->desc[i > 0 ? 1 : 0];

		fill_in(g, &d);
		driver_rude_put(&g->drv, &d);
	}
	guest_show(g);
	sleep_ms(2);
}

static void test_lying_chains(void **state)
{
	struct rude *r = *state;

	rude_new_guest(r, &(struct guest_cfg){.packed = true, .table_entries = 4});
	rude_connect(r);
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		print_message("# %s\n", lies[i].what);
		tell(&r->guest, &lies[i]);
		rude_recover_by_reset(r);
		print_message("# %s, and dies\n", lies[i].what);
		tell(&r->guest, &lies[i]);
		rude_recover_by_reconnect(r);
	}
	honest_stop(&r->honest);
}

/* The driver writes into what the device has used, and asks for calls in all ways there are. */
static void test_ring_scribbled(void **state)
{
	struct rude *r = *state;

	rude_new_guest(r, &(struct guest_cfg){.packed = true, .event_idx = true});
	rude_connect(r);
	for (unsigned i = 0; i < 16; i++) {
		struct driver *drv = &r->guest.drv;

		driver_rude_packed_events(drv, (uint16_t)(i * 8191), (uint16_t)i);
		guest_request(&r->guest, r->guest.scratch_gpa, 64, 0);
		for (unsigned d = 0; d < RUDE_QUEUE; d++)
			__atomic_store_n(&drv->ring[d].flags, (uint16_t)(rand() & ~(N | I)),
				__ATOMIC_RELAXED);
		sleep_ms(2);
		rude_recover_by_reset(r);
	}
	honest_stop(&r->honest);
}

/* Noise: values that are likely to mean something, anywhere in the queue, while it is in use. */
static void scribble(struct guest *g, unsigned times, unsigned *seed)
{
	struct vring_packed_desc *table = driver_rude_table(&g->drv, 0);

	for (unsigned i = 0; i < times; i++) {
		struct vring_packed_desc *d = rand_r(seed) % 4
						      ? &g->drv.ring[rand_r(seed) % RUDE_QUEUE]
						      : &table[rand_r(seed) % 64];
		uint64_t addrs[] = {g->scratch_gpa, g->drv.tables_gpa + rand_r(seed) % 64 * 16,
			g->ram.regions[0].gpa + (64 << 10) - 1, 0, UINT64_MAX,
			(uint64_t)rand_r(seed) << 33};
		uint32_t lens[] = {16, 32, 64, 0, 1, UINT32_MAX, (uint32_t)rand_r(seed)};
		uint16_t flags[] = {W, W, W | N, W | N, N, 0, I, I | N, (uint16_t)rand_r(seed)};

		d->addr = addrs[rand_r(seed) % ARRAY_SIZE(addrs)];
		d->len = lens[rand_r(seed) % ARRAY_SIZE(lens)];
		__atomic_store_n(&d->flags,
			flags[rand_r(seed) % ARRAY_SIZE(flags)] |
				driver_packed_avail(rand_r(seed) % 2 ? 0 : DRIVER_WRAP),
			__ATOMIC_RELAXED);
	}
}

static void test_noise(void **state)
{
	rude_resets_under_noise(*state,
		&(struct guest_cfg){.packed = true, .event_idx = true, .table_entries = 4},
		scribble);
}

/* A base that is outside of the ring, in both laps. */
static void test_bases_outside(void **state)
{
	static const uint16_t bases[] = {
		RUDE_QUEUE, RUDE_QUEUE | DRIVER_WRAP, 0x7fff, 0xffff, RUDE_QUEUE + 1};
	struct rude *r = *state;
	struct guest *g = &r->guest;

	rude_new_guest(r, &(struct guest_cfg){.packed = true});
	rude_connect(r);
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		guest_stop(g);
		g->base = bases[i];
		guest_restart(g);
		guest_ask(g, g->scratch_gpa, 64, 0);
		guest_show(g);
		guest_assert_quiet(g, 20);
		assert_true(daemon_said(&r->daemon, "the packed ring's base is outside the ring"));
		rude_recover_by_reset(r);
	}
	honest_stop(&r->honest);
}

/* Odd sizes are fine; parts that are misaligned or outside are not, and no lcore looks at them. */
static void test_parts_that_cannot_be(void **state)
{
	static const struct {
		int ring, driver, device; /* moved by so many bytes */
	} moves[] = {{8, 0, 0}, {0, 2, 0}, {0, 0, 2}};
	struct rude *r = *state;
	struct guest *g = &r->guest;

	rude_new_guest(r, &(struct guest_cfg){.packed = true});
	rude_connect(r);
	for (unsigned i = 0; i < ARRAY_SIZE(moves); i++) {
		struct vhost_user_vring_addr addr;

		frontend_fill_addr(&g->drv, &addr);
		addr.desc_user_addr += moves[i].ring;
		addr.avail_user_addr += moves[i].driver;
		addr.used_user_addr += moves[i].device;
		assert_int_equal(frontend_set(g->fe, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr),
					 NULL, 0),
			0);
		guest_ask(g, g->scratch_gpa, 64, 0);
		guest_show(g);
		guest_assert_quiet(g, 20);
		rude_recover_by_reset(r);
	}
	honest_stop(&r->honest);
}

#define RUDE_TEST(f) cmocka_unit_test_setup_teardown(f, rude_setup, rude_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The first one reads the log, which falls silent when there is too much to say. */
		RUDE_TEST(test_bases_outside),
		RUDE_TEST(test_parts_that_cannot_be),
		RUDE_TEST(test_lying_chains),
		RUDE_TEST(test_ring_scribbled),
		RUDE_TEST(test_noise),
	};

	return cmocka_run_group_tests(tests, rude_start, daemon_fixture_end);
}
