/* SPDX-License-Identifier: BSD-3-Clause */
/* The relay between one front-end and its datapaths: its own answers, refusals, ends of
 * connections. */
#include "relay.h"

#include "proxy_fixture.h"

#include <poll.h>

#define FEATURES	  UINT64_C(0x170000000)
#define PROTOCOL_FEATURES UINT64_C(0xa)

struct fixture {
	struct relay *relay;
	int front, back; /* the peers' ends; -1: closed */
	int memory, event;
	unsigned fds_before;
	enum relay_status status; /* the last that was not RELAY_OK */
	struct why why;
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	int pair[2];

	assert_non_null(fx);
	fx->memory = make_memory();
	fx->event = make_event(0);
	fx->fds_before = count_fds();
	make_pair(pair);
	fx->front = pair[0];
	fx->back = -1;
	assert_int_equal(relay_create(&(struct relay_config){0}, pair[1], &fx->relay), 0);
	*state = fx;
	return 0;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	relay_destroy(fx->relay);
	close_end(&fx->front);
	close_end(&fx->back);
	assert_int_equal(count_fds(), fx->fds_before);
	close(fx->memory);
	close(fx->event);
	free(fx);
	return 0;
}

/* Let the relay work until it has nothing to do, or a connection has ended. */
static void pump(struct fixture *fx)
{
	fx->status = RELAY_OK;
	for (;;) {
		struct pollfd fds[] = {
			{.fd = relay_front_fd(fx->relay), .events = relay_front_wanted(fx->relay)},
			{.fd = relay_back_fd(fx->relay), .events = relay_back_wanted(fx->relay)},
		};

		if (poll(fds, 2, 0) <= 0)
			return;
		if (fds[1].revents != 0)
			fx->status = relay_back_events(fx->relay, fds[1].revents, &fx->why);
		if (fx->status == RELAY_OK && fds[0].revents != 0)
			fx->status = relay_front_events(fx->relay, fds[0].revents, &fx->why);
		if (fx->status != RELAY_OK)
			return;
	}
}

static void assert_ended(struct fixture *fx, enum relay_status status, const char *text)
{
	assert_int_equal(fx->status, status);
	if (strcmp(fx->why.text, text) != 0)
		fail_msg("'%s' instead of '%s'", fx->why.text, text);
}

/* The next message that one of the peers gets; its descriptors are closed. */
static struct proxy_msg receive(int fd)
{
	struct proxy_msg msg = {0};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {&msg.header, HEADER_BYTES};
	struct msghdr hdr = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	const struct cmsghdr *c;

	assert_int_equal(recvmsg(fd, &hdr, 0), HEADER_BYTES);
	c = CMSG_FIRSTHDR(&hdr);
	msg.n_fds = c == NULL ? 0 : (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (unsigned i = 0; i < msg.n_fds; i++) {
		int one;

		memcpy(&one, CMSG_DATA(c) + i * sizeof(one), sizeof(one));
		close(one);
	}
	if (msg.header.size_bytes > 0)
		assert_int_equal(
			recv(fd, &msg.payload, msg.header.size_bytes, 0), msg.header.size_bytes);
	return msg;
}

static void assert_nothing(int fd)
{
	uint8_t byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static struct proxy_msg make_reply(uint32_t request, uint64_t value)
{
	struct proxy_msg msg = make_u64(request, value);

	msg.header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	return msg;
}

/* The datapath gets this request, which asks for a reply, and gives this one. */
static struct proxy_msg answer(struct fixture *fx, uint32_t request, uint64_t value)
{
	struct proxy_msg got = receive(fx->back), reply = make_reply(request, value);

	assert_int_equal(got.header.request, request);
	assert_int_equal(got.header.flags, PROXY_MSG_FLAGS_NEED_REPLY);
	send_msg(fx->back, &reply);
	pump(fx);
	return got;
}

static void attach(struct fixture *fx)
{
	int pair[2];

	close_end(&fx->back);
	make_pair(pair);
	fx->back = pair[0];
	assert_int_equal(relay_attach(fx->relay, pair[1], &fx->why), RELAY_OK);
}

static void attach_and_offer(struct fixture *fx)
{
	attach(fx);
	answer(fx, VHOST_USER_GET_FEATURES, FEATURES);
	answer(fx, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_FEATURES);
}

static void say(struct fixture *fx, struct proxy_msg msg)
{
	send_msg(fx->front, &msg);
	pump(fx);
}

static struct proxy_msg with_need_reply(struct proxy_msg msg)
{
	msg.header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	return msg;
}

/* A request that the datapath does; the front-end asked for no acknowledgement. */
static void do_request(struct fixture *fx, struct proxy_msg msg)
{
	say(fx, msg);
	answer(fx, msg.header.request, 0);
	assert_int_equal(fx->status, RELAY_OK);
	assert_nothing(fx->front);
}

static void die(struct fixture *fx)
{
	close_end(&fx->back);
	pump(fx);
	assert_int_equal(fx->status, RELAY_BACK_LOST);
	assert_int_equal(relay_back_fd(fx->relay), -1);
}

static void test_waits_for_offer(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg msg = make_u64(VHOST_USER_SET_FEATURES, FEATURES);

	/* The first datapath tells which features may be acknowledged. */
	say(fx, msg);
	assert_int_equal(relay_front_wanted(fx->relay), 0);
	attach(fx);
	assert_false(relay_is_replayed(fx->relay));
	answer(fx, VHOST_USER_GET_FEATURES, FEATURES);
	answer(fx, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_FEATURES);
	assert_true(relay_is_replayed(fx->relay));
	assert_int_equal(answer(fx, VHOST_USER_SET_FEATURES, 0).payload.u64, FEATURES);
	assert_nothing(fx->front);
}

static void test_queue_num(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg reply;

	attach_and_offer(fx);
	say(fx, make_msg(VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0));
	answer(fx, VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL_FEATURES);
	assert_int_equal(receive(fx->front).payload.u64, PROTOCOL_FEATURES | 1);
	say(fx, make_u64(VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL_FEATURES | 1));
	assert_int_equal(
		answer(fx, VHOST_USER_SET_PROTOCOL_FEATURES, 0).payload.u64, PROTOCOL_FEATURES);
	/* The second time without a datapath. */
	for (unsigned i = 0; i < 2; i++) {
		say(fx, make_msg(VHOST_USER_GET_QUEUE_NUM, NULL, 0));
		reply = receive(fx->front);
		assert_int_equal(reply.header.request, VHOST_USER_GET_QUEUE_NUM);
		assert_int_equal(reply.header.flags, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY);
		assert_int_equal(reply.header.size_bytes, 8);
		assert_int_equal(reply.payload.u64, 1);
		if (i == 0)
			die(fx);
	}
}

/* A datapath sends no payload, rust-vmm's front-ends wait for 16 bytes. */
static void test_log_reply(void **state)
{
	struct fixture *fx = *state;
	struct vhost_user_log log = {4096, 0};
	struct proxy_msg msg = make_msg(VHOST_USER_SET_LOG_BASE, &log, sizeof(log)), reply;

	msg.n_fds = 1;
	msg.fds[0] = fx->memory;
	attach_and_offer(fx);
	say(fx, msg);
	assert_int_equal(receive(fx->back).n_fds, 1);
	reply = make_reply(VHOST_USER_SET_LOG_BASE, 0);
	reply.header.size_bytes = 0;
	send_msg(fx->back, &reply);
	pump(fx);
	reply = receive(fx->front);
	assert_int_equal(reply.header.size_bytes, sizeof(log));
	assert_memory_equal(&reply.payload.log, &log, sizeof(log));
	/* Refused, and the front-end can be told. */
	say(fx, with_need_reply(msg));
	answer(fx, VHOST_USER_SET_LOG_BASE, 1);
	reply = receive(fx->front);
	assert_int_equal(reply.header.size_bytes, 8);
	assert_int_equal(reply.payload.u64, 1);
	/* Refused, and the front-end would take any reply for success. */
	say(fx, msg);
	answer(fx, VHOST_USER_SET_LOG_BASE, 1);
	assert_ended(fx, RELAY_FRONT_ENDED, "SET_LOG_BASE: refused by the datapath");
}

static void test_made_up_call(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg kick = make_vring_fd(VHOST_USER_SET_VRING_KICK, fx->event);

	attach_and_offer(fx);
	say(fx, kick);
	assert_int_equal(
		answer(fx, VHOST_USER_SET_VRING_CALL, 0).payload.u64, VHOST_USER_VRING_NOFD);
	assert_int_equal(answer(fx, VHOST_USER_SET_VRING_KICK, 0).n_fds, 1);
	/* Once. */
	do_request(fx, kick);
	/* The next datapath is told the same. */
	die(fx);
	attach_and_offer(fx);
	answer(fx, VHOST_USER_SET_VRING_CALL, 0);
	answer(fx, VHOST_USER_SET_VRING_KICK, 0);
	answer(fx, VHOST_USER_SET_VRING_ENABLE, 0); /* by the kick: no protocol features */
	assert_true(relay_is_replayed(fx->relay));
	/* GET_VRING_BASE makes rte_vhost forget it. */
	say(fx, make_state(VHOST_USER_GET_VRING_BASE, 0));
	answer(fx, VHOST_USER_GET_VRING_BASE, 0);
	assert_int_equal(receive(fx->front).header.size_bytes, 8);
	say(fx, kick);
	answer(fx, VHOST_USER_SET_VRING_CALL, 0);
	answer(fx, VHOST_USER_SET_VRING_KICK, 0);
	assert_nothing(fx->front);
}

static void test_refusals(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg msg = make_u64(VHOST_USER_SET_FEATURES, FEATURES), reply;

	attach_and_offer(fx);
	say(fx, with_need_reply(msg));
	answer(fx, VHOST_USER_SET_FEATURES, 1);
	reply = receive(fx->front);
	assert_int_equal(reply.header.flags, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY);
	assert_int_equal(reply.payload.u64, 1);
	say(fx, msg);
	answer(fx, VHOST_USER_SET_FEATURES, 1);
	assert_ended(fx, RELAY_FRONT_ENDED, "SET_FEATURES: refused by the datapath");
}

static void test_bad_request(void **state)
{
	struct fixture *fx = *state;

	attach_and_offer(fx);
	say(fx, make_u64(VHOST_USER_SET_FEATURES, FEATURES | 1 << 3));
	assert_ended(fx, RELAY_FRONT_ENDED,
		"SET_FEATURES: bit 3 was not offered (0x170000008; offered 0x170000000)");
	assert_nothing(fx->back);
}

/* A whole reply of a datapath that has died counts: the request is not sent again. */
static void test_whole_reply(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg reply = make_reply(VHOST_USER_SET_OWNER, 0);

	attach_and_offer(fx);
	say(fx, with_need_reply(make_msg(VHOST_USER_SET_OWNER, NULL, 0)));
	receive(fx->back);
	send_msg(fx->back, &reply);
	die(fx);
	assert_int_equal(receive(fx->front).payload.u64, 0);
	attach_and_offer(fx);
	answer(fx, VHOST_USER_SET_OWNER, 0); /* by the replay */
	assert_true(relay_is_replayed(fx->relay));
	assert_nothing(fx->back);
	assert_nothing(fx->front);
}

static void test_part_of_reply(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg reply = make_reply(VHOST_USER_SET_OWNER, 0);

	attach_and_offer(fx);
	say(fx, with_need_reply(make_msg(VHOST_USER_SET_OWNER, NULL, 0)));
	for (size_t len = 0; len < 20; len++) {
		receive(fx->back);
		if (len > 0)
			send_part(fx->back, &reply, 0, len);
		die(fx);
		assert_nothing(fx->front);
		attach_and_offer(fx);
	}
	answer(fx, VHOST_USER_SET_OWNER, 0);
	assert_int_equal(receive(fx->front).payload.u64, 0);
}

/* The front-end leaves with its request unanswered: seen although nothing is read from it. */
static void test_front_leaves(void **state)
{
	struct fixture *fx = *state;

	attach_and_offer(fx);
	say(fx, make_table(3, fx->memory));
	die(fx);
	assert_int_equal(relay_front_wanted(fx->relay), 0);
	close_end(&fx->front);
	pump(fx);
	assert_ended(fx, RELAY_FRONT_ENDED, "the front-end closed the connection");
}

/* It reads no replies: the next request waits. */
static void test_front_is_full(void **state)
{
	struct fixture *fx = *state;
	int size = 1, own = relay_front_fd(fx->relay);
	unsigned n = 0;

	assert_int_equal(setsockopt(own, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	attach_and_offer(fx);
	do {
		say(fx, make_msg(VHOST_USER_GET_QUEUE_NUM, NULL, 0));
		n++;
		assert_true(n < 10000);
	} while (relay_front_wanted(fx->relay) != POLLOUT);
	say(fx, make_msg(VHOST_USER_GET_QUEUE_NUM, NULL, 0));
	n++;
	for (; n > 0; n--) {
		assert_int_equal(receive(fx->front).payload.u64, 1);
		pump(fx);
	}
	assert_int_equal(relay_front_wanted(fx->relay), POLLIN);
}

/* The datapath reads nothing: the request is written in parts, or not at all, and nothing waits. */
static void test_back_is_full(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[256] = {0};
	size_t total = 0;
	ssize_t n;

	attach_and_offer(fx);
	while ((n = send(relay_back_fd(fx->relay), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		total += (size_t)n;
	say(fx, make_table(8, fx->memory));
	assert_int_equal(relay_back_wanted(fx->relay), POLLIN | POLLOUT);
	for (; total > 0; total -= (size_t)n) {
		n = recv(fx->back, bytes, total < sizeof(bytes) ? total : sizeof(bytes), 0);
		assert_true(n > 0);
	}
	pump(fx);
	assert_int_equal(relay_back_wanted(fx->relay), POLLIN);
	assert_int_equal(answer(fx, VHOST_USER_SET_MEM_TABLE, 0).n_fds, 8);
}

/* Answers that are none end the private connection, never the front-end's. */
static void test_bad_replies(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg bad[6];

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		bad[i] = make_reply(VHOST_USER_GET_VRING_BASE, 0);
	bad[0].header.request = VHOST_USER_SET_OWNER;
	bad[1].header.size_bytes = 16;
	bad[2].header.flags = VHOST_USER_VERSION;
	bad[3].header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	bad[4].header.size_bytes = 0;
	bad[5].n_fds = 1;
	bad[5].fds[0] = fx->memory;
	attach_and_offer(fx);
	say(fx, make_state(VHOST_USER_GET_VRING_BASE, 0));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		receive(fx->back);
		send_msg(fx->back, &bad[i]);
		pump(fx);
		assert_int_equal(fx->status, RELAY_BACK_LOST);
		assert_non_null(strstr(fx->why.text, "the datapath answered GET_VRING_BASE with"));
		attach_and_offer(fx);
	}
	answer(fx, VHOST_USER_GET_VRING_BASE, UINT64_C(7) << 32);
	assert_int_equal(receive(fx->front).payload.state.num, 7);
	/* A reply without a request. */
	send_msg(fx->back, &bad[1]);
	pump(fx);
	assert_int_equal(fx->status, RELAY_BACK_LOST);
}

static void test_refused_replay(void **state)
{
	struct fixture *fx = *state;

	attach_and_offer(fx);
	do_request(fx, make_u64(VHOST_USER_SET_FEATURES, FEATURES));
	die(fx);
	attach_and_offer(fx);
	answer(fx, VHOST_USER_SET_FEATURES, 1);
	assert_ended(fx, RELAY_BACK_LOST, "replay of SET_FEATURES: refused by the datapath");
	attach(fx);
	answer(fx, VHOST_USER_GET_FEATURES, FEATURES & ~(UINT64_C(1) << 29));
	assert_ended(fx, RELAY_BACK_LOST,
		"replay of GET_FEATURES: bit 29 is in use and not offered by the new datapath");
	attach_and_offer(fx);
	answer(fx, VHOST_USER_SET_FEATURES, 0);
	assert_true(relay_is_replayed(fx->relay));
}

/* Every descriptor of the front-end, and its connection, is closed where the caller wants it. */
static void test_closer(void **state)
{
	struct fixture *fx = *state;
	unsigned n = 0;
	const struct fd_closer closer = {count_close, &n};
	const struct relay_config config = {.closer = &closer};
	int pair[2];

	relay_destroy(fx->relay);
	close_end(&fx->front);
	make_pair(pair);
	fx->front = pair[0];
	assert_int_equal(relay_create(&config, pair[1], &fx->relay), 0);
	attach_and_offer(fx);
	do_request(fx, make_table(4, fx->memory));
	do_request(fx, make_vring_fd(VHOST_USER_SET_VRING_CALL, fx->event));
	do_request(fx, make_vring_fd(VHOST_USER_SET_VRING_CALL, fx->event));
	assert_int_equal(n, 1);
	say(fx, make_table(2, fx->memory));
	relay_destroy(fx->relay);
	fx->relay = NULL;
	assert_int_equal(n, 1 + 4 + 1 + 2 + 1);
}

#define RELAY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(test_waits_for_offer),
		RELAY_TEST(test_queue_num),
		RELAY_TEST(test_log_reply),
		RELAY_TEST(test_made_up_call),
		RELAY_TEST(test_refusals),
		RELAY_TEST(test_bad_request),
		RELAY_TEST(test_whole_reply),
		RELAY_TEST(test_part_of_reply),
		RELAY_TEST(test_front_leaves),
		RELAY_TEST(test_front_is_full),
		RELAY_TEST(test_back_is_full),
		RELAY_TEST(test_bad_replies),
		RELAY_TEST(test_refused_replay),
		RELAY_TEST(test_closer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
