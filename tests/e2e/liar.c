/* SPDX-License-Identifier: BSD-3-Clause */
#include "liar.h"

#include "../unit/unit.h"
#include "driver_rude.h"
#include "fds.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE		16
#define TABLE		4
#define REGION_BYTES	(64u << 10)
#define STEPS_MAX	40
#define CONNECTIONS_MAX 3

struct liar {
	const char *path;
	uint64_t seed, random;
	const struct draft_kinds *kinds;
	struct liar_story *story;
	struct guest guest;
	unsigned spoilt_of_16; /* so many messages of 16 are spoilt */
};

/* What a VMM says, in this order. */
static const uint32_t script[] = {
	VHOST_USER_GET_FEATURES,
	VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_SET_PROTOCOL_FEATURES,
	VHOST_USER_SET_OWNER,
	VHOST_USER_SET_FEATURES,
	VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_VRING_NUM,
	VHOST_USER_SET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_ENABLE,
};

/* What it says at any time, some of it more often. */
static const uint32_t later[] = {
	VHOST_USER_GET_FEATURES,
	VHOST_USER_SET_FEATURES,
	VHOST_USER_RESET_OWNER,
	VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_LOG_BASE,
	VHOST_USER_SET_LOG_BASE,
	VHOST_USER_SET_LOG_FD,
	VHOST_USER_SET_VRING_NUM,
	VHOST_USER_SET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_GET_VRING_BASE,
	VHOST_USER_GET_VRING_BASE,
	VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_ERR,
	VHOST_USER_SET_VRING_ENABLE,
	VHOST_USER_SET_VRING_ENABLE,
	VHOST_USER_GET_QUEUE_NUM,
	VHOST_USER_SET_STATUS,
	VHOST_USER_GET_STATUS,
};

static unsigned below(struct liar *l, unsigned n)
{
	return (unsigned)random_below(&l->random, n);
}

/* What a step does must not depend on how far the one before it came: that is a matter of time. */
static void begin_step(struct liar *l, unsigned number)
{
	l->random = l->seed ^ ((uint64_t)number << 48);
	(void)random_next(&l->random);
}

/* The connection */

static bool connect_again(struct liar *l)
{
	struct frontend_cfg cfg = {.socket_path = l->path, .timeout_ms = LIVENESS_MS};

	guest_die(&l->guest);
	if (l->story->nr_connections == CONNECTIONS_MAX)
		return false;
	begin_step(l, STEPS_MAX + ++l->story->nr_connections);
	return frontend_create(&cfg, &l->guest.fe) == 0;
}

/* Read what has come. @return whether the daemon is still there */
static bool drain(struct liar *l)
{
	char buf[512];
	ssize_t n;

	do {
		n = recv(frontend_socket_fd(l->guest.fe), buf, sizeof(buf), MSG_DONTWAIT);
	} while (n > 0);
	return n < 0 && errno == EAGAIN;
}

static void wait_a_little(struct liar *l)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(l->guest.fe), .events = POLLIN};

	(void)poll(&pfd, 1, (int)below(l, 4));
}

/* @return whether the daemon took it */
static bool send_bytes(
	struct liar *l, const uint8_t *bytes, size_t len, const int *fds, unsigned nr_fds)
{
	struct iovec iov = {(void *)(uintptr_t)bytes, len};

	return fds_send(frontend_socket_fd(l->guest.fe), &iov, 1, fds, nr_fds, MSG_DONTWAIT) ==
	       (ssize_t)len;
}

/* In one piece, in two, or only its first part. */
static bool send_draft(struct liar *l, const struct draft *d)
{
	uint8_t bytes[sizeof(d->header) + sizeof(d->payload)];
	size_t len = sizeof(d->header) + d->len_bytes, first = len;
	unsigned how = below(l, 64);

	memcpy(bytes, &d->header, sizeof(d->header));
	memcpy(bytes + sizeof(d->header), d->payload, d->len_bytes);
	if (how < 4 || d->odd)
		l->story->odd = true;
	if (how < 4)
		first = 1 + below(l, (unsigned)len);
	if (!send_bytes(l, bytes, first, d->fds, d->nr_fds))
		return false;
	if (first == len)
		return true;
	wait_a_little(l);
	return how == 0 || send_bytes(l, bytes + first, len - first, NULL, 0);
}

static bool say(struct liar *l, uint32_t request)
{
	struct draft d;

	draft_make(&d, &l->guest, request, &l->random);
	while (below(l, 16) < l->spoilt_of_16)
		draft_spoil(&d, &l->guest, l->kinds, &l->random);
	l->story->nr_messages++;
	if (!send_draft(l, &d))
		return false;
	if (below(l, 2))
		wait_a_little(l);
	return drain(l);
}

/* The guest */

static void ask(struct liar *l)
{
	struct guest *g = &l->guest;
	struct driver_buf bufs[TABLE];
	struct driver_used used;
	unsigned n = 1 + below(l, TABLE), n_direct = below(l, n + 1);

	for (unsigned i = 0; i < n; i++)
		bufs[i] = (struct driver_buf){.gpa = g->scratch_gpa + below(l, 64),
			.len_bytes = below(l, 4096),
			.writable = true};
	if (g->cfg.packed || g->cfg.table_entries == 0)
		n_direct = n;
	(void)driver_add(&g->drv, bufs, n, n_direct, 0);
	driver_publish(&g->drv);
	(void)driver_calls_on(&g->drv);
	frontend_kick(g->fe);
	while (driver_take(&g->drv, &used) == DRIVER_OK)
		;
}

/* A word anywhere in its memory, mostly in the queue, which is at the beginning. */
static void scribble(struct liar *l)
{
	uint64_t value = random_magnitude(&l->random, 64);
	unsigned room = below(l, 4) ? 2048 : REGION_BYTES - 8;

	for (unsigned n = 1 + below(l, 16); n > 0; n--)
		memcpy(l->guest.ram.regions[0].host + below(l, room), &value,
			1 + random_below(&l->random, 8));
	frontend_kick(l->guest.fe);
}

static void lie_about_ring(struct liar *l)
{
	struct driver *drv = &l->guest.drv;

	if (drv->packed) {
		struct vring_packed_desc d = {random_magnitude(&l->random, 64),
			(uint32_t)random_magnitude(&l->random, 32), (uint16_t)below(l, 65536),
			(uint16_t)below(l, 8)};

		driver_rude_put(drv, &d);
		driver_rude_packed_events(drv, (uint16_t)below(l, 65536), (uint16_t)below(l, 4));
	} else {
		driver_rude_push(drv, (uint16_t)below(l, 2 * QUEUE));
		driver_rude_jump(drv, (uint16_t)below(l, below(l, 4) ? QUEUE : 65536));
		driver_rude_events(drv, (uint16_t)below(l, 4), (uint16_t)below(l, 65536));
	}
	driver_publish(drv);
	frontend_kick(l->guest.fe);
}

/* As far as the daemon has not sealed it. The guest itself has other memory there from now on. */
static void take_memory_away(struct liar *l)
{
	const struct guest_ram_region *r = &l->guest.ram.regions[below(l, 2)];

	if (ftruncate(r->fd, (off_t)(below(l, 16) * 4096)) != 0)
		return;
	assert_ptr_equal(mmap(r->host, r->size_bytes, PROT_READ | PROT_WRITE,
				 MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		r->host);
}

static void act_as_guest(struct liar *l)
{
	unsigned what = below(l, 8);

	if (what < 4)
		ask(l);
	else if (what < 6)
		scribble(l);
	else
		lie_about_ring(l);
}

/* The story */

/* From some point on of what should be said, with things left out and said twice. */
static bool open_talk(struct liar *l)
{
	unsigned from = below(l, 8) ? 0 : below(l, (unsigned)ARRAY_LEN(script));

	for (unsigned i = from; i < ARRAY_LEN(script); i++) {
		unsigned how = below(l, 24);

		if (how == 0)
			continue;
		if (how == 1 && !say(l, script[i]))
			return false;
		if (how == 2 && !say(l, script[below(l, (unsigned)ARRAY_LEN(script))]))
			return false;
		if (!say(l, script[i]))
			return false;
	}
	return true;
}

static bool go_on(struct liar *l)
{
	unsigned what = below(l, 32);

	if (what < 14) {
		act_as_guest(l);
		return true;
	}
	if (what == 14)
		return say(l, (uint32_t)random_magnitude(&l->random, 32));
	if (what == 15)
		return say(l, below(l, 48));
	if (what == 16) {
		take_memory_away(l);
		return true;
	}
	if (what == 17) {
		wait_a_little(l);
		return drain(l);
	}
	return say(l, later[below(l, (unsigned)ARRAY_LEN(later))]);
}

static void make_guest(struct liar *l)
{
	guest_init(&l->guest, &(struct guest_cfg){.queue_size = QUEUE,
				      .packed = below(l, 2),
				      .event_idx = below(l, 2),
				      .table_entries = below(l, 2) ? TABLE : 0,
				      .start_idx = (uint16_t)below(l, 4),
				      .nr_regions = 2,
				      .region_bytes = REGION_BYTES,
				      .neighbours = below(l, 2),
				      .unsealable = below(l, 2)});
}

void liar_tell(
	const char *path, uint64_t seed, const struct draft_kinds *kinds, struct liar_story *story)
{
	static const unsigned spoilt[] = {0, 1, 1, 2, 4, 12};
	struct liar l = {
		.path = path, .seed = seed, .random = seed, .kinds = kinds, .story = story};
	bool talking;

	*story = (struct liar_story){0};
	make_guest(&l);
	l.spoilt_of_16 = spoilt[below(&l, (unsigned)ARRAY_LEN(spoilt))];
	talking = connect_again(&l) && open_talk(&l);
	begin_step(&l, 0);
	for (unsigned n = below(&l, STEPS_MAX); n > 0; n--) {
		if (!talking && (!connect_again(&l) || !open_talk(&l)))
			break;
		begin_step(&l, n);
		talking = go_on(&l);
	}
	begin_step(&l, STEPS_MAX);
	if (l.guest.fe != NULL && below(&l, 4) == 0)
		shutdown(frontend_socket_fd(l.guest.fe), below(&l, 2) ? SHUT_WR : SHUT_RDWR);
	guest_fini(&l.guest);
}
