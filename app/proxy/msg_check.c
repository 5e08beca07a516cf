/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg_check.h"

#include "fd_kind.h"
#include "mem_table.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define KNOWN_FLAGS (VHOST_USER_VERSION_MASK | VHOST_USER_FLAG_REPLY | VHOST_USER_FLAG_NEED_REPLY)

#define TABLE_BYTES_MIN offsetof(struct vhost_user_mem_table, regions)
#define LOG_BYTES_MAX	(UINT64_C(1) << 40)

typedef int (*msg_value_check)(
	const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why);

enum fd_use {
	FD_NONE,
	FD_EVENT,  /* one eventfd, or none with VHOST_USER_VRING_NOFD in the payload */
	FD_MEMORY, /* one for each region */
	FD_LOG,	   /* one of memory */
	FD_ONE,	   /* one of any kind: it is closed unused */
};

struct msg_rule {
	const char *name;
	uint16_t size_min, size_max;
	enum fd_use fds;
	bool has_reply;
	msg_value_check check; /* may be NULL */
};

static int check_features(
	const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	bool protocol = msg->header.request == VHOST_USER_SET_PROTOCOL_FEATURES;
	uint64_t offered = protocol ? limits->protocol_features : limits->features;
	uint64_t extra = msg->payload.u64 & ~offered;

	if (extra == 0)
		return 0;
	return why_set(why, -EINVAL,
		"%s: bit %d was not offered (%#" PRIx64 "; offered %#" PRIx64 ")",
		msg_name(msg->header.request), __builtin_ctzll(extra), msg->payload.u64, offered);
}

static int check_index(const struct proxy_msg *msg, uint32_t index, struct why *why)
{
	if (index < VRING_COUNT)
		return 0;
	return why_set(why, -EINVAL, "%s: vring index %u out of range (%u queue)",
		msg_name(msg->header.request), index, VRING_COUNT);
}

static int check_state(
	const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	return check_index(msg, msg->payload.state.index, why);
}

static int check_num(const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	uint32_t num = msg->payload.state.num;
	int err = check_state(msg, limits, why);

	if (err != 0)
		return err;
	if (num == 0 || num > VHOST_USER_VRING_NUM_MAX)
		return why_set(why, -EINVAL, "SET_VRING_NUM: ring size %u out of range (1 to %u)",
			num, VHOST_USER_VRING_NUM_MAX);
	if (!limits->packed && (num & (num - 1)) != 0)
		return why_set(why, -EINVAL,
			"SET_VRING_NUM: ring size %u is not a power of two (split ring)", num);
	return 0;
}

static int check_addr(const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	uint32_t flags = msg->payload.addr.flags;
	int err = check_index(msg, msg->payload.addr.index, why);

	if (err == 0 && (flags & ~VHOST_USER_VRING_F_LOG) != 0)
		return why_set(why, -EINVAL, "SET_VRING_ADDR: unknown flags %#x", flags);
	return err;
}

static int check_vring_fd(
	const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	return check_index(msg, (uint32_t)(msg->payload.u64 & VHOST_USER_VRING_INDEX), why);
}

static int check_table(
	const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	const struct vhost_user_mem_table *table = &msg->payload.mem_table;
	size_t received = (msg->header.size_bytes - TABLE_BYTES_MIN) / sizeof(table->regions[0]);
	struct why detail;

	if (table->nr_regions <= VHOST_USER_MAX_REGIONS && table->nr_regions > received)
		return why_set(why, -EINVAL, "SET_MEM_TABLE: %u regions in a payload of %u bytes",
			table->nr_regions, msg->header.size_bytes);
	if (mem_table_check(table, msg->fds, msg->n_fds, limits->any_memory_file, &detail) != 0)
		return why_set(why, -EINVAL, "SET_MEM_TABLE: %s", detail.text);
	return 0;
}

/* rte_vhost maps the log from its offset on, and then adds the offset once more: see no offset. */
static int check_log(const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	const struct vhost_user_log *log = &msg->payload.log;
	struct stat st;
	int err;

	if (log->fd_offset != 0)
		return why_set(why, -EINVAL, "SET_LOG_BASE: offset %#" PRIx64 "; expected 0",
			log->fd_offset);
	if (log->size_bytes == 0 || log->size_bytes > LOG_BYTES_MAX)
		return why_set(why, -EINVAL, "SET_LOG_BASE: log size %#" PRIx64 " out of range",
			log->size_bytes);
	err = fd_check_memory(msg->fds[0], limits->any_memory_file);
	if (err != 0)
		return why_set(why, -EINVAL, "SET_LOG_BASE: the log's file is %s",
			err == -EACCES ? "not open for reading and writing"
				       : "neither shmem (memfd, tmpfs) nor hugetlbfs");
	if (fstat(msg->fds[0], &st) != 0 || st.st_size < 0 ||
		(uint64_t)st.st_size < log->size_bytes)
		return why_set(why, -EINVAL,
			"SET_LOG_BASE: log of %#" PRIx64 " bytes in a smaller file",
			log->size_bytes);
	return 0;
}

#define U64	  sizeof(uint64_t), sizeof(uint64_t)
#define STATE	  sizeof(struct vhost_user_vring_state), sizeof(struct vhost_user_vring_state)
#define ADDR	  sizeof(struct vhost_user_vring_addr), sizeof(struct vhost_user_vring_addr)
#define LOG	  sizeof(struct vhost_user_log), sizeof(struct vhost_user_log)
#define MEM_TABLE TABLE_BYTES_MIN, sizeof(struct vhost_user_mem_table)

static const struct msg_rule rules[] = {
	[VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, 0, FD_NONE, true, NULL},
	[VHOST_USER_SET_FEATURES] = {"SET_FEATURES", U64, FD_NONE, false, check_features},
	[VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, 0, FD_NONE, false, NULL},
	[VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, 0, FD_NONE, false, NULL},
	[VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", MEM_TABLE, FD_MEMORY, false, check_table},
	[VHOST_USER_SET_LOG_BASE] = {"SET_LOG_BASE", LOG, FD_LOG, true, check_log},
	[VHOST_USER_SET_LOG_FD] = {"SET_LOG_FD", 0, 0, FD_ONE, false, NULL},
	[VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", STATE, FD_NONE, false, check_num},
	[VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", ADDR, FD_NONE, false, check_addr},
	[VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", STATE, FD_NONE, false, check_state},
	[VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", STATE, FD_NONE, true, check_state},
	[VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", U64, FD_EVENT, false, check_vring_fd},
	[VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", U64, FD_EVENT, false, check_vring_fd},
	[VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", U64, FD_EVENT, false, check_vring_fd},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, 0, FD_NONE, true, NULL},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", U64, FD_NONE, false,
		check_features},
	[VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, 0, FD_NONE, true, NULL},
	[VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", STATE, FD_NONE, false, check_state},
};

static const struct msg_rule *find_rule(uint32_t request)
{
	if (request >= sizeof(rules) / sizeof(rules[0]) || rules[request].name == NULL)
		return NULL;
	return &rules[request];
}

const char *msg_name(uint32_t request)
{
	const struct msg_rule *rule = find_rule(request);

	return rule != NULL ? rule->name : "unknown request";
}

bool msg_has_reply(uint32_t request)
{
	const struct msg_rule *rule = find_rule(request);

	return rule != NULL && rule->has_reply;
}

int msg_check_header(const struct vhost_user_header *header, struct why *why)
{
	const struct msg_rule *rule = find_rule(header->request);
	uint32_t version = header->flags & VHOST_USER_VERSION_MASK;

	if (rule == NULL)
		return why_set(why, -EPROTO, "request %u is unknown or was not negotiated",
			header->request);
	if (version != VHOST_USER_VERSION)
		return why_set(why, -EPROTO, "%s: protocol version %u; expected %u", rule->name,
			version, VHOST_USER_VERSION);
	if ((header->flags & ~KNOWN_FLAGS) != 0 || (header->flags & VHOST_USER_FLAG_REPLY) != 0)
		return why_set(why, -EPROTO, "%s: flags %#x are not those of a request", rule->name,
			header->flags);
	if (header->request == VHOST_USER_SET_MEM_TABLE && header->size_bytes > rule->size_max)
		return why_set(why, -EPROTO,
			"SET_MEM_TABLE: payload of %u bytes: more than %u memory regions",
			header->size_bytes, VHOST_USER_MAX_REGIONS);
	if (header->size_bytes < rule->size_min || header->size_bytes > rule->size_max)
		return why_set(why, -EPROTO, "%s: payload of %u bytes; expected %s%u", rule->name,
			header->size_bytes, rule->size_min < rule->size_max ? "at least " : "",
			rule->size_min);
	return 0;
}

static unsigned expected_fds(const struct msg_rule *rule, const struct proxy_msg *msg)
{
	switch (rule->fds) {
	case FD_EVENT:
		return (msg->payload.u64 & VHOST_USER_VRING_NOFD) != 0 ? 0 : 1;
	case FD_LOG:
	case FD_ONE:
		return 1;
	case FD_MEMORY:
	case FD_NONE:
	default:
		return 0;
	}
}

static int check_fds(const struct msg_rule *rule, const struct proxy_msg *msg, struct why *why)
{
	unsigned expected = expected_fds(rule, msg);
	int err;

	/* mem_table_check() compares with the number of regions. */
	if (rule->fds == FD_MEMORY)
		return 0;
	if (msg->n_fds != expected)
		return why_set(why, -EPROTO, "%s: %u descriptors; expected %u", rule->name,
			msg->n_fds, expected);
	if (rule->fds != FD_EVENT || expected == 0)
		return 0;
	err = fd_check_eventfd(msg->fds[0]);
	if (err == -EINVAL)
		return why_set(why, err, "%s: the descriptor is not an eventfd", rule->name);
	if (err != 0)
		return why_set(why, -EINVAL, "%s: cannot examine the descriptor: %s", rule->name,
			strerror(-err));
	return 0;
}

int msg_check(const struct proxy_msg *msg, const struct msg_limits *limits, struct why *why)
{
	const struct msg_rule *rule = find_rule(msg->header.request);
	int err;

	if (rule == NULL)
		return why_set(why, -EPROTO, "request %u is unknown or was not negotiated",
			msg->header.request);
	err = check_fds(rule, msg, why);
	if (err != 0 || rule->check == NULL)
		return err;
	return rule->check(msg, limits, why);
}
