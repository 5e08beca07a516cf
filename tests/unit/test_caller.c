/* SPDX-License-Identifier: BSD-3-Clause */
/* Call descriptors of all kinds: none may make the caller wait. An alarm ends a test that does. */
#include "lcore/caller.h"

#include "forbid.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_S	 20
#define FULL	 (UINT64_MAX - 1)
#define N_CALLS	 (10 * CALLER_BATCH + 1)
#define N_FIGHTS 200000

static int setup(void **state)
{
	static struct caller c;

	alarm(LIMIT_S);
	(void)caller_init(&c);
	*state = &c;
	return 0;
}

/*
 * The caller, where there is asynchronous I/O: qemu-user has none. For the beginning of a test,
 * since cmocka takes a skip in its set-up for a failure.
 */
static struct caller *caller_or_skip(void **state)
{
	struct caller *c = *state;

	if (c->flaw != 0) {
		print_message("# no asynchronous I/O here: %s\n", strerror(-c->flaw));
		skip();
	}
	return c;
}

static int teardown(void **state)
{
	caller_fini(*state);
	alarm(0);
	return 0;
}

static uint64_t count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void test_counts(void **state)
{
	struct caller *c = caller_or_skip(state);
	int a = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), b = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	for (unsigned i = 0; i < N_CALLS; i++) {
		assert_int_equal(caller_call(c, a), 0);
		if (i % 3 == 0)
			assert_int_equal(caller_call(c, b), 0);
		if (i == 4)
			assert_int_equal(count(a), 5);
	}
	assert_int_equal(count(a), N_CALLS - 5);
	assert_int_equal(count(b), (N_CALLS + 2) / 3);
	close(a);
	close(b);
}

/* A blocking eventfd whose counter is full: a write would wait for a reader. */
static void test_full(void **state)
{
	struct caller *c = caller_or_skip(state);
	uint64_t full = FULL;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	for (unsigned i = 0; i < N_CALLS; i++)
		(void)caller_call(c, fd);
	assert_true(count(fd) >= FULL);
	assert_int_equal(caller_call(c, fd), 0);
	assert_int_equal(count(fd), 1);
	close(fd);
}

static void test_no_eventfd(void **state)
{
	struct caller *c = caller_or_skip(state);
	int fds[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
	int bad;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	for (unsigned i = 0; i < N_CALLS; i++) {
		assert_int_equal(caller_call(c, fds[1]), -EINVAL);
		assert_int_equal(caller_call(c, null), -EINVAL);
	}
	bad = fcntl(null, F_DUPFD_CLOEXEC, 500);
	close(bad);
	assert_true(caller_call(c, bad) < 0);
	assert_false(caller_can_call(null));
	assert_false(caller_can_call(fds[1]));
	assert_true(caller_can_call(event));
	assert_int_equal(caller_call(c, event), 0);
	assert_int_equal(count(event), 1);
	close(fds[0]);
	close(fds[1]);
	close(null);
	close(event);
}

struct fight {
	int fd;
	bool done;
};

/* The other holder of the open file fills it, and makes it a blocking one, all the time. */
static void *fill(void *arg)
{
	struct fight *f = arg;
	uint64_t full = FULL;

	while (!__atomic_load_n(&f->done, __ATOMIC_ACQUIRE)) {
		fcntl(f->fd, F_SETFL, O_NONBLOCK);
		(void)!write(f->fd, &full, sizeof(full));
		fcntl(f->fd, F_SETFL, 0);
	}
	return NULL;
}

static void test_fight_over_flags(void **state)
{
	struct caller *c = caller_or_skip(state);
	struct fight f = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fill, &f), 0);
	for (unsigned i = 0; i < N_FIGHTS; i++)
		(void)caller_call(c, f.fd);
	__atomic_store_n(&f.done, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	close(f.fd);
}

#define NO_FILTER 77

/* @return the exit status of a process without AIO */
static int call_without_aio(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t full = FULL;
	struct caller c;

	alarm(LIMIT_S);
	if (forbid(SYS_io_setup, ENOSYS) != 0)
		return NO_FILTER;
	if (caller_init(&c) != -ENOSYS)
		return 1;
	for (unsigned i = 0; i < N_CALLS; i++)
		if (caller_call(&c, fd) != 0)
			return 2;
	if (count(fd) != N_CALLS || write(fd, &full, sizeof(full)) != sizeof(full))
		return 3;
	fcntl(fd, F_SETFL, 0);
	if (caller_call(&c, fd) != 0 || count(fd) != FULL)
		return 4;
	caller_fini(&c);
	return 0;
}

static void test_without_aio(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(call_without_aio());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER) {
		print_message("# no seccomp filters here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

#define CALLER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CALLER_TEST(test_counts),
		CALLER_TEST(test_full),
		CALLER_TEST(test_no_eventfd),
		CALLER_TEST(test_fight_over_flags),
		cmocka_unit_test(test_without_aio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
