/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_sequence.h"

#define N_MEMORY 6
#define N_EVENTS 12

static int memory[N_MEMORY], events[N_EVENTS];

void sequence_open_files(void)
{
	for (unsigned i = 0; i < N_MEMORY; i++)
		memory[i] = make_memory();
	for (unsigned i = 0; i < N_EVENTS; i++)
		events[i] = make_event(i + 1);
}

void sequence_close_files(void)
{
	for (unsigned i = 0; i < N_MEMORY; i++)
		close(memory[i]);
	for (unsigned i = 0; i < N_EVENTS; i++)
		close(events[i]);
}

static uint64_t below(struct sequence *seq, uint64_t n)
{
	return random_below(seq->seed, n);
}

static bool once_in(struct sequence *seq, uint64_t n)
{
	return random_once_in(seq->seed, n);
}

/* Expected replies */

static void expect_reply(struct sequence *seq, const struct proxy_msg *reply)
{
	size_t len = reply->header.size_bytes;

	assert_true(seq->stream_bytes + HEADER_BYTES + len <= sizeof(seq->stream));
	memcpy(seq->stream + seq->stream_bytes, &reply->header, HEADER_BYTES);
	memcpy(seq->stream + seq->stream_bytes + HEADER_BYTES, &reply->payload, len);
	seq->stream_bytes += HEADER_BYTES + len;
}

/* Change a request as the relay does on its way to the back-end. */
static struct proxy_msg as_forwarded(struct sequence *seq, const struct proxy_msg *msg)
{
	struct proxy_msg forwarded = *msg;

	if (msg->header.request == VHOST_USER_SET_PROTOCOL_FEATURES)
		forwarded.payload.u64 &= ~UINT64_C(1);
	if (msg->header.request == VHOST_USER_SET_VRING_KICK && seq->model.call == 0)
		seq->model.call = MODEL_NO_FD;
	return forwarded;
}

/* Change a reply as the relay does on its way to the front-end. */
static void adjust_reply(const struct proxy_msg *msg, struct proxy_msg *reply)
{
	if (msg->header.request == VHOST_USER_GET_PROTOCOL_FEATURES)
		reply->payload.u64 |= 1;
	if (msg->header.request == VHOST_USER_SET_LOG_BASE && reply->header.size_bytes == 0) {
		reply->header.size_bytes = sizeof(reply->payload.log);
		reply->payload.log = msg->payload.log;
	}
}

static void expect(struct sequence *seq, const struct proxy_msg *msg)
{
	struct proxy_msg forwarded, reply;
	enum model_result result;

	if (msg->header.request == VHOST_USER_GET_QUEUE_NUM) {
		reply = make_u64(msg->header.request, 1);
		reply.header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
		expect_reply(seq, &reply);
		return;
	}
	forwarded = as_forwarded(seq, msg);
	result = model_handle(&seq->model, &forwarded, &reply);
	if (result == MODEL_ERR)
		seq->ends = true;
	if (result != MODEL_REPLY)
		return;
	adjust_reply(msg, &reply);
	expect_reply(seq, &reply);
}

/* Steps */

/* The model has done all steps that there are. */
static void note_state(struct sequence *seq)
{
	if (seq->n_steps == 0)
		return;
	seq->after[seq->n_steps - 1] = seq->model;
	seq->steps[seq->n_steps - 1].unsettled = seq->unsettled;
}

static struct step *add_step(struct sequence *seq, enum step_kind kind)
{
	struct step *step;

	note_state(seq);
	assert_true(seq->n_steps < STEPS_MAX);
	step = &seq->steps[seq->n_steps++];
	*step = (struct step){.kind = kind};
	return step;
}

static struct step *add_unexpected(struct sequence *seq, struct proxy_msg msg)
{
	struct step *step = add_step(seq, STEP_MSG);

	step->msg = msg;
	step->len_bytes = msg.header.size_bytes;
	step->sync = once_in(seq, 3);
	if (once_in(seq, 4))
		step->cut = 1 + below(seq, HEADER_BYTES + msg.header.size_bytes);
	step->pump_between = once_in(seq, 2);
	return step;
}

/* Room for the steps that one call of add_some() makes, and the last. */
static bool is_full(const struct sequence *seq)
{
	return seq->n_steps + 12 > STEPS_MAX || seq->ends;
}

static void add(struct sequence *seq, struct proxy_msg msg)
{
	if (seq->ends)
		return;
	if (once_in(seq, 2))
		msg.header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	add_unexpected(seq, msg);
	expect(seq, &msg);
}

/* Add a message that may be refused, nearly always with a demand for an acknowledgement: else the
 * sequence ends with it. */
static void add_refusable(struct sequence *seq, struct proxy_msg msg)
{
	if (!once_in(seq, 40))
		msg.header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	add_unexpected(seq, msg);
	expect(seq, &msg);
}

static int any_event(struct sequence *seq)
{
	return once_in(seq, 6) ? -1 : events[below(seq, N_EVENTS)];
}

static void add_table(struct sequence *seq, bool bad)
{
	/* Often with the regions of the last one, and other files. */
	unsigned n = once_in(seq, 2) ? seq->model.mem.nr_regions : (unsigned)below(seq, 4);
	struct proxy_msg msg = make_table(n, -1);

	for (unsigned i = 0; i < n; i++) {
		msg.fds[i] = memory[below(seq, N_MEMORY)];
		msg.payload.mem_table.regions[i].gpa += below(seq, 4) / 3 << 20;
	}
	if (bad && msg.n_fds > 0) {
		msg.payload.mem_table.regions[0].gpa = MODEL_BAD_GPA;
		add_refusable(seq, msg);
		return;
	}
	add(seq, msg);
}

static void add_num(struct sequence *seq)
{
	uint32_t num = 1u << below(seq, 16);

	if (model_is_packed(&seq->model) && once_in(seq, 2))
		num = 1 + (uint32_t)below(seq, 32768);
	add(seq, make_state(VHOST_USER_SET_VRING_NUM, num));
}

static void set_used(struct sequence *seq, uint16_t used)
{
	add_step(seq, STEP_USED)->value = used;
	seq->used = used;
}

static void add_base(struct sequence *seq)
{
	uint32_t base = (uint32_t)random_next(seq->seed) & (once_in(seq, 8) ? UINT32_MAX : 0xffff);

	if (seq->ends)
		return;
	set_used(seq, (uint16_t)base);
	seq->unsettled = true;
	add(seq, make_state(VHOST_USER_SET_VRING_BASE, base));
	seq->unsettled = false;
}

static void add_addr(struct sequence *seq)
{
	struct vhost_user_vring_addr addr = {
		.flags = (uint32_t)below(seq, 2),
		.desc_user_addr = 0x7f0000000000 + 16 * below(seq, 16),
		.used_user_addr = 0x7f0000000100 + 16 * below(seq, 16),
		.avail_user_addr = 0x7f0000000200 + 16 * below(seq, 16),
	};
	struct proxy_msg msg = make_msg(VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr));

	if (seq->model.has_mem)
		add(seq, msg);
	else
		add_refusable(seq, msg);
}

static void add_kick(struct sequence *seq)
{
	if (seq->model.has_mem && seq->model.has_addr)
		add(seq, make_vring_fd(VHOST_USER_SET_VRING_KICK, any_event(seq)));
}

static void add_features(struct sequence *seq)
{
	uint64_t features = random_next(seq->seed) & MODEL_FEATURES;
	bool was_packed = model_is_packed(&seq->model);

	if (!once_in(seq, 4))
		features |= MODEL_F_PROTOCOL;
	if (seq->model.running && once_in(seq, 2))
		features = seq->model.features ^ MODEL_F_LOG_ALL; /* which may always change */
	if (seq->model.running && (!model_is_ready(&seq->model) || !seq->model.has_mem))
		features = seq->model.features;
	add_refusable(seq, make_u64(VHOST_USER_SET_FEATURES, features));
	if (model_is_packed(&seq->model) == was_packed || seq->ends)
		return;
	seq->unsettled = true;
	add_num(seq);
	add_base(seq);
}

static void add_log(struct sequence *seq)
{
	struct vhost_user_log log = {once_in(seq, 4) ? MODEL_BAD_LOG : 4096, 0};
	struct proxy_msg msg = make_msg(VHOST_USER_SET_LOG_BASE, &log, sizeof(log));

	msg.n_fds = 1;
	msg.fds[0] = memory[below(seq, N_MEMORY)];
	add_refusable(seq, msg);
}

static void add_log_fd(struct sequence *seq)
{
	struct proxy_msg msg = make_msg(VHOST_USER_SET_LOG_FD, NULL, 0);

	msg.n_fds = 1;
	msg.fds[0] = memory[0];
	add(seq, msg);
}

/* A table that cannot be mapped; then what may follow before there is memory again. */
static void add_bad_table(struct sequence *seq)
{
	add_table(seq, true);
	while (!seq->ends && once_in(seq, 2)) {
		static const uint32_t gets[] = {VHOST_USER_GET_FEATURES, VHOST_USER_GET_QUEUE_NUM};

		if (once_in(seq, 2))
			add(seq, make_msg(gets[below(seq, 2)], NULL, 0));
		else
			add(seq, make_vring_fd(VHOST_USER_SET_VRING_CALL, any_event(seq)));
		if (is_full(seq))
			break;
	}
	if (seq->ends)
		return;
	switch (below(seq, 4)) {
	case 0:
		add(seq, make_msg(VHOST_USER_RESET_OWNER, NULL, 0));
		break;
	case 1:
		if (!seq->model.running) {
			add(seq, make_state(VHOST_USER_GET_VRING_BASE, 0));
			break;
		}
		/* fall through */
	default:
		add_table(seq, false);
	}
}

/* The start of a ring, in QEMU's order or cloud-hypervisor's. */
static void add_start(struct sequence *seq)
{
	bool qemu = once_in(seq, 2);

	add_table(seq, false);
	add_num(seq);
	if (qemu)
		add_base(seq);
	add_addr(seq);
	if (!qemu)
		add_base(seq);
	if (!once_in(seq, 3))
		add(seq, make_vring_fd(VHOST_USER_SET_VRING_CALL, any_event(seq)));
	add_kick(seq);
	add(seq, make_state(VHOST_USER_SET_VRING_ENABLE, 1));
}

static void add_progress(struct sequence *seq)
{
	uint16_t n = (uint16_t)below(seq, 1000);

	if (model_is_packed(&seq->model)) /* its position is not in the guest's memory */
		return;
	add_step(seq, STEP_PROGRESS)->value = n;
	model_serve(&seq->model, n);
}

static void add_get(struct sequence *seq)
{
	static const uint32_t gets[] = {VHOST_USER_GET_FEATURES, VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_GET_PROTOCOL_FEATURES, VHOST_USER_SET_OWNER};

	add(seq, make_msg(gets[below(seq, ARRAY_LEN(gets))], NULL, 0));
}

static void add_vring_fd(struct sequence *seq)
{
	switch (below(seq, 3)) {
	case 0:
		add(seq, make_vring_fd(VHOST_USER_SET_VRING_CALL, any_event(seq)));
		break;
	case 1:
		add(seq, make_vring_fd(VHOST_USER_SET_VRING_ERR, any_event(seq)));
		break;
	default:
		add_kick(seq);
	}
}

static void add_protocol_features(struct sequence *seq)
{
	uint64_t value = random_next(seq->seed) & (MODEL_PROTOCOL_FEATURES | 1);

	add(seq, make_u64(VHOST_USER_SET_PROTOCOL_FEATURES, value));
}

static void add_stop(struct sequence *seq)
{
	if (once_in(seq, 2))
		add_progress(seq);
	if (once_in(seq, 2))
		add(seq, make_state(VHOST_USER_SET_VRING_ENABLE, 0));
	add(seq, make_state(VHOST_USER_GET_VRING_BASE, 0));
}

static void add_enable(struct sequence *seq)
{
	add(seq, make_state(VHOST_USER_SET_VRING_ENABLE, (uint32_t)below(seq, 2)));
}

static void add_reset(struct sequence *seq)
{
	add(seq, make_msg(VHOST_USER_RESET_OWNER, NULL, 0));
}

static void add_good_table(struct sequence *seq)
{
	add_table(seq, false);
}

static void add_some(struct sequence *seq)
{
	static void (*const kinds[])(struct sequence *) = {add_start, add_start, add_start,
		add_start, add_progress, add_progress, add_get, add_get, add_protocol_features,
		add_features, add_features, add_good_table, add_bad_table, add_num, add_base,
		add_addr, add_vring_fd, add_vring_fd, add_enable, add_stop, add_stop, add_stop,
		add_reset, add_log, add_log_fd};

	kinds[below(seq, ARRAY_LEN(kinds))](seq);
}

/* Something that ends the connection: it must not reach the back-end. */
static void add_hostile(struct sequence *seq)
{
	struct proxy_msg msg = make_vring_fd(VHOST_USER_SET_VRING_KICK, memory[0]);
	struct step *step;

	switch (below(seq, 7)) {
	case 0:
		msg = make_msg(31, NULL, 8); /* GET_INFLIGHT_FD */
		break;
	case 1:
		msg = make_u64(VHOST_USER_SET_FEATURES, 1);
		break;
	case 2:
		msg = make_state(VHOST_USER_SET_VRING_NUM, 65536);
		break;
	case 3:
		msg = make_table(2, memory[0]);
		msg.payload.mem_table.regions[1] = msg.payload.mem_table.regions[0];
		break;
	case 4:
		msg = make_state(VHOST_USER_GET_VRING_BASE, 0);
		msg.payload.state.index = 1;
		break;
	case 5:
		msg = make_table(8, memory[0]);
		msg.header.request = VHOST_USER_SET_OWNER;
		break;
	default: /* a kick descriptor that is none */
		break;
	}
	step = add_unexpected(seq, msg);
	step->cut = 0;
	seq->ends = true;
}

static void add_leave(struct sequence *seq)
{
	struct step *step;

	if (once_in(seq, 2)) {
		struct proxy_msg msg = make_table(3, memory[0]);

		/* In the middle of a message. */
		step = add_unexpected(seq, msg);
		step->cut = 0;
		step->len_bytes = (uint32_t)below(seq, msg.header.size_bytes);
	}
	step = add_step(seq, STEP_LEAVE);
	step->value = (uint16_t)below(seq, 2);
	seq->ends = seq->leaves = true;
}

void sequence_make(struct sequence *seq, uint64_t *seed)
{
	unsigned n = 5 + (unsigned)random_below(seed, STEPS_MAX - 17);

	*seq = (struct sequence){.seed = seed};
	model_init(&seq->model, &seq->used);
	add_features(seq);
	if (once_in(seq, 2))
		add_start(seq);
	while (seq->n_steps < n && !is_full(seq))
		add_some(seq);
	note_state(seq);
	if (seq->ends)
		return;
	if (once_in(seq, 4))
		add_hostile(seq);
	else if (once_in(seq, 4))
		add_leave(seq);
}
