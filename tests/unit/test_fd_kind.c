/* SPDX-License-Identifier: BSD-3-Clause */
/* Which descriptors are eventfds, and which guest memory. */
#include "fd_kind.h"

#include "proxy_fixture.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static void assert_event(int fd, int expected)
{
	assert_true(fd >= 0);
	assert_int_equal(fd_check_eventfd(fd), expected);
	close(fd);
}

static void test_eventfds(void **state)
{
	static const int flags[] = {0, EFD_NONBLOCK, EFD_SEMAPHORE};
	uint64_t count = UINT64_MAX - 2;
	int fd;

	for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
		assert_event(eventfd(0, flags[i]), 0);
		assert_event(eventfd(1, flags[i]), 0);
	}
	/* The check changes nothing; one with a full counter is no use as kick or call. */
	fd = eventfd(0, 0);
	assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(fd_check_eventfd(fd), 0);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_true(count == UINT64_MAX - 2);
	count++;
	assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	assert_event(fd, -EINVAL);
}

static int armed_timer(void)
{
	const struct itimerspec now = {.it_value = {.tv_nsec = 1}};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	assert_int_equal(timerfd_settime(fd, 0, &now, NULL), 0);
	usleep(1000);
	return fd;
}

static int io_uring(void)
{
	uint8_t params[256] = {0};

	return (int)syscall(SYS_io_uring_setup, 4, params);
}

/* An optional kind: not on this kernel, or not allowed. */
static void assert_no_event_if_any(const char *kind, int fd)
{
	if (fd < 0)
		print_message("# skipped: %s: %s\n", kind, strerror(errno));
	else
		assert_event(fd, -EINVAL);
}

static void test_other_files(void **state)
{
	int fds[2], epoll = epoll_create1(0), event = make_event(1);
	struct epoll_event in = {.events = EPOLLIN};
	sigset_t signals;

	sigfillset(&signals);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &in), 0);
	assert_event(epoll, -EINVAL);
	close(event);
	assert_event(epoll_create1(0), -EINVAL);
	assert_event(timerfd_create(CLOCK_MONOTONIC, 0), -EINVAL);
	assert_event(armed_timer(), -EINVAL);
	assert_event(signalfd(-1, &signals, 0), -EINVAL);
	assert_event(inotify_init(), -EINVAL);
	assert_event(make_memory(), -EINVAL);
	assert_event(open("/dev/null", O_RDWR), -EINVAL);
	assert_event(open("/dev/zero", O_RDWR), -EINVAL);
	assert_event(open("/", O_RDONLY), -EINVAL);
	assert_event(open("/", O_PATH), -EINVAL);
	make_pair(fds);
	assert_event(fds[0], -EINVAL);
	assert_event(fds[1], -EINVAL);
	assert_int_equal(pipe(fds), 0);
	assert_event(fds[0], -EINVAL);
	assert_event(fds[1], -EINVAL);
	assert_no_event_if_any("io_uring", io_uring());
	assert_no_event_if_any("pidfd", (int)syscall(SYS_pidfd_open, getpid(), 0));
	assert_no_event_if_any("userfaultfd", (int)syscall(SYS_userfaultfd, 1 /* user mode */));
	assert_no_event_if_any("fanotify", (int)syscall(SYS_fanotify_init, 0x200 /* FID */, 0));
	assert_no_event_if_any("fsopen", (int)syscall(SYS_fsopen, "tmpfs", 0));
	assert_int_equal(fd_check_eventfd(-1), -EBADF);
	assert_int_equal(fd_check_eventfd(1000000), -EBADF);
}

static void assert_memory(int fd, int expected, int expected_any)
{
	assert_true(fd >= 0);
	assert_int_equal(fd_check_memory(fd, false), expected);
	assert_int_equal(fd_check_memory(fd, true), expected_any);
	close(fd);
}

static void test_memory(void **state)
{
	int memory = make_memory();
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	assert_memory(open(path, O_RDWR), 0, 0);
	assert_memory(open(path, O_RDONLY), -EACCES, -EACCES);
	assert_memory(open(path, O_WRONLY), -EACCES, -EACCES);
	assert_memory(memory, 0, 0);
	assert_memory(memfd_create("sealed", 0), 0, 0);
	assert_memory(open("/dev/null", O_RDWR), -EINVAL, 0);
	assert_memory(make_event(0), -EINVAL, 0);
	assert_int_equal(fd_check_memory(-1, false), -EBADF);
}

static void test_hugetlbfs(void **state)
{
	int fd = memfd_create("huge", MFD_HUGETLB);

	if (fd < 0) {
		print_message("# skipped: no memfd of hugepages: %s\n", strerror(errno));
		skip();
	}
	assert_memory(fd, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eventfds),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_hugetlbfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
