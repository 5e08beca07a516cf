/* SPDX-License-Identifier: BSD-3-Clause */
/* The bounds of a burst, chains that go on over several, and drivers that change them meanwhile. */
#include "virtq.h"

#include "vm.h"

#define FILL  0x5a
#define ENTRY 600 /* of an indirect table, more than a burst looks at */

struct fixture {
	struct vm vm;
	struct virtq vq;
	struct virtq_burst b;
};

static void fixture_init(struct fixture *fx, unsigned size, unsigned table_entries)
{
	struct driver_cfg cfg = {.size = size, .table_entries = table_entries};

	vm_init(&fx->vm, &cfg);
	vm_start(&fx->vm, &fx->vq);
}

static void fixture_fini(struct fixture *fx)
{
	vm_fini(&fx->vm);
}

/* One burst, filled but not completed. */
static enum virtq_result gather(struct fixture *fx, uint64_t max_bytes)
{
	enum virtq_result r;

	driver_publish(&fx->vm.drv);
	r = virtq_gather(&fx->vq, max_bytes, VIRTQ_BURST_REQS, &fx->b);
	burst_check(&fx->b);
	assert_true(fx->b.bytes <= max_bytes);
	burst_fill(&fx->b, FILL);
	return r;
}

static void assert_burst(const struct fixture *fx, uint64_t bytes, unsigned n_segs, unsigned n_reqs)
{
	assert_int_equal(fx->b.bytes, bytes);
	assert_int_equal(fx->b.n_segs, n_segs);
	assert_int_equal(fx->b.n_reqs, n_reqs);
}

/* A chain of 'n' indirect buffers of 'len' bytes each, one after the other. */
static void offer_table(struct fixture *fx, unsigned n, uint32_t len, bool writable)
{
	struct driver_buf bufs[ENTRY];

	for (unsigned i = 0; i < n; i++)
		bufs[i] = (struct driver_buf){VM_DATA_GPA + i * len, len, writable};
	assert_int_equal(driver_add(&fx->vm.drv, bufs, n, 0, 0), 0);
}

static void test_requests_of_a_burst(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 512, 0);
	for (unsigned i = 0; i < 2 * VIRTQ_BURST_REQS + 1; i++)
		vm_offer(&fx.vm, VM_DATA_GPA + i, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(gather(&fx, UINT64_MAX), VIRTQ_OK);
		assert_burst(&fx, VIRTQ_BURST_REQS, VIRTQ_BURST_REQS, VIRTQ_BURST_REQS);
		assert_false(virtq_is_open(&fx.vq));
		assert_true(virtq_has_work(&fx.vq));
		virtq_complete(&fx.vq, &fx.b);
	}
	assert_int_equal(gather(&fx, UINT64_MAX), VIRTQ_EMPTY);
	assert_burst(&fx, 1, 1, 1);
	virtq_complete(&fx.vq, &fx.b);
	for (unsigned i = 0; i < 2 * VIRTQ_BURST_REQS + 1; i++)
		vm_take(&fx.vm, 1);
	fixture_fini(&fx);
}

static void test_segments_of_a_burst(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 4, ENTRY);
	offer_table(&fx, ENTRY, 2, true);
	vm_offer(&fx.vm, VM_DATA_GPA, 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(gather(&fx, UINT64_MAX), VIRTQ_OK);
		assert_burst(&fx, 2 * VIRTQ_BURST_SEGS, VIRTQ_BURST_SEGS, 0);
		assert_true(virtq_is_open(&fx.vq));
		assert_ptr_equal(seg_hva(&fx.b, 0),
			guest_ram_at(&fx.vm.ram, VM_DATA_GPA + i * 2 * VIRTQ_BURST_SEGS, 1));
		virtq_complete(&fx.vq, &fx.b);
		vm_take_none(&fx.vm);
	}
	assert_int_equal(gather(&fx, UINT64_MAX), VIRTQ_EMPTY);
	assert_burst(
		&fx, 2 * (ENTRY - 2 * VIRTQ_BURST_SEGS) + 1, ENTRY - 2 * VIRTQ_BURST_SEGS + 1, 2);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, 2 * ENTRY);
	vm_take(&fx.vm, 1);
	fixture_fini(&fx);
}

/* A request that just fills the segments of a burst is finished in it. */
static void test_segments_to_the_brim(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 4, ENTRY);
	offer_table(&fx, VIRTQ_BURST_SEGS, 1, true);
	vm_offer(&fx.vm, VM_DATA_GPA, 1);
	assert_int_equal(gather(&fx, UINT64_MAX), VIRTQ_OK);
	assert_burst(&fx, VIRTQ_BURST_SEGS, VIRTQ_BURST_SEGS, 1);
	virtq_complete(&fx.vq, &fx.b);
	assert_int_equal(gather(&fx, UINT64_MAX), VIRTQ_EMPTY);
	assert_burst(&fx, 1, 1, 1);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, VIRTQ_BURST_SEGS);
	vm_take(&fx.vm, 1);
	fixture_fini(&fx);
}

/* Descriptors that take no bytes are work, too. */
static void test_descriptors_of_a_burst(void **state)
{
	struct fixture fx;
	unsigned n_bursts = 0;

	fixture_init(&fx, 8, ENTRY);
	for (unsigned i = 0; i < 8; i++)
		offer_table(&fx, ENTRY, 8, false);
	do {
		assert_int_not_equal(gather(&fx, UINT64_MAX), VIRTQ_BROKEN);
		assert_int_equal(fx.b.bytes, 0);
		assert_true(fx.b.n_reqs <= 1);
		virtq_complete(&fx.vq, &fx.b);
		n_bursts++;
	} while (virtq_has_work(&fx.vq));
	/* Of each chain the ring's descriptor counts, too. */
	assert_int_equal(n_bursts, (8 * (ENTRY + 1) + VIRTQ_BURST_DESCS - 1) / VIRTQ_BURST_DESCS);
	for (unsigned i = 0; i < 8; i++)
		vm_take(&fx.vm, 0);
	fixture_fini(&fx);
}

/* Bounds that do not fall on borders of anything, over chains with tables. */
static void test_bytes_of_a_burst(void **state)
{
	for (uint64_t max = 1; max <= 70; max++) {
		struct driver_buf bufs[3] = {vm_buf(VM_DATA_GPA, 10),
			vm_buf(VM_DATA_GPA + VM_PAGE - 5, 10),
			vm_buf(VM_DATA_GPA + VM_PAGE + 5, 3)};
		uint64_t total = 3 * 23, bytes = 0;
		struct fixture fx;

		fixture_init(&fx, 16, 2);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(driver_add(&fx.vm.drv, bufs, 3, vm_mix(3, 1), 0), 0);
		while (bytes < total) {
			uint64_t expected = max < total - bytes ? max : total - bytes;
			enum virtq_result r = gather(&fx, max);

			assert_int_equal(r, bytes + max > total ? VIRTQ_EMPTY : VIRTQ_OK);
			assert_int_equal(fx.b.bytes, expected);
			/* Exactly the chains that are full now are finished. */
			assert_int_equal(fx.b.n_reqs, (bytes + expected) / 23 - bytes / 23);
			bytes += expected;
			assert_int_equal(virtq_is_open(&fx.vq), bytes % 23 != 0);
			virtq_complete(&fx.vq, &fx.b);
			for (unsigned i = 0; i < fx.b.n_reqs; i++)
				vm_take(&fx.vm, 23);
			vm_take_none(&fx.vm);
		}
		assert_false(virtq_has_work(&fx.vq));
		fixture_fini(&fx);
	}
}

static void test_close_short(void **state)
{
	struct driver_buf bufs[3] = {vm_buf(VM_DATA_GPA, 100), vm_buf(VM_DATA_GPA + 100, 100),
		vm_buf(VM_DATA_GPA + 200, 100)};
	struct fixture fx;

	fixture_init(&fx, 4, 4);
	virtq_burst_clear(&fx.b);
	virtq_close_short(&fx.vq, &fx.b); /* nothing is open */
	assert_burst(&fx, 0, 0, 0);

	assert_int_equal(driver_add(&fx.vm.drv, bufs, 3, vm_mix(3, 1), 0), 0);
	vm_offer(&fx.vm, VM_DATA_GPA + 1000, 30);
	assert_int_equal(gather(&fx, 120), VIRTQ_OK);
	assert_burst(&fx, 120, 2, 0);
	virtq_close_short(&fx.vq, &fx.b);
	assert_burst(&fx, 120, 2, 1);
	assert_false(virtq_is_open(&fx.vq));
	virtq_close_short(&fx.vq, &fx.b);
	assert_burst(&fx, 120, 2, 1);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, 120);
	vm_take_none(&fx.vm);

	/* Begun in one burst, closed in a later one. */
	assert_int_equal(gather(&fx, 10), VIRTQ_OK);
	assert_int_equal(gather(&fx, 10), VIRTQ_OK);
	virtq_burst_clear(&fx.b);
	virtq_close_short(&fx.vq, &fx.b);
	assert_burst(&fx, 0, 0, 1);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, 20);
	assert_int_equal(guest_ram_check(&fx.vm.ram, VM_DATA_GPA + 120, 880, VM_POISON, NULL), 0);
	assert_int_equal(guest_ram_check(&fx.vm.ram, VM_DATA_GPA + 1020, 80, VM_POISON, NULL), 0);
	assert_false(virtq_has_work(&fx.vq));
	fixture_fini(&fx);
}

/* As many requests as a burst finishes, and the one that is closed short on top. */
static void test_close_short_in_a_full_burst(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 256, 0);
	for (unsigned i = 0; i < VIRTQ_BURST_REQS; i++)
		vm_offer(&fx.vm, VM_DATA_GPA, 2);
	assert_int_equal(gather(&fx, 2 * VIRTQ_BURST_REQS - 1), VIRTQ_OK);
	assert_int_equal(fx.b.n_reqs, VIRTQ_BURST_REQS - 1);
	virtq_close_short(&fx.vq, &fx.b);
	assert_int_equal(fx.b.n_reqs, VIRTQ_BURST_REQS);
	virtq_complete(&fx.vq, &fx.b);
	for (unsigned i = 0; i < VIRTQ_BURST_REQS - 1; i++)
		vm_take(&fx.vm, 2);
	vm_take(&fx.vm, 1);
	fixture_fini(&fx);
}

/* A chain with room, of which nothing was written, is never closed. It can be given back. */
static void test_rewind(void **state)
{
	struct fixture fx;
	uint16_t before;

	fixture_init(&fx, 4, ENTRY);
	virtq_rewind(&fx.vq); /* nothing is open */
	assert_int_equal(fx.vq.cfg.last_avail, driver_start_base(&fx.vm.drv));
	offer_table(&fx, ENTRY, 1, false); /* looked at, not to its end */
	vm_offer(&fx.vm, VM_DATA_GPA, 5);
	before = fx.vq.cfg.last_avail;
	assert_int_equal(gather(&fx, 100), VIRTQ_OK);
	assert_burst(&fx, 0, 0, 0);
	assert_true(virtq_is_open(&fx.vq));
	virtq_close_short(&fx.vq, &fx.b);
	assert_burst(&fx, 0, 0, 0);
	assert_true(virtq_is_open(&fx.vq));
	virtq_rewind(&fx.vq);
	assert_false(virtq_is_open(&fx.vq));
	assert_true(virtq_has_work(&fx.vq));
	assert_int_equal(fx.vq.cfg.last_avail, before);

	assert_int_equal(gather(&fx, 100), VIRTQ_OK); /* from its start again */
	assert_int_equal(gather(&fx, 100), VIRTQ_EMPTY);
	assert_burst(&fx, 5, 1, 2);
	virtq_complete(&fx.vq, &fx.b);
	vm_take(&fx.vm, 0);
	vm_take(&fx.vm, 5);
	fixture_fini(&fx);
}

/* A used length has 32 bits: a larger chain is finished with all that they can say. */
static void test_more_than_a_length_can_say(void **state)
{
	static const uint64_t maxima[] = {
		UINT64_MAX, UINT32_MAX, UINT32_MAX - 1, 1ull << 32, 1610612736, 1ull << 30};
	const uint64_t gib = 1ull << 30;

	for (unsigned m = 0; m < ARRAY_LEN(maxima); m++) {
		struct driver_buf bufs[6];
		struct fixture fx;
		uint64_t bytes = 0;

		vm_init_memory(&fx.vm, gib); /* its pages are never touched */
		assert_int_equal(
			driver_init(&fx.vm.drv, &fx.vm.ram,
				&(struct driver_cfg){
					.size = 8, .table_entries = 6, .layout = vm_layout}),
			0);
		vm_start(&fx.vm, &fx.vq);
		for (unsigned i = 0; i < 6; i++)
			bufs[i] = vm_buf(0, (uint32_t)gib);
		assert_int_equal(driver_add(&fx.vm.drv, bufs, 6, vm_mix(6, m % 2), 0), 0);
		vm_offer(&fx.vm, VM_DATA_GPA, 1);
		driver_publish(&fx.vm.drv);
		do {
			assert_int_not_equal(
				virtq_gather(&fx.vq, maxima[m], VIRTQ_BURST_REQS, &fx.b),
				VIRTQ_BROKEN);
			burst_check(&fx.b);
			assert_true(fx.b.bytes <= maxima[m]);
			bytes += fx.b.bytes;
			virtq_complete(&fx.vq, &fx.b);
		} while (virtq_has_work(&fx.vq));
		assert_int_equal(bytes, UINT32_MAX + 1ull); /* and one of the second */
		vm_take(&fx.vm, UINT32_MAX);
		vm_take(&fx.vm, 1);
		fixture_fini(&fx);
	}
}

/* Drivers that change what is being worked on */

/* What was copied from a descriptor counts; what was not yet looked at counts as it is then. */
static void test_split_descriptors_change(void **state)
{
	for (unsigned n_direct = 0; n_direct <= 3; n_direct += 3) {
		struct driver_buf bufs[3] = {vm_buf(VM_DATA_GPA, 100),
			vm_buf(VM_DATA_GPA + 100, 100), vm_buf(VM_DATA_GPA + 200, 100)};
		struct vring_desc *desc;
		struct fixture fx;
		uint16_t id;

		fixture_init(&fx, 4, 4);
		assert_int_equal(driver_build(&fx.vm.drv, bufs, 3, n_direct, 0, &id), 0);
		desc = n_direct > 0 ? driver_rude_desc(&fx.vm.drv, 0)
				    : driver_rude_table(&fx.vm.drv, id);
		driver_offer(&fx.vm.drv, id);
		assert_int_equal(gather(&fx, 40), VIRTQ_OK);
		/* The current one is now short, readable, elsewhere, and the last. */
		desc[0] = (struct vring_desc){UINT64_MAX, 1, 0, 0xffff};
		desc[1].addr = VM_DATA_GPA + 1000;
		desc[1].len = 7;
		/* As is the ring's entry, and where the driver says that it is. */
		fx.vm.drv.avail->ring[0] = 0xffff;
		if (n_direct == 0)
			*driver_rude_desc(&fx.vm.drv, id) = (struct vring_desc){0};
		assert_int_equal(virtq_gather(&fx.vq, 65, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		burst_fill(&fx.b, FILL);
		assert_burst(&fx, 65, 2, 0);
		assert_ptr_equal(seg_hva(&fx.b, 0), guest_ram_at(&fx.vm.ram, VM_DATA_GPA + 40, 60));
		assert_int_equal(seg_len(&fx.b, 0), 60);
		assert_ptr_equal(
			seg_hva(&fx.b, 1), guest_ram_at(&fx.vm.ram, VM_DATA_GPA + 1000, 5));
		/* Its successor is that of the copy; and that one is a lie by now. */
		desc[1].next = 0xffff;
		desc[2].addr = UINT64_MAX - 5;
		assert_int_equal(virtq_gather(&fx.vq, 1000, VIRTQ_BURST_REQS, &fx.b), VIRTQ_BROKEN);
		assert_burst(&fx, 2, 1, 0);
		fixture_fini(&fx);
	}
}

/* Entropy that is written over the rings: nonsense, but the guest's own, and inside its memory. */
static void test_buffers_on_top_of_the_rings(void **state)
{
	uint64_t seed = random_seed("buffers_on_top_of_the_rings");

	for (unsigned turn = 0; turn < 500; turn++) {
		struct fixture fx;
		enum virtq_result r;

		fixture_init(&fx, 16, 8);
		for (unsigned i = 0; i < 8; i++)
			vm_offer(&fx.vm, i % 4 * 256, 1000);
		for (unsigned i = 0; i < 100; i++) {
			driver_publish(&fx.vm.drv);
			r = virtq_gather(
				&fx.vq, 1 + random_below(&seed, 2000), VIRTQ_BURST_REQS, &fx.b);
			burst_check(&fx.b);
			for (unsigned s = 0; s < fx.b.n_segs; s++)
				for (unsigned j = 0; j < seg_len(&fx.b, s); j++)
					seg_hva(&fx.b, s)[j] = (uint8_t)(random_next(&seed) % 5);
			if (r == VIRTQ_BROKEN)
				break;
			virtq_complete(&fx.vq, &fx.b);
		}
		fixture_fini(&fx);
	}
}

/* Bytes that are written over the table that they are written by. */
static void test_buffer_on_top_of_its_table(void **state)
{
	struct driver_buf bufs[3] = {
		vm_buf(0, 48), vm_buf(VM_DATA_GPA, 8), vm_buf(VM_DATA_GPA + 8, 8)};
	struct vring_desc *table; /* the address is in the same place in both layouts */
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, 1, 3);
	assert_int_equal(driver_build(&fx.vm.drv, bufs, 3, 0, 0, &id), 0);
	table = driver_rude_table(&fx.vm.drv, id);
	table->addr = fx.vm.drv.tables_gpa;
	driver_offer(&fx.vm.drv, id);
	assert_int_equal(gather(&fx, 48), VIRTQ_OK); /* looks one descriptor ahead */
	assert_burst(&fx, 48, 1, 0);
	/* The third is now writable, without a next, at 0x5a5a5a5a5a5a5a5a. */
	assert_int_equal(gather(&fx, 48), VIRTQ_BROKEN);
	assert_burst(&fx, 8, 1, 0);
	assert_string_equal(fx.vq.broken, "a buffer outside the guest's memory");
	fixture_fini(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_requests_of_a_burst),
		VM_BOTH(test_segments_of_a_burst),
		VM_BOTH(test_segments_to_the_brim),
		VM_BOTH(test_descriptors_of_a_burst),
		VM_BOTH(test_bytes_of_a_burst),
		VM_BOTH(test_close_short),
		VM_BOTH(test_close_short_in_a_full_burst),
		VM_BOTH(test_rewind),
		VM_BOTH(test_more_than_a_length_can_say),
		cmocka_unit_test_setup(test_split_descriptors_change, vm_split),
		VM_BOTH(test_buffers_on_top_of_the_rings),
		VM_BOTH(test_buffer_on_top_of_its_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
