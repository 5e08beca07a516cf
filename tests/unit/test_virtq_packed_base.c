/* SPDX-License-Identifier: BSD-3-Clause */
/* A packed ring's base, when the front-end gives one that the device has left behind. */
#include "virtq_fixture.h"

#define SIZE_MAX_HERE 7

/* Start anew at 'base', and see to what that is changed. */
static uint16_t found(struct fixture *fx, uint16_t base)
{
	struct virtq_config cfg = vm_ring(&fx->vm);
	struct virtq vq;
	const char *why;
	bool changed;

	cfg.last_avail = cfg.last_used = base;
	assert_int_equal(virtq_init(&vq, &cfg, &why), 0);
	changed = virtq_packed_find_base(&vq);
	assert_int_equal(vq.cfg.last_avail, vq.cfg.last_used);
	assert_int_equal(changed, vq.cfg.last_avail != base);
	return vq.cfg.last_avail;
}

static uint16_t pos_after(uint16_t pos, unsigned size)
{
	if ((pos & ~VIRTQ_WRAP) + 1u < size)
		return (uint16_t)(pos + 1);
	return ~pos & VIRTQ_WRAP;
}

/* Whatever base is given, that which is right is found. */
static void try_all_bases(struct fixture *fx, unsigned size, unsigned waiting)
{
	uint16_t right = fx->vq.cfg.last_used;

	for (unsigned i = 0; i < 2 * size; i++) {
		uint16_t base = (uint16_t)(i % size | (i < size ? VIRTQ_WRAP : 0));

		/* All wait: the first could be what is left of a chain, then this may be right. */
		if (waiting < size || base != pos_after(right, size))
			assert_int_equal(found(fx, base), right);
	}
}

static void vm_take_any(struct fixture *fx)
{
	struct driver_used used;

	assert_int_equal(driver_take(&fx->vm.drv, &used), DRIVER_OK);
}

/* Publish what there is, and complete all but 'keep'. */
static void complete_but(struct fixture *fx, unsigned keep, unsigned waiting)
{
	struct virtq_burst *b = &fx->b;

	driver_publish(&fx->vm.drv);
	if (waiting == keep)
		return;
	virtq_gather(&fx->vq, UINT64_MAX, waiting - keep, b);
	assert_int_equal(b->n_reqs, waiting - keep);
	complete(fx);
	for (unsigned i = keep; i < waiting; i++)
		vm_take_any(fx);
}

/* At all places of rings of all sizes, with all numbers of requests that wait. */
static void test_a_base_that_was_left_behind_is_mended(void **state)
{
	uint64_t seed = 1;

	for (unsigned size = 1; size <= SIZE_MAX_HERE; size++) {
		struct driver_cfg cfg = {.size = size};
		struct fixture fx;
		unsigned waiting = 0, offered = 0;

		fixture_init(&fx, &cfg);
		for (unsigned round = 0; round < 40 * size; round++) {
			unsigned keep, more = random_below(&seed, size - waiting + 1);

			for (unsigned i = 0; i < more; i++)
				vm_offer(&fx.vm, VM_DATA_GPA, 1);
			waiting += more;
			offered += more;
			keep = random_below(&seed, waiting + 1);
			complete_but(&fx, keep, waiting);
			waiting = keep;
			if (offered > 0)
				try_all_bases(&fx, size, waiting);
		}
		fixture_fini(&fx);
	}
}

/* Nothing was ever on the ring: a front-end may start wherever it wants. */
static void test_a_new_ring_starts_where_it_is_told(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	memset(fx.vm.drv.ring, 0, 4 * sizeof(*fx.vm.drv.ring));
	assert_int_equal(found(&fx, VIRTQ_WRAP), VIRTQ_WRAP);
	assert_int_equal(found(&fx, 3), 3);
	fixture_fini(&fx);
}

/*
 * What is left of a chain that was used looks like one that waits: no guess is made, wherever the
 * chains are, and whatever else is on the ring.
 */
static void test_a_right_base_stays_whatever_the_chains(void **state)
{
	struct driver_buf bufs[3] = {
		vm_buf(VM_DATA_GPA, 1), vm_buf(VM_DATA_GPA, 1), vm_buf(VM_DATA_GPA, 1)};
	uint64_t seed = 1;

	for (unsigned size = 2; size <= SIZE_MAX_HERE; size++) {
		struct driver_cfg cfg = {.size = size};
		struct fixture fx;
		unsigned waiting = 0;

		fixture_init(&fx, &cfg);
		for (unsigned round = 0; round < 200 * size; round++) {
			unsigned n = 1 + (unsigned)random_below(&seed, 3), keep;

			while (driver_add(&fx.vm.drv, bufs, n, n, 0) == 0) {
				waiting++;
				n = 1 + (unsigned)random_below(&seed, 3);
			}
			keep = (unsigned)random_below(&seed, waiting + 1);
			complete_but(&fx, keep, waiting);
			waiting = keep;
			assert_int_equal(found(&fx, fx.vq.cfg.last_used), fx.vq.cfg.last_used);
		}
		fixture_fini(&fx);
	}
}

/* A back-end died while it gave a batch back, of which the first is written last. */
static void test_half_a_batch_is_left_alone(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	serve(&fx, 4);
	for (unsigned i = 0; i < 3; i++)
		vm_offer(&fx.vm, VM_DATA_GPA, 1);
	driver_publish(&fx.vm.drv);
	fx.vm.drv.ring[1].flags = htole16(VRING_DESC_F_WRITE); /* used, in the second lap */
	assert_int_equal(found(&fx, VIRTQ_WRAP), VIRTQ_WRAP);
	assert_int_equal(found(&fx, 0), 0);
	fixture_fini(&fx);
}

/* Laps that follow on one another within one: no driver writes that. */
static void test_what_makes_no_sense_is_left_alone(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 4; i++)
		fx.vm.drv.ring[i].flags =
			htole16(i % 2 ? 0 : VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
	assert_int_equal(found(&fx, VIRTQ_WRAP), VIRTQ_WRAP);
	assert_int_equal(found(&fx, 1), 1);
	fixture_fini(&fx);
}

/* Whatever a guest writes there: a position in the ring, and nothing is written. */
static void test_noise(void **state)
{
	uint64_t seed = 7;

	for (unsigned round = 0; round < 3000; round++) {
		unsigned size = 1 + (unsigned)random_below(&seed, SIZE_MAX_HERE);
		struct driver_cfg cfg = {.size = size};
		struct fixture fx;
		uint16_t base;
		uint8_t *copy;

		fixture_init(&fx, &cfg);
		for (unsigned i = 0; i < size; i++)
			fx.vm.drv.ring[i].flags = (uint16_t)random_next(&seed);
		fx.vm.drv.device_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		copy = vm_copy(&fx.vm);
		base = (uint16_t)(random_below(&seed, size) | (random_next(&seed) & VIRTQ_WRAP));
		assert_true((found(&fx, base) & ~VIRTQ_WRAP) < size);
		vm_assert_untouched(&fx.vm, copy);
		fixture_fini(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_base_that_was_left_behind_is_mended, vm_packed),
		cmocka_unit_test_setup(test_a_new_ring_starts_where_it_is_told, vm_packed),
		cmocka_unit_test_setup(test_a_right_base_stays_whatever_the_chains, vm_packed),
		cmocka_unit_test_setup(test_half_a_batch_is_left_alone, vm_packed),
		cmocka_unit_test_setup(test_what_makes_no_sense_is_left_alone, vm_packed),
		cmocka_unit_test_setup(test_noise, vm_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
