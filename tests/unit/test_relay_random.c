/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Property: whatever a front-end says, and whenever datapaths die, it gets byte for byte the
 * replies that one datapath that lives gives, and the last datapath ends up in the same state.
 *
 * Each sequence of messages is first played against a model of rte_vhost alone (backend_model.h),
 * which gives the expected replies, then through a relay with a datapath that is killed nowhere, at
 * each point once, and at random points. The points are: idle, before a message is read, after
 * that, after it was done, after a part of the reply, after the whole of it; also those of replays.
 *
 * VRNG_RELAY_SEQUENCES=<n>: so many sequences by a new seed, or VRNG_SEED=<seed>; by default 12
 * fixed ones.
 */
#include "relay.h"

#include "relay_sequence.h"

#include <poll.h>

#define KILLS_MAX 40

/* One run of a sequence */
struct run {
	const struct sequence *seq;
	struct relay *relay;
	int front, back; /* the model's ends of the sockets; -1: closed */
	bool ended;	 /* the relay has ended the front-end's connection */
	struct model model;
	uint16_t used;
	uint8_t stream[STREAM_MAX]; /* what the front-end has received */
	size_t stream_bytes;
	struct why why;

	/* Kills: at point number kill_at, or at random once in kill_once_in points. */
	unsigned n_points, n_kills, kill_at, kill_once_in;
	uint64_t seed;
};

static bool is_killed(struct run *run)
{
	unsigned point = run->n_points++;

	if (point != run->kill_at && (run->kill_once_in == 0 || run->n_kills >= KILLS_MAX ||
					     !random_once_in(&run->seed, run->kill_once_in)))
		return false;
	close(run->back);
	run->back = -1;
	run->n_kills++;
	return true;
}

static void start_datapath(struct run *run)
{
	int pair[2];

	make_pair(pair);
	run->back = pair[0];
	model_init(&run->model, &run->used);
	if (relay_attach(run->relay, pair[1], &run->why) != RELAY_OK)
		fail_msg("attach: %s", run->why.text);
}

/* Read as rte_vhost does: header and payload must have come whole. */
static void receive_msg(int socket, struct proxy_msg *msg)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = {&msg->header, HEADER_BYTES};
	struct msghdr hdr = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	const struct cmsghdr *c;

	*msg = (struct proxy_msg){0};
	assert_int_equal(recvmsg(socket, &hdr, 0), HEADER_BYTES);
	assert_false(hdr.msg_flags & MSG_CTRUNC);
	c = CMSG_FIRSTHDR(&hdr);
	if (c != NULL) {
		msg->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(msg->fds, CMSG_DATA(c), msg->n_fds * sizeof(int));
	}
	if (msg->header.size_bytes > 0)
		assert_int_equal(recv(socket, &msg->payload, msg->header.size_bytes, 0),
			msg->header.size_bytes);
}

/* Send a reply, or die before, within or after it. */
static void reply_or_die(struct run *run, const struct proxy_msg *reply)
{
	size_t len = HEADER_BYTES + reply->header.size_bytes;
	size_t part = 1 + random_below(&run->seed, len - 1);

	if (is_killed(run))
		return;
	send_part(run->back, reply, 0, part);
	if (is_killed(run))
		return;
	send_part(run->back, reply, part, len - part);
	is_killed(run);
}

static void serve_datapath(struct run *run)
{
	struct proxy_msg msg, reply;
	enum model_result result;

	if (is_killed(run))
		return;
	receive_msg(run->back, &msg);
	assert_true(msg.header.flags & VHOST_USER_FLAG_NEED_REPLY);
	if (!is_killed(run)) {
		result = model_handle(&run->model, &msg, &reply);
		assert_int_equal(result, MODEL_REPLY);
		reply_or_die(run, &reply);
	}
	proxy_msg_close_fds(&msg, NULL);
}

static void receive_replies(struct run *run)
{
	ssize_t n = recv(run->front, run->stream + run->stream_bytes,
		sizeof(run->stream) - run->stream_bytes, 0);

	if (n > 0)
		run->stream_bytes += (size_t)n;
	assert_true(run->stream_bytes < sizeof(run->stream));
}

static void note_status(struct run *run, enum relay_status status)
{
	if (status == RELAY_FRONT_ENDED)
		run->ended = true;
	if (status == RELAY_BACK_LOST)
		assert_int_equal(relay_back_fd(run->relay), -1);
	if (status != RELAY_OK)
		assert_int_not_equal(run->why.text[0], '\0');
}

/* One round of events. @return false: there were none */
static bool pump_once(struct run *run)
{
	struct pollfd fds[] = {
		{.fd = relay_front_fd(run->relay), .events = relay_front_wanted(run->relay)},
		{.fd = relay_back_fd(run->relay), .events = relay_back_wanted(run->relay)},
		{.fd = run->front, .events = POLLIN},
		{.fd = run->back, .events = POLLIN},
	};
	/* In another order each time: no order is assumed. */
	unsigned first = (unsigned)random_below(&run->seed, ARRAY_LEN(fds));

	if (poll(fds, ARRAY_LEN(fds), 0) <= 0)
		return false;
	for (unsigned i = 0; i < ARRAY_LEN(fds) && !run->ended; i++) {
		unsigned which = (first + i) % ARRAY_LEN(fds);
		short revents = fds[which].revents;

		if (revents == 0)
			continue;
		if (which == 0)
			note_status(run, relay_front_events(run->relay, revents, &run->why));
		else if (which == 1 && relay_back_fd(run->relay) >= 0)
			note_status(run, relay_back_events(run->relay, revents, &run->why));
		else if (which == 2)
			receive_replies(run);
		else if (which == 3 && run->back >= 0)
			serve_datapath(run);
	}
	return true;
}

/* Until nothing happens any more, with a datapath unless 'absent'. */
static void pump(struct run *run, bool absent)
{
	while (!run->ended) {
		if (pump_once(run))
			continue;
		if (relay_back_fd(run->relay) >= 0)
			assert_true(relay_is_replayed(run->relay));
		if (relay_back_fd(run->relay) >= 0 || absent)
			break;
		start_datapath(run);
	}
	receive_replies(run);
}

static void assert_state(const struct model *is, const struct model *expected, bool is_settled)
{
	assert_true(is->features == expected->features);
	assert_true(is->protocol_features == expected->protocol_features);
	assert_int_equal(is->has_mem, expected->has_mem);
	if (is->has_mem) {
		assert_memory_equal(&is->mem, &expected->mem, sizeof(is->mem));
		assert_memory_equal(is->mem_files, expected->mem_files, sizeof(is->mem_files));
	}
	assert_int_equal(is->has_log, expected->has_log);
	assert_true(is->log_file == expected->log_file && is->log_bytes == expected->log_bytes);
	if (is_settled) {
		assert_int_equal(is->num, expected->num);
		/* Without memory a new datapath cannot see how far the ring got. */
		if (expected->has_mem || !expected->running)
			assert_int_equal(is->last_avail, expected->last_avail);
		assert_true(is->wrap == expected->wrap || !model_is_packed(is));
	}
	assert_int_equal(is->enabled, expected->enabled);
	assert_true(is->call == expected->call);
	/* Addresses and kick wait for memory. */
	if (!expected->has_mem && expected->has_addr)
		return;
	assert_true(is->kick == expected->kick);
	assert_int_equal(is->has_addr, expected->has_addr);
	assert_memory_equal(&is->addr, &expected->addr, sizeof(is->addr));
	assert_int_equal(model_is_ready(is), model_is_ready(expected));
	/* rte_vhost calls a ring running that ran before it was disabled. */
	if (is->enabled)
		assert_int_equal(is->running, expected->running);
}

static void send_step(struct run *run, const struct step *step)
{
	const struct proxy_msg *msg = &step->msg;
	size_t len = HEADER_BYTES + step->len_bytes;

	if (step->cut == 0 || step->cut >= len) {
		send_part(run->front, msg, 0, len);
		return;
	}
	send_part(run->front, msg, 0, step->cut);
	if (step->pump_between)
		pump(run, false);
	if (!run->ended)
		send_part(run->front, msg, step->cut, len - step->cut);
}

static void play_step(struct run *run, const struct step *step)
{
	switch (step->kind) {
	case STEP_MSG:
		send_step(run, step);
		if (step->sync)
			pump(run, false);
		break;
	case STEP_USED:
		pump(run, false);
		run->used = step->value;
		break;
	case STEP_PROGRESS:
		pump(run, false);
		model_serve(&run->model, step->value);
		break;
	case STEP_LEAVE:
		/* Perhaps with a request under way, perhaps while there is no datapath. */
		pump(run, step->value != 0);
		if (run->ended)
			break;
		close(run->front);
		run->front = -1;
		while (!run->ended && pump_once(run))
			;
		assert_true(run->ended);
		break;
	}
}

static void play(struct run *run, const struct sequence *seq)
{
	int pair[2];

	make_pair(pair);
	run->seq = seq;
	run->front = pair[0];
	run->back = -1;
	assert_int_equal(relay_create(&(struct relay_config){0}, pair[1], &run->relay), 0);
	for (unsigned i = 0; i < seq->n_steps && !run->ended; i++) {
		/* Nothing but the replay can have given the next datapath the state it should have.
		 */
		if (run->back >= 0 && is_killed(run) && i > 0) {
			pump(run, false);
			if (!run->ended)
				assert_state(&run->model, &seq->after[i - 1],
					!seq->steps[i - 1].unsettled);
		}
		play_step(run, &seq->steps[i]);
		if (!run->ended && seq->steps[i].sync)
			assert_state(&run->model, &seq->after[i], !seq->steps[i].unsettled);
	}
	pump(run, false);
}

static void finish(struct run *run)
{
	relay_destroy(run->relay);
	if (run->front >= 0)
		close(run->front);
	if (run->back >= 0)
		close(run->back);
}

static void assert_expected(const struct run *run)
{
	const struct sequence *seq = run->seq;

	assert_int_equal(run->ended, seq->ends);
	/* A front-end that leaves may leave replies unread. */
	if (seq->leaves)
		assert_true(run->stream_bytes <= seq->stream_bytes);
	else
		assert_int_equal(run->stream_bytes, seq->stream_bytes);
	assert_memory_equal(run->stream, seq->stream, run->stream_bytes);
	if (!seq->ends)
		assert_state(&run->model, &seq->model, true);
}

static unsigned fds_before;
static uint64_t n_runs, n_kills;

/* The run under way: printed if it fails. */
static struct {
	bool active;
	unsigned sequence, kill_at, kill_once_in;
} current;

/* @return how many points there were at which the datapath could be killed */
static unsigned play_and_check(
	const struct sequence *seq, unsigned kill_at, unsigned kill_once_in, uint64_t seed)
{
	struct run run = {.kill_at = kill_at, .kill_once_in = kill_once_in, .seed = seed};

	current.kill_at = kill_at;
	current.kill_once_in = kill_once_in;
	play(&run, seq);
	assert_expected(&run);
	finish(&run);
	assert_int_equal(count_fds(), fds_before);
	n_runs++;
	n_kills += run.n_kills;
	return run.n_points;
}

static void test_random(void **state)
{
	const char *given = getenv("VRNG_RELAY_SEQUENCES");
	unsigned n = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 30;
	/* The short run is the same each time. */
	uint64_t seed = given != NULL || getenv("VRNG_SEED") != NULL ? random_seed("random") : 1;
	struct sequence *seq = malloc(sizeof(*seq));

	assert_non_null(seq);
	sequence_open_files();
	fds_before = count_fds();
	current.active = true;
	for (current.sequence = 0; current.sequence < n; current.sequence++) {
		unsigned n_points;

		sequence_make(seq, &seed);
		n_points = play_and_check(seq, UINT32_MAX, 0, random_next(&seed));
		for (unsigned at = 0; at < n_points; at++)
			play_and_check(seq, at, 0, random_next(&seed));
		for (unsigned j = 0; j < 50; j++)
			play_and_check(seq, UINT32_MAX, 2 + j / 2, random_next(&seed));
	}
	current.active = false;
	print_message("# sequences=%u runs=%llu kills=%llu\n", n, (unsigned long long)n_runs,
		(unsigned long long)n_kills);
	sequence_close_files();
	free(seq);
}

static int print_failure(void **state)
{
	if (current.active)
		print_message("# failed: sequence=%u kill_at=%u kill_once_in=%u\n",
			current.sequence, current.kill_at, current.kill_once_in);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_random, print_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
