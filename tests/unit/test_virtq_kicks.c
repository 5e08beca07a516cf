/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kicks on and off: one who waits for a kick is woken whatever the driver does when, and one who
 * looks is left alone.
 */
#include "virtq.h"

#include "vm.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define SIZE	    4
#define NR_ROUNDS   100000
#define LIVENESS_NS 20000000000u
#define RACE_NS	    5000000000u /* where the two threads get a CPU in turns only */

struct fixture {
	struct vm vm;
	struct virtq vq;
	struct virtq_burst b;
};

static void fixture_init(struct fixture *fx, bool event_idx, uint16_t start)
{
	struct driver_cfg cfg = {.size = SIZE, .event_idx = event_idx, .start_idx = start};

	memset(fx, 0, sizeof(*fx));
	vm_init(&fx->vm, &cfg);
	vm_start(&fx->vm, &fx->vq);
}

static void offer(struct fixture *fx)
{
	vm_offer(&fx->vm, VM_DATA_GPA, 8);
}

/* Serve all that there is. @return how many */
static unsigned serve(struct fixture *fx)
{
	if (!virtq_has_work(&fx->vq))
		return 0;
	assert_int_equal(virtq_gather(&fx->vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx->b), VIRTQ_EMPTY);
	burst_fill(&fx->b, 1);
	virtq_complete(&fx->vq, &fx->b);
	return fx->b.n_reqs;
}

static void take(struct fixture *fx, unsigned n)
{
	while (n-- > 0)
		vm_take(&fx->vm, 8);
}

/* One or several requests after kicks were put on: exactly the first publication kicks. */
static void check_on(struct fixture *fx, unsigned n)
{
	assert_false(virtq_enable_kicks(&fx->vq));
	assert_true(fx->vq.kicks_on);
	assert_false(driver_kick_needed(&fx->vm.drv)); /* nothing new */
	for (unsigned i = 0; i < n; i++)
		offer(fx);
	driver_publish(&fx->vm.drv);
	assert_true(driver_kick_needed(&fx->vm.drv));
	assert_int_equal(serve(fx), n);
	take(fx, n);
}

/* Off: none, over a whole turn of the index but for the one in 65,536 that EVENT_IDX cannot help.
 */
static void check_off(struct fixture *fx)
{
	unsigned kicks = 0;

	virtq_disable_kicks(&fx->vq);
	assert_false(fx->vq.kicks_on);
	for (unsigned i = 0; i < 65535; i++) {
		offer(fx);
		driver_publish(&fx->vm.drv);
		kicks += driver_kick_needed(&fx->vm.drv);
		assert_int_equal(serve(fx), 1);
		take(fx, 1);
	}
	assert_int_equal(kicks, 0);
}

/* After the start kicks are off; on and off again, at every place of a small ring and the wrap. */
static void on_and_off(bool event_idx)
{
	struct fixture fx;

	for (unsigned start = 65536 - SIZE - 1; start < 65536 + SIZE + 1; start++) {
		fixture_init(&fx, event_idx, (uint16_t)start);
		assert_false(fx.vq.kicks_on);
		offer(&fx);
		driver_publish(&fx.vm.drv);
		assert_false(driver_kick_needed(&fx.vm.drv));
		assert_int_equal(serve(&fx), 1);
		take(&fx, 1);
		for (unsigned n = 1; n <= SIZE; n++)
			check_on(&fx, n);
		if (start % 4 == 0)
			check_off(&fx);
		check_on(&fx, 1);
		vm_fini(&fx.vm);
	}
}

static void test_on_and_off_with_event_idx(void **state)
{
	on_and_off(true);
}

static void test_on_and_off_with_flags(void **state)
{
	on_and_off(false);
}

/* Off when nothing came meanwhile: the wish is taken back. */
static void test_taken_back(void **state)
{
	struct fixture fx;

	for (unsigned event_idx = 0; event_idx <= 1; event_idx++) {
		fixture_init(&fx, event_idx, 65535);
		assert_false(virtq_enable_kicks(&fx.vq));
		check_off(&fx);
		vm_fini(&fx.vm);
	}
}

/* A chain that is open, or was given back, is work. */
static void test_open_chain_is_work(void **state)
{
	struct fixture fx;

	for (unsigned event_idx = 0; event_idx <= 1; event_idx++) {
		fixture_init(&fx, event_idx, 65535);
		offer(&fx);
		driver_publish(&fx.vm.drv);
		assert_int_equal(virtq_gather(&fx.vq, 3, VIRTQ_BURST_REQS, &fx.b), VIRTQ_OK);
		assert_true(virtq_is_open(&fx.vq));
		assert_true(virtq_enable_kicks(&fx.vq));
		virtq_rewind(&fx.vq);
		assert_true(virtq_enable_kicks(&fx.vq));
		assert_int_equal(serve(&fx), 1);
		assert_false(virtq_enable_kicks(&fx.vq));
		vm_fini(&fx.vm);
	}
}

/*
 * Every order of what the driver does (publish, look whether to kick; for each of n requests) and
 * of one enabling: when it said that there is nothing, a kick comes for the first request after it.
 */
static void every_order(bool event_idx, unsigned n, unsigned enable_at)
{
	struct fixture fx;
	unsigned kicks_after = 0, published = 0;
	bool waits = false;

	fixture_init(&fx, event_idx, 65534);
	for (unsigned step = 0; step <= 2 * n; step++) {
		if (step == enable_at) {
			waits = !virtq_enable_kicks(&fx.vq);
			assert_int_equal(waits, published == 0);
		}
		if (step == 2 * n)
			break;
		if (step % 2 == 0) {
			offer(&fx);
			driver_publish(&fx.vm.drv);
			published++;
		} else {
			kicks_after += driver_kick_needed(&fx.vm.drv);
		}
	}
	if (waits && published > 0)
		assert_true(kicks_after > 0);
	if (event_idx && kicks_after > 0)
		assert_int_equal(kicks_after, 1);
	vm_fini(&fx.vm);
}

static void test_every_order(void **state)
{
	for (unsigned n = 0; n <= SIZE; n++) {
		for (unsigned at = 0; at <= 2 * n; at++) {
			every_order(false, n, at);
			every_order(true, n, at);
		}
	}
}

/* What no list of orders has: both sides at once, on two CPUs. */
struct race {
	struct fixture fx;
	uint64_t seed;
	uint32_t kick; /* driver: sets, device: clears */
	bool stop;
	unsigned n_kicks;
};

static void *drive(void *arg)
{
	struct race *race = arg;
	struct driver *drv = &race->fx.vm.drv;
	struct driver_buf buf = vm_buf(VM_DATA_GPA, 8);
	uint64_t seed = race->seed + 1;
	struct driver_used used;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		unsigned looks = 0;

		if (driver_add(drv, &buf, 1, 1, 0) != 0)
			abort();
		driver_publish(drv);
		if (driver_kick_needed(drv))
			__atomic_store_n(&race->kick, 1, __ATOMIC_RELEASE);
		while (driver_take(drv, &used) == DRIVER_EMPTY) {
			if (++looks % 1024 != 0)
				continue;
			sched_yield();
			if (__atomic_load_n(&race->stop, __ATOMIC_RELAXED))
				return NULL;
		}
		for (uint64_t n = random_below(&seed, 200); n > 0; n--)
			__asm__ volatile("");
	}
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Asleep, as far as the driver can tell. @return whether a kick came */
static bool wait_for_kick(struct race *race)
{
	uint64_t since = now_ns();

	for (unsigned n = 1; __atomic_exchange_n(&race->kick, 0, __ATOMIC_ACQUIRE) == 0; n++) {
		if (n % 1024 != 0)
			continue;
		sched_yield();
		if (now_ns() - since > LIVENESS_NS)
			return false;
	}
	race->n_kicks++;
	return true;
}

static void race(bool event_idx)
{
	static struct race race;
	pthread_t driver;
	bool lost = false;
	uint64_t until_ns;

	memset(&race, 0, sizeof(race));
	until_ns = now_ns() + RACE_NS;
	race.seed = random_seed(event_idx ? "race_with_event_idx" : "race_with_flags");
	fixture_init(&race.fx, event_idx, 65000);
	assert_int_equal(pthread_create(&driver, NULL, drive, &race), 0);
	for (unsigned i = 0; i < NR_ROUNDS && !lost && now_ns() < until_ns; i++) {
		if (serve(&race.fx) > 0)
			virtq_disable_kicks(&race.fx.vq);
		for (uint64_t n = random_below(&race.seed, 200); n > 0; n--)
			__asm__ volatile("");
		if (!virtq_enable_kicks(&race.fx.vq))
			lost = !wait_for_kick(&race);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(driver, NULL), 0);
	assert_false(lost);
	assert_true(race.n_kicks > 0);
	print_message("# waited for %u kicks\n", race.n_kicks);
	vm_fini(&race.fx.vm);
}

static void test_race_with_event_idx(void **state)
{
	race(true);
}

static void test_race_with_flags(void **state)
{
	race(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_on_and_off_with_event_idx),
		VM_BOTH(test_on_and_off_with_flags),
		VM_BOTH(test_taken_back),
		VM_BOTH(test_open_chain_is_work),
		VM_BOTH(test_every_order),
		VM_BOTH(test_race_with_event_idx),
		VM_BOTH(test_race_with_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
