/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes and any descriptors over a front-end's connection, in any pieces, through the proxy's
 * reader and checks. What is accepted must keep to the rules as they are written down here once
 * more; every descriptor must be closed; a connection that was refused stays refused.
 */
#include "fuzz.h"

#include "fds.h"
#include "msg_check.h"
#include "msg_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define HEADER_BYTES sizeof(struct vhost_user_header)
#define MEM_BYTES    0x100000u
#define MESSAGES_MAX 16

enum file_kind {
	FILE_EVENT,
	FILE_MEMORY,
	FILE_SMALL, /* memory of one page */
	FILE_READ_ONLY,
	FILE_EPOLL,
	FILE_NULL,
	N_FILES,
};

static int files[N_FILES];

static void open_files(void)
{
	char path[64];

	if (files[FILE_EVENT] > 0)
		return;
	files[FILE_EVENT] = eventfd(0, EFD_NONBLOCK);
	files[FILE_MEMORY] = memfd_create("memory", 0);
	files[FILE_SMALL] = memfd_create("small", 0);
	files[FILE_EPOLL] = epoll_create1(0);
	files[FILE_NULL] = open("/dev/null", O_RDWR);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", files[FILE_MEMORY]);
	files[FILE_READ_ONLY] = open(path, O_RDONLY);
	FUZZ_CHECK(ftruncate(files[FILE_MEMORY], MEM_BYTES) == 0);
	FUZZ_CHECK(ftruncate(files[FILE_SMALL], 0x1000) == 0);
	for (unsigned i = 0; i < N_FILES; i++)
		FUZZ_CHECK(files[i] > 0);
}

/* The number of the next descriptor: it rises when some are left open. */
static int next_fd(void)
{
	int fd = dup(files[FILE_NULL]);

	FUZZ_CHECK(fd >= 0);
	close(fd);
	return fd;
}

/* The descriptors of the message that is read next. */
struct sent {
	unsigned n_fds;
	enum file_kind kinds[VHOST_USER_MAX_FDS];
	bool late; /* one more came with a later byte than the first */
};

/* Messages */

static void fill_region(struct fuzz_input *in, struct vhost_user_region *r)
{
	*r = (struct vhost_user_region){
		.gpa = (uint64_t)fuzz_u8(in) << 12,
		.size_bytes = (uint64_t)fuzz_u8(in) << 12,
		.user_addr = (uint64_t)fuzz_u8(in) << 12,
		.fd_offset = (uint64_t)fuzz_u8(in) << 8,
	};
	if (fuzz_u8(in) > 240)
		((uint64_t *)r)[fuzz_below(in, 4)] = fuzz_magnitude(in);
}

static void fill_payload(struct fuzz_input *in, struct proxy_msg *msg)
{
	struct vhost_user_mem_table *table = &msg->payload.mem_table;

	if (msg->header.request != VHOST_USER_SET_MEM_TABLE) {
		msg->payload.state.index = fuzz_u8(in) / 192;
		msg->payload.state.num = fuzz_u8(in);
		if (fuzz_bool(in))
			msg->payload.u64 = fuzz_magnitude(in);
		if (fuzz_bool(in))
			msg->payload.state.num = (uint32_t)fuzz_magnitude(in);
		if (fuzz_u8(in) > 192)
			msg->payload.log.fd_offset = fuzz_u8(in);
		return;
	}
	table->nr_regions = fuzz_below(in, 10);
	for (unsigned i = 0; i < table->nr_regions && i < VHOST_USER_MAX_REGIONS; i++)
		fill_region(in, &table->regions[i]);
}

static uint32_t good_size(const struct proxy_msg *msg)
{
	switch (msg->header.request) {
	case VHOST_USER_SET_MEM_TABLE:
		return 8 + 32 * msg->payload.mem_table.nr_regions;
	case VHOST_USER_SET_VRING_ADDR:
		return 40;
	case VHOST_USER_SET_LOG_BASE:
		return 16;
	case VHOST_USER_GET_FEATURES:
	case VHOST_USER_GET_PROTOCOL_FEATURES:
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_OWNER:
	case VHOST_USER_SET_LOG_FD:
	case VHOST_USER_GET_QUEUE_NUM:
		return 0;
	default:
		return 8;
	}
}

/* A whole message, perhaps with a descriptor for its second part. */
static bool send_in_two(
	struct fuzz_input *in, int socket, struct iovec *iov, const int *fds, struct sent *sent)
{
	size_t len = iov->iov_len;

	iov->iov_len = 1 + fuzz_below(in, (unsigned)len - 1);
	if (fds_send(socket, iov, 1, fds, sent->n_fds, MSG_DONTWAIT) <= 0)
		return false;
	iov->iov_base = (uint8_t *)iov->iov_base + iov->iov_len;
	iov->iov_len = len - iov->iov_len;
	/* The reader cannot tell the first bytes of a header from each other. */
	sent->late = fuzz_bool(in) && len - iov->iov_len >= HEADER_BYTES;
	return fds_send(socket, iov, 1, &files[FILE_EVENT], sent->late, MSG_DONTWAIT) > 0;
}

/* Send a message or something like it. @return false: the socket is full */
static bool send_message(struct fuzz_input *in, int socket, struct sent *sent)
{
	struct proxy_msg msg = {.header = {fuzz_below(in, 21), VHOST_USER_VERSION, 0}};
	uint8_t bytes[HEADER_BYTES + sizeof(msg.payload) + 64] = {0};
	struct iovec iov = {bytes, 0};
	int fds[VHOST_USER_MAX_FDS + 2];

	fill_payload(in, &msg);
	msg.header.size_bytes = good_size(&msg);
	if (fuzz_u8(in) > 224)
		((uint32_t *)&msg.header)[fuzz_below(in, 3)] = (uint32_t)fuzz_magnitude(in);
	*sent = (struct sent){.n_fds = fuzz_below(in, 16)};
	if (sent->n_fds > 10)
		sent->n_fds = msg.payload.mem_table.nr_regions & 7;
	for (unsigned i = 0; i < sent->n_fds; i++) {
		unsigned kind = fuzz_u8(in);

		kind = kind < 128 ? msg.header.request != VHOST_USER_SET_MEM_TABLE ? FILE_EVENT
										   : FILE_MEMORY
				  : kind % N_FILES;
		fds[i] = files[kind];
		if (i < VHOST_USER_MAX_FDS)
			sent->kinds[i] = (enum file_kind)kind;
	}
	memcpy(bytes, &msg.header, HEADER_BYTES);
	memcpy(bytes + HEADER_BYTES, &msg.payload, sizeof(msg.payload));
	iov.iov_len = HEADER_BYTES + good_size(&msg);
	if (iov.iov_len > sizeof(bytes) || fuzz_u8(in) > 224)
		iov.iov_len = 1 + fuzz_below(in, sizeof(bytes));
	else if (msg.header.size_bytes == good_size(&msg) && fuzz_u8(in) > 224)
		return send_in_two(in, socket, &iov, fds, sent);
	return fds_send(socket, &iov, 1, fds, sent->n_fds, MSG_DONTWAIT) > 0;
}

/* The rules once more */

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return !((unsigned __int128)a + a_size <= b || (unsigned __int128)b + b_size <= a);
}

static uint64_t file_bytes(enum file_kind kind)
{
	return kind == FILE_MEMORY ? MEM_BYTES : kind == FILE_SMALL ? 0x1000 : 0;
}

static void check_table(const struct vhost_user_mem_table *t, const struct sent *sent)
{
	FUZZ_CHECK(t->nr_regions <= 8 && sent->n_fds == t->nr_regions);
	for (unsigned i = 0; i < t->nr_regions; i++) {
		const struct vhost_user_region *r = &t->regions[i];
		unsigned __int128 end = (unsigned __int128)r->fd_offset + r->size_bytes;

		FUZZ_CHECK(r->size_bytes > 0);
		FUZZ_CHECK((unsigned __int128)r->gpa + r->size_bytes <= UINT64_MAX);
		FUZZ_CHECK((unsigned __int128)r->user_addr + r->size_bytes <= UINT64_MAX);
		FUZZ_CHECK(end <= file_bytes(sent->kinds[i]));
		for (unsigned j = 0; j < i; j++) {
			const struct vhost_user_region *o = &t->regions[j];

			FUZZ_CHECK(!overlap(r->gpa, r->size_bytes, o->gpa, o->size_bytes));
			FUZZ_CHECK(
				!overlap(r->user_addr, r->size_bytes, o->user_addr, o->size_bytes));
		}
	}
}

static void check_vring_fd(uint64_t u64, const struct sent *sent)
{
	FUZZ_CHECK((u64 & 0xff) == 0);
	FUZZ_CHECK(sent->n_fds == ((u64 & 0x100) == 0));
	FUZZ_CHECK(sent->n_fds == 0 || sent->kinds[0] == FILE_EVENT);
}

static void check_num(uint32_t num, bool packed)
{
	FUZZ_CHECK(num >= 1 && num <= 32768);
	FUZZ_CHECK(packed || __builtin_popcount(num) == 1);
}

static void check_accepted(
	const struct proxy_msg *msg, const struct msg_limits *limits, const struct sent *sent)
{
	const union proxy_msg_payload *p = &msg->payload;

	FUZZ_CHECK((msg->header.flags & ~VHOST_USER_FLAG_NEED_REPLY) == VHOST_USER_VERSION);
	FUZZ_CHECK(msg->header.size_bytes == good_size(msg) ||
		   (msg->header.request == VHOST_USER_SET_MEM_TABLE &&
			   msg->header.size_bytes >= good_size(msg)));
	FUZZ_CHECK(msg->n_fds == sent->n_fds && !sent->late);
	switch (msg->header.request) {
	case VHOST_USER_SET_FEATURES:
		FUZZ_CHECK((p->u64 & ~limits->features) == 0 && sent->n_fds == 0);
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		FUZZ_CHECK((p->u64 & ~limits->protocol_features) == 0 && sent->n_fds == 0);
		break;
	case VHOST_USER_SET_MEM_TABLE:
		check_table(&p->mem_table, sent);
		break;
	case VHOST_USER_SET_LOG_BASE:
		FUZZ_CHECK(sent->n_fds == 1 && p->log.fd_offset == 0 && p->log.size_bytes > 0);
		FUZZ_CHECK(p->log.size_bytes <= file_bytes(sent->kinds[0]));
		break;
	case VHOST_USER_SET_LOG_FD:
		FUZZ_CHECK(sent->n_fds == 1);
		break;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		check_vring_fd(p->u64, sent);
		break;
	case VHOST_USER_SET_VRING_NUM:
		check_num(p->state.num, limits->packed);
		/* fall through */
	default:
		FUZZ_CHECK(msg->header.request >= 1 && msg->header.request <= 18);
		FUZZ_CHECK(sent->n_fds == 0);
		FUZZ_CHECK(msg->header.size_bytes == 0 || p->state.index == 0);
	}
}

/* @return whether the connection goes on */
static bool read_all(struct msg_reader *reader, int socket, const struct msg_limits *limits,
	const struct sent *sent)
{
	static const struct sent nothing;
	struct why why = {0};
	struct proxy_msg msg;
	int err;

	while ((err = msg_reader_read(reader, socket, &msg, &why)) == 0) {
		err = msg_check(&msg, limits, &why);
		if (err == 0)
			check_accepted(&msg, limits, sent);
		else
			FUZZ_CHECK(why.text[0] != '\0');
		proxy_msg_close_fds(&msg, NULL);
		if (err != 0)
			return false;
		sent = &nothing; /* with bytes behind a message */
	}
	FUZZ_CHECK(err < 0 && (err == -EAGAIN || why.text[0] != '\0'));
	return err == -EAGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct msg_limits limits = {.features = UINT64_C(0x570000000), .protocol_features = 0xb};
	struct msg_reader reader;
	int pair[2], first;

	open_files();
	first = next_fd();
	limits.packed = fuzz_bool(&in);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	msg_reader_init(&reader, msg_check_header, NULL);
	for (unsigned n = 0; n < MESSAGES_MAX && fuzz_more(&in); n++) {
		struct sent sent;

		/* The descriptors that are expected are those of a message that begins now. */
		if (!send_message(&in, pair[1], &sent) || msg_reader_is_busy(&reader))
			break;
		if (!read_all(&reader, pair[0], &limits, &sent))
			break;
	}
	msg_reader_reset(&reader);
	close(pair[0]);
	close(pair[1]);
	FUZZ_CHECK(next_fd() == first);
	return 0;
}
