/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kick descriptors an lcore listens to: eventfds, and nothing else. */
#include "lcore/kick.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void expect(int fd, bool heard)
{
	struct kick k = {.heard = true, .vain = 3, .mute_ns = 1, .look_ns = 1};

	kick_init(&k, fd);
	assert_int_equal(k.fd, heard ? fd : -1);
	assert_false(k.heard);
	assert_int_equal(k.vain + k.mute_ns + k.look_ns, 0);
	if (fd >= 0)
		close(fd);
}

static void test_eventfds(void **state)
{
	expect(eventfd(0, 0), true);
	expect(eventfd(7, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC), true);
}

static void test_others(void **state)
{
	char name[] = "/tmp/anon_inode:[eventfd]XXXXXX";
	int fds[2];

	expect(-1, false);
	expect(-2, false);
	expect(epoll_create1(EPOLL_CLOEXEC), false);
	expect(timerfd_create(CLOCK_MONOTONIC, 0), false);
	expect(memfd_create("anon_inode:[eventfd]", 0), false);
	expect(open("/dev/zero", O_RDWR), false);
	expect(open("/", O_RDONLY), false);
	assert_int_equal(pipe(fds), 0);
	expect(fds[0], false);
	expect(fds[1], false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	expect(fds[0], false);
	expect(fds[1], false);
	fds[0] = mkstemp(name);
	assert_true(fds[0] >= 0);
	unlink(name);
	expect(fds[0], false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eventfds),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
