/* SPDX-License-Identifier: BSD-3-Clause */
#include "session_record.h"

#include "mem_table.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <string.h>

void session_record_init(struct session_record *record, const struct fd_closer *closer)
{
	*record = (struct session_record){.closer = closer, .log_fd = -1};
}

static void clear_fd(struct session_record *record, struct vring_fd *fd)
{
	if (fd->state == VRING_FD_SET)
		fd_closer_close(record->closer, fd->fd);
	*fd = (struct vring_fd){0};
}

static void clear_mem_table(struct session_record *record)
{
	if (!record->has_mem_table)
		return;
	for (unsigned i = 0; i < record->mem_table.nr_regions; i++)
		fd_closer_close(record->closer, record->mem_fds[i]);
	record->has_mem_table = false;
}

static void clear_log(struct session_record *record)
{
	fd_closer_close(record->closer, record->log_fd);
	record->log_fd = -1;
	record->has_log = false;
}

void session_record_fini(struct session_record *record)
{
	clear_mem_table(record);
	clear_log(record);
	clear_fd(record, &record->vring.kick);
	clear_fd(record, &record->vring.call);
	clear_fd(record, &record->vring.err);
}

bool session_record_is_packed(const struct session_record *record)
{
	return (record->features & (1ull << VIRTIO_F_RING_PACKED)) != 0;
}

bool session_record_lacks_call(const struct session_record *record)
{
	return record->vring.call.state == VRING_FD_UNSET;
}

bool session_record_lacks_memory(const struct session_record *record)
{
	return record->vring.has_addr && !record->has_mem_table;
}

/* Commit */

static void commit_mem_table(struct session_record *record, struct proxy_msg *request)
{
	const struct vhost_user_mem_table *table = &request->payload.mem_table;

	if (record->has_mem_table && mem_table_same_layout(&record->mem_table, table))
		return;
	clear_mem_table(record);
	assert(request->n_fds == table->nr_regions);
	record->mem_table = *table;
	memcpy(record->mem_fds, request->fds, request->n_fds * sizeof(request->fds[0]));
	request->n_fds = 0;
	record->has_mem_table = true;
}

static void commit_log(struct session_record *record, struct proxy_msg *request)
{
	clear_log(record);
	assert(request->n_fds == 1);
	record->log = request->payload.log;
	record->log_fd = request->fds[0];
	request->n_fds = 0;
	record->has_log = true;
}

static void commit_fd(struct session_record *record, struct vring_fd *fd, struct proxy_msg *request)
{
	clear_fd(record, fd);
	fd->state = VRING_FD_NONE;
	if (request->n_fds == 0)
		return;
	*fd = (struct vring_fd){VRING_FD_SET, request->fds[0]};
	request->n_fds = 0;
}

static void commit_kick(struct session_record *record, struct proxy_msg *request)
{
	struct vring_record *vring = &record->vring;

	commit_fd(record, &vring->kick, request);
	if ((record->features & (1ull << VHOST_USER_F_PROTOCOL_FEATURES)) == 0) {
		vring->has_enable = true;
		vring->enable = 1;
	}
}

static void commit_ring_stop(struct session_record *record, const struct proxy_msg *reply)
{
	struct vring_record *vring = &record->vring;

	vring->has_base = true;
	vring->base = reply->payload.state.num;
	vring->has_addr = false;
	clear_fd(record, &vring->kick);
	clear_fd(record, &vring->call);
}

/* Has a request named the ring? The back-end has made it then. */
static bool ring_exists(const struct vring_record *vring)
{
	return vring->has_num || vring->has_base || vring->has_addr || vring->has_enable ||
	       vring->kick.state != VRING_FD_UNSET || vring->call.state != VRING_FD_UNSET ||
	       vring->err.state != VRING_FD_UNSET;
}

static void commit_reset(struct session_record *record)
{
	struct vring_fd call = record->vring.call;
	bool exists = ring_exists(&record->vring);

	record->vring.call = (struct vring_fd){0};
	session_record_fini(record);
	session_record_init(record, record->closer);
	record->vring.call = call;
	/* Not what a new ring begins with: the wrap counter is 0. */
	record->vring.has_base = exists;
}

void session_record_commit(
	struct session_record *record, struct proxy_msg *request, const struct proxy_msg *reply)
{
	const union proxy_msg_payload *payload = &request->payload;
	struct vring_record *vring = &record->vring;

	switch (request->header.request) {
	case VHOST_USER_SET_OWNER:
		record->has_owner = true;
		break;
	case VHOST_USER_RESET_OWNER:
		commit_reset(record);
		break;
	case VHOST_USER_SET_FEATURES:
		record->has_features = true;
		record->features = payload->u64;
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		record->has_protocol_features = true;
		record->protocol_features = payload->u64;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		commit_mem_table(record, request);
		break;
	case VHOST_USER_SET_LOG_BASE:
		commit_log(record, request);
		break;
	case VHOST_USER_SET_VRING_NUM:
		vring->has_num = true;
		vring->num = payload->state.num;
		break;
	case VHOST_USER_SET_VRING_BASE:
		vring->has_base = true;
		vring->base = payload->state.num;
		break;
	case VHOST_USER_GET_VRING_BASE:
		commit_ring_stop(record, reply);
		break;
	case VHOST_USER_SET_VRING_ADDR:
		vring->has_addr = true;
		vring->addr = payload->addr;
		break;
	case VHOST_USER_SET_VRING_KICK:
		commit_kick(record, request);
		break;
	case VHOST_USER_SET_VRING_CALL:
		commit_fd(record, &vring->call, request);
		break;
	case VHOST_USER_SET_VRING_ERR:
		commit_fd(record, &vring->err, request);
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		vring->has_enable = true;
		vring->enable = payload->state.num;
		break;
	default: /* GET_*, SET_LOG_FD: nothing to keep */
		break;
	}
}

void session_record_refuse(struct session_record *record, const struct proxy_msg *request)
{
	if (request->header.request == VHOST_USER_SET_MEM_TABLE)
		clear_mem_table(record);
}

/* Replay */

static bool make_u64(struct proxy_msg *msg, bool is_set, uint32_t request, uint64_t value)
{
	proxy_msg_init(msg, request);
	msg->header.size_bytes = sizeof(msg->payload.u64);
	msg->payload.u64 = value;
	return is_set;
}

static bool make_state(struct proxy_msg *msg, bool is_set, uint32_t request, uint32_t num)
{
	proxy_msg_init(msg, request);
	msg->header.size_bytes = sizeof(msg->payload.state);
	msg->payload.state.num = num;
	return is_set;
}

static bool make_plain(struct proxy_msg *msg, bool is_set, uint32_t request)
{
	proxy_msg_init(msg, request);
	return is_set;
}

static bool make_fd(struct proxy_msg *msg, const struct vring_fd *fd, uint32_t request)
{
	make_u64(msg, true, request, fd->state == VRING_FD_SET ? 0 : VHOST_USER_VRING_NOFD);
	if (fd->state == VRING_FD_SET) {
		msg->n_fds = 1;
		msg->fds[0] = fd->fd;
	}
	return fd->state != VRING_FD_UNSET;
}

static bool make_mem_table(struct proxy_msg *msg, const struct session_record *record)
{
	unsigned n = record->mem_table.nr_regions;

	proxy_msg_init(msg, VHOST_USER_SET_MEM_TABLE);
	if (!record->has_mem_table)
		return false;
	msg->header.size_bytes = (uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
					    n * sizeof(record->mem_table.regions[0]));
	msg->payload.mem_table = record->mem_table;
	msg->n_fds = n;
	memcpy(msg->fds, record->mem_fds, n * sizeof(msg->fds[0]));
	return true;
}

static bool make_log(struct proxy_msg *msg, const struct session_record *record)
{
	proxy_msg_init(msg, VHOST_USER_SET_LOG_BASE);
	msg->header.size_bytes = sizeof(msg->payload.log);
	msg->payload.log = record->log;
	msg->n_fds = 1;
	msg->fds[0] = record->log_fd;
	return record->has_log;
}

static bool make_addr(struct proxy_msg *msg, const struct session_record *record)
{
	proxy_msg_init(msg, VHOST_USER_SET_VRING_ADDR);
	msg->header.size_bytes = sizeof(msg->payload.addr);
	msg->payload.addr = record->vring.addr;
	return record->vring.has_addr;
}

/* A size that was set for a packed ring, and the ring is a split one now: no back-end takes it. */
static bool num_is_valid(const struct session_record *record)
{
	uint32_t num = record->vring.num;

	return session_record_is_packed(record) || (num & (num - 1)) == 0;
}

static bool make_step(
	const struct session_record *record, enum replay_step step, struct proxy_msg *msg)
{
	const struct vring_record *vring = &record->vring;

	if ((step == REPLAY_SET_VRING_ADDR || step == REPLAY_SET_VRING_KICK) &&
		session_record_lacks_memory(record))
		return false;
	switch (step) {
	case REPLAY_GET_FEATURES:
		return make_plain(msg, true, VHOST_USER_GET_FEATURES);
	case REPLAY_GET_PROTOCOL_FEATURES:
		return make_plain(msg, true, VHOST_USER_GET_PROTOCOL_FEATURES);
	case REPLAY_SET_PROTOCOL_FEATURES:
		return make_u64(msg, record->has_protocol_features,
			VHOST_USER_SET_PROTOCOL_FEATURES, record->protocol_features);
	case REPLAY_SET_OWNER:
		return make_plain(msg, record->has_owner, VHOST_USER_SET_OWNER);
	case REPLAY_SET_FEATURES:
		return make_u64(
			msg, record->has_features, VHOST_USER_SET_FEATURES, record->features);
	case REPLAY_SET_LOG_BASE:
		return make_log(msg, record);
	case REPLAY_SET_MEM_TABLE:
		return make_mem_table(msg, record);
	case REPLAY_SET_VRING_NUM:
		return make_state(msg, vring->has_num && num_is_valid(record),
			VHOST_USER_SET_VRING_NUM, vring->num);
	case REPLAY_SET_VRING_BASE:
		return make_state(msg, vring->has_base, VHOST_USER_SET_VRING_BASE, vring->base);
	case REPLAY_SET_VRING_ADDR:
		return make_addr(msg, record);
	case REPLAY_SET_VRING_ERR:
		return make_fd(msg, &vring->err, VHOST_USER_SET_VRING_ERR);
	case REPLAY_SET_VRING_CALL:
		return make_fd(msg, &vring->call, VHOST_USER_SET_VRING_CALL);
	case REPLAY_SET_VRING_KICK:
		return make_fd(msg, &vring->kick, VHOST_USER_SET_VRING_KICK);
	case REPLAY_SET_VRING_ENABLE:
		return make_state(
			msg, vring->has_enable, VHOST_USER_SET_VRING_ENABLE, vring->enable);
	case REPLAY_DONE:
	default:
		return false;
	}
}

bool session_record_replay(
	const struct session_record *record, enum replay_step *step, struct proxy_msg *msg)
{
	while (*step < REPLAY_DONE && !make_step(record, *step, msg))
		(*step)++;
	return *step < REPLAY_DONE;
}
