/* SPDX-License-Identifier: BSD-3-Clause */
/* What only the split layout has: indices, and its ways to ask for notifications. */
#include "virtq_fixture.h"

/* The device must not believe what it reads back from its own ring. */
static void test_used_ring_is_never_read(void **state)
{
	struct driver_cfg cfg = {.size = 2};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 10; i++) {
		vm_offer(&fx.vm, VM_DATA_GPA, 1);
		driver_rude_used_idx(&fx.vm.drv, 0xbeef);
		gather_all(&fx);
		complete(&fx);
		vm_take(&fx.vm, 1);
	}
	fixture_fini(&fx);
}

static void test_calls_by_flag(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct fixture fx;

	fixture_init(&fx, &cfg);
	for (unsigned i = 0; i < 20; i++) {
		bool wanted = i % 3 == 0;

		/* used_event means nothing here */
		driver_rude_events(&fx.vm.drv, wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT,
			fx.vq.cfg.last_used + (wanted ? 9 : 0));
		serve(&fx, 1);
		assert_int_equal(virtq_wants_call(&fx.vq), wanted);
	}
	fixture_fini(&fx);
}

/*
 * By index: a call is wanted when the entry that the driver named is among those completed since
 * it was last asked about. Decided here by looking at each of them.
 */
static void test_calls_by_event_index(void **state)
{
	uint64_t seed = random_seed("calls_by_event_index");

	for (unsigned turn = 0; turn < 200; turn++) {
		struct driver_cfg cfg = {.size = 8,
			.event_idx = true,
			.start_idx = (uint16_t)(65536 - random_below(&seed, 40))};
		unsigned asked = 0, done = 0; /* entries since the start */
		bool first = true;
		struct fixture fx;

		fixture_init(&fx, &cfg);
		for (unsigned i = 0; i < 30; i++) {
			uint16_t event = (uint16_t)(cfg.start_idx + done + random_below(&seed, 16));
			bool wanted = first;

			event -= 6;
			if (random_once_in(&seed, 10))
				event = (uint16_t)random_next(&seed);
			/* The flag means nothing here. */
			driver_rude_events(&fx.vm.drv, VRING_AVAIL_F_NO_INTERRUPT, event);
			serve(&fx, (unsigned)random_below(&seed, 9));
			done += fx.b.n_reqs;
			if (random_once_in(&seed, 3))
				continue; /* not asked: the next answer covers these too */
			for (; asked < done; asked++)
				wanted |= (uint16_t)(cfg.start_idx + asked) == event;
			assert_int_equal(virtq_wants_call(&fx.vq), wanted);
			first = false;
		}
		fixture_fini(&fx);
	}
}

/* A polling device wants no kicks: none by flag, one in 65,536 by index. */
static void test_kicks_are_off(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct driver_cfg cfg = {.size = 256, .event_idx = event_idx, .start_idx = 65530};
		struct fixture fx;
		unsigned kicks = 0;
		uint16_t *avail_event;

		vm_init(&fx.vm, &cfg);
		avail_event = (uint16_t *)&fx.vm.drv.used->ring[256];
		*avail_event = 0x5555;
		fx.vm.drv.used->flags = event_idx ? VRING_USED_F_NO_NOTIFY : 0;
		vm_start(&fx.vm, &fx.vq);
		assert_int_equal(fx.vm.drv.used->flags, event_idx ? 0 : VRING_USED_F_NO_NOTIFY);
		assert_int_equal(*avail_event, event_idx ? 65529 : 0x5555);
		for (unsigned i = 1; i <= 65536; i++) {
			vm_offer(&fx.vm, VM_DATA_GPA, 1);
			driver_publish(&fx.vm.drv);
			kicks += driver_kick_needed(&fx.vm.drv);
			if (i == 65535)
				assert_int_equal(kicks, 0);
			serve(&fx, 0);
			vm_take(&fx.vm, 1);
		}
		assert_int_equal(kicks, event_idx);
		fixture_fini(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used_ring_is_never_read),
		cmocka_unit_test(test_calls_by_flag),
		cmocka_unit_test(test_calls_by_event_index),
		cmocka_unit_test(test_kicks_are_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
