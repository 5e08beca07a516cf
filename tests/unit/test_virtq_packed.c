/* SPDX-License-Identifier: BSD-3-Clause */
/* What only the packed layout has: laps, ids, its ways to ask for notifications. */
#include "virtq_fixture.h"

#define W    VRING_DESC_F_WRITE
#define NEXT VRING_DESC_F_NEXT
#define SIZE 5

/* The descriptor at a place of the ring. */
static struct vring_packed_desc at(const struct fixture *fx, unsigned i)
{
	return fx->vm.drv.ring[i];
}

/* One used descriptor for a chain, where it began; the others are left as they were (§2.8.6). */
static void test_a_chain_is_used_where_it_began(void **state)
{
	struct driver_buf bufs[2] = {vm_buf(VM_DATA_GPA, 3), vm_buf(VM_DATA_GPA + 3, 4)};
	struct driver_cfg cfg = {.size = SIZE, .start_idx = 3};
	struct vring_packed_desc second;
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(driver_add(&fx.vm.drv, bufs, 2, 2, 0), 0);
	driver_publish(&fx.vm.drv);
	second = at(&fx, 4);
	assert_int_equal(virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b), VIRTQ_EMPTY);
	complete(&fx);
	assert_int_equal(at(&fx, 3).len, 7);
	assert_int_equal(at(&fx, 3).flags, W | NEXT | VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
	assert_memory_equal(&fx.vm.drv.ring[4], &second, sizeof(second));
	assert_int_equal(at(&fx, 0).len, 7); /* in the next lap, where used means neither */
	assert_int_equal(at(&fx, 0).flags, W | NEXT);
	assert_int_equal(fx.vq.cfg.last_used, 2);
	vm_take(&fx.vm, 7);
	vm_take(&fx.vm, 7);
	fixture_fini(&fx);
}

/* Of a used descriptor without WRITE the length says nothing (§2.8.4): both must say the same. */
static void test_nothing_written(void **state)
{
	struct driver_buf buf = {VM_DATA_GPA, 8, false};
	struct driver_cfg cfg = {.size = SIZE};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	assert_int_equal(driver_add(&fx.vm.drv, &buf, 1, 1, 0), 0);
	gather_all(&fx);
	complete(&fx);
	assert_int_equal(at(&fx, 0).len, 0);
	assert_int_equal(at(&fx, 0).flags, VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
	vm_take(&fx.vm, 0);
	fixture_fini(&fx);
}

/* Put a row of descriptors with one id each on the ring. */
static void put_row(struct fixture *fx, const uint16_t *ids, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		driver_rude_put(&fx->vm.drv, &(struct vring_packed_desc){VM_DATA_GPA + i, 1, ids[i],
						     i + 1 < n ? W | NEXT : W});
}

/* A chain's name is in its last descriptor (§2.8.6), also when it is closed before that. */
static void test_the_last_id_counts(void **state)
{
	static const uint16_t ids[] = {0xdead, 0xbeef, 0xffff, 7};

	for (uint64_t max = 1; max <= 4; max++) {
		struct driver_cfg cfg = {.size = SIZE, .start_idx = 4};
		struct fixture fx;

		fixture_init(&fx, &cfg);
		put_row(&fx, ids, ARRAY_LEN(ids));
		driver_publish(&fx.vm.drv);
		assert_int_equal(virtq_gather(&fx.vq, max, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		virtq_close_short(&fx.vq, &fx.b);
		assert_int_equal(fx.b.n_reqs, 1);
		complete(&fx);
		assert_int_equal(at(&fx, 4).id, 7);
		assert_int_equal(at(&fx, 4).len, max);
		assert_int_equal(fx.vq.cfg.last_used, 3);
		assert_int_equal(fx.vq.cfg.last_avail, 3);
		assert_false(virtq_has_work(&fx.vq));
		fixture_fini(&fx);
	}
}

/* Ids are the driver's own business: any number, in any order. */
static void test_any_id(void **state)
{
	static const uint16_t ids[] = {0xffff, 0, 0x8000};
	struct driver_cfg cfg = {.size = SIZE};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 3; i++)
		put_row(&fx, &ids[i], 1);
	gather_all(&fx);
	complete(&fx);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(at(&fx, i).id, ids[i]);
	fixture_fini(&fx);
}

/* In a table WRITE alone has a meaning (§2.8.7), and the id is the one in the ring. */
static void test_flags_in_tables_are_ignored(void **state)
{
	struct driver_buf bufs[3] = {
		vm_buf(VM_DATA_GPA, 1), {VM_DATA_GPA + 50, 9, false}, vm_buf(VM_DATA_GPA + 1, 2)};
	struct driver_cfg cfg = {.size = SIZE, .table_entries = 3};
	struct vring_packed_desc *table;
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, &cfg);
	assert_int_equal(driver_build(&fx.vm.drv, bufs, 3, 0, 0, &id), 0);
	table = driver_rude_table(&fx.vm.drv, id);
	for (unsigned i = 0; i < 3; i++) {
		table[i].flags |= (uint16_t)~W;
		table[i].id = 0x5555;
	}
	driver_offer(&fx.vm.drv, id);
	gather_all(&fx);
	assert_int_equal(fx.b.n_segs, 2);
	assert_seg(&fx, 0, VM_DATA_GPA, 1);
	assert_seg(&fx, 1, VM_DATA_GPA + 1, 2);
	complete(&fx);
	vm_take(&fx.vm, 3);
	fixture_fini(&fx);
}

/* A chain that is closed short has more descriptors than a burst looks at: it takes several. */
static void test_close_short_far_from_the_end(void **state)
{
	enum { N = 2 * VIRTQ_BURST_DESCS + 10 };
	static struct driver_buf bufs[N];

	for (unsigned by_gather = 0; by_gather < 2; by_gather++) {
		struct driver_cfg cfg = {.size = N + 1};
		struct fixture fx;

		fixture_init(&fx, &cfg);
		for (unsigned i = 0; i < N; i++)
			bufs[i] = vm_buf(VM_DATA_GPA + i, 1);
		assert_int_equal(driver_add(&fx.vm.drv, bufs, N, N, 0), 0);
		vm_offer(&fx.vm, VM_DATA_GPA, 1);
		driver_publish(&fx.vm.drv);
		assert_int_equal(virtq_gather(&fx.vq, 5, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		virtq_close_short(&fx.vq, &fx.b);
		assert_int_equal(fx.b.n_reqs, 0);
		assert_true(virtq_is_open(&fx.vq));
		complete(&fx);
		if (by_gather) { /* it takes no byte more */
			assert_int_equal(virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b),
				VIRTQ_OK);
			assert_int_equal(fx.b.n_segs + fx.b.n_reqs, 0);
			assert_int_equal(virtq_gather(&fx.vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx.b),
				VIRTQ_EMPTY);
			assert_int_equal(fx.b.bytes, 1);
			assert_int_equal(fx.b.n_reqs, 2);
		} else {
			virtq_burst_clear(&fx.b);
			virtq_close_short(&fx.vq, &fx.b);
			assert_int_equal(fx.b.n_reqs, 0);
			virtq_close_short(&fx.vq, &fx.b);
			assert_int_equal(fx.b.n_reqs, 1);
		}
		complete(&fx);
		vm_take(&fx.vm, 5);
		assert_int_equal(
			guest_ram_check(&fx.vm.ram, VM_DATA_GPA + 5, N, VM_POISON, NULL), 0);
		fixture_fini(&fx);
	}
}

/* What was copied from a descriptor counts; what was not yet looked at counts as it is then. */
static void test_descriptors_change_between_bursts(void **state)
{
	for (unsigned n_direct = 0; n_direct <= 3; n_direct += 3) {
		struct driver_buf bufs[3] = {vm_buf(VM_DATA_GPA, 100),
			vm_buf(VM_DATA_GPA + 100, 100), vm_buf(VM_DATA_GPA + 200, 100)};
		struct driver_cfg cfg = {.size = SIZE, .table_entries = 3};
		struct vring_packed_desc *desc;
		struct fixture fx;
		uint16_t id;

		fixture_init(&fx, &cfg);
		assert_int_equal(driver_build(&fx.vm.drv, bufs, 3, n_direct, 0, &id), 0);
		desc = n_direct > 0 ? fx.vm.drv.ring : driver_rude_table(&fx.vm.drv, id);
		driver_offer(&fx.vm.drv, id);
		driver_publish(&fx.vm.drv);
		assert_int_equal(virtq_gather(&fx.vq, 40, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		/* The current one is now short, readable, elsewhere, and the last. */
		desc[0] = (struct vring_packed_desc){UINT64_MAX, 1, 9, 0};
		desc[1].addr = VM_DATA_GPA + 1000;
		desc[1].len = 7;
		if (n_direct == 0)
			fx.vm.drv.ring[0] = (struct vring_packed_desc){0};
		assert_int_equal(virtq_gather(&fx.vq, 65, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		assert_int_equal(fx.b.n_segs, 2);
		assert_seg(&fx, 0, VM_DATA_GPA + 40, 60);
		assert_seg(&fx, 1, VM_DATA_GPA + 1000, 5);
		/* That there is another one is known; and that one is a lie by now. */
		desc[1].flags = 0;
		desc[2].addr = UINT64_MAX - 5;
		assert_int_equal(virtq_gather(&fx.vq, 1000, VIRTQ_BURST_REQS, &fx.b), VIRTQ_BROKEN);
		assert_int_equal(fx.b.n_segs, 1);
		assert_int_equal(fx.b.bytes, 2);
		fixture_fini(&fx);
	}
}

/* The first used descriptor of a burst, which the driver waits for, is written last. */
static void test_burst_shows_at_once(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 4; i++)
		vm_offer(&fx.vm, VM_DATA_GPA + i, 1);
	gather_all(&fx);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(at(&fx, i).flags, W | VIRTQ_DESC_F_AVAIL);
	complete(&fx);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(at(&fx, i).flags, W | VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
		vm_take(&fx.vm, 1);
	}
	fixture_fini(&fx);
}

/* Stop with a chain open, and go on from what cfg.last_avail says, in each lap. */
static void test_stop_and_resume(void **state)
{
	struct driver_buf bufs[2] = {vm_buf(VM_DATA_GPA, 3), vm_buf(VM_DATA_GPA + 3, 4)};
	struct driver_cfg cfg = {.size = SIZE};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned turn = 0; turn < 40; turn++) {
		struct virtq_config again = fx.vq.cfg;
		const char *why;

		assert_int_equal(driver_add(&fx.vm.drv, bufs, 2, 2, turn), 0);
		vm_offer(&fx.vm, VM_DATA_GPA, 2);
		driver_publish(&fx.vm.drv);
		assert_int_equal(
			virtq_gather(&fx.vq, 1 + turn % 7, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		if (turn % 3 != 0)
			complete(&fx);
		virtq_rewind(&fx.vq);
		assert_int_equal(fx.vq.cfg.last_avail, fx.vq.cfg.last_used);
		assert_int_equal(fx.vq.cfg.last_used, driver_resume_base(&fx.vm.drv));
		again.last_avail = again.last_used = fx.vq.cfg.last_used;
		assert_int_equal(virtq_init(&fx.vq, &again, &why), 0);
		assert_true(virtq_has_work(&fx.vq));
		gather_all(&fx);
		complete(&fx);
		vm_take(&fx.vm, 7);
		vm_take(&fx.vm, 2);
		vm_take_none(&fx.vm);
	}
	fixture_fini(&fx);
}

/* Notifications */

static void test_calls_by_flag(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 24; i++) {
		static const uint16_t flags[] = {VRING_PACKED_EVENT_FLAG_ENABLE,
			VRING_PACKED_EVENT_FLAG_DISABLE, VRING_PACKED_EVENT_FLAG_DESC, 3};

		/* Without EVENT_IDX there is no such thing as "at that descriptor". */
		driver_rude_packed_events(&fx.vm.drv, (uint16_t)(i * 7), flags[i % 4]);
		serve(&fx, 1);
		assert_int_equal(virtq_wants_call(&fx.vq), i % 4 != 1);
	}
	fixture_fini(&fx);
}

/* With EVENT_IDX the two flags still mean what they say, also the first time. */
static void test_calls_by_flag_with_event_index(void **state)
{
	struct driver_cfg cfg = {.size = 4, .event_idx = true};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 24; i++) {
		driver_rude_packed_events(&fx.vm.drv, fx.vm.drv.used_next,
			i % 2 ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE);
		serve(&fx, 1);
		assert_int_equal(virtq_wants_call(&fx.vq), i % 2);
	}
	fixture_fini(&fx);
}

/* n chains of k descriptors are asked for and served at once. */
static void serve_chains(struct fixture *fx, unsigned n, unsigned k)
{
	struct driver_buf bufs[SIZE];

	for (unsigned i = 0; i < k; i++)
		bufs[i] = vm_buf(VM_DATA_GPA, 1);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(driver_add(&fx->vm.drv, bufs, k, k, 0), 0);
	gather_all(fx);
	complete(fx);
	for (unsigned i = 0; i < n; i++)
		vm_take(&fx->vm, k);
}

/*
 * At a descriptor: a call is wanted when the one that the driver named, in the lap that it named,
 * is among those used since it was last asked about. Decided here by looking at each of them.
 */
static void test_calls_by_descriptor(void **state)
{
	uint64_t seed = random_seed("calls_by_descriptor");

	for (unsigned turn = 0; turn < 2000; turn++) {
		struct driver_cfg cfg = {.size = SIZE,
			.event_idx = true,
			.start_idx = (uint16_t)random_below(&seed, 4 * SIZE)};
		uint16_t used[4 * SIZE]; /* since it was asked */
		unsigned n_used = 0;
		uint16_t event = 0;
		bool first = true;
		struct fixture fx;

		fixture_init(&fx, &cfg);
		for (unsigned i = 0; i < 20; i++) {
			struct driver *drv = &fx.vm.drv;
			unsigned n = 1 + (unsigned)random_below(&seed, SIZE);
			unsigned k = 1 + (unsigned)random_below(&seed, SIZE / n);
			uint16_t pos = drv->used_next;
			bool wanted = first;

			/* From what is next, or what was used since it was asked, up to a lap on;
			 * or what was wished for before. */
			if (i == 0 || !random_once_in(&seed, 3))
				event = driver_packed_pos(
					drv, pos, (unsigned)random_below(&seed, SIZE));
			if (n_used > 0 && random_once_in(&seed, 3))
				event = used[random_below(&seed, n_used)];
			driver_rude_packed_events(drv, event, VRING_PACKED_EVENT_FLAG_DESC);
			serve_chains(&fx, n, k);
			for (unsigned d = 0; d < n * k; d++) {
				used[n_used++] = pos;
				pos = driver_packed_pos(drv, pos, 1);
			}
			if (n_used <= SIZE - 2 && random_once_in(&seed, 2))
				continue; /* not asked: the next answer covers these too */
			/* Of what was used more than a lap ago the driver has seen the end. */
			for (unsigned u = n_used > SIZE ? n_used - SIZE : 0; u < n_used; u++)
				wanted |= used[u] == event;
			assert_int_equal(virtq_wants_call(&fx.vq), wanted);
			n_used = 0;
			first = false;
		}
		fixture_fini(&fx);
	}
}

/* A descriptor that no ring has is never reached, and does no harm. */
static void test_calls_by_no_descriptor(void **state)
{
	struct driver_cfg cfg = {.size = SIZE, .event_idx = true};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	(void)virtq_wants_call(&fx.vq);
	for (unsigned i = 0; i < 100; i++) {
		uint16_t event = (uint16_t)(2 * SIZE + i * 331 % (32768 - 2 * SIZE));

		driver_rude_packed_events(&fx.vm.drv, event | (i % 2 ? DRIVER_WRAP : 0),
			VRING_PACKED_EVENT_FLAG_DESC);
		serve(&fx, 1);
		assert_false(virtq_wants_call(&fx.vq));
	}
	fixture_fini(&fx);
}

/* A polling device wants no kicks. */
static void test_kicks_are_off(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct driver_cfg cfg = {.size = 7, .event_idx = event_idx};
		struct fixture fx;

		vm_init(&fx.vm, &cfg);
		vm_offer(&fx.vm, VM_DATA_GPA, 1);
		driver_publish(&fx.vm.drv);
		assert_true(driver_kick_needed(&fx.vm.drv));
		fx.vm.drv.device_event->off_wrap = 0x5555;
		vm_start(&fx.vm, &fx.vq);
		assert_int_equal(fx.vm.drv.device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
		serve(&fx, 0);
		vm_take(&fx.vm, 1);
		for (unsigned i = 0; i < 100; i++) {
			vm_offer(&fx.vm, VM_DATA_GPA, 1);
			driver_publish(&fx.vm.drv);
			assert_false(driver_kick_needed(&fx.vm.drv));
			serve(&fx, 0);
			vm_take(&fx.vm, 1);
		}
		fixture_fini(&fx);
	}
}

/* What is watched fires when there is work, and only then, in each lap. */
static void test_watch(void **state)
{
	struct driver_cfg cfg = {.size = 3};
	struct virtq_watch watch;
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 20; i++) {
		virtq_watch(&fx.vq, &watch);
		assert_false(virtq_watch_fired(&watch));
		vm_offer(&fx.vm, VM_DATA_GPA, 2);
		assert_false(virtq_watch_fired(&watch));
		driver_publish(&fx.vm.drv);
		assert_true(virtq_watch_fired(&watch));
		assert_int_equal(virtq_gather(&fx.vq, 1, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		virtq_watch(&fx.vq, &watch); /* a chain is open */
		assert_true(virtq_watch_fired(&watch));
		complete(&fx);
		gather_all(&fx);
		complete(&fx);
		vm_take(&fx.vm, 2);
	}
	fixture_fini(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chain_is_used_where_it_began),
		cmocka_unit_test(test_nothing_written),
		cmocka_unit_test(test_the_last_id_counts),
		cmocka_unit_test(test_any_id),
		cmocka_unit_test(test_flags_in_tables_are_ignored),
		cmocka_unit_test(test_close_short_far_from_the_end),
		cmocka_unit_test(test_descriptors_change_between_bursts),
		cmocka_unit_test(test_burst_shows_at_once),
		cmocka_unit_test(test_stop_and_resume),
		cmocka_unit_test(test_calls_by_flag),
		cmocka_unit_test(test_calls_by_flag_with_event_index),
		cmocka_unit_test(test_calls_by_descriptor),
		cmocka_unit_test(test_calls_by_no_descriptor),
		cmocka_unit_test(test_kicks_are_off),
		cmocka_unit_test(test_watch),
	};

	vm_layout = DRIVER_PACKED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
