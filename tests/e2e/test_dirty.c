/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of dirty memory, as a VMM that migrates its guest uses it: whatever page the device has
 * written since the log was last cleared is in it, whatever happens meanwhile.
 */
#include "daemon.h"
#include "guest.h"
#include "util.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	     VHOST_USER_LOG_PAGE
#define REGION_BYTES (4u << 20)
#define ROOM_BYTES   (2u << 20)
#define LOG_BYTES    ((GUEST_GPA + GUEST_GAP + REGION_BYTES) / PAGE / 8)
#define LOG_ALL	     (1ull << VHOST_USER_F_LOG_ALL)
#define QUEUE	     700 /* of several pages; the split ring has the next power of two */
#define POISON	     0xa5

struct log {
	int fd;
	uint8_t *bits;
};

struct fixture {
	struct daemon daemon;
	struct guest guest;
	struct log log, other;
	uint64_t gpa; /* of ROOM_BYTES for buffers */
	uint8_t *before;
};

static void log_init(struct log *log)
{
	log->fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(log->fd >= 0);
	assert_int_equal(ftruncate(log->fd, LOG_BYTES), 0);
	log->bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
	assert_true(log->bits != MAP_FAILED);
}

static void log_fini(struct log *log)
{
	if (log->bits != NULL) {
		munmap(log->bits, LOG_BYTES);
		close(log->fd);
	}
	*log = (struct log){0};
}

static bool is_marked(const struct log *log, uint64_t gpa)
{
	return log->bits[gpa / PAGE / 8] & 1u << gpa / PAGE % 8;
}

static unsigned n_marks(const struct log *log)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < LOG_BYTES; i++)
		n += (unsigned)__builtin_popcount(log->bits[i]);
	return n;
}

static int start(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	fx->before = malloc(REGION_BYTES);
	return 0;
}

static int finish(void **state)
{
	struct fixture *fx = *state;

	free(fx->before);
	return daemon_fixture_end(state);
}

static int setup(void **state)
{
	struct fixture *fx = *state;

	if (!daemon_is_alive(&fx->daemon))
		daemon_start(&fx->daemon, 2, NULL);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	guest_fini(&fx->guest);
	log_fini(&fx->log);
	log_fini(&fx->other);
	return 0;
}

/* Two regions, the buffers in the second one, over its border as little as elsewhere. */
static void guest_up(struct fixture *fx)
{
	struct guest_cfg cfg = {.queue_size = QUEUE,
		.event_idx = true,
		.table_entries = 4,
		.nr_regions = 2,
		.region_bytes = REGION_BYTES,
		.start_idx = 65000};
	const char *layout = getenv("VRNG_LAYOUT");

	if (layout == NULL)
		cfg.queue_size = 1024;
	log_init(&fx->log);
	log_init(&fx->other);
	guest_init(&fx->guest, &cfg);
	fx->gpa = guest_alloc(&fx->guest, 1, ROOM_BYTES);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	assert_int_equal(frontend_features(fx->guest.fe) & LOG_ALL, 0);
}

static void log_on(struct fixture *fx, struct log *log)
{
	assert_int_equal(frontend_set_log(fx->guest.fe, log->fd, LOG_BYTES), 0);
	assert_int_equal(frontend_enable_log(fx->guest.fe, &fx->guest.drv, true), 0);
}

/* A chain of one to four buffers in a place of the room that nothing else has been in. */
static void ask_at(struct fixture *fx, uint64_t *at, unsigned i)
{
	struct guest *g = &fx->guest;
	unsigned n = 1 + i % 4;
	struct driver_buf bufs[4];

	for (unsigned b = 0; b < n; b++) {
		uint32_t len = 1 + (uint32_t)(rand() % (b == 0 ? 9000 : 100));

		*at += (uint64_t)(rand() % (2 * PAGE));
		bufs[b] = (struct driver_buf){fx->gpa + *at % (ROOM_BYTES - 9000), len, true};
		*at += len;
	}
	assert_int_equal(driver_add(&g->drv, bufs, n, i % 2 ? n : 0, i), 0);
}

/* What is different from 'before' in the room is marked; and of the ring what was used. */
static void check_room(const struct fixture *fx, const struct log *log)
{
	const struct guest_ram_region *room = &fx->guest.ram.regions[1];
	unsigned n_dirty = 0, n_marked = 0;

	for (uint64_t at = 0; at < REGION_BYTES; at += PAGE) {
		bool dirty = memcmp(room->host + at, fx->before + at, PAGE) != 0;
		bool marked = is_marked(log, room->gpa + at);

		if (dirty && !marked)
			fail_msg("page %#llx was written and is not in the log",
				(unsigned long long)(room->gpa + at));
		n_dirty += dirty;
		n_marked += marked;
	}
	/* A page that got a single byte may have got the one that was there: seldom enough. */
	print_message("# %u pages written, %u marked\n", n_dirty, n_marked);
	assert_in_range(n_marked, n_dirty, n_dirty + 2);
	assert_int_not_equal(n_dirty, 0);
}

/* Where the device says that the chain at 'pos' is used. */
static uint64_t used_gpa(const struct driver *drv, uint16_t pos)
{
	if (drv->packed)
		return drv->desc_gpa + 16ull * (pos & ~DRIVER_WRAP);
	return drv->device_gpa + 4 + 8ull * (pos & drv->mask);
}

static void take_all(struct fixture *fx, const struct log *log)
{
	struct guest *g = &fx->guest;
	struct driver_used used;

	while (g->drv.nr_offered > 0) {
		uint16_t pos = g->drv.used_next;

		guest_must_take(g, &used);
		/* It is marked after it is shown; a stop is what makes sure that it is. */
		for (int64_t end_ms = now_ms() + LIVENESS_MS;
			!is_marked(log, used_gpa(&g->drv, pos));)
			if (now_ms() > end_ms)
				fail_msg("used entry %#x is not in the log", pos);
	}
	if (!g->drv.packed) /* the used index */
		assert_true(is_marked(log, g->drv.device_gpa));
}

static void begin(struct fixture *fx, struct log *log)
{
	memset(log->bits, 0, LOG_BYTES);
	memcpy(fx->before, fx->guest.ram.regions[1].host, REGION_BYTES);
}

static void test_every_page_is_marked(void **state)
{
	struct fixture *fx = *state;
	uint64_t at = 0;

	srand(1);
	guest_up(fx);
	log_on(fx, &fx->log);
	for (unsigned turn = 0; turn < 60; turn++) {
		begin(fx, &fx->log);
		for (unsigned i = 0; i < 40; i++)
			ask_at(fx, &at, i);
		guest_show(&fx->guest);
		take_all(fx, &fx->log);
		guest_stop(&fx->guest);
		check_room(fx, &fx->log);
		guest_restart(&fx->guest);
	}
}

/* At the end of a stop all is marked, also of requests that are only begun, or were cut short. */
static void test_stop_in_the_middle(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct driver_used used;

	guest_up(fx);
	log_on(fx, &fx->log);
	for (unsigned turn = 0; turn < 60; turn++) {
		begin(fx, &fx->log);
		for (unsigned i = 0; i < 8; i++)
			guest_ask(g, fx->gpa + i * (256ull << 10), 256 << 10, i);
		guest_show(g);
		if (turn % 3 > 0)
			guest_must_take(g, &used);
		guest_stop(g);
		for (uint64_t page = 0; page < REGION_BYTES; page += PAGE)
			if (memcmp(g->ram.regions[1].host + page, fx->before + page, PAGE) != 0)
				assert_true(is_marked(&fx->log, g->ram.regions[1].gpa + page));
		guest_restart(g);
		while (g->drv.nr_offered > 0)
			guest_must_take(g, &used);
	}
}

/* Off at first, on, off and on again while requests go on; another log while they do. */
static void test_log_comes_and_goes(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t at = 0;

	guest_up(fx);
	assert_int_equal(frontend_set_log(g->fe, fx->log.fd, LOG_BYTES), 0);
	for (unsigned turn = 0; turn < 20; turn++) {
		struct log *now = turn % 2 ? &fx->log : &fx->other;
		struct log *old = turn % 2 ? &fx->other : &fx->log;

		/* Off: nothing is marked. */
		if (turn > 0)
			assert_int_equal(frontend_enable_log(g->fe, &g->drv, false), 0);
		begin(fx, old);
		for (unsigned i = 0; i < 20; i++)
			guest_assert_served(g);
		assert_int_equal(n_marks(old), 0);

		/* On, with the log that was there; and at once with another one, under load. */
		assert_int_equal(frontend_enable_log(g->fe, &g->drv, true), 0);
		for (unsigned i = 0; i < 40; i++)
			ask_at(fx, &at, i);
		begin(fx, now);
		guest_show(g);
		assert_int_equal(frontend_set_log(g->fe, now->fd, LOG_BYTES), 0);
		while (g->drv.nr_offered > 0) {
			struct driver_used used;

			guest_must_take(g, &used);
		}
		guest_stop(g);
		for (uint64_t page = 0; page < REGION_BYTES; page += PAGE) {
			uint64_t gpa = g->ram.regions[1].gpa + page;

			if (memcmp(g->ram.regions[1].host + page, fx->before + page, PAGE) != 0)
				assert_true(is_marked(now, gpa) || is_marked(old, gpa));
		}
		/* From here on it is the new one alone. */
		begin(fx, old);
		begin(fx, now);
		guest_restart(g);
		for (unsigned i = 0; i < 40; i++)
			ask_at(fx, &at, i);
		guest_show(g);
		take_all(fx, now);
		guest_stop(g);
		check_room(fx, now);
		assert_int_equal(n_marks(old), 0);
		guest_restart(g);
	}
}

/* A log that is too small for the guest's memory takes what it has room for, and no more. */
static void test_small_log(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t room = (GUEST_GPA + REGION_BYTES) / PAGE / 8; /* for the first region, no more */
	struct driver_used used;

	guest_up(fx);
	assert_int_equal(frontend_set_log(g->fe, fx->log.fd, room), 0);
	assert_int_equal(frontend_enable_log(g->fe, &g->drv, true), 0);
	memset(fx->log.bits, 0, LOG_BYTES);
	for (unsigned i = 0; i < 1000; i++) {
		guest_assert_served(g);
		guest_request(g, fx->gpa + i * 1000ull, 1000, i);
		guest_must_take(g, &used);
	}
	guest_stop(g);
	assert_true(is_marked(&fx->log, g->scratch_gpa));
	for (uint64_t i = room; i < LOG_BYTES; i++)
		assert_int_equal(fx->log.bits[i], 0);
	daemon_assert_alive(&fx->daemon);
}

/* A log that was wrong ends the connection, and nothing else: the next one is served. */
static void must_hang_up(struct fixture *fx)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(fx->guest.fe), .events = POLLRDHUP};

	if (poll(&pfd, 1, LIVENESS_MS) != 1)
		fail_msg("the connection was not closed");
	daemon_assert_alive(&fx->daemon);
	guest_die(&fx->guest);
	driver_reset(&fx->guest.drv);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	guest_assert_served(&fx->guest);
}

/* It begins within its file, so far behind that the library would write where nothing is. */
static void test_log_within_file(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct vhost_user_log log = {.size_bytes = LOG_BYTES, .fd_offset = UINT64_C(1) << 40};
	struct vhost_user_header header = {.request = VHOST_USER_SET_LOG_BASE,
		.flags = VHOST_USER_VERSION,
		.size_bytes = sizeof(log)};

	guest_up(fx);
	assert_int_equal(frontend_send_raw(g->fe, &header, &log, sizeof(log), &fx->log.fd, 1), 0);
	(void)frontend_receive(g->fe, VHOST_USER_SET_LOG_BASE, NULL, 0);
	if (frontend_enable_log(g->fe, &g->drv, true) == 0)
		guest_request(g, g->scratch_gpa, 64, 0);
	must_hang_up(fx);
}

/* The front-end takes the log away while it is written to, by an lcore that opens no files. */
static void test_log_is_taken_away(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx);
	log_on(fx, &fx->log);
	guest_assert_served(&fx->guest);
	assert_int_equal(ftruncate(fx->log.fd, 0), 0);
	guest_request(&fx->guest, fx->guest.scratch_gpa, 64, 0);
	must_hang_up(fx);
}

/* After RESET_OWNER there is no log, until one is given again: the library forgets to forget it. */
static void test_log_is_forgotten(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t base;

	guest_up(fx);
	/* Larger than what is mapped afterwards, and may come to lie at its place. */
	assert_int_equal(ftruncate(fx->other.fd, 256 << 20), 0);
	assert_int_equal(frontend_set_log(g->fe, fx->other.fd, 256 << 20), 0);
	assert_int_equal(frontend_enable_log(g->fe, &g->drv, true), 0);
	guest_assert_served(g);
	base = driver_resume_base(&g->drv);
	assert_int_equal(frontend_set(g->fe, VHOST_USER_RESET_OWNER, NULL, 0, NULL, 0), 0);
	assert_int_equal(
		frontend_negotiate(g->fe,
			LOG_ALL | GUEST_EVENTS | GUEST_TABLES | (g->cfg.packed ? GUEST_PACKED : 0),
			NULL),
		0);
	assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
	assert_int_equal(frontend_start_ring(g->fe, &g->drv, (uint16_t)base), 0);
	memset(fx->other.bits, 0, LOG_BYTES);
	for (unsigned i = 0; i < 100; i++)
		guest_assert_served(g);
	assert_int_equal(n_marks(&fx->other), 0);
	assert_int_equal(frontend_set_log(g->fe, fx->log.fd, LOG_BYTES), 0);
	guest_assert_served(g);
	assert_int_not_equal(n_marks(&fx->log), 0);
}

#define DIRTY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIRTY_TEST(test_every_page_is_marked),
		DIRTY_TEST(test_stop_in_the_middle),
		DIRTY_TEST(test_log_comes_and_goes),
		DIRTY_TEST(test_small_log),
		DIRTY_TEST(test_log_within_file),
		DIRTY_TEST(test_log_is_taken_away),
		DIRTY_TEST(test_log_is_forgotten),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
