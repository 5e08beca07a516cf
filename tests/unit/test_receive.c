/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as they come in: which requests and descriptors are let in. */
#include "vhost/receive.h"

#include "fds.h"
#include "unit.h"
#include "vhost/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADER 12
#define ROOM   8 /* descriptors that the receiver has room for */

struct mail {
	uint32_t header[3];
	uint8_t payload[512];
};

static int ours, theirs, null;
static bool cut_off; /* the last message came with more descriptors than there was room for */

static int setup(void **state)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ours = pair[0];
	theirs = pair[1];
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(null >= 0);
	return 0;
}

static int teardown(void **state)
{
	close(ours);
	close(theirs);
	close(null);
	return 0;
}

static void post_mail(struct mail *mail, size_t len, int fd, unsigned n)
{
	struct iovec iov = {mail, len};
	int fds[2 * ROOM];

	for (unsigned i = 0; i < 2 * ROOM; i++)
		fds[i] = fd;
	assert_int_equal(fds_send(theirs, &iov, 1, fds, n, 0), len);
}

/* The first 'len' bytes of a message that says that its payload has 'size', with 'n' descriptors.
 */
static void post(uint32_t request, uint32_t size, size_t len, unsigned n)
{
	struct mail mail = {.header = {request, 1, size}};

	post_mail(&mail, len, null, n);
}

static void post_payload(uint32_t request, const void *payload, size_t size, int fd, unsigned n)
{
	struct mail mail = {.header = {request, 1, (uint32_t)size}};

	memcpy(mail.payload, payload, size);
	post_mail(&mail, HEADER + size, fd, n);
}

/* Receive a header as rte_vhost does. @return what the judge says; in '*n' the descriptors left */
static ssize_t receive(unsigned *n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(ROOM * sizeof(int))];
	} control;
	uint32_t header[3], request;
	struct iovec iov = {header, sizeof(header)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(ours, &msg, 0);
	const struct cmsghdr *c;

	assert_true(got > 0);
	request = header[0];
	cut_off = msg.msg_flags & MSG_CTRUNC;
	got = receive_judge(ours, &msg, got);
	assert_int_equal(header[0], message_is_allowed(request) ? request : MSG_NONE);
	c = CMSG_FIRSTHDR(&msg);
	*n = c == NULL ? 0 : (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (unsigned i = 0; i < *n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		assert_int_equal(close(fd), 0);
	}
	return got;
}

static void test_whole_messages(void **state)
{
	unsigned before = count_fds(), n;

	for (unsigned i = 0; i <= ROOM; i++) {
		post(MSG_SET_LOG_FD, 264, HEADER + 264, i);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, i);
		assert_int_equal(recv(ours, &(struct mail){0}, 264, 0), 264);
	}
	post(MSG_SET_LOG_FD, 0, HEADER, 1);
	assert_int_equal(receive(&n), HEADER);
	assert_int_equal(n, 1);
	assert_int_equal(count_fds(), before);
}

/* A memory table comes with its descriptors when all can be mapped, and without them else. */
static void test_tables(void **state)
{
	static const struct {
		uint64_t size, offset;
		bool good;
	} regions[] = {{4096, 0, true}, {4096, 4096, true}, {1, 1, true}, {0, 0, false},
		{0, 4096, false}, {UINT64_MAX, 0, false}, {UINT64_MAX, 1, false},
		{UINT64_MAX - 4096, 4097, false}, {4096, UINT64_MAX, false}, {1u << 31, 0, true},
		{1ull << 62, 0, false}};
	unsigned before = count_fds(), n;
	int memory = memfd_create("memory", MFD_CLOEXEC);

	assert_true(memory >= 0);
	for (unsigned i = 0; i < ARRAY_LEN(regions); i++) {
		uint64_t words[] = {2, 0, 4096, 0, 0, 0, regions[i].size, 0, regions[i].offset};

		post_payload(MSG_SET_MEM_TABLE, words, sizeof(words), memory, 2);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, regions[i].good ? 2 : 0);
		assert_int_equal(recv(ours, &(struct mail){0}, sizeof(words), 0), sizeof(words));
		post_payload(MSG_SET_MEM_TABLE, words, sizeof(words), null, 2);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, 0);
		assert_int_equal(recv(ours, &(struct mail){0}, sizeof(words), 0), sizeof(words));
	}
	/* Fewer descriptors than regions, and more regions than there may be. */
	for (uint64_t nr = 1; nr < 10; nr += 8) {
		uint64_t words[] = {nr, 0, 4096, 0, 0};

		post_payload(MSG_SET_MEM_TABLE, words, sizeof(words), memory, 1);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, nr == 1);
		assert_int_equal(recv(ours, &(struct mail){0}, sizeof(words), 0), sizeof(words));
	}
	close(memory);
	assert_int_equal(count_fds(), before);
}

/* Of a ring that there is not, or is too long for what it says. */
static void test_other_rings(void **state)
{
	unsigned before = count_fds(), n;

	for (uint64_t index = 0; index < 3; index++) {
		uint64_t words[] = {index == 2 ? 0x100 : index, 0};

		post_payload(MSG_SET_VRING_CALL, words, 8, null, 1);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, index != 1);
		assert_int_equal(recv(ours, &(struct mail){0}, 8, 0), 8);
		post_payload(MSG_SET_VRING_CALL, words, 16, null, 1);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, 0);
		assert_int_equal(recv(ours, &(struct mail){0}, 16, 0), 16);
	}
	assert_int_equal(count_fds(), before);
}

/* The payload comes a little later; or the peer leaves when it has sent all. */
static void test_payload_apart(void **state)
{
	unsigned n;

	post(MSG_SET_VRING_KICK, 8, HEADER, 1);
	assert_int_equal(send(theirs,
				 "\0\1"
				 "345678",
				 8, 0),
		8);
	shutdown(theirs, SHUT_WR);
	assert_int_equal(receive(&n), HEADER);
	assert_int_equal(n, 1);
}

static void test_too_many(void **state)
{
	unsigned before = count_fds(), n;
	ssize_t got;

	post(MSG_SET_MEM_TABLE, 8, HEADER + 8, ROOM + 1);
	got = receive(&n);
	if (!cut_off) {
		print_message("# skipped: no word of descriptors that are cut off: qemu-user\n");
		skip();
	}
	assert_int_equal(got, -1);
	assert_int_equal(n, 0);
	assert_int_equal(count_fds(), before);
}

static void test_too_long(void **state)
{
	static const uint32_t sizes[] = {265, 4096, INT32_MAX, UINT32_MAX};
	unsigned before = count_fds(), n;

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		post(MSG_SET_MEM_TABLE, sizes[i], HEADER, ROOM);
		assert_int_equal(receive(&n), -1);
		assert_int_equal(errno, EMSGSIZE);
		assert_int_equal(n, 0);
	}
	assert_int_equal(count_fds(), before);
}

/* The rest never comes; the peer stays, or goes. */
static void test_broken_off(void **state)
{
	unsigned before = count_fds(), n;

	post(MSG_SET_VRING_CALL, 8, HEADER + 7, 1);
	assert_int_equal(receive(&n), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(n, 0);
	assert_int_equal(recv(ours, &(struct mail){0}, 7, 0), 7);
	post(MSG_SET_VRING_CALL, 8, HEADER + 7, ROOM);
	shutdown(theirs, SHUT_WR);
	assert_int_equal(receive(&n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(count_fds(), before);
}

/* Of those that the library knows, and must not work on. What came with them it then closes. */
static bool may_have(uint32_t request)
{
	return !message_is_allowed(request) || request == MSG_SET_LOG_FD ||
	       request == MSG_SET_VRING_CALL || request == MSG_SET_VRING_ERR ||
	       request == MSG_SET_VRING_KICK || request == MSG_SET_LOG_BASE;
}

static void test_requests(void **state)
{
	unsigned n;

	for (uint32_t request = 0; request < 64; request++) {
		if (request == MSG_SET_MEM_TABLE)
			continue;
		post(request, 8, HEADER + 8, request % 2);
		assert_int_equal(receive(&n), HEADER);
		assert_int_equal(n, request % 2 && may_have(request));
		assert_int_equal(recv(ours, &(struct mail){0}, 8, 0), 8);
	}
	post(UINT32_MAX, 0, HEADER, 0);
	assert_int_equal(receive(&n), HEADER);
}

/* What has no descriptors is not looked at. */
static void test_without(void **state)
{
	unsigned n;

	post(MSG_SET_FEATURES, UINT32_MAX, HEADER, 0);
	assert_int_equal(receive(&n), HEADER);
}

#define RECEIVE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECEIVE_TEST(test_whole_messages),
		RECEIVE_TEST(test_tables),
		RECEIVE_TEST(test_other_rings),
		RECEIVE_TEST(test_payload_apart),
		RECEIVE_TEST(test_too_many),
		RECEIVE_TEST(test_too_long),
		RECEIVE_TEST(test_broken_off),
		RECEIVE_TEST(test_requests),
		RECEIVE_TEST(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
