/* SPDX-License-Identifier: BSD-3-Clause */
/* How a device starts and ends: with nothing half done, with a lie, and again. */
#include "rng_device.h"

#include "one_guest.h"

#include <errno.h>

/* Stop: begun requests are answered with what they have. */
static void test_stop_completes_what_was_begun(void **state)
{
	struct fixture fx;
	uint8_t *copy;

	fixture_init(&fx, BUDGET_UNLIMITED);
	host_feed(&fx.host, 30);
	offer(&fx, 0, 100);
	offer(&fx, 200, 10);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	rng_device_stop(&fx.g.dev, &fx.host.supply);
	take(&fx, 30);
	expect(&fx, 0, 30);
	expect_poison(&fx, 30, VM_DATA_LEN - 30);
	assert_true(fx.g.dev.call_owed);
	assert_int_equal(fx.g.dev.stats.short_reqs, 1);
	assert_int_equal(fx.g.dev.stats.requests, 1);
	assert_int_equal(fx.g.dev.vq.cfg.last_avail, driver_resume_base(&fx.g.vm.drv));

	copy = vm_copy(&fx.g.vm);
	rng_device_stop(&fx.g.dev, &fx.host.supply); /* nothing more to do */
	vm_assert_untouched(&fx.g.vm, copy);
	guest_start(&fx.g, fx.g.dev.vq.cfg.last_avail);
	assert_int_equal(fx.g.dev.stats.requests, 1); /* go on over reconnects */
	assert_false(fx.g.dev.call_owed);
	host_feed(&fx.host, 10);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 10);
	expect(&fx, 200, 10);
	fixture_fini(&fx);
}

/* Stop: a chain that was looked at, and got nothing, is given back. */
static void test_stop_gives_back(void **state)
{
	struct driver_cfg cfg = {.size = 4, .table_entries = 600};
	struct driver_buf bufs[600];
	struct guest g;
	struct host h;
	uint8_t *copy;

	for (unsigned i = 0; i < ARRAY_LEN(bufs); i++)
		bufs[i] = (struct driver_buf){DATA, 1, i == ARRAY_LEN(bufs) - 1};
	host_init(&h, BUDGET_UNLIMITED, 1);
	guest_init(&g, &h, &cfg, 0);
	host_feed(&h, 100);
	assert_int_equal(driver_add(&g.vm.drv, bufs, ARRAY_LEN(bufs), 0, 0), 0);
	driver_publish(&g.vm.drv);
	/* More descriptors than a turn looks at: it is open now, with nothing written to it. */
	host_poll(&h, &g, 0);
	assert_true(virtq_is_open(&g.dev.vq));
	copy = vm_copy(&g.vm);
	rng_device_stop(&g.dev, &h.supply);
	vm_assert_untouched(&g.vm, copy);
	assert_int_equal(g.dev.vq.cfg.last_avail, driver_start_base(&g.vm.drv));
	assert_int_equal(byte_ring_fill(&h.ring), 100);

	guest_start(&g, g.dev.vq.cfg.last_avail);
	while (host_poll(&h, &g, 0) != RNG_IDLE)
		continue;
	vm_take(&g.vm, 1);
	guest_fini(&g);
	host_fini(&h);
}

/* Stop: so is one that Linux would take badly with what it has. The next one fills it anew. */
static void test_stop_gives_linux_all(void **state)
{
	struct fixture fx;
	uint8_t *copy;

	fixture_init(&fx, BUDGET_UNLIMITED);
	host_feed(&fx.host, 40);
	offer(&fx, 0, 64);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	copy = vm_copy(&fx.g.vm);
	rng_device_stop(&fx.g.dev, &fx.host.supply);
	vm_assert_untouched(&fx.g.vm, copy);
	assert_false(fx.g.dev.call_owed);
	guest_start(&fx.g, fx.g.dev.vq.cfg.last_avail);
	host_feed(&fx.host, 64);
	fx.host.taken = 40; /* nobody has those */
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 64);
	expect(&fx, 0, 64);
	fixture_fini(&fx);
}

static void protect(struct fixture *fx, int prot)
{
	for (unsigned i = 0; i < fx->g.vm.ram.nr_regions; i++)
		assert_int_equal(mprotect(fx->g.vm.ram.regions[i].host,
					 fx->g.vm.ram.regions[i].size_bytes, prot),
			0);
}

/* To stop an idle device, or one whose ring lies, takes no look at the guest's memory. */
static void test_stop_touches_nothing(void **state)
{
	for (unsigned broken = 0; broken < 2; broken++) {
		struct fixture fx;

		fixture_init(&fx, BUDGET_UNLIMITED);
		host_feed(&fx.host, 100);
		if (broken) {
			struct driver_buf bufs[2] = {vm_buf(DATA, 10), vm_buf(0x7000000000, 1)};

			assert_int_equal(driver_add(&fx.g.vm.drv, bufs, 2, 2, 0), 0);
			driver_publish(&fx.g.vm.drv);
			assert_int_equal(poll_at(&fx, 0), RNG_BROKEN);
		} else {
			offer(&fx, 0, 100);
			assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
		}
		protect(&fx, PROT_NONE);
		rng_device_stop(&fx.g.dev, &fx.host.supply);
		protect(&fx, PROT_READ | PROT_WRITE);
		assert_int_equal(fx.g.dev.vq.cfg.last_avail, driver_resume_base(&fx.g.vm.drv));
		if (broken)
			vm_take_none(&fx.g.vm);
		fixture_fini(&fx);
	}
}

/* A lie ends that guest's service, after the honest requests before it, and nobody else's. */
static void test_a_lie(void **state)
{
	struct driver_cfg cfg = {.size = 8};
	struct guest liar, other;
	struct host h;
	uint8_t *copy;

	host_init(&h, 1000, 2); /* 500 for each */
	guest_init(&liar, &h, &cfg, 0);
	guest_init(&other, &h, &cfg, 1);
	host_feed(&h, 1000);
	vm_offer(&liar.vm, DATA, 50);
	vm_offer(&liar.vm, DATA + VM_DATA_LEN - 10, 20); /* ten bytes of it are there */
	vm_offer(&liar.vm, DATA, 50);
	driver_publish(&liar.vm.drv);
	vm_offer(&other.vm, DATA, 50);
	driver_publish(&other.vm.drv);

	assert_int_equal(host_poll(&h, &liar, 0), RNG_BROKEN);
	assert_string_equal(liar.dev.vq.broken, "a buffer outside the guest's memory");
	vm_take(&liar.vm, 50);
	vm_take_none(&liar.vm);
	assert_true(liar.dev.call_owed);
	assert_int_equal(liar.dev.stats.broken, 1);
	assert_int_equal(liar.dev.stats.requests, 1);
	assert_int_equal(liar.dev.stats.short_reqs, 0);
	assert_int_equal(liar.dev.stats.bytes, 60);
	assert_int_equal(budget_allowance(&h.bytes, &liar.dev.bytes), 440);
	h.taken = 60;

	copy = vm_copy(&liar.vm);
	assert_int_equal(host_poll(&h, &other, 0), RNG_SERVED);
	vm_take(&other.vm, 50);
	host_expect(&h, &other.vm, DATA, 50);
	rng_device_stop(&liar.dev, &h.supply);
	vm_assert_untouched(&liar.vm, copy);

	/* A new start, from where it stopped, with an honest ring. */
	driver_reset(&liar.vm.drv);
	guest_start(&liar, driver_start_base(&liar.vm.drv));
	vm_offer(&liar.vm, DATA, 50);
	driver_publish(&liar.vm.drv);
	assert_int_equal(host_poll(&h, &liar, 0), RNG_SERVED);
	vm_take(&liar.vm, 50);
	guest_fini(&liar);
	guest_fini(&other);
	host_fini(&h);
}

/* A lie behind a request that is ended short is found when that is looked for (packed, §2.8.6). */
static void test_a_lie_behind_a_short_end(void **state)
{
	static const struct vring_packed_desc chain[] = {
		{DATA, 100, 0, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT},
		{DATA, 16, 0, VRING_DESC_F_INDIRECT}};

	for (unsigned how = 0; how < 3; how++) {
		struct fixture fx;

		fixture_init(&fx, how == 0 ? 30 : BUDGET_UNLIMITED);
		host_feed(&fx.host, 30);
		for (unsigned i = 0; i < 2; i++)
			driver_rude_put(&fx.g.vm.drv, &chain[i]);
		driver_publish(&fx.g.vm.drv);
		assert_int_equal(poll_at(&fx, 0), how == 0 ? RNG_BROKEN : RNG_SERVED);
		if (how == 1) {
			byte_ring_set_dry(&fx.host.ring, true);
			assert_int_equal(poll_at(&fx, 0), RNG_BROKEN);
		}
		rng_device_stop(&fx.g.dev, &fx.host.supply);
		assert_non_null(fx.g.dev.vq.broken);
		assert_int_equal(fx.g.dev.stats.broken, 1);
		assert_int_equal(fx.g.dev.stats.requests, 0);
		assert_int_equal(fx.g.dev.vq.cfg.last_avail, driver_resume_base(&fx.g.vm.drv));
		fixture_fini(&fx);
	}
}

/* The slot's allowance is not the connection's: a new start brings no new tokens. */
static void test_restart_refills_nothing(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 60);
	host_feed(&fx.host, 1000);
	offer(&fx, 0, 100);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 60);
	rng_device_stop(&fx.g.dev, &fx.host.supply);
	guest_start(&fx.g, fx.g.dev.vq.cfg.last_avail);
	offer(&fx, 0, 100);
	assert_waits(&fx, HOST_PERIOD_NS - 1);
	fixture_fini(&fx);
}

static void test_start_refuses(void **state)
{
	struct virtq_config cfg;
	const char *why = NULL;
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	cfg = vm_ring(&fx.g.vm);
	cfg.size = 0;
	assert_int_equal(rng_device_start(&fx.g.dev, &cfg, &why), -EINVAL);
	assert_string_equal(why, cfg.packed ? "packed ring size is not from 1 to 32768"
					    : "ring size is not a power of two from 1 to 32768");
	fixture_fini(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_stop_completes_what_was_begun),
		VM_BOTH(test_stop_gives_back),
		VM_BOTH(test_stop_gives_linux_all),
		VM_BOTH(test_stop_touches_nothing),
		VM_BOTH(test_a_lie),
		cmocka_unit_test_setup(test_a_lie_behind_a_short_end, vm_packed),
		VM_BOTH(test_restart_refills_nothing),
		VM_BOTH(test_start_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
