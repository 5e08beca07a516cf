/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages, and the penance of whoever breaks them off. */
#include "unit.h"
#include "vhost/message.h"
#include "vhost/penance.h"

#define NEED_REPLY (1u << 3)
#define SECOND	   UINT64_C(1000000000)

static void test_allowed(void **state)
{
	unsigned n = 0;

	for (uint32_t request = 0; request < 300; request++) {
		n += message_is_allowed(request);
		if (message_is_harmless(request))
			assert_true(message_is_allowed(request));
	}
	assert_int_equal(n, 18);
	assert_false(message_is_allowed(31)); /* GET_INFLIGHT_FD */
	assert_false(message_is_allowed(32)); /* SET_INFLIGHT_FD */
	assert_false(message_is_allowed(MSG_NONE));
	assert_false(message_is_allowed(UINT32_MAX));
}

static void test_other_ring(void **state)
{
	struct message m = {.request = MSG_SET_VRING_NUM};

	assert_false(message_names_other_ring(&m));
	m.index = 256;
	assert_true(message_names_other_ring(&m));
	m.request = MSG_SET_VRING_CALL; /* bit 8: no descriptor */
	assert_false(message_names_other_ring(&m));
	m.index = 1;
	assert_true(message_names_other_ring(&m));
	m.request = MSG_SET_FEATURES;
	assert_false(message_names_other_ring(&m));
}

static void test_log(void **state)
{
	struct message m = {.request = MSG_SET_LOG_BASE, .index = 4096};

	assert_false(message_misplaces_log(&m));
	m.log_offset[1] = 1;
	assert_true(message_misplaces_log(&m));
	m.log_offset[1] = 0;
	m.log_offset[0] = 4096;
	assert_true(message_misplaces_log(&m));
	m.request = MSG_SET_MEM_TABLE;
	assert_false(message_misplaces_log(&m));
}

static void test_reply(void **state)
{
	struct message m = {.flags = NEED_REPLY};

	assert_true(message_wants_reply(&m));
	message_expect_no_reply(&m);
	assert_false(message_wants_reply(&m));
	m.flags = ~NEED_REPLY;
	assert_false(message_wants_reply(&m));
}

/* Behind what is looked at, the library's message stays as it is. */
static void test_no_more_is_changed(void **state)
{
	uint32_t raw[24];
	struct message m;

	memset(raw, 0xff, sizeof(raw));
	message_expect_no_reply(raw);
	m = message_of(raw);
	assert_int_equal(m.flags, ~NEED_REPLY);
	assert_int_equal(m.size, UINT32_MAX);
	assert_true(is_filled((uint8_t *)raw + 12, sizeof(raw) - 12, 0xff));
}

static void test_penance(void **state)
{
	struct penance p = {0};
	uint64_t now = 5 * SECOND, wait = PENANCE_FIRST_NS;

	assert_true(penance_is_over(&p, now));
	for (unsigned i = 0; i < PENANCE_FREE; i++) {
		penance_strike(&p, now);
		assert_true(penance_is_over(&p, now));
	}
	/* Twice as long each time, an hour at most. */
	for (unsigned i = 0; i < 40; i++) {
		penance_strike(&p, now);
		assert_false(penance_is_over(&p, now + wait - 1));
		assert_true(penance_is_over(&p, now + wait));
		now += wait;
		wait = 2 * wait < PENANCE_MAX_NS ? 2 * wait : PENANCE_MAX_NS;
	}
	/* Patience pays. */
	now += 50 * PENANCE_CLEAR_NS;
	penance_strike(&p, now);
	assert_true(penance_is_over(&p, now));
	assert_int_equal(p.strikes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_other_ring),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_no_more_is_changed),
		cmocka_unit_test(test_penance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
