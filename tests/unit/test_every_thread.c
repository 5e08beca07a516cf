/* SPDX-License-Identifier: BSD-3-Clause */
/* A function on every thread: on each once, and not by one in another's place. */
#include "unit.h"

#include "sandbox/every_thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* Linux lists threads in the order in which they were made, and so they are asked. */
enum { FIRST, LATE, DEAF, THREADS };

#define WAIT_MS                                                                          \
	1000 /* of a thread that does not hear, and the most that one that does may take \
	      */

static pthread_t threads[THREADS];
static pid_t tids[THREADS + 1];	   /* and the one that asks */
static unsigned runs[THREADS + 1]; /* of each of these */
static int hears, end;

static int count(void)
{
	for (unsigned i = 0; i <= THREADS; i++)
		if (__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE) == gettid())
			runs[i]++;
	return 0;
}

/* The late one hears it, and what it was sent before, when the first one has run this. */
static int count_and_wake(void)
{
	if (gettid() == tids[FIRST])
		__atomic_store_n(&hears, 1, __ATOMIC_RELEASE);
	return count();
}

static int refuse_late(void)
{
	return gettid() == tids[LATE] ? -EPERM : 0;
}

static void wait_until(const int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE) && !__atomic_load_n(&end, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void *thread(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	if (i != FIRST)
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	__atomic_store_n(&tids[i], gettid(), __ATOMIC_RELEASE);
	wait_until(&hears);
	if (i == LATE)
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	wait_until(&end);
	return NULL;
}

static int start_threads(void **state)
{
	hears = end = 0;
	memset(tids, 0, sizeof(tids));
	memset(runs, 0, sizeof(runs));
	for (uintptr_t i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, thread, (void *)i) != 0)
			return -1;
		while (__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE) == 0)
			sched_yield();
	}
	tids[THREADS] = gettid();
	return 0;
}

static int stop_threads(void **state)
{
	__atomic_store_n(&end, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static void assert_runs(unsigned first, unsigned late, unsigned deaf, unsigned own)
{
	assert_int_equal(runs[FIRST], first);
	assert_int_equal(runs[LATE], late);
	assert_int_equal(runs[DEAF], deaf);
	assert_int_equal(runs[THREADS], own);
}

static void test_who_is_late_stands_in_for_nobody(void **state)
{
	assert_int_equal(every_thread(count, WAIT_MS), -ETIMEDOUT);
	assert_runs(1, 0, 0, 1);
	assert_int_equal(every_thread(count_and_wake, WAIT_MS), -ETIMEDOUT);
	assert_runs(2, 1, 0, 2);
}

static void test_first_error(void **state)
{
	__atomic_store_n(&hears, 1, __ATOMIC_RELEASE);
	assert_int_equal(every_thread(refuse_late, WAIT_MS), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_who_is_late_stands_in_for_nobody, start_threads, stop_threads),
		cmocka_unit_test_setup_teardown(test_first_error, start_threads, stop_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
