/* SPDX-License-Identifier: BSD-3-Clause */
/* What an honest driver does: every shape of a chain, every size of a ring. */
#include "virtq_fixture.h"

/* The data regions hold FILL in [gpa, gpa + len) and poison elsewhere. */
static void assert_filled(const struct fixture *fx, uint64_t gpa, uint64_t len)
{
	const struct guest_ram *ram = &fx->vm.ram;
	uint64_t end = VM_DATA_GPA + VM_DATA_LEN;

	assert_int_equal(guest_ram_check(ram, gpa, len, FILL, NULL), 0);
	assert_int_equal(guest_ram_check(ram, VM_DATA_GPA, gpa - VM_DATA_GPA, VM_POISON, NULL), 0);
	assert_int_equal(guest_ram_check(ram, gpa + len, end - gpa - len, VM_POISON, NULL), 0);
}

static void test_one_request(void **state)
{
	struct driver_cfg cfg = {.size = 1};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	assert_false(virtq_has_work(&fx.vq));
	gather_all(&fx);
	assert_int_equal(fx.b.n_segs + fx.b.n_reqs, 0);
	vm_offer(&fx.vm, VM_DATA_GPA + 100, 50);
	assert_false(virtq_has_work(&fx.vq)); /* not published yet */
	gather_all(&fx);
	assert_int_equal(fx.b.n_segs, 1);
	assert_int_equal(fx.b.n_reqs, 1);
	assert_seg(&fx, 0, VM_DATA_GPA + 100, 50);
	assert_false(virtq_is_open(&fx.vq));
	assert_false(virtq_has_work(&fx.vq));
	vm_take_none(&fx.vm); /* nothing is shown before it is complete */
	complete(&fx);
	vm_take(&fx.vm, 50);
	vm_take_none(&fx.vm);
	assert_filled(&fx, VM_DATA_GPA + 100, 50);
	fixture_fini(&fx);
}

/* Packed rings have any size. */
static unsigned next_size(unsigned size)
{
	if (vm_layout == DRIVER_SPLIT || size >= VIRTQ_SIZE_MAX)
		return size * 2;
	size += size / 2 + 1;
	return size < VIRTQ_SIZE_MAX ? size : VIRTQ_SIZE_MAX;
}

/* Every size, full each time, over more than a turn of the 16-bit indices. */
static void test_every_size(void **state)
{
	for (unsigned size = 1; size <= VIRTQ_SIZE_MAX; size = next_size(size)) {
		struct driver_cfg cfg = {.size = size, .start_idx = (uint16_t)(-size / 2 - 3)};
		unsigned rounds = 66000 / size + 2;
		struct fixture fx;

		fixture_init(&fx, &cfg);
		for (unsigned r = 0; r < rounds; r++) {
			enum virtq_result result;
			unsigned n = 0;

			for (unsigned i = 0; i < size; i++)
				vm_offer(&fx.vm, VM_DATA_GPA + i % 1000, 1 + i % 7);
			driver_publish(&fx.vm.drv);
			do {
				assert_true(virtq_has_work(&fx.vq));
				result = virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b);
				assert_int_not_equal(result, VIRTQ_BROKEN);
				complete(&fx);
				for (unsigned i = 0; i < fx.b.n_reqs; i++, n++)
					vm_take(&fx.vm, 1 + n % 7);
				vm_take_none(&fx.vm);
			} while (n < size);
			assert_false(virtq_has_work(&fx.vq));
		}
		assert_int_equal(fx.vq.cfg.last_used, fx.vm.drv.used_next);
		if (vm_layout == DRIVER_SPLIT)
			assert_int_equal(
				fx.vq.cfg.last_used, (uint16_t)(cfg.start_idx + rounds * size));
		assert_int_equal(fx.vq.cfg.last_avail, fx.vq.cfg.last_used);
		fixture_fini(&fx);
	}
}

/* Direct descriptors, indirect ones, and direct ones that lead to a table. */
static void test_chain_shapes(void **state)
{
	struct driver_buf bufs[16];

	for (unsigned i = 0; i < ARRAY_LEN(bufs); i++)
		bufs[i] = vm_buf(VM_DATA_GPA + i * 64, 1 + i);
	for (unsigned n_bufs = 1; n_bufs <= ARRAY_LEN(bufs); n_bufs++) {
		for (unsigned n_direct = 0; n_direct <= n_bufs; n_direct++) {
			struct driver_cfg cfg = {
				.size = 16, .table_entries = 16, .start_idx = 65534};
			uint32_t room = n_bufs * (n_bufs + 1) / 2;
			struct fixture fx;

			if (!vm_can_mix(n_bufs, n_direct))
				continue;
			fixture_init(&fx, &cfg);
			for (unsigned turn = 0; turn < 40; turn++) {
				assert_int_equal(
					driver_add(&fx.vm.drv, bufs, n_bufs, n_direct, 0), 0);
				gather_all(&fx);
				assert_int_equal(fx.b.n_segs, n_bufs);
				assert_int_equal(fx.b.bytes, room);
				for (unsigned i = 0; i < n_bufs; i++)
					assert_seg(&fx, i, VM_DATA_GPA + i * 64, 1 + i);
				complete(&fx);
				vm_take(&fx.vm, room);
			}
			fixture_fini(&fx);
		}
	}
}

static void test_chain_as_long_as_the_ring(void **state)
{
	struct driver_cfg cfg = {.size = VIRTQ_SIZE_MAX};
	static struct driver_buf bufs[VIRTQ_SIZE_MAX];
	struct fixture fx;
	uint32_t room = 0;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < cfg.size; i++) {
		bufs[i] = vm_buf(VM_DATA_GPA + i % 5000, i % 3);
		room += i % 3;
	}
	assert_int_equal(driver_add(&fx.vm.drv, bufs, cfg.size, cfg.size, 0), 0);
	driver_publish(&fx.vm.drv);
	do {
		assert_int_not_equal(
			virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b), VIRTQ_BROKEN);
		burst_check(&fx.b);
		complete(&fx);
	} while (virtq_has_work(&fx.vq));
	vm_take(&fx.vm, room);
	fixture_fini(&fx);
}

static void test_answers_keep_the_order(void **state)
{
	struct driver_cfg cfg = {.size = 8};
	struct driver_used used;
	struct fixture fx;
	uint16_t ids[8];

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 8; i++) {
		struct driver_buf buf = vm_buf(VM_DATA_GPA + i, 1);

		assert_int_equal(driver_build(&fx.vm.drv, &buf, 1, 1, i, &ids[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		driver_offer(&fx.vm.drv, ids[i * 5 % 8]);
	gather_all(&fx);
	complete(&fx);
	for (unsigned i = 0; i < 8; i++) {
		assert_seg(&fx, i, VM_DATA_GPA + i * 5 % 8, 1);
		assert_int_equal(driver_take(&fx.vm.drv, &used), DRIVER_OK);
		assert_int_equal(used.cookie, i * 5 % 8);
	}
	fixture_fini(&fx);
}

static void test_buffers_cross_regions(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;
	uint64_t gpa = VM_DATA_GPA;

	fixture_init(&fx, &cfg);
	vm_offer(&fx.vm, gpa + VM_PAGE - 1, 2);
	vm_offer(&fx.vm, gpa + 2 * VM_PAGE - 16, 16); /* up to the border */
	vm_offer(&fx.vm, gpa + 2 * VM_PAGE, 16);      /* from the border on */
	vm_offer(&fx.vm, gpa, (uint32_t)VM_DATA_LEN); /* all there is */
	gather_all(&fx);
	assert_int_equal(fx.b.n_segs, 2 + 1 + 1 + VM_NR_DATA);
	assert_seg(&fx, 0, gpa + VM_PAGE - 1, 1);
	assert_seg(&fx, 1, gpa + VM_PAGE, 1);
	assert_seg(&fx, 2, gpa + 2 * VM_PAGE - 16, 16);
	assert_seg(&fx, 3, gpa + 2 * VM_PAGE, 16);
	for (unsigned i = 0; i < VM_NR_DATA; i++)
		assert_seg(&fx, 4 + i, gpa + i * VM_PAGE, VM_PAGE);
	complete(&fx);
	vm_take(&fx.vm, 2);
	vm_take(&fx.vm, 16);
	vm_take(&fx.vm, 16);
	vm_take(&fx.vm, VM_DATA_LEN);
	assert_filled(&fx, gpa, VM_DATA_LEN);
	fixture_fini(&fx);
}

/* Put the chain's table, of n descriptors, at any guest-physical address. */
static void move_table(struct fixture *fx, uint16_t id, unsigned n, uint64_t gpa)
{
	struct driver *drv = &fx->vm.drv;
	struct vring_desc *table = driver_rude_table(drv, id);

	assert_int_equal(guest_ram_write(&fx->vm.ram, gpa, table, n * sizeof(*table)), 0);
	memset(table, 0xff, n * sizeof(*table)); /* nobody may look here any more */
	driver_rude_desc(drv, id)->addr = gpa;
}

/* A table may lie at any address, and its descriptors on both sides of a border, or on three. */
static void test_tables_cross_regions(void **state)
{
	static const unsigned lens[] = {1, 2, 5, 100, 300, 500};
	const uint64_t border = VM_DATA_GPA + VM_PAGE;

	for (unsigned l = 0; l < ARRAY_LEN(lens); l++) {
		for (unsigned back = 0; back < 50; back++) {
			struct driver_cfg cfg = {.size = 1, .table_entries = 500};
			unsigned n = lens[l], n_segs = 0;
			struct driver_buf bufs[500];
			struct fixture fx;
			uint16_t id;

			fixture_init(&fx, &cfg);
			for (unsigned i = 0; i < n; i++)
				bufs[i] = vm_buf(VM_DATA_GPA + 3 * VM_PAGE + i, 1);
			assert_int_equal(driver_build(&fx.vm.drv, bufs, n, 0, 0, &id), 0);
			move_table(&fx, id, n, border - back);
			driver_offer(&fx.vm.drv, id);
			driver_publish(&fx.vm.drv);
			do {
				assert_int_not_equal(
					virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b),
					VIRTQ_BROKEN);
				for (unsigned i = 0; i < fx.b.n_segs; i++)
					assert_seg(&fx, i, bufs[n_segs + i].gpa, 1);
				n_segs += fx.b.n_segs;
				complete(&fx);
			} while (virtq_is_open(&fx.vq));
			assert_int_equal(n_segs, n);
			vm_take(&fx.vm, n);
			fixture_fini(&fx);
		}
	}
}

/* Harmless: a WRITE flag on the descriptor that names a table (§2.7.5.3.2 has it ignored). */
static void test_table_flags_are_ignored(void **state)
{
	struct driver_cfg cfg = {.size = 1, .table_entries = 2};
	struct driver_buf buf = vm_buf(VM_DATA_GPA, 9);
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, &cfg);
	assert_int_equal(driver_build(&fx.vm.drv, &buf, 1, 0, 0, &id), 0);
	driver_rude_desc(&fx.vm.drv, id)->flags |= VRING_DESC_F_WRITE;
	driver_rude_desc(&fx.vm.drv, id)->next = 0xffff; /* without NEXT it means nothing */
	driver_offer(&fx.vm.drv, id);
	gather_all(&fx);
	assert_int_equal(fx.b.n_segs, 1);
	assert_seg(&fx, 0, VM_DATA_GPA, 9);
	complete(&fx);
	vm_take(&fx.vm, 9);
	fixture_fini(&fx);
}

/* Readable and empty descriptors take nothing, wherever their addresses point. */
static void test_nothing_to_write(void **state)
{
	static const struct driver_buf bufs[] = {{0xdead00000000, 100, false},
		{UINT64_MAX, 0xffffffff, false}, {0xdead00000000, 0, true}, {VM_DATA_GPA, 7, true},
		{UINT64_MAX, 0, true}, {VM_DATA_GPA, 0xffff, false}, {VM_DATA_GPA + 7, 8, true},
		{0, 0, true}};

	for (unsigned n_direct = 0; n_direct <= ARRAY_LEN(bufs); n_direct++) {
		struct driver_cfg cfg = {.size = 16, .table_entries = 8};
		struct fixture fx;

		if (!vm_can_mix(ARRAY_LEN(bufs), n_direct))
			continue;
		fixture_init(&fx, &cfg);
		assert_int_equal(driver_add(&fx.vm.drv, bufs, ARRAY_LEN(bufs), n_direct, 0), 0);
		/* No room at all: 0 is then the truth. */
		assert_int_equal(driver_add(&fx.vm.drv, bufs, 3, 3, 0), 0);
		vm_offer(&fx.vm, VM_DATA_GPA + 15, 1);
		gather_all(&fx);
		assert_int_equal(fx.b.n_segs, 3);
		assert_seg(&fx, 0, VM_DATA_GPA, 7);
		assert_seg(&fx, 1, VM_DATA_GPA + 7, 8);
		assert_seg(&fx, 2, VM_DATA_GPA + 15, 1);
		complete(&fx);
		vm_take(&fx.vm, 15);
		vm_take(&fx.vm, 0);
		vm_take(&fx.vm, 1);
		assert_filled(&fx, VM_DATA_GPA, 16);
		fixture_fini(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_one_request),
		VM_BOTH(test_every_size),
		VM_BOTH(test_chain_shapes),
		VM_BOTH(test_chain_as_long_as_the_ring),
		VM_BOTH(test_answers_keep_the_order),
		VM_BOTH(test_buffers_cross_regions),
		VM_BOTH(test_tables_cross_regions),
		VM_BOTH(test_table_flags_are_ignored),
		VM_BOTH(test_nothing_to_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
