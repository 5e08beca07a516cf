/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages in pieces, with descriptors, from peers that keep to no rule. */
#include "msg_stream.h"

#include "proxy_fixture.h"

#include <sys/resource.h>

struct fixture {
	int ours, theirs, memory;
	unsigned fds_before;
	struct msg_reader reader;
	struct proxy_msg msg;
	struct why why;
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	int pair[2];

	assert_non_null(fx);
	make_pair(pair);
	fx->ours = pair[0];
	fx->theirs = pair[1];
	fx->memory = make_memory();
	fx->fds_before = count_fds();
	msg_reader_init(&fx->reader, NULL, NULL);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	msg_reader_reset(&fx->reader);
	assert_int_equal(count_fds(), fx->fds_before - (fx->theirs < 0));
	close(fx->ours);
	if (fx->theirs >= 0)
		close(fx->theirs);
	close(fx->memory);
	free(fx);
	return 0;
}

static int read_msg(struct fixture *fx)
{
	return msg_reader_read(&fx->reader, fx->ours, &fx->msg, &fx->why);
}

static void assert_text(const struct fixture *fx, const char *text)
{
	if (strstr(fx->why.text, text) == NULL)
		fail_msg("'%s' does not say '%s'", fx->why.text, text);
}

static void test_whole(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(read_msg(fx), -EAGAIN);
	for (unsigned n = 0; n <= VHOST_USER_MAX_FDS; n++) {
		struct proxy_msg sent = make_table(n, fx->memory);

		send_msg(fx->theirs, &sent);
		send_msg(fx->theirs, &sent);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(read_msg(fx), 0);
			assert_memory_equal(&fx->msg.header, &sent.header, HEADER_BYTES);
			assert_memory_equal(&fx->msg.payload, &sent.payload, sizeof(sent.payload));
			assert_int_equal(fx->msg.n_fds, n);
			for (unsigned j = 0; j < n; j++)
				assert_true(fcntl(fx->msg.fds[j], F_GETFD) & FD_CLOEXEC);
			proxy_msg_close_fds(&fx->msg, NULL);
		}
		assert_int_equal(read_msg(fx), -EAGAIN);
	}
}

/* Cut anywhere, and also into single bytes. */
static void test_pieces(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(2, fx->memory);
	size_t len = HEADER_BYTES + sent.header.size_bytes;

	for (size_t cut = 1; cut < len; cut++) {
		send_part(fx->theirs, &sent, 0, cut);
		assert_int_equal(read_msg(fx), -EAGAIN);
		assert_true(msg_reader_is_busy(&fx->reader));
		send_part(fx->theirs, &sent, cut, len - cut);
		assert_int_equal(read_msg(fx), 0);
		assert_int_equal(fx->msg.n_fds, 2);
		assert_memory_equal(&fx->msg.payload, &sent.payload, sizeof(sent.payload));
		proxy_msg_close_fds(&fx->msg, NULL);
		assert_false(msg_reader_is_busy(&fx->reader));
	}
	for (size_t at = 0; at < len; at++) {
		assert_int_equal(read_msg(fx), -EAGAIN);
		send_part(fx->theirs, &sent, at, 1);
	}
	assert_int_equal(read_msg(fx), 0);
	assert_int_equal(fx->msg.n_fds, 2);
	proxy_msg_close_fds(&fx->msg, NULL);
}

/* A payload behind which older bytes must not be seen. */
static void test_short_after_long(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(8, fx->memory);

	send_msg(fx->theirs, &sent);
	assert_int_equal(read_msg(fx), 0);
	proxy_msg_close_fds(&fx->msg, NULL);
	sent = make_u64(VHOST_USER_SET_FEATURES, UINT64_MAX);
	send_msg(fx->theirs, &sent);
	assert_int_equal(read_msg(fx), 0);
	assert_true(is_filled(fx->msg.payload.bytes + 8, sizeof(fx->msg.payload) - 8, 0));
}

static void test_too_long(void **state)
{
	static const uint32_t sizes[] = {265, 4096, INT32_MAX, UINT32_MAX};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct proxy_msg sent = make_table(3, fx->memory);

		sent.header.size_bytes = sizes[i];
		send_part(fx->theirs, &sent, 0, HEADER_BYTES);
		assert_int_equal(read_msg(fx), -EPROTO);
		assert_text(fx, "payload of");
	}
}

static int refuse_all(const struct vhost_user_header *header, struct why *why)
{
	return why_set(why, -EPERM, "request %u refused", header->request);
}

/* The header alone is judged: no payload is waited for. */
static void test_header_check(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(1, fx->memory);

	msg_reader_init(&fx->reader, refuse_all, NULL);
	send_part(fx->theirs, &sent, 0, HEADER_BYTES - 1);
	assert_int_equal(read_msg(fx), -EAGAIN);
	send_part(fx->theirs, &sent, HEADER_BYTES - 1, 1);
	assert_int_equal(read_msg(fx), -EPERM);
	assert_text(fx, "request 5 refused");
}

static void send_many_fds(struct fixture *fx, const struct proxy_msg *msg, unsigned n)
{
	struct iovec iov = {(void *)&msg->header, HEADER_BYTES + 8};
	int fds[FDS_MAX];

	assert_true(n <= FDS_MAX);
	for (unsigned i = 0; i < n; i++)
		fds[i] = fx->memory;
	assert_int_equal(fds_send(fx->theirs, &iov, 1, fds, n, 0), HEADER_BYTES + 8);
}

static void test_too_many_fds(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_u64(VHOST_USER_SET_VRING_KICK, 0);

	send_many_fds(fx, &sent, VHOST_USER_MAX_FDS + 1);
	assert_int_equal(read_msg(fx), -EPROTO);
	assert_text(fx, "9 descriptors");
	assert_int_equal(recv(fx->ours, &sent, sizeof(sent), 0), 8);
	send_many_fds(fx, &sent, FDS_MAX);
	assert_int_equal(read_msg(fx), -EPROTO);
	assert_text(fx, "64 descriptors");
}

static void test_late_fds(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_u64(VHOST_USER_SET_VRING_KICK, 0);
	struct iovec iov = {&sent.payload, 8};

	send_part(fx->theirs, &sent, 0, HEADER_BYTES);
	assert_int_equal(read_msg(fx), -EAGAIN);
	assert_int_equal(fds_send(fx->theirs, &iov, 1, &fx->memory, 1, 0), 8);
	assert_int_equal(read_msg(fx), -EPROTO);
	assert_text(fx, "1 descriptors came with byte 12");
}

/* No free descriptor numbers: the kernel drops descriptors, and says so. */
static void test_lost_fds(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(4, fx->memory);
	struct rlimit before, now;
	int next = dup(fx->memory), err;

	assert_true(next >= 0);
	close(next);
	send_msg(fx->theirs, &sent);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = (struct rlimit){(rlim_t)next + 2, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	err = read_msg(fx);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	if (err == 0) {
		proxy_msg_close_fds(&fx->msg, NULL);
		print_message("# skipped: no word of descriptors that are cut off: qemu-user\n");
		skip();
	}
	assert_int_equal(err, -EPROTO);
	assert_text(fx, "were lost");
}

static void test_peer_leaves(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(2, fx->memory);

	/* A whole message counts. */
	send_msg(fx->theirs, &sent);
	send_part(fx->theirs, &sent, 0, 20);
	close(fx->theirs);
	fx->theirs = -1;
	assert_int_equal(read_msg(fx), 0);
	proxy_msg_close_fds(&fx->msg, NULL);
	assert_int_equal(read_msg(fx), -ECONNRESET);
	assert_text(fx, "within a message");
	assert_int_equal(read_msg(fx), -ECONNRESET);
}

/* Descriptors of the peer are closed where the caller wants it. */
static void test_closer(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(8, fx->memory);
	unsigned n = 0;
	const struct fd_closer closer = {count_close, &n};

	msg_reader_init(&fx->reader, NULL, &closer);
	send_part(fx->theirs, &sent, 0, 30);
	assert_int_equal(read_msg(fx), -EAGAIN);
	msg_reader_reset(&fx->reader);
	assert_int_equal(n, 8);
	send_many_fds(fx, &sent, 20);
	assert_int_equal(read_msg(fx), -EPROTO);
	assert_int_equal(n, 28);
}

/* Fill the socket so that not even one byte fits. */
static size_t fill_socket(int socket)
{
	uint8_t bytes[4096] = {0};
	size_t total = 0, len = sizeof(bytes);

	while (len > 0) {
		ssize_t n = send(socket, bytes, len, MSG_DONTWAIT);

		if (n > 0)
			total += (size_t)n;
		else
			len /= 2;
	}
	return total;
}

static void drain_socket(int socket, size_t total)
{
	uint8_t bytes[4096];

	while (total > 0) {
		ssize_t n = recv(socket, bytes, total < sizeof(bytes) ? total : sizeof(bytes), 0);

		assert_true(n > 0);
		total -= (size_t)n;
	}
}

static void test_writer(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(8, fx->memory);
	struct msg_writer writer = {0};
	size_t total = fill_socket(fx->theirs);

	assert_int_equal(msg_writer_continue(&writer, fx->theirs), 0); /* nothing to write */
	assert_int_equal(msg_writer_start(&writer, fx->theirs, &sent), -EAGAIN);
	assert_true(msg_writer_is_busy(&writer));
	drain_socket(fx->ours, total);
	assert_int_equal(msg_writer_continue(&writer, fx->theirs), 0);
	assert_false(msg_writer_is_busy(&writer));
	assert_int_equal(read_msg(fx), 0);
	assert_int_equal(fx->msg.n_fds, 8);
	assert_memory_equal(&fx->msg.payload, &sent.payload, sizeof(sent.payload));
	proxy_msg_close_fds(&fx->msg, NULL);
}

/* The rest of a partial write goes without the descriptors, which went with the first byte. */
static void test_writer_in_part(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_table(8, fx->memory);
	size_t len = HEADER_BYTES + sent.header.size_bytes;

	for (size_t done = 1; done < len; done++) {
		struct msg_writer writer = {.msg = &sent, .sent_bytes = done};

		send_part(fx->theirs, &sent, 0, done);
		assert_int_equal(msg_writer_continue(&writer, fx->theirs), 0);
		assert_int_equal(read_msg(fx), 0);
		assert_int_equal(fx->msg.n_fds, 8);
		assert_memory_equal(&fx->msg.payload, &sent.payload, sizeof(sent.payload));
		proxy_msg_close_fds(&fx->msg, NULL);
	}
}

static void test_writer_peer_left(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg sent = make_u64(VHOST_USER_SET_FEATURES, 0);
	struct msg_writer writer = {0};

	close(fx->theirs);
	fx->theirs = -1;
	assert_int_equal(msg_writer_start(&writer, fx->ours, &sent), -EPIPE);
}

/* Any bytes with any descriptors: an end of the connection or a message, and no leak. */
static void test_random(void **state)
{
	struct fixture *fx = *state;
	uint64_t seed = random_seed("random");

	for (unsigned round = 0; round < 3000; round++) {
		int pair[2], err;

		make_pair(pair);
		for (unsigned i = 0; i < 4; i++) {
			struct proxy_msg sent = make_table(
				(unsigned)random_below(&seed, VHOST_USER_MAX_FDS + 1), fx->memory);
			size_t len = HEADER_BYTES + sizeof(sent.payload);

			sent.header.size_bytes = (uint32_t)random_magnitude(&seed, 12);
			if (sent.header.size_bytes < sizeof(sent.payload) &&
				!random_once_in(&seed, 4))
				len = HEADER_BYTES + sent.header.size_bytes;
			if (random_once_in(&seed, 4))
				len = 1 + random_below(&seed, len);
			send_part(pair[1], &sent, 0, len);
		}
		close(pair[1]);
		msg_reader_init(&fx->reader, NULL, NULL);
		while ((err = msg_reader_read(&fx->reader, pair[0], &fx->msg, &fx->why)) == 0)
			proxy_msg_close_fds(&fx->msg, NULL);
		assert_true(err == -ECONNRESET || err == -EPROTO);
		close(pair[0]);
		assert_int_equal(count_fds(), fx->fds_before);
	}
}

#define STREAM_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_whole),
		STREAM_TEST(test_pieces),
		STREAM_TEST(test_short_after_long),
		STREAM_TEST(test_too_long),
		STREAM_TEST(test_header_check),
		STREAM_TEST(test_too_many_fds),
		STREAM_TEST(test_late_fds),
		STREAM_TEST(test_lost_fds),
		STREAM_TEST(test_peer_leaves),
		STREAM_TEST(test_closer),
		STREAM_TEST(test_writer),
		STREAM_TEST(test_writer_in_part),
		STREAM_TEST(test_writer_peer_left),
		STREAM_TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
