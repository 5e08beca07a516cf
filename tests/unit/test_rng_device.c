/* SPDX-License-Identifier: BSD-3-Clause */
/* What one guest's device gives, and when it waits. */
#include "rng_device.h"

#include "one_guest.h"

static void test_serves(void **state)
{
	const struct rng_stats *stats;
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	stats = &fx.g.dev.stats;
	assert_int_equal(poll_at(&fx, 0), RNG_IDLE);
	host_feed(&fx.host, 1000);
	assert_int_equal(poll_at(&fx, 0), RNG_IDLE);
	offer(&fx, 10, 1);
	offer(&fx, VM_PAGE - 50, 100); /* over a border */
	offer(&fx, 3 * VM_PAGE, 399);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_true(fx.g.dev.call_owed);
	take(&fx, 1);
	take(&fx, 100);
	take(&fx, 399);
	expect(&fx, 10, 1);
	expect(&fx, VM_PAGE - 50, 100);
	expect(&fx, 3 * VM_PAGE, 399);
	expect_poison(&fx, 0, 10);
	expect_poison(&fx, 11, VM_PAGE - 61);
	expect_poison(&fx, VM_PAGE + 50, 2 * VM_PAGE - 50);
	expect_poison(&fx, 3 * VM_PAGE + 399, VM_PAGE - 399);
	assert_int_equal(poll_at(&fx, 0), RNG_IDLE);

	assert_true(is_filled(fx.host.data, 500, 0));
	assert_int_equal(byte_ring_fill(&fx.host.ring), 500);
	assert_int_equal(stats->requests, 3);
	assert_int_equal(stats->bytes, 500);
	assert_int_equal(stats->short_reqs + stats->throttled + stats->starved + stats->broken, 0);
	fixture_fini(&fx);
}

/* Two guests of one lcore: what one has, the other never gets. */
static void test_no_byte_twice(void **state)
{
	struct driver_cfg cfg = {.size = 8};
	struct guest guests[2];
	struct host h;

	host_init(&h, BUDGET_UNLIMITED, 2);
	for (unsigned i = 0; i < 2; i++)
		guest_init(&guests[i], &h, &cfg, i);
	for (unsigned turn = 0; turn < 2000; turn++) {
		struct guest *g = &guests[turn % 3 % 2];
		uint32_t len = 1 + turn % 200;

		host_feed(&h, len);
		vm_offer(&g->vm, DATA + turn, len);
		driver_publish(&g->vm.drv);
		assert_int_equal(host_poll(&h, g, 0), RNG_SERVED);
		vm_take(&g->vm, len);
		host_expect(&h, &g->vm, DATA + turn, len);
		assert_true(is_filled(h.data, HOST_RING_BYTES, 0));
	}
	for (unsigned i = 0; i < 2; i++)
		guest_fini(&guests[i]);
	host_fini(&h);
}

/* At the end of the allowance a request is short; the next one waits, untouched. */
static void test_budget_ends_in_a_request(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 60);
	host_feed(&fx.host, 1000);
	for (unsigned i = 0; i < 3; i++)
		offer(&fx, 100 * i, 50);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 50);
	take(&fx, 10);
	expect(&fx, 0, 50);
	expect(&fx, 100, 10);
	expect_poison(&fx, 110, VM_DATA_LEN - 110);
	assert_waits(&fx, HOST_PERIOD_NS - 1);
	assert_int_equal(fx.g.dev.stats.throttled, 1);
	assert_int_equal(fx.g.dev.stats.short_reqs, 1);

	assert_int_equal(poll_at(&fx, HOST_PERIOD_NS), RNG_SERVED);
	take(&fx, 50);
	expect(&fx, 200, 50);
	assert_int_equal(poll_at(&fx, HOST_PERIOD_NS), RNG_IDLE);
	offer(&fx, 0, 50); /* the second period has 10 more */
	assert_int_equal(poll_at(&fx, 2 * HOST_PERIOD_NS - 1), RNG_SERVED);
	take(&fx, 10);
	assert_int_equal(fx.g.dev.stats.short_reqs, 2);
	assert_int_equal(fx.g.dev.stats.bytes, 120);
	offer(&fx, 0, 1);
	assert_waits(&fx, 2 * HOST_PERIOD_NS - 1);
	assert_int_equal(fx.g.dev.stats.throttled, 2);
	assert_int_equal(fx.g.dev.stats.starved, 0);
	fixture_fini(&fx);
}

/* A request that takes the last byte of the allowance is not a short one. */
static void test_budget_ends_with_a_request(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 60);
	host_feed(&fx.host, 1000);
	offer(&fx, 0, 60);
	offer(&fx, 100, 60);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 60);
	assert_int_equal(fx.g.dev.stats.short_reqs, 0);
	assert_waits(&fx, 1);
	assert_int_equal(poll_at(&fx, HOST_PERIOD_NS), RNG_SERVED);
	take(&fx, 60);
	fixture_fini(&fx);
}

/* One byte in a period: one byte for a request, and never none. */
static void test_one_byte_a_period(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 1);
	host_feed(&fx.host, 100);
	for (unsigned i = 0; i < 10; i++)
		offer(&fx, i, 64);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(poll_at(&fx, i * HOST_PERIOD_NS), RNG_SERVED);
		take(&fx, 1);
		expect(&fx, i, 1);
		if (i < 9)
			assert_waits(&fx, i * HOST_PERIOD_NS + 1);
	}
	assert_int_equal(fx.g.dev.stats.short_reqs, 10);
	fixture_fini(&fx);
}

/* Bytes that are only late: the request is kept open, and filled when they come. */
static void test_late_bytes(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	offer(&fx, 0, 100);
	assert_waits(&fx, 0); /* not begun */
	host_feed(&fx.host, 30);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	vm_take_none(&fx.g.vm);
	assert_waits(&fx, 0); /* begun */
	assert_int_equal(fx.g.dev.stats.starved, 2);
	host_feed(&fx.host, 170);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 100);
	expect(&fx, 0, 100);
	expect_poison(&fx, 100, VM_DATA_LEN - 100);
	assert_int_equal(byte_ring_fill(&fx.host.ring), 100);
	assert_int_equal(fx.g.dev.stats.short_reqs, 0);
	assert_int_equal(fx.g.dev.stats.requests, 1);
	fixture_fini(&fx);
}

/* A source that has run dry: what there is, is given, and what has nothing waits. */
static void test_dry_source(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	offer(&fx, 0, 100);
	offer(&fx, 200, 100);
	host_feed(&fx.host, 30);
	byte_ring_set_dry(&fx.host.ring, true);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	vm_take_none(&fx.g.vm);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 30);
	expect(&fx, 0, 30);
	expect_poison(&fx, 30, VM_DATA_LEN - 30);
	assert_waits(&fx, 0);
	assert_int_equal(fx.g.dev.stats.short_reqs, 1);
	assert_int_equal(fx.g.dev.stats.starved, 1);
	host_feed(&fx.host, 100); /* it has more after all */
	byte_ring_set_dry(&fx.host.ring, false);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 100);
	expect(&fx, 200, 100);
	fixture_fini(&fx);
}

/* Linux would not ask again after 33 to 63 bytes of 64: it gets them with the rest. */
static void test_dry_source_and_linux(void **state)
{
	for (uint32_t n = 1; n < 64; n++) {
		bool kept = n > 32;
		struct fixture fx;

		fixture_init(&fx, BUDGET_UNLIMITED);
		offer(&fx, 0, 64);
		host_feed(&fx.host, n);
		byte_ring_set_dry(&fx.host.ring, true);
		assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
		assert_int_equal(rng_device_can_end(&fx.g.dev), !kept);
		if (kept) {
			assert_waits(&fx, 0);
			host_feed(&fx.host, 100);
		}
		assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
		assert_false(rng_device_can_end(&fx.g.dev));
		take(&fx, kept ? 64 : n);
		expect(&fx, 0, kept ? 64 : n);
		assert_int_equal(fx.g.dev.stats.short_reqs, !kept);
		fixture_fini(&fx);
	}
}

static void test_dry_while_a_request_is_open(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	offer(&fx, 0, 100);
	host_feed(&fx.host, 30);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_waits(&fx, 0);
	byte_ring_set_dry(&fx.host.ring, true);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 30);
	assert_true(fx.g.dev.call_owed);
	assert_int_equal(poll_at(&fx, 0), RNG_IDLE);
	fixture_fini(&fx);
}

/* 'waits_for' tells of the last turn, so that each wait is counted when it begins. */
static void test_waits_are_counted(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	offer(&fx, 0, 100);
	host_feed(&fx.host, 30);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_waits(&fx, 0);
	assert_int_equal(fx.g.dev.stats.starved, 1);
	byte_ring_set_dry(&fx.host.ring, true);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 30);
	assert_int_equal(fx.g.dev.waits_for, WAITING_FOR_NOTHING);
	assert_int_equal(poll_at(&fx, 0), RNG_IDLE);
	offer(&fx, 0, 100);
	assert_waits(&fx, 0);
	assert_int_equal(fx.g.dev.stats.starved, 2);
	fixture_fini(&fx);
}

/* The allowance ends in a request that was kept open for late bytes. */
static void test_budget_ends_in_an_open_request(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 40);
	offer(&fx, 0, 100);
	host_feed(&fx.host, 30);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	vm_take_none(&fx.g.vm);
	host_feed(&fx.host, 30);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 40);
	expect(&fx, 0, 40);
	assert_int_equal(byte_ring_fill(&fx.host.ring), 20);
	fixture_fini(&fx);
}

/* One turn gives a bounded number of bytes and answers, however much is asked for. */
static void test_turns_are_bounded(void **state)
{
	struct fixture fx;
	uint64_t left = VM_DATA_LEN;

	fixture_init(&fx, BUDGET_UNLIMITED);
	fx.host.supply.turn_bytes = 1000;
	host_feed(&fx.host, 60000);
	offer(&fx, 0, (uint32_t)VM_DATA_LEN);
	while (left > 0) {
		uint64_t n = left < 1000 ? left : 1000;

		vm_take_none(&fx.g.vm);
		assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
		left -= n;
		assert_int_equal(fx.g.dev.stats.bytes, VM_DATA_LEN - left);
		expect_poison(&fx, VM_DATA_LEN - left, left);
	}
	take(&fx, (uint32_t)VM_DATA_LEN);
	expect(&fx, 0, VM_DATA_LEN);
	assert_int_equal(fx.g.dev.stats.short_reqs, 0);

	for (unsigned i = 0; i < 200; i++)
		offer(&fx, i, 1);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_int_equal(fx.g.dev.stats.requests, 1 + VIRTQ_BURST_REQS);
	fixture_fini(&fx);
}

static void test_calls_are_owed(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	host_feed(&fx.host, 1000);
	driver_calls_off(&fx.g.vm.drv);
	offer(&fx, 0, 10);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_false(fx.g.dev.call_owed);
	driver_calls_on(&fx.g.vm.drv);
	offer(&fx, 0, 10);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_true(fx.g.dev.call_owed);
	driver_calls_off(&fx.g.vm.drv); /* too late */
	offer(&fx, 0, 10);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_true(fx.g.dev.call_owed);
	fixture_fini(&fx);
}

/* Without an answer there is nothing to call for: a request was begun, not finished. */
static void test_no_call_without_an_answer(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	host_feed(&fx.host, 10);
	offer(&fx, 0, 100);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_false(fx.g.dev.call_owed);
	fixture_fini(&fx);
}

/* While others want bytes too, a guest takes its part of the few that are at hand. */
static void test_few_bytes_are_shared(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	offer(&fx, 0, 10000);
	assert_int_equal(poll_at(&fx, 0), RNG_WAIT);
	assert_int_equal(fx.g.dev.waits_for, WAITING_FOR_BYTES);
	fx.host.supply.sharers = 4;
	host_feed(&fx.host, 1000);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_int_equal(fx.g.dev.waits_for, WAITING_FOR_NOTHING);
	assert_int_equal(fx.g.dev.stats.bytes, 250);
	/* A part is not divided into less than a usual request. */
	fx.host.supply.sharers = 100;
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_int_equal(fx.g.dev.stats.bytes, 250 + 64);
	/* Alone it is not held back, nor with more at hand than a turn may give. */
	fx.host.supply.sharers = 1;
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	assert_int_equal(fx.g.dev.stats.bytes, 1000);
	fx.host.supply.sharers = 4;
	fx.host.supply.turn_bytes = 9000;
	host_feed(&fx.host, 20000);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 10000);
	expect(&fx, 0, 10000);
	fixture_fini(&fx);
}

/* While others have turns, a turn is one Generate at most; turn_bytes when that is less. */
static void test_turns_beside_others(void **state)
{
	static const struct {
		uint64_t turn_bytes;
		unsigned busy;
		uint64_t given;
	} cases[] = {
		{200000, 0, 200000},
		{200000, 1, 200000},
		{200000, 2, RNG_TURN_BESIDE_BYTES},
		{1000, 2, 1000},
		{RNG_TURN_BESIDE_BYTES + 1, 500, RNG_TURN_BESIDE_BYTES},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fx;

		fixture_init(&fx, BUDGET_UNLIMITED);
		for (unsigned k = 0; k < 30; k++)
			offer(&fx, 0, 10000);
		host_feed(&fx.host, 250000);
		fx.host.supply.turn_bytes = cases[i].turn_bytes;
		fx.host.supply.busy = cases[i].busy;
		assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
		assert_int_equal(fx.g.dev.stats.bytes, cases[i].given);
		fixture_fini(&fx);
	}
}

/* A turn that finds work puts kicks off, also when it can do nothing; one that finds none does not.
 */
static void test_turns_put_kicks_off(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	assert_false(virtq_enable_kicks(&fx.g.dev.vq));
	assert_int_equal(poll_at(&fx, 0), RNG_IDLE);
	assert_true(fx.g.dev.vq.kicks_on);
	offer(&fx, 0, 64);
	assert_true(driver_kick_needed(&fx.g.vm.drv));
	assert_int_equal(poll_at(&fx, 0), RNG_WAIT);
	assert_false(fx.g.dev.vq.kicks_on);
	offer(&fx, 0, 64);
	assert_false(driver_kick_needed(&fx.g.vm.drv));
	fixture_fini(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_serves),
		VM_BOTH(test_no_byte_twice),
		VM_BOTH(test_budget_ends_in_a_request),
		VM_BOTH(test_budget_ends_with_a_request),
		VM_BOTH(test_one_byte_a_period),
		VM_BOTH(test_late_bytes),
		VM_BOTH(test_dry_source),
		VM_BOTH(test_dry_source_and_linux),
		VM_BOTH(test_dry_while_a_request_is_open),
		VM_BOTH(test_waits_are_counted),
		VM_BOTH(test_budget_ends_in_an_open_request),
		VM_BOTH(test_turns_are_bounded),
		VM_BOTH(test_few_bytes_are_shared),
		VM_BOTH(test_turns_beside_others),
		VM_BOTH(test_calls_are_owed),
		VM_BOTH(test_no_call_without_an_answer),
		VM_BOTH(test_turns_put_kicks_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
