/* SPDX-License-Identifier: BSD-3-Clause */
/* How long a guest has waited, for whoever asks meanwhile. */
#include "waiting.h"

#include "unit.h"

#include <pthread.h>

static void expect(const struct waiting *w, uint64_t now_ns, enum waiting_for kind,
	uint64_t tokens_ns, uint64_t bytes_ns)
{
	uint64_t ns[WAITING_KINDS];

	assert_int_equal(waiting_read(w, now_ns, ns), kind);
	assert_int_equal(ns[WAITING_FOR_TOKENS], tokens_ns);
	assert_int_equal(ns[WAITING_FOR_BYTES], bytes_ns);
}

static void test_kinds(void **state)
{
	struct waiting w = {0};

	expect(&w, 1000, WAITING_FOR_NOTHING, 0, 0);
	waiting_set(&w, WAITING_FOR_TOKENS, 1000);
	expect(&w, 1000, WAITING_FOR_TOKENS, 0, 0);
	expect(&w, 1300, WAITING_FOR_TOKENS, 300, 0); /* nobody has looked at it since */
	waiting_set(&w, WAITING_FOR_TOKENS, 1400);
	expect(&w, 1500, WAITING_FOR_TOKENS, 500, 0);
	waiting_set(&w, WAITING_FOR_BYTES, 1600);
	expect(&w, 1650, WAITING_FOR_BYTES, 600, 50);
	waiting_set(&w, WAITING_FOR_NOTHING, 1700);
	expect(&w, 9000, WAITING_FOR_NOTHING, 600, 100);
	waiting_set(&w, WAITING_FOR_BYTES, 9000);
	/* A reader whose clock was read before. */
	expect(&w, 8999, WAITING_FOR_BYTES, 600, 100);
}

#define ROUNDS 100000000

static void *write_all(void *arg)
{
	struct waiting *w = arg;

	for (uint64_t now = 1; now <= ROUNDS; now++)
		waiting_set(w, 1 + now % 2, now);
	return NULL;
}

/* Whoever reads meanwhile sees all of a change or nothing of it: no time is missing or twice. */
static void test_two_threads(void **state)
{
	static struct waiting w;
	uint64_t ns[WAITING_KINDS], counted_ns;
	pthread_t thread;

	waiting_set(&w, WAITING_FOR_TOKENS, 1);
	assert_int_equal(pthread_create(&thread, NULL, write_all, &w), 0);
	do {
		waiting_read(&w, 0, ns);
		counted_ns = ns[WAITING_FOR_TOKENS] + ns[WAITING_FOR_BYTES];
		waiting_read(&w, ROUNDS, ns);
		/* All time up to then is one or the other. */
		assert_int_equal(ns[WAITING_FOR_TOKENS] + ns[WAITING_FOR_BYTES], ROUNDS - 1);
	} while (counted_ns < ROUNDS - 1);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
