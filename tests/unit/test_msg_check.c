/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages that keep to the rules, and each way to break one: the error names request and value. */
#include "msg_check.h"

#include "proxy_fixture.h"

#define PACKED (UINT64_C(1) << 34)

static struct msg_limits limits;
static int memory, event, null;

static int setup_all(void **state)
{
	memory = make_memory();
	event = make_event(0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null < 0 ? -1 : 0;
}

static int teardown_all(void **state)
{
	close(memory);
	close(event);
	close(null);
	return 0;
}

static int setup(void **state)
{
	limits = (struct msg_limits){
		.features = UINT64_C(0x570000000),
		.protocol_features = 0xb,
	};
	return 0;
}

static int check(const struct proxy_msg *msg, struct why *why)
{
	int err = msg_check_header(&msg->header, why);

	return err != 0 ? err : msg_check(msg, &limits, why);
}

static void must_pass(const struct proxy_msg *msg)
{
	struct why why = {0};

	if (check(msg, &why) != 0)
		fail_msg("%s was refused: %s", msg_name(msg->header.request), why.text);
}

static void must_fail(const struct proxy_msg *msg, int expected, const char *text)
{
	struct why why = {0};
	int err = check(msg, &why);

	if (err != expected || strcmp(why.text, text) != 0)
		fail_msg("%d, '%s' instead of %d, '%s'", err, why.text, expected, text);
}

static struct proxy_msg make_log(uint64_t size, uint64_t offset, int fd)
{
	struct vhost_user_log log = {size, offset};
	struct proxy_msg msg = make_msg(VHOST_USER_SET_LOG_BASE, &log, sizeof(log));

	msg.n_fds = 1;
	msg.fds[0] = fd;
	return msg;
}

/* A good message of each request. */
static struct proxy_msg make_good(uint32_t request)
{
	switch (request) {
	case VHOST_USER_SET_FEATURES:
		return make_u64(request, limits.features);
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		return make_u64(request, limits.protocol_features);
	case VHOST_USER_SET_MEM_TABLE:
		return make_table(3, memory);
	case VHOST_USER_SET_LOG_BASE:
		return make_log(4096, 0, memory);
	case VHOST_USER_SET_LOG_FD: {
		struct proxy_msg msg = make_msg(request, NULL, 0);

		msg.n_fds = 1;
		msg.fds[0] = null;
		return msg;
	}
	case VHOST_USER_SET_VRING_ADDR:
		return make_msg(request, NULL, sizeof(struct vhost_user_vring_addr));
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		return make_state(request, 256);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return make_vring_fd(request, event);
	default:
		return make_msg(request, NULL, 0);
	}
}

static void test_good(void **state)
{
	for (uint32_t request = 1; request <= 18; request++) {
		struct proxy_msg msg = make_good(request);

		must_pass(&msg);
		msg.header.flags |= VHOST_USER_FLAG_NEED_REPLY;
		must_pass(&msg);
	}
}

static void test_replies(void **state)
{
	static const uint32_t with_reply[] = {VHOST_USER_GET_FEATURES,
		VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_LOG_BASE};
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(with_reply); i++)
		assert_true(msg_has_reply(with_reply[i]));
	for (uint32_t request = 0; request < 300; request++)
		n += msg_has_reply(request);
	assert_int_equal(n, ARRAY_LEN(with_reply));
}

static void test_unknown(void **state)
{
	struct proxy_msg msg;

	/* GET_INFLIGHT_FD, SET_STATUS and others that rte_vhost works on, negotiated or not. */
	for (uint32_t request = 0; request < 300; request++) {
		char text[64];

		if (request >= 1 && request <= 18)
			continue;
		msg = make_msg(request, NULL, 0);
		snprintf(
			text, sizeof(text), "request %u is unknown or was not negotiated", request);
		must_fail(&msg, -EPROTO, text);
		assert_int_equal(msg_check(&msg, &limits, &(struct why){0}), -EPROTO);
		assert_string_equal(msg_name(request), "unknown request");
	}
	msg = make_msg(UINT32_MAX, NULL, 0);
	must_fail(&msg, -EPROTO, "request 4294967295 is unknown or was not negotiated");
}

static void test_flags(void **state)
{
	struct proxy_msg msg = make_good(VHOST_USER_SET_OWNER);

	msg.header.flags = 0;
	must_fail(&msg, -EPROTO, "SET_OWNER: protocol version 0; expected 1");
	msg.header.flags = 2;
	must_fail(&msg, -EPROTO, "SET_OWNER: protocol version 2; expected 1");
	msg.header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	must_fail(&msg, -EPROTO, "SET_OWNER: flags 0x5 are not those of a request");
	msg.header.flags = VHOST_USER_VERSION | 0x100;
	must_fail(&msg, -EPROTO, "SET_OWNER: flags 0x101 are not those of a request");
}

/* Each request with a byte more and a byte less than it has. */
static void test_sizes(void **state)
{
	struct proxy_msg msg;
	struct why why;

	for (uint32_t request = 1; request <= 18; request++) {
		if (request == VHOST_USER_SET_MEM_TABLE)
			continue;
		msg = make_good(request);
		msg.header.size_bytes++;
		assert_int_equal(check(&msg, &why), -EPROTO);
		assert_non_null(strstr(why.text, msg_name(request)));
		msg.header.size_bytes -= 2;
		assert_int_equal(check(&msg, &why), -EPROTO);
	}
	msg = make_good(VHOST_USER_SET_FEATURES);
	msg.header.size_bytes = 4;
	must_fail(&msg, -EPROTO, "SET_FEATURES: payload of 4 bytes; expected 8");
}

/* No descriptors where none belong, exactly one elsewhere. */
static void test_descriptors(void **state)
{
	struct proxy_msg msg;
	struct why why;

	for (uint32_t request = 1; request <= 18; request++) {
		msg = make_good(request);
		msg.fds[msg.n_fds++] = memory;
		assert_int_not_equal(check(&msg, &why), 0);
		if (msg.n_fds == 1)
			continue;
		msg.n_fds = 0;
		assert_int_not_equal(check(&msg, &why), 0);
	}
	msg = make_good(VHOST_USER_SET_OWNER);
	msg.fds[msg.n_fds++] = event;
	must_fail(&msg, -EPROTO, "SET_OWNER: 1 descriptors; expected 0");
}

static void test_vring_descriptors(void **state)
{
	static const uint32_t requests[] = {
		VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ERR};
	const int wrong[] = {memory, null};
	struct proxy_msg msg;
	struct why why;

	for (unsigned i = 0; i < ARRAY_LEN(requests); i++) {
		msg = make_vring_fd(requests[i], -1);
		must_pass(&msg);
		msg.n_fds = 1;
		msg.fds[0] = event;
		assert_int_equal(check(&msg, &why), -EPROTO);
		for (unsigned j = 0; j < ARRAY_LEN(wrong); j++) {
			msg = make_vring_fd(requests[i], wrong[j]);
			assert_int_equal(check(&msg, &why), -EINVAL);
			assert_non_null(strstr(why.text, "the descriptor is not an eventfd"));
		}
	}
	msg = make_vring_fd(VHOST_USER_SET_VRING_KICK, null);
	must_fail(&msg, -EINVAL, "SET_VRING_KICK: the descriptor is not an eventfd");
	msg = make_vring_fd(VHOST_USER_SET_VRING_CALL, event);
	msg.payload.u64 = 7;
	must_fail(&msg, -EINVAL, "SET_VRING_CALL: vring index 7 out of range (1 queue)");
	msg = make_vring_fd(VHOST_USER_SET_VRING_KICK, -1);
	msg.n_fds = 1;
	msg.payload.u64 = 0;
	must_fail(&msg, -EINVAL,
		"SET_VRING_KICK: cannot examine the descriptor: Bad file descriptor");
}

static void test_features(void **state)
{
	struct proxy_msg msg = make_u64(VHOST_USER_SET_FEATURES, 0);

	must_pass(&msg);
	msg.payload.u64 = UINT64_C(0x570000000) | 1 << 5;
	must_fail(&msg, -EINVAL,
		"SET_FEATURES: bit 5 was not offered (0x570000020; offered 0x570000000)");
	msg = make_u64(VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_C(1) << 63);
	must_fail(&msg, -EINVAL,
		"SET_PROTOCOL_FEATURES: bit 63 was not offered (0x8000000000000000; offered 0xb)");
}

static void test_vring_states(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
		VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE};
	struct proxy_msg msg;
	struct why why;

	for (unsigned i = 0; i < ARRAY_LEN(requests); i++) {
		msg = make_state(requests[i], 1);
		must_pass(&msg);
		msg.payload.state.index = 256; /* not 0 in a byte */
		assert_int_equal(check(&msg, &why), -EINVAL);
		assert_non_null(strstr(why.text, "vring index 256 out of range (1 queue)"));
	}
	msg = make_good(VHOST_USER_SET_VRING_ADDR);
	msg.payload.addr.flags = VHOST_USER_VRING_F_LOG;
	must_pass(&msg);
	msg.payload.addr.flags = 2;
	must_fail(&msg, -EINVAL, "SET_VRING_ADDR: unknown flags 0x2");
	msg.payload.addr.index = 3;
	must_fail(&msg, -EINVAL, "SET_VRING_ADDR: vring index 3 out of range (1 queue)");
}

static void test_ring_size(void **state)
{
	for (uint32_t num = 0; num < 70000; num++) {
		struct proxy_msg msg = make_state(VHOST_USER_SET_VRING_NUM, num);
		bool in_range = num >= 1 && num <= 32768;
		struct why why;

		limits.packed = false;
		assert_int_equal(
			check(&msg, &why), in_range && __builtin_popcount(num) == 1 ? 0 : -EINVAL);
		limits.packed = true;
		assert_int_equal(check(&msg, &why), in_range ? 0 : -EINVAL);
	}
	limits.packed = false;
	struct proxy_msg msg = make_state(VHOST_USER_SET_VRING_NUM, 3);

	must_fail(&msg, -EINVAL, "SET_VRING_NUM: ring size 3 is not a power of two (split ring)");
	msg.payload.state.num = 65536;
	must_fail(&msg, -EINVAL, "SET_VRING_NUM: ring size 65536 out of range (1 to 32768)");
}

static void test_log(void **state)
{
	struct proxy_msg msg = make_log(MEM_BYTES, 0, memory);

	must_pass(&msg);
	msg = make_log(MEM_BYTES + 1, 0, memory);
	must_fail(&msg, -EINVAL, "SET_LOG_BASE: log of 0x10001 bytes in a smaller file");
	msg = make_log(4096, 4096, memory);
	must_fail(&msg, -EINVAL, "SET_LOG_BASE: offset 0x1000; expected 0");
	msg = make_log(0, 0, memory);
	must_fail(&msg, -EINVAL, "SET_LOG_BASE: log size 0 out of range");
	msg = make_log(UINT64_MAX, 0, memory);
	must_fail(&msg, -EINVAL, "SET_LOG_BASE: log size 0xffffffffffffffff out of range");
	msg = make_log(4096, 0, event);
	must_fail(&msg, -EINVAL,
		"SET_LOG_BASE: the log's file is neither shmem (memfd, tmpfs) nor hugetlbfs");
}

/* Memory tables */

static void test_table_counts(void **state)
{
	struct proxy_msg msg;

	for (unsigned n = 0; n <= 8; n++) {
		msg = make_table(n, memory);
		must_pass(&msg);
		/* Some front-ends send room for eight whatever the number is. */
		msg.header.size_bytes = sizeof(msg.payload.mem_table);
		must_pass(&msg);
	}
	msg.payload.mem_table.nr_regions = 9;
	must_fail(&msg, -EINVAL, "SET_MEM_TABLE: 9 memory regions; at most 8 are supported");
	msg.payload.mem_table.nr_regions = UINT32_MAX;
	must_fail(
		&msg, -EINVAL, "SET_MEM_TABLE: 4294967295 memory regions; at most 8 are supported");
	msg.header.size_bytes = 8 + 9 * 32;
	must_fail(&msg, -EPROTO, "SET_MEM_TABLE: payload of 296 bytes: more than 8 memory regions");
	msg = make_table(2, memory);
	msg.payload.mem_table.nr_regions = 3;
	must_fail(&msg, -EINVAL, "SET_MEM_TABLE: 3 regions in a payload of 72 bytes");
	msg = make_table(2, memory);
	msg.n_fds = 1;
	must_fail(&msg, -EINVAL, "SET_MEM_TABLE: 1 descriptors for 2 memory regions");
	msg = make_table(0, memory);
	msg.header.size_bytes = 7;
	must_fail(&msg, -EPROTO, "SET_MEM_TABLE: payload of 7 bytes; expected at least 8");
}

static void test_table_numbers(void **state)
{
	struct proxy_msg msg = make_table(2, memory);
	struct vhost_user_region *r = &msg.payload.mem_table.regions[1];
	const struct vhost_user_region good = *r;

	r->size_bytes = 0;
	must_fail(&msg, -EINVAL, "SET_MEM_TABLE: region 1 has size 0");
	*r = good;
	r->gpa = UINT64_MAX - 0xfff;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1: guest address 0xfffffffffffff000 plus size 0x1000 overflows");
	r->gpa--;
	must_pass(&msg);
	*r = good;
	r->user_addr = UINT64_MAX;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1: user address 0xffffffffffffffff plus size 0x1000 overflows");
	*r = good;
	r->fd_offset = UINT64_MAX;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1: file offset 0xffffffffffffffff plus size 0x1000 overflows");
	*r = good;
	r->fd_offset = MEM_BYTES - 0xfff;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1 ends at offset 0x10001 of a file of 0x10000 bytes");
	r->fd_offset--;
	must_pass(&msg);
}

static void test_table_overlaps(void **state)
{
	struct proxy_msg msg = make_table(3, memory);
	struct vhost_user_region *r = msg.payload.mem_table.regions;

	const struct vhost_user_region good = r[2];

	r[2].gpa = r[0].gpa + r[0].size_bytes - 1;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: regions 0 and 2 overlap at guest address 0x40000fff");
	r[2] = good;
	r[2].user_addr = r[1].user_addr - r[2].size_bytes + 1;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: regions 0 and 2 overlap at user address 0x7f0000000001");
	/* One that holds all others. */
	r[2] = good;
	r[2].gpa = 0;
	r[2].size_bytes = UINT64_C(1) << 40;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: regions 0 and 2 overlap at guest address 0x40000000");
	/* Two may share a part of their file. */
	r[2] = good;
	r[2].fd_offset = r[0].fd_offset;
	must_pass(&msg);
}

static void test_table_files(void **state)
{
	struct proxy_msg msg = make_table(2, memory);
	char path[64];
	int ro;

	msg.fds[1] = null;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1: its file is neither shmem (memfd, tmpfs) nor hugetlbfs");
	limits.any_memory_file = true;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1 ends at offset 0x2000 of a file of 0 bytes");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(ro >= 0);
	msg.fds[1] = ro;
	must_fail(&msg, -EINVAL,
		"SET_MEM_TABLE: region 1: its file is not open for reading and writing");
	close(ro);
	snprintf(path, sizeof(path), "/var/tmp/vrng-msg-check-XXXXXX");
	msg.fds[1] = mkstemp(path);
	assert_true(msg.fds[1] >= 0);
	unlink(path);
	assert_int_equal(ftruncate(msg.fds[1], MEM_BYTES), 0);
	must_pass(&msg);
	close(msg.fds[1]);
}

/* Nothing that a front-end sends ends the process, or is accepted with what the table forbids. */
static void test_random(void **state)
{
	const int files[] = {memory, event, null, -1};
	uint64_t seed = random_seed("random");

	for (unsigned round = 0; round < 200000; round++) {
		struct proxy_msg msg = make_good((uint32_t)random_below(&seed, 20));
		uint8_t *bytes = msg.payload.bytes;
		struct why why = {0};
		int err;

		if (random_once_in(&seed, 2))
			bytes[random_below(&seed, sizeof(msg.payload))] ^=
				(uint8_t)(1 << random_below(&seed, 8));
		if (random_once_in(&seed, 2))
			bytes[random_below(&seed, 16)] = (uint8_t)random_next(&seed);
		if (random_once_in(&seed, 8))
			msg.n_fds = (unsigned)random_below(&seed, VHOST_USER_MAX_FDS + 1);
		for (unsigned i = 0; i < msg.n_fds; i++)
			if (random_once_in(&seed, 8))
				msg.fds[i] = files[random_below(&seed, ARRAY_LEN(files))];
		err = check(&msg, &why);
		assert_true(err == 0 || err == -EPROTO || err == -EINVAL);
		assert_true((err == 0) == (why.text[0] == '\0'));
	}
}

#define CHECK_TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHECK_TEST(test_good),
		CHECK_TEST(test_replies),
		CHECK_TEST(test_unknown),
		CHECK_TEST(test_flags),
		CHECK_TEST(test_sizes),
		CHECK_TEST(test_descriptors),
		CHECK_TEST(test_vring_descriptors),
		CHECK_TEST(test_features),
		CHECK_TEST(test_vring_states),
		CHECK_TEST(test_ring_size),
		CHECK_TEST(test_log),
		CHECK_TEST(test_table_counts),
		CHECK_TEST(test_table_numbers),
		CHECK_TEST(test_table_overlaps),
		CHECK_TEST(test_table_files),
		CHECK_TEST(test_random),
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
