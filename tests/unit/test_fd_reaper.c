/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that are closed on a thread, whatever their close() does. */
#include "fd_reaper.h"
#include "proxy_fixture.h"

#include <netinet/in.h>
#include <poll.h>

#define LIVENESS_MS 20000

static void make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void queue_fd(struct fd_reaper *reaper, int fd)
{
	fd_closer_close(fd_reaper_closer(reaper), fd);
}

/* Wait until the last writer of a pipe is closed. */
static void wait_end(int read_end)
{
	struct pollfd wait = {.fd = read_end, .events = POLLIN};

	assert_int_equal(poll(&wait, 1, LIVENESS_MS), 1);
	assert_true(wait.revents & POLLHUP);
	close(read_end);
}

static void wait_backlog(struct fd_reaper *reaper, unsigned n)
{
	for (unsigned ms = 0; fd_reaper_backlog(reaper) != n; ms++) {
		assert_true(ms < LIVENESS_MS);
		usleep(1000);
	}
}

/* A connection whose close() waits until 'peer' is read or closed. */
static int make_lingering(int *peer)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 60};
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char bytes[65536];

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	*peer = accept(listener, NULL, NULL);
	assert_true(*peer >= 0);
	close(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static void test_all_are_closed(void **state)
{
	unsigned before = count_fds();
	struct fd_reaper *reaper;
	int ends[10][2];

	assert_int_equal(fd_reaper_create(&reaper), 0);
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		make_pipe(ends[i]);
		queue_fd(reaper, ends[i][1]);
	}
	for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
		wait_end(ends[i][0]);
	wait_backlog(reaper, 0);
	/* The thread has ended, and is started anew. */
	make_pipe(ends[0]);
	queue_fd(reaper, ends[0][1]);
	wait_end(ends[0][0]);
	fd_reaper_destroy(reaper);
	fd_reaper_destroy(NULL);
	assert_int_equal(count_fds(), before);
}

/* A close() that waits delays the descriptors behind it, not the caller and not another guest's. */
static void test_a_close_that_waits(void **state)
{
	struct fd_reaper *slow, *other;
	int ends[2], behind[2], peer;

	assert_int_equal(fd_reaper_create(&slow), 0);
	assert_int_equal(fd_reaper_create(&other), 0);
	queue_fd(slow, make_lingering(&peer));
	make_pipe(behind);
	queue_fd(slow, behind[1]);
	make_pipe(ends);
	queue_fd(other, ends[1]);
	wait_end(ends[0]);
	assert_int_equal(fd_reaper_backlog(slow), 2);
	close(peer);
	wait_end(behind[0]);
	wait_backlog(slow, 0);
	fd_reaper_destroy(slow);
	fd_reaper_destroy(other);
}

/* A reaper that is given up still closes what it has. */
static void test_given_up(void **state)
{
	struct fd_reaper *reaper;
	int ends[2], peer;

	assert_int_equal(fd_reaper_create(&reaper), 0);
	queue_fd(reaper, make_lingering(&peer));
	make_pipe(ends);
	queue_fd(reaper, ends[1]);
	fd_reaper_destroy(reaper);
	close(peer);
	wait_end(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_closed),
		cmocka_unit_test(test_a_close_that_waits),
		cmocka_unit_test(test_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
