/* SPDX-License-Identifier: BSD-3-Clause */
/* How a device lives with what its budgets allow: beyond what test_rng_device.c has. */
#include "one_guest.h"

/* So many requests in a period, whatever their size; one that is open is not finished beyond. */
static void test_requests_are_limited(void **state)
{
	struct fixture fx;

	fixture_init(&fx, BUDGET_UNLIMITED);
	fx.g.dev.requests.terms.cap = 3;
	fx.host.requests.limited = true;
	host_feed(&fx.host, 10000);
	for (unsigned i = 0; i < 8; i++)
		offer(&fx, 0, 100);
	for (unsigned period = 0; period < 2; period++) {
		assert_int_equal(poll_at(&fx, period * HOST_PERIOD_NS), RNG_SERVED);
		for (unsigned i = 0; i < 3; i++)
			take(&fx, 100);
		assert_waits(&fx, (period + 1) * HOST_PERIOD_NS - 1);
		assert_int_equal(fx.g.dev.stats.throttled, period + 1);
	}
	assert_int_equal(poll_at(&fx, 2 * HOST_PERIOD_NS), RNG_SERVED);
	take(&fx, 100);
	take(&fx, 100);
	assert_int_equal(poll_at(&fx, 2 * HOST_PERIOD_NS), RNG_IDLE);
	assert_int_equal(fx.g.dev.stats.short_reqs, 0);
	fixture_fini(&fx);
}

/* A short completion counts as a request: with none left, it waits for the next period. */
static void test_short_request_counts(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 500);
	fx.g.dev.requests.terms.cap = 2;
	fx.host.requests.limited = true;
	host_feed(&fx.host, 10000);
	offer(&fx, 0, 100);
	offer(&fx, 0, 100);
	offer(&fx, 0, 1000);
	assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
	take(&fx, 100);
	take(&fx, 100);
	vm_take_none(&fx.g.vm);
	assert_waits(&fx, 1);
	assert_int_equal(poll_at(&fx, HOST_PERIOD_NS), RNG_SERVED);
	take(&fx, 500);
	fixture_fini(&fx);
}

/* Nobody gets 33 to 63 bytes of 64: Linux would not ask again. And nothing is lost by that. */
static void test_linux_gets_halves(void **state)
{
	for (unsigned i = 0; i < 2 * 63; i++) {
		uint32_t size = i % 2 == 0 ? 64 : 65, rest = 1 + i / 2; /* 65: not Linux's */
		struct fixture fx;

		fixture_init(&fx, size + rest);
		host_feed(&fx.host, 1000);
		for (unsigned j = 0; j < 3; j++)
			offer(&fx, 100 * j, size);
		while (poll_at(&fx, 0) == RNG_SERVED)
			;
		take(&fx, size);
		if (size == 64 && rest > 32) {
			take(&fx, 32);
			take(&fx, rest - 32);
		} else {
			take(&fx, rest);
		}
		vm_take_none(&fx.g.vm);
		assert_int_equal(fx.g.dev.stats.bytes, size + rest);
		fixture_fini(&fx);
	}
}

/* A half that cannot be had any more, since the bytes came one by one: it waits for the rest. */
static void test_linux_gets_no_part(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 50);
	offer(&fx, 0, 64);
	for (unsigned i = 0; i < 5; i++) {
		host_feed(&fx.host, 10);
		assert_int_equal(poll_at(&fx, 0), RNG_SERVED);
		vm_take_none(&fx.g.vm);
	}
	host_feed(&fx.host, 50);
	assert_waits(&fx, HOST_PERIOD_NS - 1);
	assert_int_equal(poll_at(&fx, HOST_PERIOD_NS), RNG_SERVED);
	take(&fx, 64);
	expect(&fx, 0, 64);
	assert_int_equal(fx.g.dev.stats.short_reqs, 0);
	fixture_fini(&fx);
}

/* While more is to come in the period, a request waits for all of it; at its end it is short. */
static void test_smooth_waits_for_the_rest(void **state)
{
	struct fixture fx;

	fixture_init(&fx, 1400);
	fx.host.bytes.cfg.smooth = true;
	fx.host.bytes.cfg.period_ns = 16000000; /* 100 bytes in a millisecond, for 14 of 16 */
	host_feed(&fx.host, 10000);
	offer(&fx, 0, 1000);
	offer(&fx, 1000, 1000);
	for (unsigned ms = 1; ms < 10; ms++) {
		assert_int_equal(poll_at(&fx, ms * 1000000), RNG_SERVED);
		vm_take_none(&fx.g.vm);
		assert_int_equal(poll_at(&fx, ms * 1000000 + 10000), RNG_WAIT);
	}
	assert_int_equal(poll_at(&fx, 10100000), RNG_SERVED);
	take(&fx, 1000);
	for (unsigned ms = 11; ms < 14; ms++) {
		assert_int_equal(poll_at(&fx, ms * 1000000), RNG_SERVED);
		vm_take_none(&fx.g.vm);
	}
	assert_int_equal(poll_at(&fx, 14000000), RNG_SERVED);
	take(&fx, 400);
	expect(&fx, 0, 1400);
	assert_int_equal(fx.g.dev.stats.short_reqs, 1);
	fixture_fini(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_limited),
		cmocka_unit_test(test_short_request_counts),
		cmocka_unit_test(test_linux_gets_halves),
		cmocka_unit_test(test_linux_gets_no_part),
		cmocka_unit_test(test_smooth_waits_for_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
