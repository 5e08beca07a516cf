/* SPDX-License-Identifier: BSD-3-Clause */
#include "draft.h"

#include "../unit/unit.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors */

static void keep(struct draft_kinds *kinds, int fd)
{
	assert_true(fd >= 0 && kinds->nr < DRAFT_MAX_KINDS);
	kinds->fds[kinds->nr++] = fd;
}

static int sized_memfd(off_t size, unsigned flags, int seals)
{
	int fd = memfd_create("kind", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	if (seals != 0)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

void draft_kinds_open(struct draft_kinds *kinds)
{
	int pair[2];

	*kinds = (struct draft_kinds){0};
	keep(kinds, open("/dev/null", O_RDWR | O_CLOEXEC));
	keep(kinds, open("/dev/zero", O_RDWR | O_CLOEXEC));
	keep(kinds, open("/", O_RDONLY | O_CLOEXEC));
	keep(kinds, open("/", O_PATH | O_CLOEXEC));
	keep(kinds, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	keep(kinds, eventfd(0, EFD_CLOEXEC));
	keep(kinds, epoll_create1(EPOLL_CLOEXEC));
	keep(kinds, sized_memfd(0, 0, 0));
	keep(kinds, sized_memfd(4096, 0, 0));
	keep(kinds, sized_memfd(1 << 20, 0, F_SEAL_WRITE));
	keep(kinds, sized_memfd(1 << 20, 0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	keep(kinds, pair[0]);
	keep(kinds, pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	keep(kinds, pair[0]);
	keep(kinds, pair[1]);
}

void draft_kinds_close(struct draft_kinds *kinds)
{
	while (kinds->nr > 0)
		close(kinds->fds[--kinds->nr]);
}

/* Messages as they should be */

static void fill(struct draft *d, const void *payload, size_t len_bytes)
{
	memcpy(d->payload, payload, len_bytes);
	d->len_bytes = len_bytes;
}

static void fill_u64(struct draft *d, uint64_t value, int fd)
{
	fill(d, &value, sizeof(value));
	if (fd >= 0)
		d->fds[d->nr_fds++] = fd;
}

static void fill_state(struct draft *d, uint32_t num)
{
	struct vhost_user_vring_state state = {.num = num};

	fill(d, &state, sizeof(state));
}

static void fill_table(struct draft *d, const struct guest *g)
{
	struct vhost_user_mem_table table;

	frontend_fill_table(&g->ram, &table, d->fds);
	d->nr_fds = table.nr_regions;
	fill(d, &table,
		offsetof(struct vhost_user_mem_table, regions) +
			table.nr_regions * sizeof(table.regions[0]));
}

static void fill_addr(struct draft *d, const struct guest *g, uint64_t *random)
{
	struct vhost_user_vring_addr addr;

	frontend_fill_addr(&g->drv, &addr);
	if (random_once_in(random, 8)) {
		addr.flags = VHOST_USER_VRING_F_LOG;
		addr.log_gpa = g->drv.device_gpa;
	}
	fill(d, &addr, sizeof(addr));
}

static void fill_log(struct draft *d, const struct guest *g)
{
	/* The second region's file will do for a log: nobody else uses it. */
	struct vhost_user_log log = {.size_bytes = g->cfg.region_bytes};

	fill(d, &log, sizeof(log));
	d->fds[d->nr_fds++] = g->ram.regions[1].fd;
}

static void fill_bytes(struct draft *d, uint64_t *random)
{
	d->len_bytes = random_below(random, 80);
	for (size_t i = 0; i < d->len_bytes; i++)
		d->payload[i] = random_once_in(random, 2) ? (uint8_t)random_next(random) : 0;
}

static uint64_t features_of(const struct guest *g, uint64_t *random)
{
	return UINT64_C(1) << VIRTIO_F_VERSION_1 | 1u << VHOST_USER_F_PROTOCOL_FEATURES |
	       (g->cfg.packed ? GUEST_PACKED : 0) | (g->cfg.event_idx ? GUEST_EVENTS : 0) |
	       (g->cfg.table_entries > 0 ? GUEST_TABLES : 0) |
	       (random_once_in(random, 8) ? 1u << VHOST_USER_F_LOG_ALL : 0);
}

void draft_make(struct draft *d, const struct guest *g, uint32_t request, uint64_t *random)
{
	*d = (struct draft){.header = {.request = request, .flags = VHOST_USER_VERSION}};
	switch (request) {
	case VHOST_USER_GET_FEATURES:
	case VHOST_USER_GET_PROTOCOL_FEATURES:
	case VHOST_USER_GET_QUEUE_NUM:
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_OWNER:
		break;
	case VHOST_USER_SET_FEATURES:
		fill_u64(d, features_of(g, random), -1);
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		fill_u64(d,
			1u << VHOST_USER_PROTOCOL_F_REPLY_ACK |
				1u << VHOST_USER_PROTOCOL_F_LOG_SHMFD,
			-1);
		break;
	case VHOST_USER_SET_MEM_TABLE:
		fill_table(d, g);
		break;
	case VHOST_USER_SET_LOG_BASE:
		fill_log(d, g);
		break;
	case VHOST_USER_SET_VRING_NUM:
		fill_state(d, g->drv.cfg.size);
		break;
	case VHOST_USER_SET_VRING_BASE:
		fill_state(d, driver_resume_base(&g->drv));
		break;
	case VHOST_USER_GET_VRING_BASE:
		fill_state(d, 0);
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		fill_state(d, !random_once_in(random, 4));
		break;
	case VHOST_USER_SET_VRING_ADDR:
		fill_addr(d, g, random);
		break;
	case VHOST_USER_SET_VRING_KICK:
		fill_u64(d, 0, frontend_kick_fd(g->fe));
		break;
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
	case VHOST_USER_SET_LOG_FD:
		fill_u64(d, 0, frontend_call_fd(g->fe));
		break;
	default:
		fill_bytes(d, random);
		break;
	}
	d->header.size_bytes = (uint32_t)d->len_bytes;
	if (random_once_in(random, 2))
		d->header.flags |= VHOST_USER_FLAG_NEED_REPLY;
}

/* And as they should not */

static uint64_t near(uint64_t *random, uint64_t value)
{
	static const uint64_t steps[] = {0, 1, 2, 4, 8, 16, 64, 4095, 4096, 8192};
	uint64_t step = steps[random_below(random, ARRAY_LEN(steps))];

	return random_once_in(random, 2) ? value + step : value - step;
}

/* A number that somebody may not have thought of. */
static uint64_t odd_number(const struct guest *g, uint64_t *random)
{
	const struct guest_ram_region *r = &g->ram.regions[random_below(random, 2)];

	switch (random_below(random, 10)) {
	case 0:
		return 0;
	case 1:
		return near(random, UINT64_C(1) << random_below(random, 64));
	case 2:
		return UINT64_MAX - random_below(random, 8192);
	case 3:
		return near(random, (uintptr_t)r->host);
	case 4:
		return near(random, (uintptr_t)r->host + r->size_bytes);
	case 5:
		return near(random, r->gpa);
	case 6:
		return near(random, r->gpa + r->size_bytes);
	case 7:
		return near(random, r->size_bytes);
	case 8:
		return near(random, g->drv.cfg.size);
	default:
		return random_magnitude(random, 64);
	}
}

static void spoil_field(struct draft *d, const struct guest *g, uint64_t *random)
{
	size_t width = (size_t)1 << random_below(random, 4), at;
	uint64_t value, was = 0;

	if (d->len_bytes < width)
		return;
	at = random_below(random, d->len_bytes / width) * width;
	memcpy(&was, d->payload + at, width);
	switch (random_below(random, 4)) {
	case 0:
		value = was ^ UINT64_C(1) << random_below(random, 8 * width);
		break;
	case 1:
		value = near(random, was);
		break;
	default:
		value = odd_number(g, random);
		break;
	}
	memcpy(d->payload + at, &value, width);
}

static void spoil_header(struct draft *d, uint64_t *random)
{
	switch (random_below(random, 6)) {
	case 0:
		d->header.request = (uint32_t)random_below(random, 48);
		break;
	case 1:
		d->header.request = (uint32_t)random_magnitude(random, 32);
		break;
	case 2:
		d->header.flags ^= VHOST_USER_FLAG_NEED_REPLY;
		break;
	case 3:
		d->header.flags ^= 1u << random_below(random, 32);
		break;
	case 4:
		d->header.size_bytes = (uint32_t)near(random, d->header.size_bytes);
		break;
	default:
		d->header.size_bytes = (uint32_t)random_magnitude(random, 32);
		break;
	}
	d->odd = true;
}

static void spoil_length(struct draft *d, uint64_t *random)
{
	size_t len_bytes = random_below(random, random_once_in(random, 4) ? DRAFT_MAX_BYTES : 400);

	for (size_t i = d->len_bytes; i < len_bytes; i++)
		d->payload[i] = (uint8_t)random_next(random);
	d->len_bytes = len_bytes;
	/* Half of them are whole messages nevertheless. */
	if (random_once_in(random, 2))
		d->header.size_bytes = (uint32_t)len_bytes;
	d->odd = true;
}

static void spoil_fds(
	struct draft *d, const struct guest *g, const struct draft_kinds *kinds, uint64_t *random)
{
	int fd = kinds->fds[random_below(random, kinds->nr)];

	if (random_once_in(random, 4))
		fd = random_once_in(random, 2) ? frontend_socket_fd(g->fe) : g->ram.regions[0].fd;
	switch (random_below(random, 5)) {
	case 0: /* missing */
		d->nr_fds -= d->nr_fds > 0;
		break;
	case 1: /* too many */
		for (unsigned n = 1 + (unsigned)random_below(random, 12);
			n > 0 && d->nr_fds < DRAFT_MAX_FDS; n--)
			d->fds[d->nr_fds++] = fd;
		d->odd = true;
		break;
	case 2: /* twice */
		if (d->nr_fds > 0)
			d->fds[d->nr_fds - 1] = d->fds[0];
		break;
	default: /* of the wrong kind */
		if (d->nr_fds > 0)
			d->fds[random_below(random, d->nr_fds)] = fd;
		else
			d->fds[d->nr_fds++] = fd;
		break;
	}
}

void draft_spoil(
	struct draft *d, const struct guest *g, const struct draft_kinds *kinds, uint64_t *random)
{
	unsigned what = (unsigned)random_below(random, 16);

	if (what < 9)
		spoil_field(d, g, random);
	else if (what < 11)
		spoil_header(d, random);
	else if (what < 12)
		spoil_length(d, random);
	else
		spoil_fds(d, g, kinds, random);
}
