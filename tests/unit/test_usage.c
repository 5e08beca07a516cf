/* SPDX-License-Identifier: BSD-3-Clause */
/* Where an lcore's time went, by a clock that few sweeps look at. */
#include "usage.h"

#include "stats.h"
#include "unit.h"

struct lcore {
	struct usage usage;
	uint64_t now_ns;
	unsigned looks; /* at the clock */
};

static uint64_t look(struct lcore *c)
{
	c->looks++;
	return c->now_ns;
}

static void begin(struct lcore *c)
{
	c->now_ns = 1000;
	c->looks = 0;
	usage_init(&c->usage, c->now_ns);
}

/* A sweep that takes so long. @return since when a request may have waited, or 0 */
static uint64_t sweep(struct lcore *c, bool busy, uint64_t ns)
{
	uint64_t since_ns;

	if (usage_begin(&c->usage))
		usage_look(&c->usage, look(c));
	since_ns = usage_since_ns(&c->usage);
	c->now_ns += ns;
	if (usage_end(&c->usage, busy))
		usage_close(&c->usage, busy, look(c));
	return since_ns;
}

static void test_all_of_a_kind(void **state)
{
	struct lcore c;

	begin(&c);
	for (unsigned i = 0; i < 10 * USAGE_WINDOW; i++)
		sweep(&c, false, 30);
	assert_int_equal(c.usage.busy_ns, 0);
	assert_int_equal(c.usage.other_ns, 10 * USAGE_WINDOW * 30);
	assert_int_equal(c.looks, 10 * 3);
	for (unsigned i = 0; i < 10 * USAGE_WINDOW; i++)
		sweep(&c, true, 500);
	assert_int_equal(c.usage.busy_ns, 10 * USAGE_WINDOW * 500);
	assert_int_equal(c.usage.other_ns, 10 * USAGE_WINDOW * 30);
}

/* Every fourth sweep is busy and takes ten times as long; the sum is exact, and the parts near. */
static void test_mixed(void **state)
{
	uint64_t busy_ns = 0, other_ns = 0;
	struct lcore c;

	begin(&c);
	for (unsigned i = 0; i < 300 * USAGE_WINDOW; i++) {
		bool busy = i % 4 == 0;

		sweep(&c, busy, busy ? 400 : 40);
		*(busy ? &busy_ns : &other_ns) += busy ? 400 : 40;
	}
	assert_int_equal(c.usage.busy_ns + c.usage.other_ns, busy_ns + other_ns);
	assert_in_range(c.usage.busy_ns, busy_ns * 98 / 100, busy_ns * 102 / 100);
}

/* Only the last sweep of a window says since when, and that is when the one before it began. */
static void test_since(void **state)
{
	uint64_t begun_ns = 0;
	struct lcore c;

	begin(&c);
	for (unsigned i = 1; i <= 3 * USAGE_WINDOW; i++) {
		uint64_t before_ns = begun_ns;

		begun_ns = c.now_ns;
		assert_int_equal(
			sweep(&c, i % 2 == 0, 10 + i), i % USAGE_WINDOW == 0 ? before_ns : 0);
	}
}

/* A clock that stands still, or a window without a sample of its kind. */
static void test_odd_clock(void **state)
{
	struct lcore c;

	begin(&c);
	for (unsigned i = 0; i < 3 * USAGE_WINDOW; i++)
		sweep(&c, i % 2 == 0, 0);
	assert_int_equal(c.usage.busy_ns + c.usage.other_ns, 0);
	begin(&c);
	for (unsigned i = 0; i < USAGE_WINDOW; i++)
		sweep(&c, i < 30, 100);
	assert_int_equal(c.usage.busy_ns + c.usage.other_ns, USAGE_WINDOW * 100);
	assert_in_range(c.usage.busy_ns, 2999, 3000); /* both kinds are taken to be alike */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_a_kind),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_odd_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
