/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes: which ones, how many, and where. The daemon's source is a file whose content is known,
 * so each byte of guest memory is compared with what it must be (see arena.h).
 */
#include "arena.h"
#include "daemon.h"
#include "guest.h"
#include "stream.h"
#include "util.h"

#include <linux/virtio_config.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOURCE_BYTES (64u << 20)
#define MAX_BUFS     256
#define MAX_REQUESTS 256

/* One request of a batch. */
struct request {
	struct driver_buf bufs[MAX_BUFS];
	unsigned nr_bufs;
	unsigned nr_direct;
};

struct fixture {
	struct daemon daemon;
	struct guest guest;
	struct arena arena;
	uint64_t at; /* in the arena: where the next buffer goes */
	struct request *requests;
	unsigned nr_requests;
};

/* One daemon for all tests: each finds out how far the file was read before it. */
static int start(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	fx->requests = calloc(MAX_REQUESTS, sizeof(*fx->requests));
	stream_append(fx->daemon.source, 0, SOURCE_BYTES);
	return 0;
}

static int finish(void **state)
{
	struct fixture *fx = *state;

	free(fx->requests);
	return daemon_fixture_end(state);
}

static int setup(void **state)
{
	struct fixture *fx = *state;

	if (!daemon_is_alive(&fx->daemon))
		daemon_start(&fx->daemon, 2, (const char *[]){"-f", fx->daemon.source, NULL});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	arena_fini(&fx->arena);
	guest_fini(&fx->guest);
	return 0;
}

/* A guest, connected, whose last 'arena_bytes' of memory are the arena. */
static void guest_up(struct fixture *fx, const struct guest_cfg *cfg, uint64_t arena_bytes)
{
	const struct guest_ram_region *last;

	guest_init(&fx->guest, cfg);
	last = &fx->guest.ram.regions[fx->guest.ram.nr_regions - 1];
	arena_init(&fx->arena, &fx->guest, last->gpa + last->size_bytes - arena_bytes, arena_bytes);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	arena_sync(&fx->arena);
}

static void batch_begin(struct fixture *fx)
{
	arena_clear(&fx->arena);
	fx->nr_requests = 0;
	fx->at = 0;
}

static struct request *next_request(struct fixture *fx)
{
	struct request *request = &fx->requests[fx->nr_requests++];

	assert_true(fx->nr_requests <= MAX_REQUESTS);
	request->nr_bufs = 0;
	request->nr_direct = UINT32_MAX;
	return request;
}

/* One more buffer, with poison between it and its neighbours. */
static void add_buf(struct fixture *fx, struct request *request, uint32_t len, bool writable)
{
	fx->at += 1 + fx->at % 7; /* any alignment */
	request->bufs[request->nr_bufs++] = (struct driver_buf){
		.gpa = fx->arena.gpa + fx->at, .len_bytes = len, .writable = writable};
	fx->at += len + 1;
	assert_true(fx->at <= fx->arena.len_bytes);
}

static void add_single(struct fixture *fx, uint32_t len)
{
	add_buf(fx, next_request(fx), len, true);
}

/* Show the batch to the device at once, take all answers, look at all memory. */
static void batch_run(struct fixture *fx)
{
	struct driver_used used;

	for (unsigned i = 0; i < fx->nr_requests; i++) {
		struct request *request = &fx->requests[i];

		if (request->nr_direct == UINT32_MAX)
			request->nr_direct = request->nr_bufs;
		request->nr_direct =
			guest_nr_direct(&fx->guest, request->nr_bufs, request->nr_direct);
		arena_prepare(&fx->arena, request->bufs, request->nr_bufs);
		assert_int_equal(driver_add(&fx->guest.drv, request->bufs, request->nr_bufs,
					 request->nr_direct, i),
			0);
	}
	guest_show(&fx->guest);
	for (unsigned i = 0; i < fx->nr_requests; i++) {
		const struct request *request;

		guest_must_take(&fx->guest, &used);
		request = &fx->requests[used.cookie];
		/* The file has enough and there is no budget: each chain is filled. */
		assert_int_equal(used.len_bytes, arena_answered(&fx->arena, request->bufs,
							 request->nr_bufs, used.len_bytes));
	}
	guest_assert_quiet(&fx->guest, 0);
	arena_check(&fx->arena);
	assert_true(fx->arena.stream_at < SOURCE_BYTES);
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127,
		128, 255, 256, 1000, 1024, 4095, 4096, 4097, 16384, 65535, 65536, 65537, 100000,
		262144, 1 << 20};
	struct fixture *fx = *state;

	guest_up(fx, &(struct guest_cfg){0}, 2 << 20);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		batch_begin(fx);
		add_single(fx, sizes[i]);
		batch_run(fx);
	}
	batch_begin(fx);
	for (uint32_t len = 1; len <= 64; len++)
		add_single(fx, len);
	batch_run(fx);
}

static void test_deep_queue(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, &(struct guest_cfg){.queue_size = 256, .event_idx = true}, 2 << 20);
	for (unsigned turn = 0; turn < 20; turn++) {
		batch_begin(fx);
		for (unsigned i = 0; i < 256; i++)
			add_single(fx, 1 + (i * 37 + turn * 101) % 1500);
		batch_run(fx);
	}
}

/* Chains of k descriptors, all in the queue, all in a table, or the first few in the queue. */
static void test_chains(void **state)
{
	static const unsigned ks[] = {2, 3, 4, 5, 8, 17, 64, 128, 255, 256};
	struct fixture *fx = *state;

	guest_up(fx, &(struct guest_cfg){.queue_size = 256, .table_entries = 256}, 1 << 20);
	for (unsigned i = 0; i < ARRAY_SIZE(ks); i++) {
		unsigned k = ks[i], directs[] = {k, 0, k / 2, k - 1};

		for (unsigned j = 0; j < ARRAY_SIZE(directs); j++) {
			unsigned direct = guest_nr_direct(&fx->guest, k, directs[j]);

			batch_begin(fx);
			for (unsigned n = 0; n < 3 && n * direct + k <= 256; n++) {
				struct request *request = next_request(fx);

				for (unsigned b = 0; b < k; b++)
					add_buf(fx, request, 1 + (b * 13 + n) % 300, true);
				request->nr_direct = direct;
			}
			batch_run(fx);
		}
	}
}

/* Readable descriptors before the writable ones, and descriptors of no length among them. */
static void test_mixed_chains(void **state)
{
	struct fixture *fx = *state;

	guest_up(fx, &(struct guest_cfg){.queue_size = 64, .table_entries = 8}, 64 << 10);
	for (unsigned direct = 0; direct <= 6; direct++) {
		struct request *request;

		batch_begin(fx);
		request = next_request(fx);
		add_buf(fx, request, 16, false);
		add_buf(fx, request, 0, false);
		add_buf(fx, request, 100, true);
		add_buf(fx, request, 0, true);
		add_buf(fx, request, 1, true);
		add_buf(fx, request, 0, true);
		request->nr_direct = direct;

		request = next_request(fx);
		add_buf(fx, request, 0, true);
		add_buf(fx, request, 0, true);
		add_buf(fx, request, 77, true);
		request->nr_direct = direct > 3 ? 3 : direct;

		request = next_request(fx);
		add_buf(fx, request, 40, false);
		add_buf(fx, request, 40, true);
		batch_run(fx);
	}
}

/* Chains with no room at all can only be answered with 0; what follows them must be served. */
static void test_no_room(void **state)
{
	struct fixture *fx = *state;
	struct driver *drv = &fx->guest.drv;
	struct driver_used used;

	guest_up(fx, &(struct guest_cfg){0}, 4096);
	for (unsigned turn = 0; turn < 3; turn++) {
		struct driver_buf bufs[2] = {{fx->arena.gpa, turn == 0 ? 0 : 32, turn == 0},
			{fx->arena.gpa + 64, 0, turn != 1}};
		int64_t deadline_ms = now_ms() + LIVENESS_MS;

		arena_prepare(&fx->arena, bufs, 2);
		assert_int_equal(driver_add(drv, bufs, 2, 2, 99), 0);
		guest_show(&fx->guest);
		while (driver_take(drv, &used) == DRIVER_EMPTY)
			assert_true(now_ms() < deadline_ms);
		assert_int_equal(used.cookie, 99);
		assert_int_equal(used.len_bytes, 0);
		arena_check(&fx->arena);
		guest_assert_served(&fx->guest);
	}
}

/*
 * With VIRTIO_F_IN_ORDER the driver puts its descriptors into the table in ring order (§2.7.9), and
 * the answers come in the order of the requests, each with an entry and a length of its own.
 */
static void test_in_order(void **state)
{
	struct guest_cfg cfg = {.queue_size = 64, .in_order = true, .event_idx = true};
	struct fixture *fx = *state;
	struct driver *drv = &fx->guest.drv;
	struct driver_used used;
	uint16_t ids[64], next = 0;

	guest_up(fx, &cfg, 64 << 10);
	assert_true(frontend_features(fx->guest.fe) & GUEST_ORDER);
	guest_stop(&fx->guest);
	driver_reset(drv); /* what was asked for so far took a descriptor of its own */
	fx->guest.base = driver_start_base(drv);
	for (unsigned i = 0; i < 64; i++) {
		struct driver_buf buf = {fx->arena.gpa + i * 1000, 1 + i * 13 % 900, true};

		assert_int_equal(driver_build(drv, &buf, 1, 1, buf.len_bytes, &ids[i]), 0);
		assert_int_equal(ids[i], i);
	}
	guest_restart(&fx->guest);
	for (unsigned turn = 0; turn < 500; turn++) {
		unsigned n = 1 + turn * 7 % 64;

		for (unsigned i = 0; i < n; i++)
			driver_offer(drv, ids[(next + i) % 64]);
		guest_show(&fx->guest);
		for (unsigned i = 0; i < n; i++, next++) {
			guest_must_take(&fx->guest, &used);
			assert_int_equal(used.id, next % 64);
			assert_int_equal(used.len_bytes, used.cookie);
		}
		guest_assert_quiet(&fx->guest, 0);
		if (turn % 50 == 49) {
			guest_stop(&fx->guest);
			guest_restart(&fx->guest);
		}
	}
}

/* Two neighbouring regions: the arena begins in one and ends in the other. */
static void test_buffers_cross_regions(void **state)
{
	struct guest_cfg cfg = {
		.nr_regions = 2, .region_bytes = 1 << 20, .neighbours = true, .table_entries = 4};
	struct fixture *fx = *state;
	uint64_t half = 32 << 10;

	guest_up(fx, &cfg, 4096);
	arena_fini(&fx->arena);
	arena_init(&fx->arena, &fx->guest, GUEST_GPA + cfg.region_bytes - half, 2 * half);
	arena_sync(&fx->arena);
	for (uint32_t before = 1; before <= 64; before += 9) {
		for (unsigned direct = 0; direct <= 3; direct++) {
			struct request *request;

			/* The buffer in the middle has 'before' bytes in the first region. */
			batch_begin(fx);
			request = next_request(fx);
			add_buf(fx, request, 30, true);
			request->bufs[request->nr_bufs++] = (struct driver_buf){
				fx->arena.gpa + half - before, 65 + before, true};
			fx->at = half + 100;
			add_buf(fx, request, 30, true);
			request->nr_direct = direct;
			batch_run(fx);
		}
	}
	batch_begin(fx);
	fx->at = half - 20000;
	add_single(fx, 40000);
	batch_run(fx);
}

static void test_eight_regions(void **state)
{
	struct guest_cfg cfg = {.nr_regions = 8, .region_bytes = 1 << 20, .neighbours = true};
	struct fixture *fx = *state;

	guest_up(fx, &cfg, 7 << 20);
	batch_begin(fx);
	for (unsigned i = 0; i < 64; i++)
		add_single(fx, 100000);
	batch_run(fx);
	batch_begin(fx);
	add_single(fx, 6 << 20); /* over all of them at once */
	batch_run(fx);
}

/* As QEMU has it: one file, of which two ranges are mapped at different guest addresses. */
static void test_two_regions_of_one_file(void **state)
{
	struct fixture *fx = *state;
	int fd = memfd_create("one-file", MFD_CLOEXEC);
	uint64_t gpa = 0x100000000ull;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 3 << 20), 0);
	guest_init(&fx->guest, &(struct guest_cfg){0});
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(guest_ram_add(&fx->guest.ram,
					 &(struct guest_ram_region_cfg){.backing = GUEST_RAM_FD,
						 .fd = fd,
						 .fd_offset = i << 20,
						 .size_bytes = 1 << 20,
						 .gpa = gpa + (2 - i) * (1 << 20)}),
			0);
	}
	close(fd);
	arena_init(&fx->arena, &fx->guest, gpa, 2 << 20);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	arena_sync(&fx->arena);
	batch_begin(fx);
	for (unsigned i = 0; i < 64; i++)
		add_single(fx, 32000);
	batch_run(fx);
}

/* All sizes a queue can have, and its 16-bit indices past their wrap, with and without events. */
static void test_queue_sizes(void **state)
{
	struct fixture *fx = *state;
	uint64_t stream_at = 0;

	for (unsigned size = 1; size <= 1024; size *= 2) {
		struct guest_cfg cfg = {.queue_size = size,
			.event_idx = size % 3 == 1,
			.start_idx = (uint16_t)(65536 - size - 1),
			.table_entries = 2};

		guest_up(fx, &cfg, 256 << 10);
		/* What was read ahead for the guest before goes to this one. */
		assert_true(stream_at == 0 || fx->arena.stream_at == stream_at + ARENA_SYNC_BYTES);
		for (unsigned turn = 0; turn < 5; turn++) {
			batch_begin(fx);
			for (unsigned i = 0; i < size && i < MAX_REQUESTS; i++)
				add_single(fx, 64 + i);
			batch_run(fx);
		}
		guest_stop(&fx->guest);
		if (!fx->guest.cfg.packed)
			assert_true(fx->guest.base < 0x8000);
		stream_at = fx->arena.stream_at;
		(void)teardown(state);
	}
}

/* A packed queue has any size. */
static void test_odd_queue_sizes(void **state)
{
	static const unsigned sizes[] = {3, 5, 7, 100, 255, 257, 1000};
	struct fixture *fx = *state;

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct guest_cfg cfg = {.packed = true,
			.queue_size = sizes[s],
			.event_idx = s % 2,
			.start_idx = (uint16_t)(3 * sizes[s] - 1),
			.table_entries = 2};

		guest_up(fx, &cfg, 256 << 10);
		for (unsigned turn = 0; turn < 5; turn++) {
			batch_begin(fx);
			for (unsigned i = 0; i < sizes[s] && i < MAX_REQUESTS; i++)
				add_single(fx, 64 + i);
			batch_run(fx);
		}
		guest_stop(&fx->guest);
		(void)teardown(state);
	}
}

/* The largest queue there is, full. Its requests are more than a batch has. */
static void test_largest_queue(void **state)
{
	struct guest_cfg cfg = {.queue_size = DRIVER_SIZE_MAX, .region_bytes = 16 << 20};
	struct fixture *fx = *state;
	struct driver_used used;

	guest_up(fx, &cfg, (uint64_t)DRIVER_SIZE_MAX * 72);
	for (unsigned turn = 0; turn < 3; turn++) {
		arena_clear(&fx->arena);
		for (unsigned i = 0; i < DRIVER_SIZE_MAX; i++)
			guest_ask(&fx->guest, fx->arena.gpa + i * 72ull, 64, i);
		guest_show(&fx->guest);
		for (unsigned i = 0; i < DRIVER_SIZE_MAX; i++) {
			struct driver_buf buf = {.len_bytes = 64, .writable = true};

			guest_must_take(&fx->guest, &used);
			buf.gpa = fx->arena.gpa + used.cookie * 72;
			assert_int_equal(used.len_bytes, 64);
			arena_answered(&fx->arena, &buf, 1, 64);
		}
		arena_check(&fx->arena);
	}
}

static int compare_words(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * With the source that people use: no 32-byte block comes twice, whichever guest gets it. Blocks
 * are told apart by their first 8 bytes: a false alarm has a chance of 2^-27 (2^18 blocks).
 */
static void test_nothing_comes_twice(void **state)
{
	const uint32_t nr_words = 1 << 18, batch = 64 << 10;
	uint64_t *words = calloc(nr_words, sizeof(*words));
	struct fixture *fx = *state;
	struct guest other = {0};
	struct driver_used used;
	uint32_t n = 0;
	uint64_t gpa;

	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	daemon_start(&fx->daemon, 2, NULL);
	guest_init(&fx->guest, &(struct guest_cfg){0});
	gpa = guest_alloc(&fx->guest, 0, batch);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	guest_init(&other, &(struct guest_cfg){0});
	guest_connect(&other, fx->daemon.socket[1]);
	for (unsigned turn = 0; n < nr_words; turn++) {
		struct guest *g = turn % 2 == 0 ? &other : &fx->guest;
		uint8_t *host = guest_ram_at(&g->ram, gpa, batch);

		guest_request(g, gpa, batch, 0);
		guest_must_take(g, &used);
		for (uint32_t at = 0; at + 32 <= used.len_bytes && n < nr_words; at += 32)
			memcpy(&words[n++], host + at, 8);
	}
	qsort(words, nr_words, sizeof(*words), compare_words);
	for (uint32_t i = 1; i < nr_words; i++)
		assert_int_not_equal(words[i - 1], words[i]);
	free(words);
	guest_fini(&other);
}

#define DATA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATA_TEST(test_sizes),
		DATA_TEST(test_deep_queue),
		DATA_TEST(test_chains),
		DATA_TEST(test_mixed_chains),
		DATA_TEST(test_no_room),
		DATA_TEST(test_in_order),
		DATA_TEST(test_buffers_cross_regions),
		DATA_TEST(test_eight_regions),
		DATA_TEST(test_two_regions_of_one_file),
		DATA_TEST(test_queue_sizes),
		DATA_TEST(test_odd_queue_sizes),
		DATA_TEST(test_largest_queue),
		DATA_TEST(test_nothing_comes_twice),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
