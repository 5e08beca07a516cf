/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that are after what all share: the thread that serves everybody's messages, the
 * process's descriptors, its memory. See rude.h for what must hold.
 */
#include "fds.h"
#include "rude.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NR_STALLS     2	 /* fewer than what closes the socket */
#define NR_STALLS_MAX 60 /* many more */
#define MAX_FDS	      (VHOST_USER_MAX_FDS + 1)
#define GET_INFLIGHT  31
#define SET_INFLIGHT  32

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Send a header and 'len' bytes of payload, with 'nr_fds' descriptors of /dev/null. */
static void say_flags(int fd, uint32_t request, uint32_t flags, uint32_t size, const void *payload,
	size_t len, unsigned nr_fds)
{
	struct vhost_user_header header = {
		.request = request, .flags = VHOST_USER_VERSION | flags, .size_bytes = size};
	struct iovec iov[] = {{&header, sizeof(header)}, {(void *)payload, len}};
	int fds[MAX_FDS], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; i < nr_fds; i++)
		fds[i] = null;
	(void)fds_send(fd, iov, 2, fds, nr_fds, 0);
	close(null);
}

static void say(
	int fd, uint32_t request, uint32_t size, const void *payload, size_t len, unsigned nr_fds)
{
	say_flags(fd, request, 0, size, payload, len, nr_fds);
}

/* Read all that comes until the daemon hangs up. @return how many bytes came */
static size_t read_to_end(int fd)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t total = 0;
	char buf[512];
	ssize_t n;

	for (;;) {
		if (poll(&pfd, 1, LIVENESS_MS) != 1 || now_ms() > deadline_ms)
			fail_msg("the daemon did not hang up");
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	close(fd);
	return total;
}

static void assert_fds(const struct daemon *d, unsigned n)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (daemon_count_fds(d) != n) {
		if (now_ms() > deadline_ms)
			fail_msg("%u descriptors are open, before there were %u",
				daemon_count_fds(d), n);
		sleep_ms(5);
	}
}

/* The bystander's VMM stops and starts its ring: as long as that takes, all wait. */
static int64_t control_ms(struct guest *g)
{
	int64_t from_ms = now_ms();

	guest_stop(g);
	guest_restart(g);
	guest_assert_served(g);
	return now_ms() - from_ms;
}

/* The head of a message, and no more: it is waited for, not long, and not for ever again. */
static void test_half_a_message(void **state)
{
	struct rude *r = *state;
	int64_t ms, longest_ms = 0;
	int fds[NR_STALLS];

	rude_new_guest(r, &(struct guest_cfg){0});
	rude_connect(r);
	guest_die(&r->guest);
	honest_stop(&r->honest);
	for (unsigned i = 0; i < NR_STALLS; i++) {
		fds[i] = connect_to(r->daemon.socket[0]);
		say(fds[i], VHOST_USER_SET_VRING_NUM, 8, NULL, 0, 0);
		ms = control_ms(&r->honest.guest);
		longest_ms = ms > longest_ms ? ms : longest_ms;
		assert_int_equal(read_to_end(fds[i]), 0);
	}
	print_message("# stopped and started within %lld ms\n", (long long)longest_ms);
	assert_true(daemon_said(&r->daemon, "its front-end broke a message off"));
}

/* A new guest, as soon as the socket is open for one. */
static void wait_until_let_in(struct rude *r)
{
	int64_t deadline_ms;

	rude_new_guest(r, &(struct guest_cfg){0});
	for (deadline_ms = now_ms() + LIVENESS_MS;; sleep_ms(50)) {
		struct frontend_cfg cfg = {.socket_path = r->daemon.socket[0], .timeout_ms = 1000};

		assert_int_equal(frontend_create(&cfg, &r->guest.fe), 0);
		if (frontend_negotiate(r->guest.fe, 0, NULL) == 0)
			break;
		guest_die(&r->guest);
		assert_true(now_ms() < deadline_ms);
	}
}

/* A message that is refused, with a reply, does not hide the half one after it. */
static void test_half_after_refused(void **state)
{
	struct vhost_user_vring_state three = {.num = 3};
	struct rude *r = *state;
	char *log = read_text(r->daemon.log);
	size_t before = strlen(log);
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	int fd = connect_to(r->daemon.socket[0]);
	bool said;

	free(log);
	say_flags(fd, VHOST_USER_SET_VRING_NUM, VHOST_USER_FLAG_NEED_REPLY, sizeof(three), &three,
		sizeof(three), 0);
	say(fd, VHOST_USER_SET_VRING_NUM, 8, NULL, 0, 0);
	assert_int_equal(read_to_end(fd), sizeof(struct vhost_user_header) + 8);
	do {
		log = read_text(r->daemon.log);
		said = strstr(log + before, "its front-end broke a message off") != NULL;
		free(log);
		assert_true(now_ms() < deadline_ms);
	} while (!said);
	wait_until_let_in(r);
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

/* Who does it over and over has to stay away, and may come back. */
static void test_penance(void **state)
{
	struct rude *r = *state;
	unsigned n = 0;

	while (!daemon_said(&r->daemon, "it broke messages off, again and again")) {
		int fd = connect_to(r->daemon.socket[0]);

		say(fd, VHOST_USER_SET_VRING_NUM, 8, NULL, 0, 0);
		(void)read_to_end(fd);
		assert_true(++n < NR_STALLS_MAX);
	}
	honest_check(&r->honest);
	wait_until_let_in(r);
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

static void test_answers_never_read(void **state)
{
	struct rude *r = *state;
	struct vhost_user_header header = {
		.request = VHOST_USER_GET_FEATURES, .flags = VHOST_USER_VERSION};
	int fd = connect_to(r->daemon.socket[0]);
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	do {
		assert_true(now_ms() < deadline_ms);
	} while (send(fd, &header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
		 errno == EAGAIN);
	assert_int_equal(errno, EPIPE);
	close(fd);
	assert_true(daemon_said(&r->daemon, "its front-end reads no answers"));
	rude_new_guest(r, &(struct guest_cfg){0});
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

/* Descriptors with messages that have none, too many of them, or with nonsense: all are closed. */
static void test_descriptors_are_closed(void **state)
{
	static const uint8_t payload[64];
	struct rude *r = *state;
	unsigned before;

	sleep_ms(50);
	before = daemon_count_fds(&r->daemon);
	for (uint32_t request = 0; request < 64; request++) {
		unsigned nr_fds = request % 2 == 0 ? 1 : VHOST_USER_MAX_FDS;
		int fd = connect_to(r->daemon.socket[0]);

		if (request == SET_INFLIGHT)
			nr_fds = 0;
		for (unsigned i = 0; i < 3; i++)
			say(fd, request, 8, payload, 8, nr_fds);
		say(fd, request, 20, payload, 20, nr_fds);
		shutdown(fd, SHUT_WR);
		(void)read_to_end(fd);
	}
	assert_fds(&r->daemon, before);
	rude_new_guest(r, &(struct guest_cfg){0});
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

/*
 * Descriptors with what is no message, over and over, by a front-end that does not wait for an
 * answer: more than there is room for, with a length that is none, with half a message, of a region
 * that cannot be mapped, with a ring far beyond the last. It gets away with it, as it holds up
 * nobody; but what it sent is closed.
 */
static void test_descriptors_of_no_message(void **state)
{
	static const uint64_t region[] = {1, 0, 4096, 0, 0};
	static const uint32_t far[] = {300, 16}; /* the index of a ring */
	static const uint8_t payload[64];
	struct rude *r = *state;
	unsigned before;

	sleep_ms(50);
	before = daemon_count_fds(&r->daemon);
	for (unsigned i = 0; i < 60; i++) {
		int fd = connect_to(r->daemon.socket[0]);

		if (i % 5 == 4)
			say(fd, VHOST_USER_SET_VRING_NUM, 8, far, 8, VHOST_USER_MAX_FDS);
		else if (i % 5 == 3)
			say(fd, VHOST_USER_SET_MEM_TABLE, 40, region, 40, 1);
		else if (i % 5 == 0)
			say(fd, VHOST_USER_SET_MEM_TABLE, 8, payload, 8, VHOST_USER_MAX_FDS + 1);
		else if (i % 5 == 1)
			say(fd, VHOST_USER_SET_MEM_TABLE, 1 << 20, payload, 8, VHOST_USER_MAX_FDS);
		else
			say(fd, VHOST_USER_SET_MEM_TABLE, 40, payload, 8, VHOST_USER_MAX_FDS);
		/* Gone before the daemon looks: nobody to hold to account. */
		shutdown(fd, SHUT_WR);
		(void)read_to_end(fd);
	}
	assert_fds(&r->daemon, before);
	/* When the daemon was quicker there was somebody, and he may have to stay away for a while.
	 */
	wait_until_let_in(r);
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

/* Memory for the asking, and a mapping of whatever size is claimed. */
static void test_inflight(void **state)
{
	struct rude *r = *state;
	struct {
		uint64_t mmap_size, mmap_offset;
		uint16_t nr_queues, queue_size;
	} payload = {.mmap_size = 1 << 20, .nr_queues = 64, .queue_size = 1024};

	for (unsigned i = 0; i < 2; i++) {
		int fd = connect_to(r->daemon.socket[0]);

		say(fd, GET_INFLIGHT + i, sizeof(payload), &payload, sizeof(payload), i);
		/* No answer, and the end. */
		assert_int_equal(read_to_end(fd), 0);
	}
	rude_new_guest(r, &(struct guest_cfg){0});
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

/* Post-copy: the library would make a system call of which the sandbox thinks the worst. */
static void test_postcopy(void **state)
{
	struct rude *r = *state;

	for (uint32_t request = 28; request <= 30; request++) {
		int fd = connect_to(r->daemon.socket[0]);

		say(fd, request, 0, NULL, 0, 0);
		/* No answer, and the end. */
		assert_int_equal(read_to_end(fd), 0);
	}
	rude_new_guest(r, &(struct guest_cfg){0});
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

static void test_other_rings(void **state)
{
	struct vhost_user_vring_state num = {.index = 1, .num = 32768};
	struct rude *r = *state;

	for (; num.index < 300; num.index += 127) {
		int fd = connect_to(r->daemon.socket[0]);

		say(fd, VHOST_USER_SET_VRING_NUM, sizeof(num), &num, sizeof(num), 0);
		assert_int_equal(read_to_end(fd), 0);
	}
	rude_new_guest(r, &(struct guest_cfg){0});
	rude_recover_by_reconnect(r);
	honest_stop(&r->honest);
}

#define RUDE_TEST(f) cmocka_unit_test_setup_teardown(f, rude_setup, rude_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUDE_TEST(test_half_a_message), RUDE_TEST(test_answers_never_read),
		RUDE_TEST(test_descriptors_are_closed), RUDE_TEST(test_descriptors_of_no_message),
		RUDE_TEST(test_inflight), RUDE_TEST(test_postcopy), RUDE_TEST(test_other_rings),
		RUDE_TEST(test_half_after_refused),
		RUDE_TEST(test_penance), /* the last: the socket stays closed for a while */
	};

	return cmocka_run_group_tests(tests, rude_start, daemon_fixture_end);
}
