/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of a session, and the replay that is made of it. */
#include "session_record.h"

#include "proxy_fixture.h"

#define PACKED	 (UINT64_C(1) << 34)
#define PROTOCOL (UINT64_C(1) << 30)

struct fixture {
	struct session_record record;
	unsigned fds_before;
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	fx->fds_before = count_fds();
	session_record_init(&fx->record, NULL);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	session_record_fini(&fx->record);
	assert_int_equal(count_fds(), fx->fds_before);
	free(fx);
	return 0;
}

/* Acknowledge a request; what the record does not take is closed. */
static void commit(struct fixture *fx, struct proxy_msg msg)
{
	struct proxy_msg reply = make_state(VHOST_USER_GET_VRING_BASE, 77);

	session_record_commit(&fx->record, &msg, &reply);
	proxy_msg_close_fds(&msg, NULL);
}

static void commit_table(struct fixture *fx, unsigned n, uint64_t gpa)
{
	struct proxy_msg msg = make_table(n, -1);

	for (unsigned i = 0; i < n; i++)
		msg.fds[i] = make_memory();
	msg.payload.mem_table.regions[0].gpa = gpa;
	commit(fx, msg);
}

static void commit_log(struct fixture *fx)
{
	struct vhost_user_log log = {4096, 0};
	struct proxy_msg msg = make_msg(VHOST_USER_SET_LOG_BASE, &log, sizeof(log));

	msg.n_fds = 1;
	msg.fds[0] = make_memory();
	commit(fx, msg);
}

static void commit_ring(struct fixture *fx)
{
	struct vhost_user_vring_addr addr = {.desc_user_addr = 0x7f0000000000};

	commit(fx, make_state(VHOST_USER_SET_VRING_NUM, 256));
	commit(fx, make_state(VHOST_USER_SET_VRING_BASE, 5));
	commit(fx, make_msg(VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr)));
	commit(fx, make_vring_fd(VHOST_USER_SET_VRING_ERR, make_event(1)));
	commit(fx, make_vring_fd(VHOST_USER_SET_VRING_CALL, make_event(2)));
	commit(fx, make_vring_fd(VHOST_USER_SET_VRING_KICK, make_event(3)));
	commit(fx, make_state(VHOST_USER_SET_VRING_ENABLE, 1));
}

static void commit_all(struct fixture *fx)
{
	commit_ring(fx);
	commit_table(fx, 3, 0x10000000);
	commit_log(fx);
	commit(fx, make_u64(VHOST_USER_SET_FEATURES, PROTOCOL));
	commit(fx, make_msg(VHOST_USER_SET_OWNER, NULL, 0));
	commit(fx, make_u64(VHOST_USER_SET_PROTOCOL_FEATURES, 8));
}

/* A replay has exactly these requests; 0 ends the list. */
static void assert_replay(const struct fixture *fx, const uint32_t *requests)
{
	enum replay_step step = REPLAY_GET_FEATURES;
	struct proxy_msg msg;

	for (; session_record_replay(&fx->record, &step, &msg); step++, requests++) {
		assert_int_equal(msg.header.request, *requests);
		assert_int_equal(msg.header.flags, PROXY_MSG_FLAGS_NEED_REPLY);
		for (unsigned i = 0; i < msg.n_fds; i++)
			assert_true(fcntl(msg.fds[i], F_GETFD) >= 0);
	}
	assert_int_equal(*requests, 0);
	assert_int_equal(step, REPLAY_DONE);
}

/* The message of one step. */
static struct proxy_msg get_step(const struct fixture *fx, enum replay_step wanted)
{
	enum replay_step step = wanted;
	struct proxy_msg msg;

	assert_true(session_record_replay(&fx->record, &step, &msg));
	assert_int_equal(step, wanted);
	return msg;
}

static void test_order(void **state)
{
	static const uint32_t empty[] = {
		VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES, 0};
	static const uint32_t all[] = {VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_USER_SET_OWNER, VHOST_USER_SET_FEATURES,
		VHOST_USER_SET_LOG_BASE, VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_VRING_NUM,
		VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_ERR,
		VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE,
		0};
	struct fixture *fx = *state;

	assert_replay(fx, empty);
	commit_all(fx);
	assert_replay(fx, all);
	assert_replay(fx, all);
}

static void test_values(void **state)
{
	struct fixture *fx = *state;
	struct proxy_msg msg;

	commit_all(fx);
	assert_int_equal(get_step(fx, REPLAY_SET_FEATURES).payload.u64, PROTOCOL);
	assert_int_equal(get_step(fx, REPLAY_SET_PROTOCOL_FEATURES).payload.u64, 8);
	msg = get_step(fx, REPLAY_SET_MEM_TABLE);
	assert_int_equal(msg.header.size_bytes, 8 + 3 * 32);
	assert_int_equal(msg.n_fds, 3);
	assert_int_equal(msg.payload.mem_table.regions[0].gpa, 0x10000000);
	assert_int_equal(get_step(fx, REPLAY_SET_LOG_BASE).payload.log.size_bytes, 4096);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_NUM).payload.state.num, 256);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_BASE).payload.state.num, 5);
	msg = get_step(fx, REPLAY_SET_VRING_ADDR);
	assert_int_equal(msg.payload.addr.desc_user_addr, 0x7f0000000000);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_KICK).n_fds, 1);
	/* "No descriptor" is a value, too. */
	commit(fx, make_vring_fd(VHOST_USER_SET_VRING_KICK, -1));
	msg = get_step(fx, REPLAY_SET_VRING_KICK);
	assert_int_equal(msg.n_fds, 0);
	assert_int_equal(msg.payload.u64, VHOST_USER_VRING_NOFD);
}

/* Everything twice: the descriptors of the first time are closed. */
static void test_again(void **state)
{
	struct fixture *fx = *state;
	unsigned n;

	commit_all(fx);
	n = count_fds();
	commit_all(fx);
	commit_table(fx, 3, 0x20000000);
	assert_int_equal(count_fds(), n);
	assert_int_equal(
		get_step(fx, REPLAY_SET_MEM_TABLE).payload.mem_table.regions[0].gpa, 0x20000000);
}

/* rte_vhost keeps the old files of a table with the same regions. */
static void test_same_table(void **state)
{
	struct fixture *fx = *state;
	int fd;

	commit_table(fx, 2, 0x10000000);
	fd = get_step(fx, REPLAY_SET_MEM_TABLE).fds[0];
	commit_table(fx, 2, 0x10000000);
	assert_int_equal(get_step(fx, REPLAY_SET_MEM_TABLE).fds[0], fd);
	assert_int_equal(count_fds(), fx->fds_before + 2);
}

static void test_ring_stop(void **state)
{
	static const uint32_t stopped[] = {VHOST_USER_GET_FEATURES,
		VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_SET_VRING_NUM,
		VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_VRING_ENABLE,
		0};
	struct fixture *fx = *state;

	commit_ring(fx);
	assert_false(session_record_lacks_call(&fx->record));
	commit(fx, make_state(VHOST_USER_GET_VRING_BASE, 0));
	assert_true(session_record_lacks_call(&fx->record));
	assert_replay(fx, stopped);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_BASE).payload.state.num, 77);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_ENABLE).payload.state.num, 1);
}

static void test_reset(void **state)
{
	static const uint32_t after[] = {VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_CALL, 0};
	static const uint32_t empty[] = {
		VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES, 0};
	struct fixture *fx = *state;

	commit(fx, make_msg(VHOST_USER_SET_OWNER, NULL, 0));
	commit(fx, make_msg(VHOST_USER_RESET_OWNER, NULL, 0));
	assert_replay(fx, empty);
	commit_all(fx);
	commit(fx, make_msg(VHOST_USER_RESET_OWNER, NULL, 0));
	assert_replay(fx, after);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_BASE).payload.state.num, 0);
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_CALL).n_fds, 1);
	assert_int_equal(count_fds(), fx->fds_before + 1);
}

static void test_refused_table(void **state)
{
	static const uint32_t without[] = {VHOST_USER_GET_FEATURES,
		VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_SET_VRING_NUM,
		VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ERR, VHOST_USER_SET_VRING_CALL,
		VHOST_USER_SET_VRING_ENABLE, 0};
	struct proxy_msg table = make_table(1, -1), num = make_state(VHOST_USER_SET_VRING_NUM, 3);
	struct fixture *fx = *state;

	commit_ring(fx);
	commit_table(fx, 2, 0);
	assert_false(session_record_lacks_memory(&fx->record));
	session_record_refuse(&fx->record, &num);
	assert_false(session_record_lacks_memory(&fx->record));
	table.n_fds = 0;
	session_record_refuse(&fx->record, &table);
	assert_true(session_record_lacks_memory(&fx->record));
	/* SET_VRING_ADDR would be refused without memory. */
	assert_replay(fx, without);
	commit_table(fx, 2, 0);
	assert_int_equal(
		get_step(fx, REPLAY_SET_VRING_ADDR).header.request, VHOST_USER_SET_VRING_ADDR);
}

static void test_enable_by_kick(void **state)
{
	struct fixture *fx = *state;

	commit(fx, make_u64(VHOST_USER_SET_FEATURES, 0));
	commit(fx, make_vring_fd(VHOST_USER_SET_VRING_KICK, -1));
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_ENABLE).payload.state.num, 1);
	commit(fx, make_state(VHOST_USER_SET_VRING_ENABLE, 0));
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_ENABLE).payload.state.num, 0);
	/* With the feature the ring waits for SET_VRING_ENABLE. */
	commit(fx, make_u64(VHOST_USER_SET_FEATURES, PROTOCOL));
	commit(fx, make_vring_fd(VHOST_USER_SET_VRING_KICK, -1));
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_ENABLE).payload.state.num, 0);
}

/* A size of a packed ring that no split ring can have is not replayed. */
static void test_num_of_other_layout(void **state)
{
	enum replay_step step = REPLAY_SET_VRING_NUM;
	struct fixture *fx = *state;
	struct proxy_msg msg;

	commit(fx, make_u64(VHOST_USER_SET_FEATURES, PACKED));
	commit(fx, make_state(VHOST_USER_SET_VRING_NUM, 100));
	assert_int_equal(get_step(fx, REPLAY_SET_VRING_NUM).payload.state.num, 100);
	commit(fx, make_u64(VHOST_USER_SET_FEATURES, 0));
	assert_false(session_record_replay(&fx->record, &step, &msg));
}

#define RECORD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECORD_TEST(test_order),
		RECORD_TEST(test_values),
		RECORD_TEST(test_again),
		RECORD_TEST(test_same_table),
		RECORD_TEST(test_ring_stop),
		RECORD_TEST(test_reset),
		RECORD_TEST(test_refused_table),
		RECORD_TEST(test_enable_by_kick),
		RECORD_TEST(test_num_of_other_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
