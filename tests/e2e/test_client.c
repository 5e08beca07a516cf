/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Client mode: the sockets are the front-ends', which come before the daemon or after it, go away
 * and come back. (Restarts of the daemon have their own file, test_restarts.c.)
 */
#include "client.h"
#include "daemon.h"
#include "honest.h"
#include "listener.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUESTS_MAX 1023 /* in one process */

/* Listener, connection, kick, call and memory; and the test's own. */
#define FDS_PER_GUEST 5
#define FDS_OWN	      100

struct fixture {
	struct daemon daemon;
	struct honest honest;
	struct guest guest;
	int listen_fd; /* of 'guest'; 0: none */
};

static int setup(void **state)
{
	((struct daemon *)daemon_fixture(state, sizeof(struct fixture)))->inspected = true;
	return 0;
}

static void stop_listening(struct fixture *fx)
{
	if (fx->listen_fd > 0)
		close(fx->listen_fd);
	fx->listen_fd = 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	honest_fini(&fx->honest);
	guest_fini(&fx->guest);
	stop_listening(fx);
	return daemon_fixture_end(state);
}

static void run_daemon(struct fixture *fx, const char *count)
{
	daemon_run(&fx->daemon, (const char *[]){"--client", "-s", fx->daemon.prefix, "-c", count,
					"--source-mode", "drbg", NULL});
}

/*
 * The guest's VMM takes the daemon's next connection. It may have to do so again: where there are
 * many guests rte_vhost may find that it has no room for a connection after it has made it.
 */
static void accept_daemon(struct guest *g, int listen_fd)
{
	struct frontend_cfg cfg = {.timeout_ms = LIVENESS_MS};

	do {
		assert_int_equal(listener_accept(listen_fd, LIVENESS_MS, &cfg.connection), 0);
	} while (guest_attach(g, &cfg) != 0);
}

/* The daemon is there first, and waits for the socket, or even its directory. */
static void test_daemon_first(void **state)
{
	struct fixture *fx = *state;

	run_daemon(fx, "1");
	daemon_wait_until_said(&fx->daemon, "waiting for a front-end");
	assert_true(daemon_said(&fx->daemon, fx->daemon.socket[0]));
	assert_true(daemon_said(&fx->daemon, "No such file"));
	sleep_ms(50);
	guest_init(&fx->guest, &(struct guest_cfg){0});
	assert_int_equal(listener_open(fx->daemon.socket[0], &fx->listen_fd), 0);
	accept_daemon(&fx->guest, fx->listen_fd);
	guest_assert_served(&fx->guest);
}

/* The front-end closes the connection and takes the next one at once, over and over. */
static void test_front_end_returns_at_once(void **state)
{
	struct fixture *fx = *state;

	run_daemon(fx, "2");
	honest_start_as(&fx->honest, &(struct honest_cfg){.path = fx->daemon.socket[1],
					     .listen = true,
					     .depth = 4,
					     .size_bytes = 64});
	guest_init(&fx->guest, &(struct guest_cfg){.event_idx = true});
	assert_int_equal(listener_open(fx->daemon.socket[0], &fx->listen_fd), 0);
	for (unsigned i = 0; i < 100; i++) {
		accept_daemon(&fx->guest, fx->listen_fd);
		guest_assert_served(&fx->guest);
		if (i % 2 == 0)
			guest_stop(&fx->guest);
		guest_die(&fx->guest);
	}
	honest_wait_answer(&fx->honest, honest_answers(&fx->honest));
	honest_stop(&fx->honest);
	daemon_assert_alive(&fx->daemon);
}

/* It takes connections and drops them, unanswered, or amid the conversation. */
static void test_front_end_hangs_up(void **state)
{
	struct fixture *fx = *state;
	struct frontend_cfg cfg = {.timeout_ms = LIVENESS_MS};

	run_daemon(fx, "2");
	honest_start_as(&fx->honest, &(struct honest_cfg){.path = fx->daemon.socket[1],
					     .listen = true,
					     .depth = 4,
					     .size_bytes = 64});
	guest_init(&fx->guest, &(struct guest_cfg){0});
	assert_int_equal(listener_open(fx->daemon.socket[0], &fx->listen_fd), 0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(listener_accept(fx->listen_fd, LIVENESS_MS, &cfg.connection), 0);
		assert_int_equal(frontend_create(&cfg, &fx->guest.fe), 0);
		if (i % 4 > 0)
			assert_int_equal(frontend_negotiate(fx->guest.fe, 0, NULL), 0);
		if (i % 4 > 1)
			assert_int_equal(frontend_set_memory(fx->guest.fe, &fx->guest.ram), 0);
		if (i % 4 > 2)
			assert_int_equal(frontend_set_ring_addr(fx->guest.fe, &fx->guest.drv), 0);
		guest_die(&fx->guest);
	}
	accept_daemon(&fx->guest, fx->listen_fd);
	guest_assert_served(&fx->guest);
	honest_wait_answer(&fx->honest, honest_answers(&fx->honest));
	honest_stop(&fx->honest);
}

/* The front-end dies and is started anew, with its socket: after a while, or at once. */
static void test_front_end_is_restarted(void **state)
{
	struct fixture *fx = *state;

	run_daemon(fx, "1");
	guest_init(&fx->guest, &(struct guest_cfg){.event_idx = true});
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(listener_open(fx->daemon.socket[0], &fx->listen_fd), 0);
		accept_daemon(&fx->guest, fx->listen_fd);
		guest_assert_served(&fx->guest);
		stop_listening(fx);
		guest_die(&fx->guest);
		if (i % 3 == 1)
			assert_int_equal(unlink(fx->daemon.socket[0]), 0);
		sleep_ms(rand() % (i % 2 == 0 ? 5 : 1200));
	}
}

/* The socket is the front-end's: whatever the daemon does or suffers, it stays as it is. */
static void test_socket_is_left_alone(void **state)
{
	struct fixture *fx = *state;
	struct stat before, after;

	guest_init(&fx->guest, &(struct guest_cfg){0});
	assert_int_equal(listener_open(fx->daemon.socket[0], &fx->listen_fd), 0);
	assert_int_equal(chmod(fx->daemon.socket[0], 0751), 0);
	assert_int_equal(stat(fx->daemon.socket[0], &before), 0);
	for (unsigned i = 0; i < 2; i++) {
		run_daemon(fx, "2");
		accept_daemon(&fx->guest, fx->listen_fd);
		guest_assert_served(&fx->guest);
		assert_int_equal(daemon_stop(&fx->daemon, i == 0 ? SIGTERM : SIGKILL, NULL),
			i == 0 ? 0 : 128 + SIGKILL);
		guest_die(&fx->guest);
		assert_int_equal(stat(fx->daemon.socket[0], &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
		assert_int_equal(stat(fx->daemon.socket[1], &after), -1); /* nor made */
	}
	/* Nor one that nobody answers. */
	stop_listening(fx);
	run_daemon(fx, "1");
	daemon_wait_until_said(&fx->daemon, "nobody listens");
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	assert_int_equal(stat(fx->daemon.socket[0], &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
}

/* A daemon with a control socket, whose path is returned, serves a guest over the front-end's
 * socket. */
static void serve_with_control(struct fixture *fx, char *control, size_t size)
{
	snprintf(control, size, "%s/control", fx->daemon.dir);
	guest_init(&fx->guest, &(struct guest_cfg){0});
	assert_int_equal(listener_open(fx->daemon.socket[0], &fx->listen_fd), 0);
	daemon_run(&fx->daemon, (const char *[]){"--client", "-s", fx->daemon.prefix,
					"--control-socket", control, NULL});
	accept_daemon(&fx->guest, fx->listen_fd);
	guest_assert_served(&fx->guest);
}

/*
 * It goes away while no descriptor can be had for another attempt: rte_vhost goes on with the
 * number of the one that it has closed, which is soon somebody else's, who must not notice. The
 * front-end is connected to again.
 */
static void test_no_descriptor_to_come_back_with(void **state)
{
	static const char ask[] = "{\"command\": \"status\"}\n";
	struct fixture *fx = *state;
	char control[96];
	json_t *answer;
	rlim_t before;
	int fds[16]; /* more than there are free numbers below that one */

	serve_with_control(fx, control, sizeof(control));
	daemon_wait_until_said(&fx->daemon, "vhost-rng: serving");
	before = daemon_limit_fds(&fx->daemon, 3);
	guest_die(&fx->guest);
	daemon_wait_until_said(&fx->daemon, "front-end left");
	sleep_ms(50);
	daemon_limit_fds(&fx->daemon, before);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = client_connect(control);
	for (unsigned n = 0; n < 3; n++) { /* each second it is tried again */
		sleep_ms(1000);
		for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
			client_send(fds[i], ask, sizeof(ask) - 1);
			answer = client_receive(fds[i]);
			assert_non_null(answer);
			json_decref(answer);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	accept_daemon(&fx->guest, fx->listen_fd);
	guest_assert_served(&fx->guest);
}

/* Who is removed is not connected to once more, as rte_vhost does when a front-end hangs up. */
static void test_removed(void **state)
{
	struct fixture *fx = *state;
	char control[96];
	int conn;

	serve_with_control(fx, control, sizeof(control));
	client_do(control, "{\"command\": \"remove\", \"name\": \"0\"}");
	assert_int_equal(frontend_sync(fx->guest.fe), -ECONNRESET);
	assert_int_equal(listener_accept(fx->listen_fd, 1500, &conn), -ETIMEDOUT);
}

/* What is refused at start, and what the message names. */
static void test_refused(void **state)
{
	struct fixture *fx = *state;

	write_file(fx->daemon.socket[1], "x", 1);
	run_daemon(fx, "2");
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
	assert_true(daemon_said(&fx->daemon, fx->daemon.socket[1]));
	assert_int_equal(unlink(fx->daemon.socket[1]), 0);
	run_daemon(fx, "1024");
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
	assert_true(daemon_said(&fx->daemon, "1023"));
	daemon_run(&fx->daemon, (const char *[]){"--client", "-s", fx->daemon.prefix,
					"--socket-mode", "0600", NULL});
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
	assert_true(daemon_said(&fx->daemon, "--socket-mode"));
}

/* SIGTERM ends it whether front-ends are there, away, or just coming. */
static void test_sigterm(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < 12; i++) {
		if (i % 3 > 0)
			honest_start_as(
				&fx->honest, &(struct honest_cfg){.path = fx->daemon.socket[0],
						     .listen = true,
						     .depth = 16,
						     .size_bytes = 64});
		run_daemon(fx, "3");
		if (i % 3 == 1)
			honest_wait_answer(&fx->honest, 0);
		else
			sleep_ms(rand() % 300);
		assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
		honest_fini(&fx->honest);
	}
}

/* How many guests this process can play. */
static unsigned room_for_guests(void)
{
	struct rlimit limit;
	unsigned n;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max >= FDS_OWN + GUESTS_MAX * FDS_PER_GUEST)
		return GUESTS_MAX;
	n = (unsigned)(limit.rlim_max - FDS_OWN) / FDS_PER_GUEST;
	print_message("# %u guests: the limit of open files is %u\n", n, (unsigned)limit.rlim_max);
	return n;
}

/* As many as there can be, all at once; each is served, also those that come back. */
static void serve_all(struct fixture *fx, struct guest *guests, int *fds, unsigned n)
{
	char path[96];

	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s%u", fx->daemon.prefix, i);
		assert_int_equal(listener_open(path, &fds[i]), 0);
		guest_init(&guests[i], &(struct guest_cfg){.region_bytes = 64 << 10});
	}
	run_daemon(fx, "1023");
	for (unsigned i = 0; i < n; i++)
		accept_daemon(&guests[i], fds[i]);
	for (unsigned i = 0; i < n; i++)
		guest_assert_served(&guests[i]);
	for (unsigned i = 0; i < n; i += 10)
		guest_die(&guests[i]);
	for (unsigned i = 0; i < n; i += 10)
		accept_daemon(&guests[i], fds[i]);
	for (unsigned i = 0; i < n; i++)
		guest_assert_served(&guests[i]);
}

static void test_as_many_as_possible(void **state)
{
	struct fixture *fx = *state;
	unsigned n = room_for_guests();
	struct guest *guests;
	int *fds;

	guests = calloc(n, sizeof(guests[0]));
	fds = calloc(n, sizeof(fds[0]));
	assert_true(guests != NULL && fds != NULL);
	serve_all(fx, guests, fds, n);
	assert_true(daemon_said(&fx->daemon, "at most 1023 guests"));
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	for (unsigned i = 0; i < n; i++) {
		guest_fini(&guests[i]);
		close(fds[i]);
	}
	free(guests);
	free(fds);
}

#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(test_daemon_first),
		CLIENT_TEST(test_front_end_returns_at_once),
		CLIENT_TEST(test_front_end_hangs_up),
		CLIENT_TEST(test_front_end_is_restarted),
		CLIENT_TEST(test_socket_is_left_alone),
		CLIENT_TEST(test_no_descriptor_to_come_back_with),
		CLIENT_TEST(test_removed),
		CLIENT_TEST(test_refused),
		CLIENT_TEST(test_sigterm),
		CLIENT_TEST(test_as_many_as_possible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
