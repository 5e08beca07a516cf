/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BACKEND_MODEL_H
#define BACKEND_MODEL_H

/*
 * A vhost-user back-end with one ring that answers and changes its state as rte_vhost does
 * (lib/vhost of DPDK 22.11, the functions that are named below), without ring memory: of a split
 * ring there is the used index, which outlives the back-end as the guest's memory does.
 *
 * Two requests fail here by what they say, as they fail in rte_vhost when mmap(2) fails: a table
 * with a region at MODEL_BAD_GPA, and a log of MODEL_BAD_LOG bytes.
 */

#include "proxy_fixture.h"

#include <sys/stat.h>

#define MODEL_FEATURES                                                                   \
	(UINT64_C(1) << 26 | UINT64_C(1) << 28 | UINT64_C(1) << 29 | UINT64_C(1) << 30 | \
		UINT64_C(1) << 32 | UINT64_C(1) << 34 | UINT64_C(1) << 35)
#define MODEL_PROTOCOL_FEATURES 0xau /* LOG_SHMFD, REPLY_ACK */
#define MODEL_F_LOG_ALL		(UINT64_C(1) << 26)
#define MODEL_F_PROTOCOL	(UINT64_C(1) << 30)
#define MODEL_F_PACKED		(UINT64_C(1) << 34)
#define MODEL_BAD_GPA		UINT64_C(0xbad000)
#define MODEL_BAD_LOG		UINT64_C(0xbad)

/** Which file a descriptor is. 0: not set; MODEL_NO_FD: set to none. */
typedef uint64_t model_file;
#define MODEL_NO_FD UINT64_MAX

struct model {
	uint64_t features, protocol_features;
	bool has_mem, has_log, has_addr;
	struct vhost_user_mem_table mem;
	model_file mem_files[VHOST_USER_MAX_REGIONS], log_file, kick, call;
	uint64_t log_bytes;
	struct vhost_user_vring_addr addr;
	uint32_t num;
	uint16_t last_avail;
	bool wrap, enabled;
	bool exists;	 /* the ring */
	bool translated; /* the ring's addresses */
	bool running;	 /* VIRTIO_DEV_RUNNING */
	uint16_t *used;	 /* the index, in the guest's memory */
};

enum model_result {
	MODEL_OK,
	MODEL_ERR,
	MODEL_REPLY,
};

static inline void model_init(struct model *m, uint16_t *used)
{
	*m = (struct model){.used = used};
}

/** Tell files apart: memory by its inode, an eventfd by its count, which each has another one of.
 */
static inline model_file model_identify(int fd)
{
	char path[64], text[512] = "";
	struct stat st;
	const char *count;
	int info;

	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISREG(st.st_mode))
		return st.st_ino;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(info >= 0);
	assert_true(read(info, text, sizeof(text) - 1) > 0);
	close(info);
	count = strstr(text, "eventfd-count:");
	assert_non_null(count);
	return strtoull(count + strlen("eventfd-count:"), NULL, 16);
}

static inline bool model_is_packed(const struct model *m)
{
	return (m->features & MODEL_F_PACKED) != 0;
}

/* vq_is_ready() */
static inline bool model_is_ready(const struct model *m)
{
	return m->translated && m->kick != 0 && m->call != 0 && m->enabled;
}

/* alloc_vring_queue() */
static inline void model_make_ring(struct model *m)
{
	if (!m->exists)
		m->wrap = true;
	m->exists = true;
}

/* translate_ring_addresses() */
static inline void model_translate(struct model *m)
{
	if (!m->has_mem || !m->has_addr)
		return;
	if (!m->translated && !model_is_packed(m))
		m->last_avail = *m->used;
	m->translated = true;
}

static inline bool model_same_layout(const struct model *m, const struct vhost_user_mem_table *t)
{
	if (!m->has_mem || m->mem.nr_regions != t->nr_regions)
		return false;
	for (unsigned i = 0; i < t->nr_regions; i++)
		if (m->mem.regions[i].gpa != t->regions[i].gpa ||
			m->mem.regions[i].size_bytes != t->regions[i].size_bytes ||
			m->mem.regions[i].user_addr != t->regions[i].user_addr)
			return false;
	return true;
}

/* vhost_user_set_mem_table() */
static inline enum model_result model_set_mem_table(struct model *m, const struct proxy_msg *msg)
{
	const struct vhost_user_mem_table *t = &msg->payload.mem_table;

	assert_int_equal(msg->n_fds, t->nr_regions);
	if (model_same_layout(m, t))
		return MODEL_OK;
	m->has_mem = false;
	for (unsigned i = 0; i < t->nr_regions; i++)
		if (t->regions[i].gpa == MODEL_BAD_GPA)
			return MODEL_ERR;
	m->has_mem = true;
	memset(&m->mem, 0, sizeof(m->mem));
	memset(m->mem_files, 0, sizeof(m->mem_files));
	m->mem.nr_regions = t->nr_regions;
	for (unsigned i = 0; i < t->nr_regions; i++) {
		m->mem.regions[i] = t->regions[i];
		m->mem_files[i] = model_identify(msg->fds[i]);
	}
	return MODEL_OK;
}

/* vhost_user_set_log_base() */
static inline enum model_result model_set_log(
	struct model *m, const struct proxy_msg *msg, struct proxy_msg *reply)
{
	assert_int_equal(msg->n_fds, 1);
	if (msg->payload.log.size_bytes == MODEL_BAD_LOG)
		return MODEL_ERR;
	m->has_log = true;
	m->log_bytes = msg->payload.log.size_bytes;
	m->log_file = model_identify(msg->fds[0]);
	reply->header.size_bytes = 0;
	return MODEL_REPLY;
}

/* vhost_user_set_features() */
static inline enum model_result model_set_features(struct model *m, uint64_t features)
{
	assert_int_equal(features & ~MODEL_FEATURES, 0);
	if (m->running && ((m->features ^ features) & ~MODEL_F_LOG_ALL) != 0)
		return MODEL_ERR;
	m->features = features;
	return MODEL_OK;
}

/* vhost_user_set_vring_addr() */
static inline enum model_result model_set_addr(struct model *m, const struct proxy_msg *msg)
{
	bool was_translated = m->translated;

	if (!m->has_mem)
		return MODEL_ERR;
	m->addr = msg->payload.addr;
	m->has_addr = true;
	m->translated = false;
	if ((m->enabled && m->features & MODEL_F_PROTOCOL) || was_translated)
		model_translate(m);
	return MODEL_OK;
}

/* vhost_user_set_vring_base() */
static inline enum model_result model_set_base(struct model *m, uint32_t num)
{
	m->last_avail = (uint16_t)num;
	if (model_is_packed(m)) {
		m->last_avail &= 0x7fff;
		m->wrap = (num & 0x8000) != 0;
	}
	return MODEL_OK;
}

/* vhost_user_get_vring_base() */
static inline enum model_result model_get_base(struct model *m, struct proxy_msg *reply)
{
	uint32_t num = m->last_avail;

	if (model_is_packed(m))
		num = (num & 0x7fff) | (m->wrap ? 0x8000 : 0);
	m->running = m->translated = m->has_addr = false;
	m->kick = m->call = 0;
	memset(&m->addr, 0, sizeof(m->addr));
	reply->header.size_bytes = sizeof(reply->payload.state);
	reply->payload.state = (struct vhost_user_vring_state){.num = num};
	return MODEL_REPLY;
}

/* vhost_user_reset_owner(), cleanup_device(), reset_device() */
static inline enum model_result model_reset(struct model *m)
{
	struct model fresh = {.used = m->used, .exists = m->exists, .call = m->call};

	*m = fresh;
	return MODEL_OK;
}

static inline model_file model_vring_fd(const struct proxy_msg *msg)
{
	bool none = (msg->payload.u64 & VHOST_USER_VRING_NOFD) != 0;

	assert_int_equal(msg->n_fds, none ? 0 : 1);
	return none ? MODEL_NO_FD : model_identify(msg->fds[0]);
}

/* vhost_user_set_vring_kick() */
static inline enum model_result model_set_kick(struct model *m, const struct proxy_msg *msg)
{
	if (!m->translated)
		model_translate(m);
	if (!(m->features & MODEL_F_PROTOCOL))
		m->enabled = true;
	m->kick = model_vring_fd(msg);
	return MODEL_OK;
}

/** Serve 'n' requests of a split ring, unless the ring rests. */
static inline void model_serve(struct model *m, uint16_t n)
{
	if (!m->running || !model_is_ready(m) || !m->has_mem)
		return;
	m->last_avail = (uint16_t)(m->last_avail + n);
	*m->used = m->last_avail;
}

static inline enum model_result model_answer(struct proxy_msg *reply, uint64_t value)
{
	reply->header.size_bytes = sizeof(value);
	reply->payload.u64 = value;
	return MODEL_REPLY;
}

static inline bool model_names_ring(uint32_t request)
{
	return (request >= VHOST_USER_SET_VRING_NUM && request <= VHOST_USER_SET_VRING_ERR) ||
	       request == VHOST_USER_SET_VRING_ENABLE;
}

static inline enum model_result model_dispatch(
	struct model *m, const struct proxy_msg *msg, struct proxy_msg *reply)
{
	if (model_names_ring(msg->header.request))
		model_make_ring(m);
	switch (msg->header.request) {
	case VHOST_USER_GET_FEATURES:
		return model_answer(reply, MODEL_FEATURES);
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		return model_answer(reply, MODEL_PROTOCOL_FEATURES);
	case VHOST_USER_SET_FEATURES:
		return model_set_features(m, msg->payload.u64);
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		assert_int_equal(msg->payload.u64 & ~(uint64_t)MODEL_PROTOCOL_FEATURES, 0);
		m->protocol_features = msg->payload.u64;
		return MODEL_OK;
	case VHOST_USER_RESET_OWNER:
		return model_reset(m);
	case VHOST_USER_SET_MEM_TABLE:
		return model_set_mem_table(m, msg);
	case VHOST_USER_SET_LOG_BASE:
		return model_set_log(m, msg, reply);
	case VHOST_USER_SET_VRING_NUM:
		m->num = msg->payload.state.num;
		return MODEL_OK;
	case VHOST_USER_SET_VRING_BASE:
		return model_set_base(m, msg->payload.state.num);
	case VHOST_USER_GET_VRING_BASE:
		return model_get_base(m, reply);
	case VHOST_USER_SET_VRING_ADDR:
		return model_set_addr(m, msg);
	case VHOST_USER_SET_VRING_KICK:
		return model_set_kick(m, msg);
	case VHOST_USER_SET_VRING_CALL:
		m->call = model_vring_fd(msg);
		return MODEL_OK;
	case VHOST_USER_SET_VRING_ENABLE:
		m->enabled = msg->payload.state.num != 0;
		return MODEL_OK;
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_SET_LOG_FD:
	case VHOST_USER_SET_VRING_ERR:
		return MODEL_OK;
	default:
		fail_msg("request %u reached the back-end", msg->header.request);
		return MODEL_ERR;
	}
}

/**
 * Handle a message as vhost_user_msg_handler() does.
 *
 * @param reply  set for MODEL_REPLY
 * @return       MODEL_OK: no reply; MODEL_REPLY; MODEL_ERR: it hangs up
 */
static inline enum model_result model_handle(
	struct model *m, const struct proxy_msg *msg, struct proxy_msg *reply)
{
	enum model_result result;

	*reply = (struct proxy_msg){.header = msg->header};
	reply->header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	result = model_dispatch(m, msg, reply);
	if (result != MODEL_REPLY && msg->header.flags & VHOST_USER_FLAG_NEED_REPLY)
		result = model_answer(reply, result == MODEL_ERR);
	if (model_is_ready(m))
		m->running = true;
	return result;
}

#endif
