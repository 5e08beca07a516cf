/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon under a supervisor (systemd's protocol): it says when it serves, and feeds the
 * watchdog as long as every lcore makes progress, which one that sleeps does.
 */
#include "daemon.h"
#include "guest.h"
#include "threads.h"
#include "util.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WATCHDOG_MS 400

struct fixture {
	struct daemon daemon;
	struct guest guest;
	bool has_guest;
	char path[96];
	int fd;
};

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));
	char usec[16];

	fx->daemon.inspected = true;
	snprintf(fx->path, sizeof(fx->path), "%s/notify", fx->daemon.dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fx->path);
	fx->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fx->fd >= 0);
	assert_int_equal(bind(fx->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", fx->path, 1);
	snprintf(usec, sizeof(usec), "%d", WATCHDOG_MS * 1000);
	setenv("WATCHDOG_USEC", usec, 1);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->has_guest)
		guest_fini(&fx->guest);
	close(fx->fd);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	return daemon_fixture_end(state);
}

/* The next message within so long. @return false: none */
static bool hear(struct fixture *fx, char *text, size_t size, int limit_ms)
{
	struct pollfd fd = {.fd = fx->fd, .events = POLLIN};
	ssize_t n;

	if (poll(&fd, 1, limit_ms) != 1)
		return false;
	n = recv(fx->fd, text, size - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	return true;
}

/* Wait for a message that has this in it. */
static void wait_for(struct fixture *fx, const char *what)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	char text[512];

	do {
		if (now_ms() > deadline_ms || !hear(fx, text, sizeof(text), LIVENESS_MS))
			fail_msg("the supervisor was not told %s", what);
	} while (strstr(text, what) == NULL);
}

static void drop_heard(struct fixture *fx)
{
	char text[512];

	while (hear(fx, text, sizeof(text), 0))
		;
}

static void run(struct fixture *fx, const char *policy)
{
	const char *args[] = {"-s", fx->daemon.prefix, "--idle", policy, NULL};

	daemon_run(&fx->daemon, args);
}

/* The first thing that is said is that it serves; it does. The last is that it ends. */
static void test_from_start_to_end(void **state)
{
	struct fixture *fx = *state;
	struct guest_cfg cfg = {.queue_size = 16, .event_idx = true};

	run(fx, "poll");
	wait_for(fx, "READY=1\nSTATUS=0 of 1 guests served\n");
	assert_true(socket_answers(fx->daemon.socket[0]));
	guest_init(&fx->guest, &cfg);
	fx->has_guest = true;
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	guest_assert_served(&fx->guest);
	wait_for(fx, "STATUS=1 of 1 guests served\n");
	guest_die(&fx->guest);
	wait_for(fx, "STATUS=0 of 1 guests served\n");
	kill(fx->daemon.pid, SIGTERM);
	wait_for(fx, "STOPPING=1\n");
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 0);
	drop_heard(fx);
}

/* An lcore that works or sleeps feeds the watchdog; one that stands still starves it. */
static void stuck_lcore(struct fixture *fx, const char *policy)
{
	pid_t lcore;
	char text[512];

	run(fx, policy);
	wait_for(fx, "READY=1");
	for (unsigned i = 0; i < 10; i++)
		wait_for(fx, "WATCHDOG=1");
	lcore = thread_find(&fx->daemon, "vrng-lcore-");
	thread_stop(lcore);
	/* What was said while it still ran, and of the poke that it had answered. */
	sleep_ms(2 * WATCHDOG_MS);
	drop_heard(fx);
	while (hear(fx, text, sizeof(text), 3 * WATCHDOG_MS))
		assert_null(strstr(text, "WATCHDOG=1"));
	assert_int_equal(ptrace(PTRACE_DETACH, lcore, NULL, NULL), 0);
	wait_for(fx, "WATCHDOG=1");
	kill(fx->daemon.pid, SIGTERM);
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 0);
}

static void test_stuck_while_polling(void **state)
{
	stuck_lcore(*state, "poll");
}

static void test_stuck_while_pausing(void **state)
{
	stuck_lcore(*state, "pause");
}

static void test_stuck_while_asleep(void **state)
{
	stuck_lcore(*state, "adaptive");
}

/* The log says so, too, with a supervisor or without, and when it is over. */
static void test_stuck_is_logged(void **state)
{
	struct fixture *fx = *state;
	pid_t lcore;

	unsetenv("NOTIFY_SOCKET");
	daemon_start(&fx->daemon, 1, NULL);
	/* Until it has started, it waits for its lcores. */
	daemon_wait_until_said(&fx->daemon, "vhost-rng: serving");
	lcore = thread_find(&fx->daemon, "vrng-lcore-");
	thread_stop(lcore);
	daemon_wait_until_said(&fx->daemon, "has made no progress for");
	assert_false(daemon_said(&fx->daemon, "goes on"));
	assert_int_equal(ptrace(PTRACE_DETACH, lcore, NULL, NULL), 0);
	daemon_wait_until_said(&fx->daemon, "goes on");
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

/* What cannot be a socket is said, and no reason not to serve. */
static void test_no_socket(void **state)
{
	struct fixture *fx = *state;

	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	daemon_start(&fx->daemon, 1, NULL);
	assert_true(daemon_said(&fx->daemon, "NOTIFY_SOCKET"));
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

/* A supervisor may ask to read again where there is nothing to read: no reason to end. */
static void test_reload_without_file(void **state)
{
	struct fixture *fx = *state;

	run(fx, "poll");
	wait_for(fx, "READY=1");
	kill(fx->daemon.pid, SIGHUP);
	daemon_wait_until_said(&fx->daemon, "SIGHUP: there is no --config to read again");
	assert_true(socket_answers(fx->daemon.socket[0]));
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

#define SUPERVISOR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUPERVISOR_TEST(test_from_start_to_end),
		SUPERVISOR_TEST(test_stuck_while_polling),
		SUPERVISOR_TEST(test_stuck_while_pausing),
		SUPERVISOR_TEST(test_stuck_while_asleep),
		SUPERVISOR_TEST(test_stuck_is_logged),
		SUPERVISOR_TEST(test_no_socket),
		SUPERVISOR_TEST(test_reload_without_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
