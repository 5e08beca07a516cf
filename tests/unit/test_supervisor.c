/* SPDX-License-Identifier: BSD-3-Clause */
/* What a supervisor is told, and where it is found. */
#include "supervisor.h"

#include "unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define PATH "/tmp/vrng-unit-supervisor"

struct fixture {
	char name[64];
	int fd;
	struct supervisor s;
};

/* Listen at a name as it stands in NOTIFY_SOCKET. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

	strcpy(address.sun_path, name);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
	return fd;
}

static int setup(void **state)
{
	static struct fixture fx;

	memset(&fx, 0, sizeof(fx));
	snprintf(fx.name, sizeof(fx.name), "%s-%d", PATH, (int)getpid());
	fx.fd = listen_at(fx.name);
	setenv("NOTIFY_SOCKET", fx.name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	supervisor_close(&fx->s);
	close(fx->fd);
	unlink(fx->name);
	return 0;
}

static void expect_at(int fd, const char *message)
{
	char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (message == NULL) {
		assert_int_equal(n, -1);
		return;
	}
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, message);
}

static void test_messages(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(supervisor_open(&fx->s), 0);
	supervisor_status(&fx->s, "%u guests", 3u);
	expect_at(fx->fd, "STATUS=3 guests\n");
	supervisor_ready(&fx->s);
	expect_at(fx->fd, "READY=1\nSTATUS=3 guests\n");
	supervisor_status(&fx->s, "3 guests");
	expect_at(fx->fd, NULL); /* as before */
	supervisor_status(&fx->s, "4 guests");
	expect_at(fx->fd, "STATUS=4 guests\n");
	supervisor_feed(&fx->s);
	expect_at(fx->fd, NULL); /* there is no watchdog */
	supervisor_stopping(&fx->s);
	expect_at(fx->fd, "STOPPING=1\nSTATUS=ending\n");
	supervisor_close(&fx->s);
	supervisor_status(&fx->s, "5 guests");
	expect_at(fx->fd, NULL);
}

static void assert_hears_at(struct fixture *fx, const char *name)
{
	int fd = listen_at(name);

	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(supervisor_open(&fx->s), 0);
	supervisor_ready(&fx->s);
	expect_at(fd, "READY=1\nSTATUS=\n");
	close(fd);
}

static void test_abstract_name(void **state)
{
	char name[64];

	snprintf(name, sizeof(name), "@vrng-unit-supervisor-%d", (int)getpid());
	assert_hears_at(*state, name);
}

static void test_longest_name(void **state)
{
	struct fixture *fx = *state;
	char name[sizeof(fx->s.address.sun_path) + 1];

	memset(name, 'x', sizeof(name));
	name[0] = '@';
	name[sizeof(name) - 2] = '\0';
	assert_hears_at(fx, name);

	name[sizeof(name) - 2] = 'x';
	name[sizeof(name) - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(supervisor_open(&fx->s), -EINVAL);
}

static void test_no_name(void **state)
{
	static const char *const bad[] = {"", "/", "@", "run/notify", "vsock:2:1"};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		assert_int_equal(supervisor_open(&fx->s), -EINVAL);
		supervisor_ready(&fx->s);
	}
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "1000", 1);
	assert_int_equal(supervisor_open(&fx->s), 0);
	assert_int_equal(fx->s.watchdog_ns, 0);
	supervisor_status(&fx->s, "alone");
	supervisor_ready(&fx->s);
	supervisor_feed(&fx->s);
	supervisor_stopping(&fx->s);
	expect_at(fx->fd, NULL);
}

static void expect_watchdog(struct fixture *fx, const char *usec, const char *pid, uint64_t ns)
{
	if (usec != NULL)
		setenv("WATCHDOG_USEC", usec, 1);
	if (pid != NULL)
		setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(supervisor_open(&fx->s), 0);
	assert_int_equal(fx->s.watchdog_ns, ns);
	supervisor_feed(&fx->s);
	expect_at(fx->fd, ns != 0 ? "WATCHDOG=1\n" : NULL);
	supervisor_close(&fx->s);
}

static void test_watchdog(void **state)
{
	struct fixture *fx = *state;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	expect_watchdog(fx, NULL, NULL, 0);
	expect_watchdog(fx, "2000000", NULL, 2000000000);
	expect_watchdog(fx, "1", pid, 1000);
	expect_watchdog(fx, "1", "1", 0); /* another process's */
	expect_watchdog(fx, "1", "", 0);
	expect_watchdog(fx, "0", pid, 0);
	expect_watchdog(fx, "-5", pid, 0);
	expect_watchdog(fx, "18446744073709551615", pid, 0);
	expect_watchdog(fx, "soon", pid, 0);
}

/* A supervisor that is gone, or does not read, holds nobody up; one that came back is told. */
static void test_gone_and_back(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(supervisor_open(&fx->s), 0);
	for (unsigned i = 0; i < 10000; i++)
		supervisor_status(&fx->s, "%u", i); /* its queue is full long before */
	supervisor_ready(&fx->s);
	close(fx->fd);
	supervisor_status(&fx->s, "nobody");
	unlink(fx->name);
	supervisor_status(&fx->s, "no socket");
	fx->fd = listen_at(fx->name);
	supervisor_status(&fx->s, "here again");
	expect_at(fx->fd, "STATUS=here again\n");
}

/* What it did not read in time it is told again, as it is then. */
static void test_full_queue(void **state)
{
	struct fixture *fx = *state;
	char text[512];
	unsigned n = 0;

	assert_int_equal(supervisor_open(&fx->s), 0);
	for (unsigned i = 0; i < 10000; i++)
		supervisor_status(&fx->s, "%u", i);
	while (recv(fx->fd, text, sizeof(text), 0) > 0)
		n++;
	assert_true(n < 10000);
	supervisor_status(&fx->s, "9999");
	expect_at(fx->fd, "STATUS=9999\n");
	supervisor_status(&fx->s, "9999");
	expect_at(fx->fd, NULL);
}

static void test_long_status(void **state)
{
	struct fixture *fx = *state;
	char text[1000], want[300];

	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(supervisor_open(&fx->s), 0);
	supervisor_status(&fx->s, "%s", text);
	snprintf(want, sizeof(want), "STATUS=%.255s\n", text);
	expect_at(fx->fd, want);
}

#define SUPERVISOR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUPERVISOR_TEST(test_messages),
		SUPERVISOR_TEST(test_abstract_name),
		SUPERVISOR_TEST(test_longest_name),
		SUPERVISOR_TEST(test_no_name),
		SUPERVISOR_TEST(test_watchdog),
		SUPERVISOR_TEST(test_gone_and_back),
		SUPERVISOR_TEST(test_full_queue),
		SUPERVISOR_TEST(test_long_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
