/* SPDX-License-Identifier: BSD-3-Clause */
#include "frontend.h"

#include "clock.h"
#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_MS 5000

struct frontend {
	int fd;
	int kick_fd;
	int call_fd;
	int timeout_ms;
	uint64_t features;
	bool reply_ack;
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_now_ns() / 1000000);
}

/* Wait for 'events' on fd until 'deadline_ms' of now_ms(). */
static int wait_fd(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = events};
		int64_t left_ms = deadline_ms - now_ms();
		int n = poll(&pfd, 1, left_ms > 0 ? (int)left_ms : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int connect_path(int fd, const char *path, int64_t deadline_ms)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		/* EAGAIN: the listener's backlog is full, and poll() can't tell when it isn't. */
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
	return 0;
}

int frontend_create(const struct frontend_cfg *cfg, struct frontend **out)
{
	struct frontend *fe = calloc(1, sizeof(*fe));
	int err;

	if (fe == NULL) {
		if (cfg->socket_path == NULL)
			close(cfg->connection);
		return -ENOMEM;
	}
	fe->timeout_ms = cfg->timeout_ms > 0 ? cfg->timeout_ms : DEFAULT_TIMEOUT_MS;
	if (cfg->socket_path == NULL)
		fe->fd = cfg->connection;
	else
		fe->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fe->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fe->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fe->fd < 0 || fe->kick_fd < 0 || fe->call_fd < 0) {
		err = -errno;
		goto err_destroy;
	}
	err = 0;
	if (cfg->socket_path != NULL)
		err = connect_path(fe->fd, cfg->socket_path, now_ms() + fe->timeout_ms);
	if (err != 0)
		goto err_destroy;
	*out = fe;
	return 0;

err_destroy:
	frontend_destroy(fe);
	return err;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void frontend_destroy(struct frontend *fe)
{
	if (fe == NULL)
		return;
	close_fd(fe->fd);
	close_fd(fe->kick_fd);
	close_fd(fe->call_fd);
	free(fe);
}

static int peer_error(int err)
{
	return err == EPIPE ? -ECONNRESET : -err;
}

int frontend_send_raw(struct frontend *fe, const struct vhost_user_header *header,
	const void *payload, size_t len_bytes, const int *fds, unsigned nr_fds)
{
	struct iovec iov[2] = {
		{.iov_base = (void *)header, .iov_len = sizeof(*header)},
		{.iov_base = (void *)payload, .iov_len = len_bytes},
	};
	int64_t deadline_ms = now_ms() + fe->timeout_ms;

	if (nr_fds > VHOST_USER_MAX_FDS)
		return -EINVAL;
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		ssize_t n = fds_send(fe->fd, iov, 2, fds, nr_fds, 0);

		if (n < 0 && errno == EAGAIN) {
			int err = wait_fd(fe->fd, POLLOUT, deadline_ms);

			if (err != 0)
				return err;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return peer_error(errno);
		for (unsigned i = 0; i < 2; i++) {
			size_t done = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			if (done == 0)
				continue; /* no payload: NULL */
			iov[i].iov_base = (char *)iov[i].iov_base + done;
			iov[i].iov_len -= done;
			n -= (ssize_t)done;
		}
		nr_fds = 0; /* they went with the first byte */
	}
	return 0;
}

static int receive_bytes(struct frontend *fe, void *dst, size_t len_bytes, int64_t deadline_ms)
{
	uint8_t *to = dst;

	while (len_bytes > 0) {
		ssize_t n = recv(fe->fd, to, len_bytes, 0);
		int err;

		if (n == 0)
			return -ECONNRESET;
		if (n > 0) {
			to += n;
			len_bytes -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return peer_error(errno);
		err = wait_fd(fe->fd, POLLIN, deadline_ms);
		if (err != 0)
			return err;
	}
	return 0;
}

int frontend_receive(
	struct frontend *fe, enum vhost_user_request request, void *payload, uint32_t size_bytes)
{
	int64_t deadline_ms = now_ms() + fe->timeout_ms;
	struct vhost_user_header header;
	int err = receive_bytes(fe, &header, sizeof(header), deadline_ms);

	if (err != 0)
		return err;
	if (header.request != request || header.size_bytes != size_bytes ||
		(header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
		(header.flags & VHOST_USER_FLAG_REPLY) == 0)
		return -EPROTO;
	return receive_bytes(fe, payload, size_bytes, deadline_ms);
}

int frontend_receive_ack(struct frontend *fe, enum vhost_user_request request)
{
	uint64_t value;
	int err = frontend_receive(fe, request, &value, sizeof(value));

	if (err != 0)
		return err;
	return value == 0 ? 0 : -EREMOTEIO;
}

int frontend_set(struct frontend *fe, enum vhost_user_request request, const void *payload,
	uint32_t size_bytes, const int *fds, unsigned nr_fds)
{
	struct vhost_user_header header = {
		.request = request,
		.flags = VHOST_USER_VERSION | (fe->reply_ack ? VHOST_USER_FLAG_NEED_REPLY : 0),
		.size_bytes = size_bytes,
	};
	int err = frontend_send_raw(fe, &header, payload, size_bytes, fds, nr_fds);

	if (err != 0 || !fe->reply_ack)
		return err;
	return frontend_receive_ack(fe, request);
}

static int get(struct frontend *fe, enum vhost_user_request request, const void *ask,
	uint32_t ask_bytes, void *answer, uint32_t answer_bytes)
{
	struct vhost_user_header header = {
		.request = request,
		.flags = VHOST_USER_VERSION,
		.size_bytes = ask_bytes,
	};
	int err = frontend_send_raw(fe, &header, ask, ask_bytes, NULL, 0);

	if (err != 0)
		return err;
	return frontend_receive(fe, request, answer, answer_bytes);
}

static int get_u64(struct frontend *fe, enum vhost_user_request request, uint64_t *value)
{
	return get(fe, request, NULL, 0, value, sizeof(*value));
}

static int set_u64(
	struct frontend *fe, enum vhost_user_request request, uint64_t value, const int *fd)
{
	return frontend_set(fe, request, &value, sizeof(value), fd, fd != NULL ? 1 : 0);
}

static int set_state(struct frontend *fe, enum vhost_user_request request, uint32_t num)
{
	struct vhost_user_vring_state state = {.index = 0, .num = num};

	return frontend_set(fe, request, &state, sizeof(state), NULL, 0);
}

int frontend_negotiate(struct frontend *fe, uint64_t want, uint64_t *got)
{
	uint64_t offered, protocol;
	int err = get_u64(fe, VHOST_USER_GET_FEATURES, &offered);

	if (err != 0)
		return err;
	if ((offered & (1ull << VIRTIO_F_VERSION_1)) == 0)
		return -ENOTSUP;
	want |= (1ull << VIRTIO_F_VERSION_1) | (1ull << VHOST_USER_F_PROTOCOL_FEATURES);
	if (offered & (1ull << VHOST_USER_F_PROTOCOL_FEATURES)) {
		err = get_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
		if (err != 0)
			return err;
		protocol &= 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK |
			    1ull << VHOST_USER_PROTOCOL_F_LOG_SHMFD;
		err = set_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, protocol, NULL);
		if (err != 0)
			return err;
		fe->reply_ack = (protocol & 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK) != 0;
	}
	err = frontend_set(fe, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
	if (err != 0)
		return err;
	fe->features = offered & want;
	if (got != NULL)
		*got = fe->features;
	return set_u64(fe, VHOST_USER_SET_FEATURES, fe->features, NULL);
}

void frontend_fill_table(const struct guest_ram *ram, struct vhost_user_mem_table *table, int *fds)
{
	*table = (struct vhost_user_mem_table){.nr_regions = ram->nr_regions};
	for (unsigned i = 0; i < ram->nr_regions; i++) {
		const struct guest_ram_region *region = &ram->regions[i];

		table->regions[i] = (struct vhost_user_region){
			.gpa = region->gpa,
			.size_bytes = region->size_bytes,
			.user_addr = (uintptr_t)region->host,
			.fd_offset = region->fd_offset,
		};
		fds[i] = region->fd;
	}
}

int frontend_set_memory(struct frontend *fe, const struct guest_ram *ram)
{
	struct vhost_user_mem_table table;
	int fds[VHOST_USER_MAX_FDS];

	frontend_fill_table(ram, &table, fds);
	return frontend_set(fe, VHOST_USER_SET_MEM_TABLE, &table,
		(uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
			   ram->nr_regions * sizeof(table.regions[0])),
		fds, ram->nr_regions);
}

void frontend_fill_addr(const struct driver *drv, struct vhost_user_vring_addr *addr)
{
	*addr = (struct vhost_user_vring_addr){
		.desc_user_addr = drv->packed ? (uintptr_t)drv->ring : (uintptr_t)drv->desc,
		.used_user_addr = (uintptr_t)drv->used,
		.avail_user_addr = (uintptr_t)drv->avail,
	};
}

int frontend_set_ring_addr(struct frontend *fe, const struct driver *drv)
{
	struct vhost_user_vring_addr addr;

	frontend_fill_addr(drv, &addr);
	if (fe->features & (1ull << VHOST_USER_F_LOG_ALL)) {
		addr.flags |= VHOST_USER_VRING_F_LOG;
		addr.log_gpa = drv->device_gpa;
	}
	return frontend_set(fe, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

static int start_ring(struct frontend *fe, const struct driver *drv, uint16_t base, bool with_call)
{
	int err = set_state(fe, VHOST_USER_SET_VRING_NUM, drv->cfg.size);

	if (err == 0)
		err = set_state(fe, VHOST_USER_SET_VRING_BASE, base);
	if (err == 0)
		err = frontend_set_ring_addr(fe, drv);
	if (err == 0 && with_call)
		err = set_u64(fe, VHOST_USER_SET_VRING_CALL, 0, &fe->call_fd);
	if (err == 0)
		err = set_u64(fe, VHOST_USER_SET_VRING_KICK, 0, &fe->kick_fd);
	if (err == 0 && (fe->features & (1ull << VHOST_USER_F_PROTOCOL_FEATURES)))
		err = frontend_enable_ring(fe, true);
	return err;
}

int frontend_start_ring(struct frontend *fe, const struct driver *drv, uint16_t base)
{
	return start_ring(fe, drv, base, true);
}

int frontend_start_ring_without_call(struct frontend *fe, const struct driver *drv, uint16_t base)
{
	return start_ring(fe, drv, base, false);
}

int frontend_stop_ring(struct frontend *fe, uint16_t *base)
{
	struct vhost_user_vring_state state = {.index = 0};
	int err = get(fe, VHOST_USER_GET_VRING_BASE, &state, sizeof(state), &state, sizeof(state));

	if (err == 0 && base != NULL)
		*base = (uint16_t)state.num;
	return err;
}

int frontend_enable_ring(struct frontend *fe, bool enable)
{
	return set_state(fe, VHOST_USER_SET_VRING_ENABLE, enable ? 1 : 0);
}

int frontend_renew_call(struct frontend *fe)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	/* In place, so that a thread that looks at the number meanwhile never sees a closed one. */
	if (dup3(fd, fe->call_fd, O_CLOEXEC) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	close(fd);
	return set_u64(fe, VHOST_USER_SET_VRING_CALL, 0, &fe->call_fd);
}

int frontend_set_log(struct frontend *fe, int fd, uint64_t size_bytes)
{
	struct vhost_user_log log = {.size_bytes = size_bytes};
	struct vhost_user_header header = {
		.request = VHOST_USER_SET_LOG_BASE,
		.flags = VHOST_USER_VERSION,
		.size_bytes = sizeof(log),
	};
	int err = frontend_send_raw(fe, &header, &log, sizeof(log), &fd, 1);

	/* It has a reply of its own. */
	return err != 0 ? err : frontend_receive(fe, VHOST_USER_SET_LOG_BASE, NULL, 0);
}

int frontend_enable_log(struct frontend *fe, const struct driver *drv, bool enable)
{
	uint64_t features = fe->features & ~(1ull << VHOST_USER_F_LOG_ALL);
	int err;

	if (enable)
		features |= 1ull << VHOST_USER_F_LOG_ALL;
	err = set_u64(fe, VHOST_USER_SET_FEATURES, features, NULL);
	if (err != 0)
		return err;
	fe->features = features;
	return frontend_set_ring_addr(fe, drv);
}

int frontend_sync(struct frontend *fe)
{
	uint64_t offered;

	return get_u64(fe, VHOST_USER_GET_FEATURES, &offered);
}

void frontend_kick(struct frontend *fe)
{
	uint64_t one = 1;
	ssize_t n = write(fe->kick_fd, &one, sizeof(one));

	(void)n; /* EAGAIN: nobody has read 2^64-2 kicks, and one that waits is enough */
}

uint64_t frontend_wait_call(struct frontend *fe, int timeout_ms)
{
	struct pollfd pfd = {.fd = fe->call_fd, .events = POLLIN};
	uint64_t count;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return 0;
	return read(fe->call_fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

int frontend_kick_fd(const struct frontend *fe)
{
	return fe->kick_fd;
}

int frontend_call_fd(const struct frontend *fe)
{
	return fe->call_fd;
}

int frontend_socket_fd(const struct frontend *fe)
{
	return fe->fd;
}

uint64_t frontend_features(const struct frontend *fe)
{
	return fe->features;
}
