/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that talks nonsense: see rude.h for what must hold after each piece of it. Whether
 * the daemon refuses, hangs up or puts up with it is its own affair.
 */
#include "lies.h"
#include "rude.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIE_TIMEOUT_MS 2000

/* Connected and with memory shared, the ring not started. */
static void connect_halfway(struct rude *r)
{
	struct frontend_cfg cfg = {
		.socket_path = r->daemon.socket[0], .timeout_ms = LIE_TIMEOUT_MS};
	struct guest *g = &r->guest;

	guest_die(g);
	driver_reset(&g->drv);
	assert_int_equal(frontend_create(&cfg, &g->fe), 0);
	assert_int_equal(frontend_negotiate(g->fe, 0, NULL), 0);
	assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
}

static void test_nonsense(void **state)
{
	struct rude *r = *state;

	rude_new_guest(r, &(struct guest_cfg){0});
	for (unsigned i = 0; i < lies_nr; i++) {
		int64_t from_ms = now_ms();
		const char *what;

		connect_halfway(r);
		if (!lies_tell(&r->guest, i, &what))
			fail_msg("%s: served", what);
		rude_recover_by_reconnect(r);
		print_message("# %s: %lld ms\n", what, (long long)(now_ms() - from_ms));
	}
	honest_stop(&r->honest);
}

/* Write until it would block; then let it block. */
static int stuff(int fd)
{
	static const char junk[4096];

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, junk, sizeof(junk)) > 0)
		;
	while (write(fd, junk, 1) > 0)
		;
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	return fd;
}

/*
 * A call descriptor whose write blocks, with calls asked for: an eventfd at its limit, a full pipe,
 * a full socket. The lcore serves others as well and must not hang; O_NONBLOCK is the front-end's,
 * too, which clears it again after the daemon has had its say.
 */
static void test_blocking_call_descriptor(void **state)
{
	uint64_t almost = UINT64_MAX - 1, zero = 0;
	struct rude *r = *state;
	int pipe_fds[2], socks[2], event = eventfd(0, EFD_CLOEXEC), call_fds[3];

	assert_int_equal(write(event, &almost, sizeof(almost)), sizeof(almost));
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks), 0);
	call_fds[0] = event;
	call_fds[1] = stuff(pipe_fds[1]);
	call_fds[2] = stuff(socks[0]);
	rude_new_guest(r, &(struct guest_cfg){.event_idx = true});
	for (unsigned i = 0; i < ARRAY_SIZE(call_fds); i++) {
		rude_connect(r);
		lies_send(
			&r->guest, VHOST_USER_SET_VRING_CALL, &zero, sizeof(zero), &call_fds[i], 1);
		assert_int_equal(fcntl(call_fds[i], F_SETFL, 0), 0);
		for (unsigned j = 0; j < 5; j++) {
			struct driver_used used;

			assert_int_equal(fcntl(call_fds[i], F_SETFL, 0), 0);
			(void)driver_calls_on(&r->guest.drv);
			guest_request(&r->guest, r->guest.scratch_gpa, 64, 0);
			guest_must_take(&r->guest, &used);
			rude_check_others(r);
		}
		rude_recover_by_reconnect(r);
	}
	assert_true(daemon_said(&r->daemon, "its call descriptor is not an eventfd"));
	close(event);
	for (unsigned i = 0; i < 2; i++) {
		close(pipe_fds[i]);
		close(socks[i]);
	}
	honest_stop(&r->honest);
}

/* A message of which only the head comes: others are served, and their messages answered. */
static void test_half_a_message(void **state)
{
	struct vhost_user_header header = {
		.request = VHOST_USER_SET_FEATURES, .flags = VHOST_USER_VERSION, .size_bytes = 8};
	struct rude *r = *state;

	rude_new_guest(r, &(struct guest_cfg){0});
	rude_connect(r);
	for (unsigned len = 0; len < 8; len += 7) {
		uint64_t zero = 0;

		assert_int_equal(frontend_send_raw(r->guest.fe, &header, &zero, len, NULL, 0), 0);
		for (unsigned i = 0; i < 5; i++) {
			sleep_ms(20);
			rude_check_others(r);
			/* While it is still to come. */
			assert_int_equal(frontend_sync(r->honest.guest.fe), 0);
		}
		rude_recover_by_reconnect(r);
	}
	honest_stop(&r->honest);
}

/* A front-end that asks and asks and never reads an answer. */
static void test_answers_never_read(void **state)
{
	struct vhost_user_header header = {
		.request = VHOST_USER_GET_FEATURES, .flags = VHOST_USER_VERSION};
	struct rude *r = *state;
	int64_t end_ms = now_ms() + 500;
	int fd;

	rude_new_guest(r, &(struct guest_cfg){0});
	rude_connect(r);
	fd = frontend_socket_fd(r->guest.fe);
	while (now_ms() < end_ms) { /* until its buffer is full, and a little longer */
		if (send(fd, &header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			sleep_ms(1);
	}
	for (unsigned i = 0; i < 5; i++) {
		sleep_ms(20);
		rude_check_others(r);
	}
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

/* A second front-end on a socket that is taken: it is turned away, and the first goes on. */
static void test_second_front_end(void **state)
{
	struct rude *r = *state;
	struct frontend_cfg cfg = {
		.socket_path = r->daemon.socket[0], .timeout_ms = LIE_TIMEOUT_MS};
	struct frontend *second;

	rude_new_guest(r, &(struct guest_cfg){0});
	rude_connect(r);
	for (unsigned i = 0; i < 5; i++) {
		guest_assert_served(&r->guest);
		assert_int_equal(frontend_create(&cfg, &second), 0);
		/* Promptly: an end of the connection, not a time limit. */
		assert_int_equal(frontend_negotiate(second, 0, NULL), -ECONNRESET);
		guest_assert_served(&r->guest);
		frontend_destroy(second);
		guest_assert_served(&r->guest);
		guest_stop(&r->guest);
		guest_restart(&r->guest);
	}
	rude_check_others(r);
	honest_stop(&r->honest);
}

/* Somebody looks whether the socket is alive and goes away: the front-end that is there goes on. */
static void test_probed(void **state)
{
	struct rude *r = *state;

	rude_new_guest(r, &(struct guest_cfg){0});
	rude_connect(r);
	for (unsigned i = 0; i < 20; i++) {
		assert_true(socket_answers(r->daemon.socket[0]));
		guest_assert_served(&r->guest);
		assert_int_equal(frontend_sync(r->guest.fe), 0); /* by now it was noticed */
		guest_assert_served(&r->guest);
	}
	rude_check_others(r);
	honest_stop(&r->honest);
}

#define RUDE_TEST(f) cmocka_unit_test_setup_teardown(f, rude_setup, rude_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUDE_TEST(test_nonsense),
		RUDE_TEST(test_blocking_call_descriptor),
		RUDE_TEST(test_half_a_message),
		RUDE_TEST(test_answers_never_read),
		RUDE_TEST(test_second_front_end),
		RUDE_TEST(test_probed),
	};

	return cmocka_run_group_tests(tests, rude_start, daemon_fixture_end);
}
