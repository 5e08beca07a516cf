/* SPDX-License-Identifier: BSD-3-Clause */
/* A log of what the device writes: each byte of it, and none that it does not write. */
#include "virtq_fixture.h"

#define FRONT_MAX (64 * VM_PAGE)

/* Which bytes of the guest's memory were marked. */
struct marks {
	uint8_t front[FRONT_MAX], data[VM_DATA_LEN];
	unsigned n;
};

struct logged {
	struct fixture fx;
	struct marks marks;
	struct dirty_log log;
	uint64_t seed;
};

static void mark(void *arg, uint64_t gpa, uint64_t len_bytes)
{
	struct marks *m = arg;

	m->n++;
	assert_int_not_equal(len_bytes, 0);
	if (gpa >= VM_DATA_GPA) {
		assert_true(gpa + len_bytes <= VM_DATA_GPA + VM_DATA_LEN);
		memset(m->data + (gpa - VM_DATA_GPA), 1, len_bytes);
	} else {
		assert_true(gpa + len_bytes <= FRONT_MAX);
		memset(m->front + gpa, 1, len_bytes);
	}
}

static void logged_init(struct logged *l, const struct driver_cfg *cfg)
{
	struct virtq_config ring;
	const char *why;

	memset(&l->marks, 0, sizeof(l->marks));
	l->log = (struct dirty_log){mark, &l->marks};
	vm_init(&l->fx.vm, cfg);
	assert_true(l->fx.vm.ram.regions[0].size_bytes <= FRONT_MAX);
	ring = vm_ring(&l->fx.vm);
	ring.log = &l->log;
	assert_int_equal(virtq_init(&l->fx.vq, &ring, &why), 0);
}

/* Since 'before' was copied only the device has written. */
static void assert_all_is_marked(const struct logged *l, const uint8_t *before)
{
	const struct guest_ram *ram = &l->fx.vm.ram;

	for (unsigned r = 0; r < ram->nr_regions; r++) {
		uint64_t size = ram->regions[r].size_bytes;
		const uint8_t *marks =
			r == 0 ? l->marks.front : l->marks.data + (r - 1) * (uint64_t)VM_PAGE;

		for (uint64_t i = 0; i < size; i++)
			if (ram->regions[r].host[i] != before[i] && !marks[i])
				fail_msg("byte %#llx of region %u was written and not marked",
					(unsigned long long)i, r);
		before += size;
	}
}

/* What is marked of the front region lies in the device's part of the ring. */
static void assert_no_more_is_marked(const struct logged *l, uint64_t room)
{
	const struct driver *drv = &l->fx.vm.drv;
	uint64_t n = 0;

	for (uint64_t i = 0; i < FRONT_MAX; i++) {
		bool in_device_area = i >= drv->device_gpa && i < drv->tables_gpa;
		bool in_ring = drv->packed && i >= drv->desc_gpa &&
			       i < drv->desc_gpa + 16ull * drv->cfg.size;

		if (l->marks.front[i])
			assert_true(in_device_area || in_ring);
	}
	for (uint64_t i = 0; i < VM_DATA_LEN; i++)
		n += l->marks.data[i];
	assert_int_equal(n, room);
}

static void test_start_is_logged(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct driver_cfg cfg = {.size = 8, .event_idx = event_idx, .start_idx = 77};
		static struct logged l;
		struct virtq_config ring;
		const char *why;
		uint8_t *before;

		logged_init(&l, &cfg);
		/* something else than the device writes */
		memset(l.fx.vm.drv.used, 0xff, vm_layout == DRIVER_PACKED ? 4 : 6 + 8 * cfg.size);
		memset(&l.marks, 0, sizeof(l.marks));
		before = vm_copy(&l.fx.vm);
		ring = l.fx.vq.cfg;
		assert_int_equal(virtq_init(&l.fx.vq, &ring, &why), 0);
		assert_all_is_marked(&l, before);
		assert_no_more_is_marked(&l, 0);
		free(before);
		fixture_fini(&l.fx);
	}
}

/* Chains of all shapes, bounds, short ends, more than one lap of small rings. */
static void test_bursts_are_logged(void **state)
{
	static struct logged l;

	l.seed = random_seed("bursts_are_logged");
	for (unsigned turn = 0; turn < 60; turn++) {
		struct driver_cfg cfg = {.size = 1u << random_below(&l.seed, 6),
			.table_entries = 4,
			.event_idx = turn % 2,
			.start_idx = (uint16_t)random_next(&l.seed)};

		logged_init(&l, &cfg);
		for (unsigned i = 0; i < 20; i++) {
			struct virtq_burst *b = &l.fx.b;
			struct driver_buf bufs[4];
			struct driver_used used;
			uint64_t room = 0;
			uint8_t *before;

			for (unsigned n = 0; n < 4; n++) /* of each one in a region of its own */
				bufs[n] = vm_buf(VM_DATA_GPA + n * VM_PAGE + 100,
					(uint32_t)random_below(&l.seed, 200));
			for (unsigned n = 0; n < 3; n++)
				(void)driver_add(&l.fx.vm.drv, &bufs[n], 4 - n,
					random_below(&l.seed, 2) ? 4 - n : 0, 0);
			driver_publish(&l.fx.vm.drv);
			memset(&l.marks, 0, sizeof(l.marks));
			before = vm_copy(&l.fx.vm);
			assert_int_not_equal(virtq_gather(&l.fx.vq, 1 + random_below(&l.seed, 700),
						     VIRTQ_BURST_REQS, b),
				VIRTQ_BROKEN);
			burst_fill(b, (uint8_t)(1 + i));
			virtq_written(&l.fx.vq, b);
			if (random_below(&l.seed, 2))
				virtq_close_short(&l.fx.vq, b);
			virtq_complete(&l.fx.vq, b);
			assert_all_is_marked(&l, before);
			/* The same buffers are in several chains. */
			for (uint64_t at = 0; at < VM_DATA_LEN; at++)
				room += l.marks.data[at];
			assert_true(room <= b->bytes);
			assert_no_more_is_marked(&l, room);
			free(before);
			while (driver_take(&l.fx.vm.drv, &used) == DRIVER_OK)
				continue;
		}
		fixture_fini(&l.fx);
	}
}

/* Of a large ring only what was written: a used entry marks no other page. */
static void test_marks_are_few(void **state)
{
	struct driver_cfg cfg = {.size = 512};
	static struct logged l;

	logged_init(&l, &cfg);
	for (unsigned i = 0; i < 1200; i++) {
		struct driver *drv = &l.fx.vm.drv;
		uint64_t n = 0;

		memset(&l.marks, 0, sizeof(l.marks));
		vm_offer(&l.fx.vm, VM_DATA_GPA, 3);
		gather_all(&l.fx);
		complete(&l.fx);
		vm_take(&l.fx.vm, 3);
		for (uint64_t at = 0; at < FRONT_MAX; at++)
			n += l.marks.front[at];
		assert_int_equal(n, drv->packed ? 16 : 8 + 4);
		virtq_written(&l.fx.vq, &l.fx.b);
		assert_int_equal(l.marks.data[0] + l.marks.data[2], 2);
	}
	fixture_fini(&l.fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_start_is_logged),
		VM_BOTH(test_bursts_are_logged),
		VM_BOTH(test_marks_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
