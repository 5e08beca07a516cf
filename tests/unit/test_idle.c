/* SPDX-License-Identifier: BSD-3-Clause */
/* The way from spinning to blocking, and back, with the time as an argument. */
#include "idle.h"

#include "unit.h"

#define US    UINT64_C(1000)
#define NEVER UINT64_MAX

static const struct idle_config adaptive = {
	.policy = IDLE_ADAPTIVE, .spin_ns = 50 * US, .max_sleep_ns = 80 * US};

static void expect(struct idle_step step, enum idle_state state, uint64_t ns)
{
	assert_int_equal(step.state, state);
	assert_int_equal(step.ns, ns);
}

/* Let it sleep as it says until it blocks. @return when */
static uint64_t to_block(struct idle *idle, uint64_t now)
{
	for (unsigned i = 0; i < 1000; i++) {
		struct idle_step step = idle_next(idle, now, NEVER);

		if (step.state == IDLE_BLOCKED)
			return now;
		assert_true(step.state == IDLE_SPINNING || step.ns > 0);
		now += step.state == IDLE_SPINNING ? US : step.ns;
	}
	fail_msg("it never blocks");
	return 0;
}

static void test_the_way_down(void **state)
{
	struct idle idle;
	uint64_t now = 7 * US;

	idle_init(&idle, &adaptive, now);
	for (; now < 57 * US; now += US)
		expect(idle_next(&idle, now, NEVER), IDLE_SPINNING, 0);
	for (; now < 107 * US; now += US)
		assert_int_equal(idle_next(&idle, now, NEVER).state, IDLE_PAUSING);
	for (uint64_t sleep = 5 * US; sleep <= 80 * US; sleep *= 2) {
		expect(idle_next(&idle, now, NEVER), IDLE_SLEEPING, sleep);
		now += sleep;
	}
	expect(idle_next(&idle, now, NEVER), IDLE_BLOCKED, NEVER);
	assert_int_equal(stats_read(&idle.stats.sleeps), 5);
	assert_int_equal(stats_read(&idle.stats.blocks), 1);
}

/* Who was woken in vain blocks again, at once, however often. */
static void test_woken_in_vain(void **state)
{
	struct idle idle;
	uint64_t now;

	idle_init(&idle, &adaptive, 0);
	now = to_block(&idle, 0);
	for (unsigned i = 0; i < 1000; i++) {
		now += i * US;
		idle_account(&idle, now);
		expect(idle_next(&idle, now + 100, NEVER), IDLE_BLOCKED, NEVER);
	}
	/* What it did when it was awake was no blocking. */
	assert_int_equal(stats_read(&idle.stats.ns[IDLE_BUSY]), 0);
	assert_true(stats_read(&idle.stats.ns[IDLE_SPINNING]) >= 50 * US + 1000 * 100);
}

/* Work begins the way anew, wherever it came. */
static void test_work_starts_anew(void **state)
{
	struct idle idle;

	for (uint64_t at = 0; at < 400 * US; at += 3 * US) {
		uint64_t now = 0;

		idle_init(&idle, &adaptive, 0);
		while (now < at) {
			struct idle_step step = idle_next(&idle, now, at);

			now += step.state == IDLE_SPINNING ? US : step.ns;
		}
		idle_busy(&idle);
		expect(idle_next(&idle, at, NEVER), IDLE_SPINNING, 0);
		expect(idle_next(&idle, at + 49 * US, NEVER), IDLE_SPINNING, 0);
		assert_int_equal(idle_next(&idle, at + 50 * US, NEVER).state, IDLE_PAUSING);
		expect(idle_next(&idle, at + 100 * US, NEVER), IDLE_SLEEPING, 5 * US);
	}
}

/* Never longer than until something is due, and no system call for next to nothing. */
static void test_due(void **state)
{
	struct idle idle;
	uint64_t now;

	idle_init(&idle, &adaptive, 0);
	expect(idle_next(&idle, 50 * US, 53 * US), IDLE_PAUSING, 3 * US);
	expect(idle_next(&idle, 100 * US, 103 * US), IDLE_SLEEPING, 3 * US);
	expect(idle_next(&idle, 103 * US, 104 * US), IDLE_PAUSING, US);
	expect(idle_next(&idle, 104 * US, 104 * US), IDLE_PAUSING, 0);
	expect(idle_next(&idle, 105 * US, 104 * US), IDLE_PAUSING, 0);

	now = to_block(&idle, 105 * US);
	expect(idle_next(&idle, now, now + 12345 * US), IDLE_BLOCKED, 12345 * US);
	expect(idle_next(&idle, now, now + 1999), IDLE_PAUSING, 1999);
	expect(idle_next(&idle, now, now), IDLE_PAUSING, 0);
	expect(idle_next(&idle, now, 0), IDLE_PAUSING, 0);
	expect(idle_next(&idle, now, NEVER - 1), IDLE_BLOCKED, NEVER - 1 - now);
}

static void test_pause_makes_no_system_call(void **state)
{
	struct idle_config cfg = adaptive;
	struct idle idle;

	cfg.policy = IDLE_PAUSE;
	idle_init(&idle, &cfg, 0);
	expect(idle_next(&idle, 49 * US, NEVER), IDLE_SPINNING, 0);
	for (uint64_t now = 50 * US; now < 1000000 * US; now += 777 * US)
		expect(idle_next(&idle, now, NEVER), IDLE_PAUSING, 10 * US);
	idle_busy(&idle);
	expect(idle_next(&idle, 1000000 * US, NEVER), IDLE_SPINNING, 0);
}

/* No spinning, no sleeps; tiny sleeps; and the largest numbers that the options allow. */
static void test_extremes(void **state)
{
	struct idle_config cfg = {.policy = IDLE_ADAPTIVE};
	struct idle idle;

	idle_init(&idle, &cfg, 5);
	expect(idle_next(&idle, 5, NEVER), IDLE_BLOCKED, NEVER);

	cfg.max_sleep_ns = US;
	idle_init(&idle, &cfg, 5);
	expect(idle_next(&idle, 5, NEVER), IDLE_SLEEPING, US);
	expect(idle_next(&idle, 5, NEVER), IDLE_BLOCKED, NEVER);

	cfg.spin_ns = cfg.max_sleep_ns = 1000000 * US;
	idle_init(&idle, &cfg, 0);
	expect(idle_next(&idle, 1000000 * US - 1, NEVER), IDLE_SPINNING, 0);
	expect(idle_next(&idle, 2000000 * US - 1, NEVER), IDLE_PAUSING, 10 * US);
	expect(idle_next(&idle, 2000000 * US, NEVER), IDLE_SLEEPING, 62500 * US);
}

/* A clock that goes back is one that stands. */
static void test_clock_goes_back(void **state)
{
	struct idle idle;

	idle_init(&idle, &adaptive, 1000 * US);
	expect(idle_next(&idle, 0, NEVER), IDLE_SPINNING, 0);
	expect(idle_next(&idle, 1020 * US, NEVER), IDLE_SPINNING, 0);
	expect(idle_next(&idle, 1010 * US, NEVER), IDLE_SPINNING, 0);
	idle_account(&idle, 1000 * US);
	assert_int_equal(stats_read(&idle.stats.ns[IDLE_SPINNING]), 20 * US);
	assert_int_equal(idle_next(&idle, 1050 * US, NEVER).state, IDLE_PAUSING);
}

static uint64_t sum(const struct idle *idle)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < IDLE_STATES; i++)
		total += stats_read(&idle->stats.ns[i]);
	return total;
}

/* All time is counted, once, as what it was. */
static void test_time_is_counted(void **state)
{
	struct idle idle;
	uint64_t seed = random_seed("time_is_counted"), now = 0, busy_ns = 0, blocked_ns = 0;

	idle_init(&idle, &adaptive, 0);
	for (unsigned i = 0; i < 100000; i++) {
		struct idle_step next = idle_next(&idle, now, NEVER);

		assert_int_equal(sum(&idle), now);
		if (next.state == IDLE_BLOCKED) {
			uint64_t ns = random_magnitude(&seed, 30);

			blocked_ns += ns;
			now += ns;
			idle_account(&idle, now);
		} else {
			now += next.state == IDLE_SPINNING ? 100 : next.ns;
			if (next.state == IDLE_SLEEPING)
				idle_account(&idle, now);
		}
		if (random_once_in(&seed, 2000)) {
			uint64_t ns = random_magnitude(&seed, 20);

			idle_account(&idle, now);
			idle_busy(&idle);
			now += ns;
			busy_ns += ns;
		}
	}
	idle_account(&idle, now);
	assert_int_equal(sum(&idle), now);
	assert_int_equal(stats_read(&idle.stats.ns[IDLE_BUSY]), busy_ns);
	assert_int_equal(stats_read(&idle.stats.ns[IDLE_BLOCKED]), blocked_ns);
	assert_true(busy_ns > 0 && blocked_ns > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_way_down),
		cmocka_unit_test(test_woken_in_vain),
		cmocka_unit_test(test_work_starts_anew),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_pause_makes_no_system_call),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_time_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
