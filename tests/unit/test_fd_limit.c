/* SPDX-License-Identifier: BSD-3-Clause */
/* How far the number of open files goes up, with and without the right to raise the hard limit. */
#include "fd_limit.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* In a child, whose limits are its own: what fd_limit_raise() gives, and whether it is in force. */
static rlim_t raise_from(struct rlimit before, rlim_t need, bool privileged)
{
	struct rlimit after;
	int fds[2], status;
	rlim_t got;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_NOFILE, &before) != 0 ||
			(!privileged && setresuid(NOBODY, NOBODY, NOBODY) != 0))
			_exit(2);
		got = fd_limit_raise(need);
		if (getrlimit(RLIMIT_NOFILE, &after) != 0 || after.rlim_cur != got ||
			after.rlim_max < before.rlim_max)
			_exit(3);
		_exit(write(fds[1], &got, sizeof(got)) == sizeof(got) ? 0 : 4);
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(read(fds[0], &got, sizeof(got)), sizeof(got));
	close(fds[0]);
	return got;
}

/* Root in a container may lack it. */
static bool has_cap_sys_resource(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long caps = 0;
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "CapEff: %llx", &caps);
	fclose(file);
	return caps >> 24 & 1;
}

static void test_enough_already(void **state)
{
	const struct rlimit before = {.rlim_cur = 200, .rlim_max = 300};

	assert_int_equal(raise_from(before, 100, true), 200);
	assert_int_equal(raise_from(before, 200, true), 200);
}

static void test_below_the_hard_limit(void **state)
{
	const struct rlimit before = {.rlim_cur = 100, .rlim_max = 300};

	assert_int_equal(raise_from(before, 250, true), 250);
	assert_int_equal(raise_from(before, 300, true), 300);
}

static void test_beyond_the_hard_limit(void **state)
{
	const struct rlimit before = {.rlim_cur = 100, .rlim_max = 300};

	if (!has_cap_sys_resource())
		print_message("# without CAP_SYS_RESOURCE: the hard limit stays\n");
	assert_int_equal(raise_from(before, 301, true), has_cap_sys_resource() ? 301 : 300);
	/* Without the right to it: as far as it goes. */
	if (geteuid() == 0)
		assert_int_equal(raise_from(before, 301, false), 300);
	/* What the kernel gives nobody. */
	assert_int_equal(raise_from(before, (rlim_t)1 << 40, true), 300);
}

/* In a child that may open few files: some can be kept, others are there; or none is kept. */
static void test_reserve(void **state)
{
	const struct rlimit few = {.rlim_cur = 32, .rlim_max = 32};
	struct fd_reserve all, some;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		bool good = setrlimit(RLIMIT_NOFILE, &few) == 0;

		for (unsigned i = 0; i < 3; i++) {
			good = good && fd_reserve(32, &all) == -EMFILE && all.n == 0;
			good = good && !fd_limit_is_reached();
			good = good && fd_reserve(16, &some) == 0 && some.n == 16;
			good = good && fd_reserve(16, &all) == -EMFILE;
			fd_release(&some);
			fd_release(&all);
		}
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enough_already),
		cmocka_unit_test(test_below_the_hard_limit),
		cmocka_unit_test(test_beyond_the_hard_limit),
		cmocka_unit_test(test_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
