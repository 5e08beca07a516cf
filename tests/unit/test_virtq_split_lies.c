/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that are refused, and drivers that lie: each lie is named, and harms no earlier request. */
#include "virtq_lies.h"

/* Rings that are refused */

static void test_init_refuses_sizes(void **state)
{
	static const uint16_t bad[] = {0, 3, 6, 7, 9, 255, 257, 32767, 32769, 49152, 65535};
	struct driver_cfg dcfg = {.size = VIRTQ_SIZE_MAX};
	struct virtq_config cfg;
	struct vm vm;

	vm_init(&vm, &dcfg);
	cfg = vm_ring(&vm);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		cfg.size = bad[i];
		assert_refused(&vm, &cfg, "ring size is not a power of two from 1 to 32768");
	}
	for (unsigned size = 1; size <= VIRTQ_SIZE_MAX; size *= 2) {
		cfg.size = (uint16_t)size;
		assert_taken(&cfg);
	}
	vm_fini(&vm);
}

static void test_init_refuses_addresses(void **state)
{
	check_addresses((struct part[]){{offsetof(struct virtq_config, desc), 16},
		{offsetof(struct virtq_config, avail), 2},
		{offsetof(struct virtq_config, used), 4}});
}

/* Each part up to the last byte of a region is taken, one unit further it is refused. */
static void test_init_refuses_parts_outside(void **state)
{
	static const char outside[] =
		"a part of the ring is not inside one region of the guest's memory";

	for (unsigned size = 1; size <= 64; size *= 2) {
		struct driver_cfg dcfg = {.size = size};
		struct virtq_config good, cfg;
		uint8_t *end, *used_end;
		struct vm vm;

		vm_init(&vm, &dcfg);
		good = vm_ring(&vm);
		end = vm.ram.regions[1].host + VM_PAGE;
		cfg = good;
		cfg.desc = (void *)(end - 16 * size);
		assert_taken(&cfg);
		cfg.desc = (void *)(end - 16 * size + 16);
		assert_refused(&vm, &cfg, outside);
		cfg = good;
		cfg.avail = (void *)(end - 6 - 2 * size);
		assert_taken(&cfg);
		cfg.avail = (void *)(end - 6 - 2 * size + 2);
		assert_refused(&vm, &cfg, outside);
		cfg = good;
		used_end = end - 6 - 8 * size;
		cfg.used = (void *)(used_end - (uintptr_t)used_end % 4);
		assert_taken(&cfg);
		cfg.used = (void *)((uint8_t *)cfg.used + 4);
		assert_refused(&vm, &cfg, outside);
		cfg = good; /* begins before a region */
		cfg.avail = (void *)(vm.ram.regions[1].host - 2);
		assert_refused(&vm, &cfg, outside);
		vm_fini(&vm);
	}
}

static void test_init_refuses_bases(void **state)
{
	struct driver_cfg dcfg = {.size = SIZE};
	struct virtq_config cfg;
	struct vm vm;

	vm_init(&vm, &dcfg);
	cfg = vm_ring(&vm);
	cfg.last_used = 1;
	assert_refused(&vm, &cfg, "the ring's base does not match its used index");
	cfg.last_avail = 1;
	assert_taken(&cfg);
	vm_fini(&vm);
}

/* Lies */

/* Lay out a chain of one or two descriptors as the table of a lie says. @return its head */
static uint16_t plant(struct fixture *fx, const struct vring_desc *d, unsigned n)
{
	struct driver_buf bufs[2] = {vm_buf(DATA, 1), vm_buf(DATA, 1)};
	struct driver *drv = &fx->vm.drv;
	uint16_t id, at;

	assert_int_equal(driver_build(drv, bufs, n, n, 0, &id), 0);
	at = id;
	for (unsigned i = 0; i < n; i++) {
		uint16_t next = drv->desc[at].next;

		drv->desc[at] = d[i];
		if (d[i].next == 1) /* the other one */
			drv->desc[at].next = i == 0 ? next : id;
		at = next;
	}
	driver_offer(drv, id);
	return id;
}

struct lie {
	const char *reason;
	unsigned n_desc;	   /* in the ring's table */
	struct vring_desc desc[2]; /* next: 1 is the other one of the two */
	unsigned n_entries;	   /* of an indirect table at 'table_gpa' */
	uint64_t table_gpa;
	struct vring_desc table[3];
	uint64_t bytes; /* of room before the lie shows */
};

#define OUTSIDE	  "a descriptor that is followed by one outside the table"
#define LOOP	  "a chain that is longer than its table"
#define NESTED	  "an indirect descriptor in an indirect table"
#define WITH_NEXT "an indirect descriptor with a next one"
static const struct lie lies[] = {
	/* descriptors that lead out of the table, or round in it */
	{OUTSIDE, 1, {{DATA, 5, W | NEXT, SIZE}}, NO_ENTRIES, 5},
	{OUTSIDE, 1, {{DATA, 5, NEXT, 0xffff}}, NO_ENTRIES, 0},
	{OUTSIDE, 2, {{DATA, 5, W | NEXT, 1}, {DATA, 6, W | NEXT, 0x8000}}, NO_ENTRIES, 11},
	{LOOP, 2, {{DATA, 5, W | NEXT, 1}, {DATA, 6, W | NEXT, 1}}, NO_ENTRIES, 44},
	{LOOP, 2, {{DATA, 5, NEXT, 1}, {DATA, 6, NEXT, 1}}, NO_ENTRIES, 0},
	{LOOP, 2, {{DATA, 0, W | NEXT, 1}, {DATA, 0, W | NEXT, 1}}, NO_ENTRIES, 0},
	/* the same in an indirect table */
	{OUTSIDE, 1, {{TABLE, 32, IND, 0}}, 2, TABLE, {{DATA, 5, W | NEXT, 2}, {DATA, 5, W, 0}}, 5},
	{OUTSIDE, 1, {{TABLE, 32, IND, 0}}, 1, TABLE, {{DATA, 5, NEXT, 0xffff}}, 0},
	{LOOP, 1, {{TABLE, 16, IND, 0}}, 1, TABLE, {{DATA, 5, W | NEXT, 0}}, 5},
	{LOOP, 1, {{TABLE, 48, IND, 0}}, 3, TABLE,
		{{DATA, 5, NEXT, 1}, {DATA, 5, W | NEXT, 2}, {DATA, 5, W | NEXT, 0}}, 10},
	/* tables that cannot be */
	{NESTED, 1, {{TABLE, 16, IND, 0}}, 1, TABLE, {{TABLE, 16, IND, 0}}, 0},
	{NESTED, 1, {{TABLE, 32, IND, 0}}, 2, TABLE, {{DATA, 5, W | NEXT, 1}, {TABLE, 16, IND, 0}},
		5},
	{WITH_NEXT, 2, {{TABLE, 16, IND | NEXT, 1}, {DATA, 5, W, 0}}, 1, TABLE, {{DATA, 5, W, 0}},
		0},
	{PARTS, 1, {{TABLE, 0, IND, 0}}, NO_ENTRIES, 0},
	{PARTS, 1, {{TABLE, 15, IND, 0}}, 1, TABLE, {{DATA, 5, W, 0}}, 0},
	{PARTS, 1, {{TABLE, 17, IND, 0}}, 1, TABLE, {{DATA, 5, W, 0}}, 0},
	{PARTS, 1, {{TABLE, UINT32_MAX, IND, 0}}, 1, TABLE, {{DATA, 5, W, 0}}, 0},
	{TOO_MANY, 1, {{TABLE, 32769 * 16, IND, 0}}, 1, TABLE, {{DATA, 5, W, 0}}, 0},
	{TOO_MANY, 1, {{TABLE, UINT32_MAX - 15, IND, 0}}, 1, TABLE, {{DATA, 5, W, 0}}, 0},
	{NO_TABLE, 1, {{NOWHERE, 16, IND, 0}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{DATA - 1, 16, IND, 0}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{END - 15, 16, IND, 0}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{UINT64_MAX - 7, 16, IND, 0}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{END - 16, 32, IND, 0}}, 1, END - 16, {{DATA, 5, W | NEXT, 1}}, 5},
	{NO_TABLE, 2, {{DATA, 7, W | NEXT, 1}, {NOWHERE, 16, IND, 0}}, NO_ENTRIES, 7},
	/* buffers that are not there */
	{NO_BUFFER, 1, {{NOWHERE, 1, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{DATA - 1, 2, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{DATA - 1, UINT32_MAX, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{END, 1, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{END - 7, 8, W, 0}}, NO_ENTRIES, 7},
	{NO_BUFFER, 1, {{END - 7, UINT32_MAX, W, 0}}, NO_ENTRIES, 7},
	{NO_BUFFER, 1, {{UINT64_MAX, 1, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{UINT64_MAX, UINT32_MAX, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{UINT64_MAX - 15, 16, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{UINT64_MAX - 15, 17, W, 0}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{TABLE, 32, IND, 0}}, 2, TABLE, {{DATA, 3, W | NEXT, 1}, {END, 1, W, 0}},
		3},
};

static void test_lies(void **state)
{
	static const uint64_t maxima[] = {UINT64_MAX, 1, 7, 31};

	for (unsigned i = 0; i < ARRAY_LEN(lies); i++) {
		for (unsigned m = 0; m < ARRAY_LEN(maxima); m++) {
			const struct lie *l = &lies[i];
			struct fixture fx;

			fixture_init(&fx);
			assert_int_equal(guest_ram_write(&fx.vm.ram, l->table_gpa, l->table,
						 l->n_entries * sizeof(l->table[0])),
				0);
			plant(&fx, l->desc, l->n_desc);
			driver_publish(&fx.vm.drv);
			assert_caught(&fx, maxima[m], l->reason, 2, l->bytes);
			fixture_fini(&fx);
		}
	}
}

static void test_indirect_without_the_feature(void **state)
{
	struct fixture fx;

	fixture_init(&fx);
	fx.vq.cfg.indirect = false;
	assert_int_equal(driver_add(&fx.vm.drv, &(struct driver_buf){DATA, 5, true}, 1, 0, 0), 0);
	driver_publish(&fx.vm.drv);
	assert_caught(
		&fx, UINT64_MAX, "an indirect descriptor without VIRTIO_F_INDIRECT_DESC", 2, 0);
	fixture_fini(&fx);
}

static void test_heads_outside(void **state)
{
	static const uint16_t heads[] = {SIZE, SIZE + 1, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
		struct fixture fx;

		fixture_init(&fx);
		driver_rude_push(&fx.vm.drv, heads[i]);
		driver_publish(&fx.vm.drv);
		assert_caught(&fx, UINT64_MAX, "a chain begins outside the descriptor table", 2, 0);
		fixture_fini(&fx);
	}
}

/* More than the ring has, or less than was seen before. */
static void test_avail_index_jumps(void **state)
{
	for (unsigned beyond = SIZE + 1; beyond < 65536; beyond += beyond < 20 ? 1 : 1021) {
		struct fixture fx;

		fixture_init(&fx);
		driver_rude_jump(&fx.vm.drv, (uint16_t)(beyond - 2));
		assert_caught(
			&fx, UINT64_MAX, "more chains made available than the ring has", 0, 0);
		fixture_fini(&fx);
	}
}

static void test_avail_index_goes_back(void **state)
{
	struct fixture fx;

	fixture_init(&fx);
	driver_publish(&fx.vm.drv);
	assert_int_equal(virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b), VIRTQ_EMPTY);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, 10);
	vm_take(&fx.vm, 20);
	driver_rude_jump(&fx.vm.drv, (uint16_t)-1);
	assert_caught(&fx, UINT64_MAX, "more chains made available than the ring has", 0, 0);
	fixture_fini(&fx);
}

/* Just as many as the ring has is honest, and so is one head twice, as far as a device can tell. */
static void test_full_ring_of_one_head(void **state)
{
	struct fixture fx;

	fixture_init(&fx);
	for (unsigned i = 2; i < SIZE; i++)
		driver_rude_push(&fx.vm.drv, fx.vm.drv.avail->ring[65534 % SIZE]);
	driver_publish(&fx.vm.drv);
	assert_int_equal(virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b), VIRTQ_EMPTY);
	assert_int_equal(fx.b.n_reqs, SIZE);
	fixture_fini(&fx);
}

/* Addresses do not wrap from the top of the guest's memory into what lies at its bottom. */
static void test_lengths_that_wrap(void **state)
{
	static const struct {
		struct vring_desc desc;
		uint64_t bytes;
		const char *reason;
	} cases[] = {
		{{UINT64_MAX - 8, 8, W, 0}, 8, NULL},
		{{UINT64_MAX - 8, 9, W, 0}, 8, NO_BUFFER},
		{{UINT64_MAX - 8, 100, W, 0}, 8, NO_BUFFER},
		{{UINT64_MAX - 8, UINT32_MAX, W, 0}, 8, NO_BUFFER},
		{{UINT64_MAX, 100, W, 0}, 0, NO_BUFFER},
		{{UINT64_MAX - 31, 48, IND, 0}, 1, NO_TABLE},
		{{UINT64_MAX - 7, 16, IND, 0}, 0, NO_TABLE},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		static _Alignas(64) uint8_t low[0x1000], high[0xfff];
		struct guest_region regions[] = {
			{0, sizeof(low), low}, {UINT64_MAX - sizeof(high), sizeof(high), high}};
		struct vring_desc entry = {UINT64_MAX - 100, 1, W | NEXT, 0};
		struct virtq_config cfg = {.size = 1, .indirect = true};
		struct guest_mem mem;
		struct virtq_burst b;
		struct virtq vq;
		const char *why;

		assert_int_equal(guest_mem_init(&mem, regions, 2, &why), 0);
		cfg.mem = &mem;
		cfg.desc = (struct vring_desc *)low;
		cfg.avail = (struct vring_avail *)(low + 64);
		cfg.used = (struct vring_used *)(low + 128);
		memset(low, 0, sizeof(low));
		/* What is there of a table at the top; one entry of it ends just before the top. */
		entry.next = 1;
		memcpy(high + sizeof(high) - 31, &entry, sizeof(entry));
		cfg.desc[0] = cases[i].desc;
		cfg.avail->idx = 1;
		assert_int_equal(virtq_init(&vq, &cfg, &why), 0);
		assert_int_equal(virtq_gather(&vq, UINT64_MAX, VIRTQ_BURST_REQS, &b),
			cases[i].reason == NULL ? VIRTQ_EMPTY : VIRTQ_BROKEN);
		burst_check(&b);
		assert_int_equal(b.bytes, cases[i].bytes);
		if (cases[i].reason != NULL) {
			assert_string_equal(vq.broken, cases[i].reason);
			assert_int_equal(b.n_reqs, 0);
		}
		for (unsigned s = 0; s < b.n_segs; s++)
			assert_true(seg_hva(&b, s) >= high &&
				    seg_hva(&b, s) + seg_len(&b, s) <= high + sizeof(high));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_refuses_sizes),
		cmocka_unit_test(test_init_refuses_addresses),
		cmocka_unit_test(test_init_refuses_parts_outside),
		cmocka_unit_test(test_init_refuses_bases),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_indirect_without_the_feature),
		cmocka_unit_test(test_heads_outside),
		cmocka_unit_test(test_avail_index_jumps),
		cmocka_unit_test(test_avail_index_goes_back),
		cmocka_unit_test(test_full_ring_of_one_head),
		cmocka_unit_test(test_lengths_that_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
