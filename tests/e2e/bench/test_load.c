/* SPDX-License-Identifier: BSD-3-Clause */
/* What is measured, with the back-end in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load.h"

/* Requests that were under way when measuring began may have waited for the bench, not for the
 * back-end: they are counted, and have no latency. */
static void test_under_way(void **state)
{
	static const struct args args = {
		.nr_guests = 1,
		.sizes = {.values = {64}, .n = 1},
		.depths = {.values = {4}, .n = 1},
		.chain = 1,
		.duration_s = 0.01,
		.timeout_s = 5,
		.self = true,
	};
	struct load l;

	assert_int_equal(load_init(&l, &args, NULL), LOAD_OK);
	assert_int_equal(load_warm_up(&l, 1000000), LOAD_OK);
	assert_int_equal(l.players[0].drv.nr_offered, 4);
	for (uint16_t id = 0; id < 4; id++)
		driver_set_cookie(&l.players[0].drv, id,
			ticks_now(&l.ticks) - ticks_from_ns(&l.ticks, 60000000000));
	assert_int_equal(load_measure(&l), LOAD_OK);
	assert_true(l.players[0].latency->max < 60000000000);
	assert_int_equal(l.players[0].latency->count, l.players[0].measured.requests - 4);
	load_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
