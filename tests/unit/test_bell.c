/* SPDX-License-Identifier: BSD-3-Clause */
/* A bell wakes who waits, never misses, and costs nothing while nobody waits. */
#include "lcore/bell.h"

#include "unit.h"

#include <poll.h>
#include <pthread.h>

#define NR_ROUNDS   50000
#define LIVENESS_MS 20000

static bool is_readable(const struct bell *b, int timeout_ms)
{
	struct pollfd fd = {.fd = b->fd, .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

static void test_rings_who_waits(void **state)
{
	struct bell b;

	assert_int_equal(bell_init(&b), 0);
	bell_ring(NULL, BELL_CALL);
	bell_ring(&b, BELL_CALL | BELL_BYTES);
	assert_false(is_readable(&b, 0)); /* nobody waits */
	bell_arm(&b, BELL_CALL);
	bell_ring(&b, BELL_BYTES);
	assert_false(is_readable(&b, 0)); /* not for that */
	bell_ring(&b, BELL_CALL);
	assert_true(is_readable(&b, 0));
	bell_disarm(&b, true);
	assert_false(is_readable(&b, 0));
	bell_ring(&b, BELL_CALL);
	assert_false(is_readable(&b, 0)); /* it is awake */

	bell_arm(&b, BELL_CALL | BELL_BYTES);
	bell_ring(&b, BELL_BYTES);
	bell_ring(&b, BELL_CALL);
	assert_int_equal(b.armed, 0);
	bell_disarm(&b, is_readable(&b, 0));
	assert_false(is_readable(&b, 0));
	bell_fini(&b);
	bell_fini(&b);
}

struct race {
	struct bell there, back;
	uint32_t work, done;
	bool lost;
};

/* Wait for 'word' to be other than 'seen'. */
static bool wait_for(struct race *r, struct bell *b, const uint32_t *word, uint32_t seen)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == seen) {
		bool readable;

		bell_arm(b, BELL_CALL);
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != seen) {
			bell_disarm(b, false);
			break;
		}
		readable = is_readable(b, LIVENESS_MS);
		bell_disarm(b, readable);
		if (!readable || __atomic_load_n(&r->lost, __ATOMIC_RELAXED)) {
			__atomic_store_n(&r->lost, true, __ATOMIC_RELAXED);
			return false;
		}
	}
	return true;
}

static void *answer(void *arg)
{
	struct race *r = arg;

	for (uint32_t i = 0; i < NR_ROUNDS; i++) {
		if (!wait_for(r, &r->there, &r->work, i))
			break;
		__atomic_store_n(&r->done, i + 1, __ATOMIC_RELEASE);
		bell_ring(&r->back, BELL_CALL);
	}
	return NULL;
}

/* Two who wait for each other, again and again: one ring that is missed, and both stand still. */
static void test_never_misses(void **state)
{
	static struct race r;
	pthread_t other;

	assert_int_equal(bell_init(&r.there), 0);
	assert_int_equal(bell_init(&r.back), 0);
	assert_int_equal(pthread_create(&other, NULL, answer, &r), 0);
	for (uint32_t i = 0; i < NR_ROUNDS; i++) {
		__atomic_store_n(&r.work, i + 1, __ATOMIC_RELEASE);
		bell_ring(&r.there, BELL_CALL);
		if (!wait_for(&r, &r.back, &r.done, i))
			break;
	}
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_false(r.lost);
	bell_fini(&r.there);
	bell_fini(&r.back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rings_who_waits),
		cmocka_unit_test(test_never_misses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
