/* SPDX-License-Identifier: BSD-3-Clause */
#include "lies.h"

#include "driver_rude.h"
#include "util.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What no daemon may believe was believed. Of the thread that lies. */
static __thread bool believed;

void lies_send(struct guest *g, uint32_t request, const void *payload, uint32_t len_bytes,
	const int *fds, unsigned nr_fds)
{
	struct vhost_user_header header = {.request = request,
		.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_NEED_REPLY,
		.size_bytes = len_bytes};

	if (frontend_send_raw(g->fe, &header, payload, len_bytes, fds, nr_fds) == 0)
		(void)frontend_receive_ack(g->fe, request);
}

static void send_state(struct guest *g, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_user_vring_state vring = {.index = index, .num = num};

	lies_send(g, request, &vring, sizeof(vring), NULL, 0);
}

static void send_u64(struct guest *g, uint32_t request, uint64_t value, int fd)
{
	lies_send(g, request, &value, sizeof(value), &fd, fd >= 0 ? 1 : 0);
}

static void send_addr(struct guest *g, const struct vhost_user_vring_addr *addr)
{
	lies_send(g, VHOST_USER_SET_VRING_ADDR, addr, sizeof(*addr), NULL, 0);
}

static void send_table(
	struct guest *g, struct vhost_user_mem_table *table, const int *fds, unsigned nr_fds)
{
	uint32_t n = table->nr_regions < VHOST_USER_MAX_REGIONS ? table->nr_regions
								: VHOST_USER_MAX_REGIONS;

	lies_send(g, VHOST_USER_SET_MEM_TABLE, table,
		(uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
			   n * sizeof(table->regions[0])),
		fds, nr_fds);
}

/* Go on as if nothing had happened, whatever the answers are. */
static void start_anyway(struct guest *g, bool with_num)
{
	struct vhost_user_vring_addr addr;

	frontend_fill_addr(&g->drv, &addr);
	if (with_num)
		send_state(g, VHOST_USER_SET_VRING_NUM, 0, g->drv.cfg.size);
	send_state(g, VHOST_USER_SET_VRING_BASE, 0, 0);
	send_addr(g, &addr);
	send_u64(g, VHOST_USER_SET_VRING_CALL, 0, frontend_call_fd(g->fe));
	send_u64(g, VHOST_USER_SET_VRING_KICK, 0, frontend_kick_fd(g->fe));
	send_state(g, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	guest_request(g, g->scratch_gpa, 64, 0);
	sleep_ms(2);
}

/* Ask, as long as there are descriptors; a ring that can't be right must not be served. */
static void check_unserved(struct guest *g)
{
	uint16_t before = driver_resume_base(&g->drv);

	if (g->drv.nr_free > 0)
		guest_request(g, g->scratch_gpa, 64, 0);
	sleep_ms(1);
	believed = believed || driver_resume_base(&g->drv) != before;
}

/* Lies about the ring */

static void lie_num(struct guest *g)
{
	static const uint32_t nums[] = {0, 3, 5, 32769, 65536, 65537, 0x80000000u, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(nums); i++)
		send_state(g, VHOST_USER_SET_VRING_NUM, 0, nums[i]);
	start_anyway(g, false);
}

static void lie_num_3(struct guest *g)
{
	send_state(g, VHOST_USER_SET_VRING_NUM, 0, 3);
	start_anyway(g, false);
	check_unserved(g);
}

static void lie_num_0(struct guest *g)
{
	send_state(g, VHOST_USER_SET_VRING_NUM, 0, 0);
	start_anyway(g, false);
	check_unserved(g);
}

static void lie_num_raised(struct guest *g)
{
	start_anyway(g, true);
	send_state(g, VHOST_USER_SET_VRING_NUM, 0, 32768);
	check_unserved(g);
	g->drv.avail->idx = (uint16_t)(g->drv.avail->idx + 20000);
	sleep_ms(2);
}

static void lie_num_lowered(struct guest *g)
{
	start_anyway(g, true);
	send_state(g, VHOST_USER_SET_VRING_NUM, 0, 1);
	for (unsigned i = 0; i < 4; i++)
		guest_request(g, g->scratch_gpa, 64, 0);
	sleep_ms(2);
}

static void lie_base(struct guest *g)
{
	static const uint32_t bases[] = {1, 17, 32768, 65535, 65536, UINT32_MAX};

	start_anyway(g, true);
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		uint16_t behind = (uint16_t)(g->drv.avail_next + 1 - bases[i]);

		send_state(g, VHOST_USER_SET_VRING_BASE, 0, bases[i]);
		/* From there to the avail index must not be more than there are entries. */
		if (behind > g->drv.cfg.size)
			check_unserved(g);
		else
			guest_request(g, g->scratch_gpa, 64, 0);
		sleep_ms(1);
	}
}

static void lie_index(struct guest *g)
{
	static const uint32_t indices[] = {1, 2, 127, 255, 256, 65535, 65536, UINT32_MAX};
	struct vhost_user_vring_addr addr;

	for (unsigned i = 0; i < ARRAY_SIZE(indices); i++) {
		frontend_fill_addr(&g->drv, &addr);
		addr.index = indices[i];
		send_state(g, VHOST_USER_SET_VRING_NUM, indices[i], 16);
		send_state(g, VHOST_USER_SET_VRING_BASE, indices[i], 0);
		send_addr(g, &addr);
		send_u64(g, VHOST_USER_SET_VRING_CALL, indices[i], frontend_call_fd(g->fe));
		send_u64(g, VHOST_USER_SET_VRING_KICK, indices[i], frontend_kick_fd(g->fe));
		send_state(g, VHOST_USER_SET_VRING_ENABLE, indices[i], 1);
		send_state(g, VHOST_USER_GET_VRING_BASE, indices[i], 0);
	}
	start_anyway(g, true);
}

static void lie_addresses(struct guest *g)
{
	const struct guest_ram_region *region = &g->ram.regions[0];
	uint64_t host = (uintptr_t)region->host, end = host + region->size_bytes;
	struct vhost_user_vring_addr good;
	const uint64_t wrong[] = {0, 1, host + 1, host + 3, end - 8, end - 64, end, host - 16,
		UINT64_MAX, UINT64_MAX - 15};

	frontend_fill_addr(&g->drv, &good);
	start_anyway(g, true);
	for (unsigned i = 0; i < 3 * ARRAY_SIZE(wrong); i++) {
		struct vhost_user_vring_addr addr = good;

		*(i % 3 == 0	     ? &addr.desc_user_addr
			: i % 3 == 1 ? &addr.avail_user_addr
				     : &addr.used_user_addr) = wrong[i / 3];
		send_addr(g, &addr);
		check_unserved(g);
	}
	/* All three areas in one place. */
	good.avail_user_addr = good.used_user_addr = good.desc_user_addr;
	send_addr(g, &good);
	sleep_ms(2);
}

/* Lies about memory */

static void lie_region_longer_than_its_file(struct guest *g)
{
	struct vhost_user_mem_table table;
	int fds[VHOST_USER_MAX_FDS];

	frontend_fill_table(&g->ram, &table, fds);
	table.regions[0].size_bytes *= 256;
	send_table(g, &table, fds, 2);
	start_anyway(g, true);
	guest_request(g, g->ram.regions[0].gpa + 2 * g->ram.regions[0].size_bytes, 64, 0);
	sleep_ms(2);
}

/* The same, with the ring itself beyond the file's end. */
static void lie_ring_beyond_the_file(struct guest *g)
{
	uint64_t beyond = 8 * g->ram.regions[0].size_bytes;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table table;
	int fds[VHOST_USER_MAX_FDS];

	frontend_fill_table(&g->ram, &table, fds);
	frontend_fill_addr(&g->drv, &addr);
	table.regions[0].size_bytes *= 256;
	send_table(g, &table, fds, 2);
	addr.desc_user_addr += beyond;
	addr.avail_user_addr += beyond;
	addr.used_user_addr += beyond;
	send_state(g, VHOST_USER_SET_VRING_NUM, 0, 16);
	send_addr(g, &addr);
	send_u64(g, VHOST_USER_SET_VRING_CALL, 0, frontend_call_fd(g->fe));
	send_u64(g, VHOST_USER_SET_VRING_KICK, 0, frontend_kick_fd(g->fe));
	send_state(g, VHOST_USER_SET_VRING_ENABLE, 0, 1);
	sleep_ms(2);
}

static void lie_table_refused(struct guest *g)
{
	struct vhost_user_mem_table table;
	int fds[VHOST_USER_MAX_FDS];

	frontend_fill_table(&g->ram, &table, fds);
	table.nr_regions = 9;
	send_table(g, &table, fds, 2);
	start_anyway(g, true);
}

/* The same with a ring that runs: it must not go on with memory that is gone. */
static void lie_table_refused_while_running(struct guest *g)
{
	start_anyway(g, true);
	lie_table_refused(g);
	for (unsigned i = 0; i < 4; i++)
		guest_request(g, g->scratch_gpa, 64, 0);
	sleep_ms(2);
}

static void lie_tables(struct guest *g)
{
	struct vhost_user_mem_table good, table;
	int fds[VHOST_USER_MAX_FDS], pipe_fds[2];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(pipe(pipe_fds), 0);
	frontend_fill_table(&g->ram, &good, fds);
	for (unsigned i = 0; i < 12; i++) {
		int bad_fds[2] = {i == 0 ? null : i == 1 ? pipe_fds[0] : fds[0], fds[1]};

		table = good;
		if (i == 2)
			table.nr_regions = 0;
		if (i == 3)
			table.nr_regions = UINT32_MAX;
		if (i == 4)
			table.regions[0].size_bytes = 0;
		if (i == 5)
			table.regions[0].size_bytes = UINT64_MAX;
		if (i == 6)
			table.regions[0].fd_offset = UINT64_MAX - 4095;
		if (i == 7)
			table.regions[0].fd_offset = 123;
		if (i == 8)
			table.regions[1].gpa = table.regions[0].gpa + 64; /* overlap */
		if (i == 9)
			table.regions[0].gpa = UINT64_MAX - 4095; /* wraps */
		if (i == 10)
			table.regions[1].user_addr = table.regions[0].user_addr;
		send_table(g, &table, bad_fds, i == 11 ? 1 : 2);
		start_anyway(g, true);
		if (frontend_sync(g->fe) != 0) { /* it has hung up: the next one needs a new talk */
			guest_die(g);
			break;
		}
	}
	close(null);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* Lies about descriptors */

static void lie_descriptors(struct guest *g)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), dir = open("/", O_RDONLY | O_CLOEXEC);
	int many[VHOST_USER_MAX_FDS] = {null, null, null, null, null, null, null, null};
	uint64_t zero = 0;

	start_anyway(g, true);
	send_u64(g, VHOST_USER_SET_VRING_CALL, 0, null);
	send_u64(g, VHOST_USER_SET_VRING_KICK, 0, null);
	guest_request(g, g->scratch_gpa, 64, 0);
	send_u64(g, VHOST_USER_SET_VRING_CALL, 0, dir);
	send_u64(g, VHOST_USER_SET_VRING_KICK, 0, dir);
	guest_request(g, g->scratch_gpa, 64, 0);
	send_u64(g, VHOST_USER_SET_VRING_KICK, VHOST_USER_VRING_NOFD, -1);
	send_u64(g, VHOST_USER_SET_VRING_KICK, 0, -1); /* promised, not sent */
	send_u64(g, VHOST_USER_SET_VRING_CALL, 0, -1);
	lies_send(g, VHOST_USER_SET_VRING_CALL, &zero, 8, many, VHOST_USER_MAX_FDS);
	lies_send(g, VHOST_USER_GET_FEATURES, NULL, 0, many, VHOST_USER_MAX_FDS);
	close(null);
	close(dir);
}

/* Lies about messages */

static void lie_requests(struct guest *g)
{
	static const uint32_t requests[] = {0, 19, 41, 99, 255, 65536, 0x7fffffff, UINT32_MAX};
	uint64_t zero = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
		lies_send(g, requests[i], &zero, sizeof(zero), NULL, 0);
	start_anyway(g, true);
}

static void lie_every_request(struct guest *g)
{
	uint8_t payload[64];

	memset(payload, 0xff, sizeof(payload));
	start_anyway(g, true);
	for (uint32_t request = 1; request < 48; request++)
		lies_send(g, request, payload, request % 5 * 8, NULL, 0);
}

static void lie_sizes(struct guest *g)
{
	static const uint32_t sizes[] = {0, 7, 9, 264, 4096, 65536, 0x7fffffff, UINT32_MAX};
	static uint8_t payload[65536];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		lies_send(g, VHOST_USER_SET_VRING_NUM, payload,
			sizes[i] < sizeof(payload) ? sizes[i] : (uint32_t)sizeof(payload), NULL, 0);
}

static void lie_versions(struct guest *g)
{
	uint32_t flags[] = {0, 2, 3, VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct vhost_user_header header = {
			.request = VHOST_USER_GET_FEATURES, .flags = flags[i]};

		(void)frontend_send_raw(g->fe, &header, NULL, 0, NULL, 0);
		(void)frontend_sync(g->fe);
	}
}

static void lie_features(struct guest *g)
{
	start_anyway(g, true);
	send_u64(g, VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_MAX, -1);
	send_u64(g, VHOST_USER_SET_FEATURES, 0, -1);
	guest_request(g, g->scratch_gpa, 64, 0);
	sleep_ms(1);
	send_u64(g, VHOST_USER_SET_FEATURES, UINT64_MAX, -1);
	guest_request(g, g->scratch_gpa, 64, 0);
	sleep_ms(1);
}

static void lie_reset_owner(struct guest *g)
{
	for (unsigned i = 0; i < 3; i++) {
		start_anyway(g, true);
		lies_send(g, VHOST_USER_RESET_OWNER, NULL, 0, NULL, 0);
		guest_request(g, g->scratch_gpa, 64, 0);
		sleep_ms(1);
	}
}

static const struct {
	const char *what;
	void (*tell)(struct guest *g);
} lies[] = {
	{"ring sizes that are none", lie_num},
	{"ring size 3", lie_num_3},
	{"ring size 0", lie_num_0},
	{"ring size raised under way", lie_num_raised},
	{"ring size lowered under way", lie_num_lowered},
	{"ring bases", lie_base},
	{"queues that are not there", lie_index},
	{"ring addresses", lie_addresses},
	{"a region longer than its file", lie_region_longer_than_its_file},
	{"a refused memory table", lie_table_refused},
	{"a refused memory table under way", lie_table_refused_while_running},
	{"memory tables", lie_tables},
	{"descriptors", lie_descriptors},
	{"requests that are none", lie_requests},
	{"every request, badly", lie_every_request},
	{"message sizes", lie_sizes},
	{"message flags", lie_versions},
	{"features", lie_features},
	{"owner reset under way", lie_reset_owner},
	{"a ring beyond the file's end", lie_ring_beyond_the_file},
};

const unsigned lies_nr = ARRAY_SIZE(lies);

bool lies_tell(struct guest *g, unsigned i, const char **what)
{
	*what = lies[i].what;
	believed = false;
	lies[i].tell(g);
	return !believed;
}

/* Lies in the ring */

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

void lies_scribble(struct guest *g, unsigned turns, unsigned *seed)
{
	struct vring_desc *table = driver_rude_table(&g->drv, 0);

	for (unsigned i = 0; i < turns; i++) {
		struct vring_desc *desc = rand_r(seed) % 2
						  ? driver_rude_desc(&g->drv, rand_r(seed) % 16)
						  : &table[rand_r(seed) % 64];
		uint64_t addrs[] = {g->scratch_gpa, g->drv.tables_gpa + rand_r(seed) % 64 * 16,
			g->ram.regions[0].gpa + (64 << 10) - 1, 0, UINT64_MAX,
			(uint64_t)rand_r(seed) << 33};
		uint32_t lens[] = {16, 32, 64, 0, 1, UINT32_MAX, (uint32_t)rand_r(seed)};
		uint16_t flags[] = {W, W, W | N, W | N, N, 0, I, I | N, (uint16_t)rand_r(seed)};

		desc->addr = addrs[rand_r(seed) % (unsigned)ARRAY_SIZE(addrs)];
		desc->len = lens[rand_r(seed) % (unsigned)ARRAY_SIZE(lens)];
		desc->flags = flags[rand_r(seed) % (unsigned)ARRAY_SIZE(flags)];
		desc->next = (uint16_t)(rand_r(seed) % 17);
		driver_rude_push(&g->drv,
			(uint16_t)(rand_r(seed) % 100 == 0 ? rand_r(seed) : rand_r(seed) % 16));
		driver_rude_jump(&g->drv, rand_r(seed) % 100 == 0 ? (uint16_t)rand_r(seed) : 0);
	}
}
