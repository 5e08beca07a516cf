/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed rings that are refused, and lies in them: each is named, and harms no earlier request. */
#include "virtq_lies.h"

/* Rings that are refused */

static void test_init_refuses_sizes(void **state)
{
	static const uint16_t bad[] = {0, 32769, 49152, 65535}, good[] = {1, 2, 3, 7, 1000, 32768};
	struct driver_cfg dcfg = {.size = VIRTQ_SIZE_MAX};
	struct virtq_config cfg;
	struct vm vm;

	vm_init(&vm, &dcfg);
	cfg = vm_ring(&vm);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		cfg.size = bad[i];
		assert_refused(&vm, &cfg, "packed ring size is not from 1 to 32768");
	}
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		cfg.size = good[i];
		assert_taken(&cfg);
	}
	vm_fini(&vm);
}

static void test_init_refuses_addresses(void **state)
{
	check_addresses((struct part[]){{offsetof(struct virtq_config, ring), 16},
		{offsetof(struct virtq_config, driver_event), 4},
		{offsetof(struct virtq_config, device_event), 4}});
}

/* Each part up to the last byte of a region is taken, one unit further it is refused. */
static void test_init_refuses_parts_outside(void **state)
{
	static const char outside[] =
		"a part of the ring is not inside one region of the guest's memory";
	struct driver_cfg dcfg = {.size = SIZE};
	struct virtq_config good, cfg;
	struct vm vm;
	uint8_t *end;

	vm_init(&vm, &dcfg);
	good = vm_ring(&vm);
	end = vm.ram.regions[1].host + VM_PAGE;
	cfg = good;
	cfg.ring = (void *)(end - 16 * SIZE);
	assert_taken(&cfg);
	cfg.ring = (void *)(end - 16 * SIZE + 16);
	assert_refused(&vm, &cfg, outside);
	cfg = good;
	cfg.driver_event = (void *)(end - 4);
	assert_taken(&cfg);
	cfg.driver_event = (void *)end;
	assert_refused(&vm, &cfg, outside);
	cfg = good;
	cfg.device_event = (void *)(end - 4);
	assert_taken(&cfg);
	cfg.device_event = (void *)(vm.ram.regions[1].host - 4);
	assert_refused(&vm, &cfg, outside);
	vm_fini(&vm);
}

static void test_init_refuses_bases(void **state)
{
	struct driver_cfg dcfg = {.size = SIZE};
	struct virtq_config cfg;
	struct vm vm;

	vm_init(&vm, &dcfg);
	cfg = vm_ring(&vm);
	for (unsigned pos = 0; pos < 65536; pos++) {
		cfg.last_avail = cfg.last_used = (uint16_t)pos;
		if (pos % 32768 < SIZE)
			assert_taken(&cfg);
		else if (pos % 32768 == SIZE || pos % 97 == 0)
			assert_refused(&vm, &cfg, "the packed ring's base is outside the ring");
	}
	cfg.last_avail = VIRTQ_WRAP | 1;
	cfg.last_used = 1; /* another lap */
	assert_refused(&vm, &cfg, "the ring's base does not match its used index");
	vm_fini(&vm);
}

/* Lies */

struct lie {
	const char *reason;
	unsigned n_desc; /* in the ring */
	struct vring_packed_desc desc[2];
	unsigned n_entries; /* of an indirect table at 'table_gpa' */
	uint64_t table_gpa;
	struct vring_packed_desc table[2];
	uint64_t bytes; /* of room before the lie shows */
};

#define LOOP  "a chain that is longer than the ring"
#define MIXED "an indirect descriptor in a chain of others"

static const struct lie lies[] = {
	/* tables that cannot be */
	{MIXED, 1, {{TABLE, 16, 0, IND | NEXT}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{MIXED, 2, {{TABLE, 16, 0, IND | NEXT}, {DATA, 5, 0, W}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{MIXED, 2, {{DATA, 7, 0, W | NEXT}, {TABLE, 16, 0, IND}}, 1, TABLE, {{DATA, 5, 0, W}}, 7},
	{PARTS, 1, {{TABLE, 0, 0, IND}}, NO_ENTRIES, 0},
	{PARTS, 1, {{TABLE, 15, 0, IND}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{PARTS, 1, {{TABLE, 17, 0, IND}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{PARTS, 1, {{TABLE, UINT32_MAX, 0, IND}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{TOO_MANY, 1, {{TABLE, 32769 * 16, 0, IND}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{TOO_MANY, 1, {{TABLE, UINT32_MAX - 15, 0, IND}}, 1, TABLE, {{DATA, 5, 0, W}}, 0},
	{NO_TABLE, 1, {{NOWHERE, 16, 0, IND}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{DATA - 1, 16, 0, IND}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{END - 15, 16, 0, IND}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{UINT64_MAX - 7, 16, 0, IND}}, NO_ENTRIES, 0},
	{NO_TABLE, 1, {{END - 16, 32, 0, IND}}, 1, END - 16, {{DATA, 5, 0, W}}, 5},
	/* buffers that are not there */
	{NO_BUFFER, 1, {{NOWHERE, 1, 0, W}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{DATA - 1, 2, 0, W}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{END, 1, 0, W}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{END - 7, 8, 0, W}}, NO_ENTRIES, 7},
	{NO_BUFFER, 1, {{END - 7, UINT32_MAX, 0, W}}, NO_ENTRIES, 7},
	{NO_BUFFER, 1, {{UINT64_MAX, 1, 0, W}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{UINT64_MAX, UINT32_MAX, 0, W}}, NO_ENTRIES, 0},
	{NO_BUFFER, 1, {{UINT64_MAX - 15, 17, 0, W}}, NO_ENTRIES, 0},
	{NO_BUFFER, 2, {{DATA, 3, 0, W | NEXT}, {END, 1, 0, W}}, NO_ENTRIES, 3},
	{NO_BUFFER, 1, {{TABLE, 32, 0, IND}}, 2, TABLE, {{DATA, 3, 0, W}, {END, 1, 0, W}}, 3},
};

static void plant(struct fixture *fx, const struct vring_packed_desc *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		driver_rude_put(&fx->vm.drv, &d[i]);
}

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

static void test_chain_without_an_end(void **state)
{
	static const struct {
		struct vring_packed_desc desc;
		uint64_t bytes;
	} all[] = {{{DATA, 5, 0, W | NEXT}, 5 * SIZE}, {{DATA, 5, 0, NEXT}, 0},
		{{DATA, 0, 0, W | NEXT}, 0}};
	struct driver_cfg cfg = {.size = SIZE, .start_idx = 3};

	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		for (uint64_t max = 1; max <= 6 * SIZE; max++) {
			struct fixture fx;

			vm_init(&fx.vm, &cfg);
			vm_start(&fx.vm, &fx.vq);
			for (unsigned n = 0; n < SIZE; n++)
				plant(&fx, &all[i].desc, 1);
			driver_publish(&fx.vm.drv);
			assert_caught(&fx, max, LOOP, 0, all[i].bytes);
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

/* A chain that is to be closed short has a lie further on: nothing of it is shown. */
static void test_lie_behind_a_short_close(void **state)
{
	static const struct vring_packed_desc chain[] = {
		{DATA, 5, 0, W | NEXT}, {TABLE, 16, 0, IND}};
	struct fixture fx;

	fixture_init(&fx);
	plant(&fx, chain, 2);
	driver_publish(&fx.vm.drv);
	assert_int_equal(virtq_gather(&fx.vq, 33, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
	virtq_close_short(&fx.vq, &fx.b);
	assert_int_equal(fx.b.n_reqs, 2);
	assert_string_equal(fx.vq.broken, MIXED);
	fill(&fx);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, 10);
	vm_take(&fx.vm, 20);
	vm_take_none(&fx.vm);
	assert_left_alone(&fx);
	fixture_fini(&fx);
}

/* A descriptor that is neither available nor used, or of another lap, is not there (§2.8.1). */
static void test_flags_of_other_laps(void **state)
{
	static const uint16_t other[] = {
		0, VIRTQ_DESC_F_USED, VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED};
	struct driver_cfg cfg = {.size = SIZE};
	struct vm vm;

	vm_init(&vm, &cfg);
	for (unsigned i = 0; i < ARRAY_LEN(other); i++) {
		struct virtq_burst b;
		struct virtq vq;

		vm_start(&vm, &vq);
		vm.drv.ring[0] = (struct vring_packed_desc){DATA, 5, 0, W | other[i]};
		assert_false(virtq_has_work(&vq));
		assert_int_equal(virtq_gather(&vq, UINT64_MAX, VIRTQ_BURST_REQS, &b), VIRTQ_EMPTY);
		assert_int_equal(b.n_reqs, 0);
	}
	vm_fini(&vm);
}

/* All of the ring made available again while it is worked on: bounded, and inside the ring. */
static void test_ring_without_an_end(void **state)
{
	struct driver_cfg cfg = {.size = 2};
	struct virtq_burst b;
	struct virtq vq;
	struct vm vm;

	vm_init(&vm, &cfg);
	vm_start(&vm, &vq);
	for (unsigned turn = 0; turn < 100; turn++) {
		for (unsigned i = 0; i < 2; i++)
			driver_rude_put(&vm.drv, &(struct vring_packed_desc){DATA, 1, 0, W});
		driver_publish(&vm.drv);
		assert_int_equal(virtq_gather(&vq, UINT64_MAX, VIRTQ_BURST_REQS, &b), VIRTQ_EMPTY);
		assert_int_equal(b.n_reqs, 2);
		/* It is not completed: the driver cannot know that it may go on. */
	}
	assert_in_range(vq.cfg.last_avail & ~VIRTQ_WRAP, 0, 1);
	vm_fini(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_refuses_sizes),
		cmocka_unit_test(test_init_refuses_addresses),
		cmocka_unit_test(test_init_refuses_parts_outside),
		cmocka_unit_test(test_init_refuses_bases),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_chain_without_an_end),
		cmocka_unit_test(test_indirect_without_the_feature),
		cmocka_unit_test(test_lie_behind_a_short_close),
		cmocka_unit_test(test_flags_of_other_laps),
		cmocka_unit_test(test_ring_without_an_end),
	};

	vm_layout = DRIVER_PACKED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
