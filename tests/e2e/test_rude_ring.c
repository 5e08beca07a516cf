/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that lies in its ring: see rude.h for what must hold after each lie. Run with a daemon
 * that has the sanitizers in, these tests show more.
 */
#include "driver_rude.h"
#include "lies.h"
#include "rude.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NR_DESC(a) ((unsigned)(sizeof(a) / sizeof((a)[0])))

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

/* Addresses that are filled in when the lie is told. */
#define HERE   0x1000000000000ull /* 64 bytes in the first region */
#define TABLE  0x2000000000000ull /* the indirect table of chain 0 */
#define END    0x3000000000000ull /* minus a little: before the end of the first region */
#define VICTIM 0x4000000000000ull /* in the second region: whoever follows the lie writes there */
#define TRAP   0x5000000000000ull /* a descriptor of VICTIM that is in no table */

/* A descriptor's number that stands for TRAP's distance from the queue's table. */
#define TRAP_NR 60000

/* A chain that starts at descriptor 0, in the queue and in an indirect table. */
struct chain_lie {
	const char *what;
	struct vring_desc desc[4];
	struct vring_desc table[4];
};

static const struct chain_lie chain_lies[] = {
	{"next is the queue's size", {{HERE, 64, W | N, RUDE_QUEUE}}, {{0}}},
	{"next is far outside, but readable", {{HERE, 64, W | N, TRAP_NR}}, {{0}}},
	{"next is 65535", {{HERE, 64, W | N, 65535}}, {{0}}},
	{"a loop of one", {{HERE, 64, W | N, 0}}, {{0}}},
	{"a loop of two", {{HERE, 64, W | N, 1}, {HERE, 64, W | N, 0}}, {{0}}},
	{"a loop behind the head", {{HERE, 64, W | N, 1}, {HERE, 64, W | N, 1}}, {{0}}},
	{"a loop of nothing", {{HERE, 0, W | N, 1}, {HERE, 0, W | N, 0}}, {{0}}},
	{"a loop of readable ones", {{HERE, 64, N, 1}, {HERE, 64, N, 0}}, {{0}}},
	{"readable after writable", {{HERE, 64, W | N, 1}, {HERE, 64, 0, 0}}, {{0}}},
	{"all flags", {{HERE, 64, 65535, 1}}, {{0}}},
	{"address 0", {{0, 64, W, 0}}, {{0}}},
	{"address in the gap", {{END, 64, W, 0}}, {{0}}},
	{"across the region's end", {{END - 8, 64, W, 0}}, {{0}}},
	{"from the region to 4 GiB on", {{HERE, UINT32_MAX, W, 0}}, {{0}}},
	{"round the address space's end", {{UINT64_MAX - 15, 64, W, 0}}, {{0}}},
	{"round it into the region", {{UINT64_MAX - 15, UINT32_MAX, W, 0}}, {{0}}},
	{"good, then unmapped", {{HERE, 64, W | N, 1}, {0, 64, W, 0}}, {{0}}},
	{"unmapped and readable", {{0, 64, N, 1}, {HERE, 64, W, 0}}, {{0}}},
	{"table of no length", {{TABLE, 0, I, 0}}, {{VICTIM, 64, W, 0}}},
	{"table of half an entry", {{TABLE, 8, I, 0}}, {{VICTIM, 64, W, 0}}},
	{"table of 1 1/16 entries", {{TABLE, 17, I, 0}}, {{VICTIM, 64, W, 0}}},
	{"table of 4 GiB", {{TABLE, 0xfffffff0u, I, 0}}, {{HERE, 64, W | N, 1}}},
	{"table unmapped", {{0, 32, I, 0}}, {{0}}},
	{"table across the region's end", {{END - 16, 64, I, 0}}, {{0}}},
	{"table round the address space's end", {{UINT64_MAX - 15, 64, I, 0}}, {{0}}},
	{"a table in itself", {{TABLE, 32, I, 0}}, {{TABLE, 32, I, 0}}},
	{"table in a table", {{TABLE, 32, I, 0}}, {{TRAP, 16, I, 0}}},
	{"table in a table's chain", {{TABLE, 32, I, 0}}, {{HERE, 64, W | N, 1}, {TRAP, 16, I, 0}}},
	{"table and next", {{TABLE, 16, I | N, 1}, {VICTIM, 64, W, 0}}, {{VICTIM, 64, W, 0}}},
	{"next beyond the table", {{TABLE, 32, I, 0}},
		{{HERE, 64, W | N, 2}, {0}, {VICTIM, 64, W, 0}}},
	{"next far beyond the table", {{TABLE, 32, I, 0}}, {{HERE, 64, W | N, 65535}}},
	{"a loop in a table", {{TABLE, 32, I, 0}}, {{HERE, 64, W | N, 1}, {HERE, 64, W | N, 0}}},
	{"a loop of nothing in a table", {{TABLE, 16, I, 0}}, {{HERE, 0, W | N, 0}}},
	{"unmapped in a table", {{TABLE, 16, I, 0}}, {{0, 64, W, 0}}},
};

/* Heads and indices: what to put on the avail ring, and how far to jump. */
static const struct {
	const char *what;
	uint64_t buffer; /* of descriptor 0 */
	uint16_t heads[3];
	unsigned nr_heads;
	uint16_t jump;
} index_lies[] = {
	{"head is the queue's size", HERE, {RUDE_QUEUE}, 1, 0},
	{"head is far outside, but readable", HERE, {TRAP_NR}, 1, 0},
	{"head is 65535", HERE, {65535}, 1, 0},
	{"a good head, then a bad one", HERE, {0, TRAP_NR}, 2, 0},
	{"the same head three times", HERE, {0, 0, 0}, 3, 0},
	{"index beyond the queue", VICTIM, {0}, 1, RUDE_QUEUE},
	{"index far beyond the queue", VICTIM, {0}, 1, 32768},
	{"index backwards", VICTIM, {0}, 1, 65534},
	{"index as if full, with nothing there", HERE, {0}, 0, RUDE_QUEUE},
};

/* The number of the descriptor at TRAP, seen from the queue's table. */
static uint16_t trap_nr(const struct guest *g, uint64_t trap_gpa)
{
	return (uint16_t)((trap_gpa - g->drv.desc_gpa) / sizeof(struct vring_desc));
}

/* Put real addresses in the place of HERE and the others. */
static void fill_in(struct guest *g, uint64_t trap_gpa, struct vring_desc *desc)
{
	const struct guest_ram_region *region = &g->ram.regions[0];

	if (desc->addr == HERE)
		desc->addr = g->scratch_gpa;
	else if (desc->addr == TABLE)
		desc->addr = g->drv.tables_gpa;
	else if (desc->addr <= END && END - desc->addr < 4096)
		desc->addr = region->gpa + region->size_bytes - (END - desc->addr);
	else if (desc->addr == VICTIM)
		desc->addr = g->ram.regions[1].gpa + 4096;
	else if (desc->addr == TRAP)
		desc->addr = trap_gpa;
	if (desc->next == TRAP_NR)
		desc->next = trap_nr(g, trap_gpa);
}

/* Lay the descriptor at TRAP out, anew for each lie: the one before may have overwritten it. */
static void arm_trap(struct guest *g, uint64_t trap_gpa)
{
	struct vring_desc *trap = guest_ram_at(&g->ram, trap_gpa, sizeof(*trap));

	*trap = (struct vring_desc){.addr = VICTIM, .len = 64, .flags = W};
	fill_in(g, trap_gpa, trap);
}

/* Connect a guest with a place for TRAP. @return where */
static uint64_t new_liar(struct rude *r, const struct guest_cfg *cfg)
{
	uint64_t trap_gpa;

	rude_new_guest(r, cfg);
	trap_gpa = guest_alloc(&r->guest, 0, sizeof(struct vring_desc));
	rude_connect(r);
	return trap_gpa;
}

static void tell_chain_lie(struct guest *g, uint64_t trap_gpa, const struct chain_lie *lie)
{
	struct vring_desc *table = driver_rude_table(&g->drv, 0);

	arm_trap(g, trap_gpa);
	for (unsigned i = 0; i < NR_DESC(lie->desc); i++) {
		struct vring_desc desc = lie->desc[i];

		fill_in(g, trap_gpa, &desc);
		*driver_rude_desc(&g->drv, i) = desc;
		if (table == NULL)
			continue;
		desc = lie->table[i];
		fill_in(g, trap_gpa, &desc);
		table[i] = desc;
	}
	driver_rude_push(&g->drv, 0);
	guest_show(g);
	sleep_ms(2);
}

static void test_lying_chains(void **state)
{
	struct rude *r = *state;
	uint64_t trap_gpa;

	trap_gpa = new_liar(r, &(struct guest_cfg){.table_entries = 4});
	for (unsigned i = 0; i < NR_DESC(chain_lies); i++) {
		print_message("# %s\n", chain_lies[i].what);
		tell_chain_lie(&r->guest, trap_gpa, &chain_lies[i]);
		rude_recover_by_reset(r);
	}
	for (unsigned i = 0; i < NR_DESC(chain_lies); i++) {
		print_message("# %s, and dies\n", chain_lies[i].what);
		tell_chain_lie(&r->guest, trap_gpa, &chain_lies[i]);
		rude_recover_by_reconnect(r);
	}
	honest_stop(&r->honest);
}

static void test_lying_indices(void **state)
{
	struct rude *r = *state;
	uint64_t trap_gpa = new_liar(r, &(struct guest_cfg){.event_idx = true});

	for (unsigned i = 0; i < 2 * NR_DESC(index_lies); i++) {
		struct guest *g = &r->guest;
		struct vring_desc *desc = driver_rude_desc(&g->drv, 0);
		unsigned lie = i / 2;

		print_message("# %s\n", index_lies[lie].what);
		arm_trap(g, trap_gpa);
		*desc = (struct vring_desc){.addr = index_lies[lie].buffer, .len = 64, .flags = W};
		fill_in(g, trap_gpa, desc);
		for (unsigned j = 0; j < index_lies[lie].nr_heads; j++) {
			uint16_t head = index_lies[lie].heads[j];

			driver_rude_push(&g->drv, head == TRAP_NR ? trap_nr(g, trap_gpa) : head);
		}
		driver_rude_jump(&g->drv, index_lies[lie].jump);
		frontend_kick(g->fe);
		sleep_ms(2);
		if (i % 2 == 0)
			rude_recover_by_reset(r);
		else
			rude_recover_by_reconnect(r);
	}
	honest_stop(&r->honest);
}

/* A good table, but nobody has negotiated tables. */
static void test_table_not_negotiated(void **state)
{
	struct rude *r = *state;
	uint64_t trap_gpa = new_liar(r, &(struct guest_cfg){0});
	struct guest *g = &r->guest;

	arm_trap(g, trap_gpa);
	*driver_rude_desc(&g->drv, 0) =
		(struct vring_desc){.addr = trap_gpa, .len = 16, .flags = I};
	driver_rude_push(&g->drv, 0);
	guest_show(g);
	sleep_ms(2);
	rude_recover_by_reset(r);
	honest_stop(&r->honest);
}

/* Not a lie: the standard has the device ignore WRITE on a table's descriptor (§2.7.5.3.2). */
static void test_writable_table(void **state)
{
	struct rude *r = *state;
	struct guest *g = &r->guest;
	struct driver_buf buf;
	struct driver_used used;
	uint16_t id;

	rude_new_guest(r, &(struct guest_cfg){.table_entries = 4});
	rude_connect(r);
	buf = (struct driver_buf){g->scratch_gpa, 64, true};
	assert_int_equal(driver_build(&g->drv, &buf, 1, 0, 1, &id), 0);
	driver_rude_desc(&g->drv, id)->flags |= W;
	driver_offer(&g->drv, id);
	guest_show(g);
	guest_must_take(g, &used);
	assert_int_equal(used.len_bytes, 64);
	honest_stop(&r->honest);
}

/* The driver writes into the used ring, which is the device's. */
static void test_used_ring_scribbled(void **state)
{
	struct rude *r = *state;

	rude_new_guest(r, &(struct guest_cfg){.event_idx = true});
	rude_connect(r);
	for (unsigned i = 0; i < 8; i++) {
		driver_rude_used_idx(&r->guest.drv, (uint16_t)(i * 8191));
		driver_rude_events(&r->guest.drv, 65535, (uint16_t)(i * 8191));
		guest_ask(&r->guest, r->guest.scratch_gpa, 64, 0);
		guest_show(&r->guest);
		sleep_ms(2);
		rude_recover_by_reset(r);
	}
	honest_stop(&r->honest);
}

static void test_noise(void **state)
{
	rude_resets_under_noise(
		*state, &(struct guest_cfg){.event_idx = true, .table_entries = 4}, lies_scribble);
}

#define RUDE_TEST(f) cmocka_unit_test_setup_teardown(f, rude_setup, rude_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUDE_TEST(test_lying_chains),
		RUDE_TEST(test_lying_indices),
		RUDE_TEST(test_table_not_negotiated),
		RUDE_TEST(test_writable_table),
		RUDE_TEST(test_used_ring_scribbled),
		RUDE_TEST(test_noise),
	};

	return cmocka_run_group_tests(tests, rude_start, daemon_fixture_end);
}
