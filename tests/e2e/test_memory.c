/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that changes under a running ring: new tables with the same memory, with memory at
 * other addresses, with other memory. And everything at once, for ten seconds.
 */
#include "daemon.h"
#include "guest.h"
#include "util.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POISON	  0xa5
#define BIG_BYTES (64u << 10)
#define DEPTH	  48

/* The VMM's thread of test_everything_at_once(). */
struct storm {
	pthread_t thread;
	bool running;
	unsigned seconds;
	unsigned nr_changes, nr_stops;
	bool source_is_blocked; /* VMM thread: w, guest thread: r */
	bool done;		/* VMM thread: w, guest thread: r */
	bool give_up;		/* guest thread: w, VMM thread: r */
	const char *complaint;	/* VMM thread: w, before 'done' */
};

struct fixture {
	struct daemon daemon;
	struct guest guest;
	struct guest_ram_region old; /* .host NULL: none */
	struct storm storm;
};

static int start(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	assert_int_equal(symlink("/dev/urandom", fx->daemon.source), 0);
	return 0;
}

/* One daemon for all tests, unless one of them ends it. */
static int setup(void **state)
{
	struct fixture *fx = *state;

	if (!daemon_is_alive(&fx->daemon))
		daemon_start(&fx->daemon, 1, (const char *[]){"-f", fx->daemon.source, NULL});
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->storm.running) {
		__atomic_store_n(&fx->storm.give_up, true, __ATOMIC_RELEASE);
		pthread_join(fx->storm.thread, NULL);
	}
	guest_ram_region_fini(&fx->old);
	guest_fini(&fx->guest);
	return 0;
}

/* The queue in the first region, the buffers in the second. @return where they begin */
static uint64_t guest_up(struct fixture *fx)
{
	guest_init(&fx->guest,
		&(struct guest_cfg){.nr_regions = 2, .region_bytes = 4 << 20, .event_idx = true});
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	guest_assert_served(&fx->guest);
	return guest_alloc(&fx->guest, 1, (uint64_t)DEPTH * BIG_BYTES);
}

static void fill_queue(struct guest *g, uint64_t gpa)
{
	for (unsigned i = 0; g->drv.nr_offered < DEPTH; i++)
		guest_ask(g, gpa + (uint64_t)i * BIG_BYTES, BIG_BYTES, i);
	guest_show(g);
}

/* The same table, sent again and again while a full queue is being served. */
static void test_same_table(void **state)
{
	struct fixture *fx = *state;
	uint64_t gpa = guest_up(fx);
	struct driver_used used;

	for (unsigned turn = 0; turn < 25; turn++) {
		fill_queue(&fx->guest, gpa);
		assert_int_equal(frontend_set_memory(fx->guest.fe, &fx->guest.ram), 0);
		assert_int_equal(frontend_set_memory(fx->guest.fe, &fx->guest.ram), 0);
		for (unsigned i = 0; i < DEPTH; i++)
			guest_must_take(&fx->guest, &used);
	}
}

/* Is each byte of [gpa, gpa + len) written, in this memory or in the one before? A byte that is
 * equal to the poison by chance doesn't count: 8 in a row do. */
static void assert_written(
	const uint8_t *new, const uint8_t *old, uint64_t offset, uint32_t len_bytes)
{
	uint64_t poison, a, b;

	memset(&poison, POISON, sizeof(poison));
	for (uint32_t i = 0; i + 8 <= len_bytes; i += 8) {
		memcpy(&a, new + offset + i, 8);
		memcpy(&b, old + offset + i, 8);
		if (a == poison && b == poison)
			fail_msg("an answer of %u bytes, but byte %u and on are unwritten",
				len_bytes, i);
	}
}

/*
 * The buffers' region becomes another memory at the same guest address, in the middle of a full
 * queue. From the acknowledgement on, the old memory must not change; all requests are answered,
 * and their bytes are in one memory or the other.
 */
static void test_other_memory(void **state)
{
	struct fixture *fx = *state;
	uint64_t gpa = guest_up(fx);
	struct guest *g = &fx->guest;
	uint8_t *shadow = malloc(g->cfg.region_bytes);
	unsigned nr_late = 0;

	for (unsigned turn = 0; turn < 25; turn++) {
		struct guest_ram_region *now = &g->ram.regions[1];
		struct driver_used used;
		int written;

		memset(now->host, POISON, now->size_bytes);
		assert_int_equal(guest_ram_remap(&g->ram, 1, true, &fx->old), 0);
		/* The device still has the old one. */
		for (unsigned i = 0; i < DEPTH; i++)
			guest_ask(g, gpa + (uint64_t)i * BIG_BYTES, BIG_BYTES, i);
		guest_show(g);
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		memcpy(shadow, fx->old.host, fx->old.size_bytes);
		for (unsigned i = 0; i < DEPTH; i++) {
			guest_must_take(g, &used);
			assert_written(now->host, fx->old.host,
				gpa - now->gpa + used.cookie * BIG_BYTES, used.len_bytes);
		}
		sleep_ms(2);
		written = memcmp(shadow, fx->old.host, fx->old.size_bytes);
		assert_int_equal(written, 0);
		nr_late += now->host[gpa - now->gpa + DEPTH * BIG_BYTES - 1] != POISON;
		guest_ram_region_fini(&fx->old);
	}
	free(shadow);
	print_message("# in %u of 25 changes requests were left for the new memory\n", nr_late);
	assert_int_not_equal(nr_late, 0); /* else this test shows nothing */
}

/* The queue itself is mapped elsewhere in the VMM: a new table and new ring addresses. */
static void test_queue_moves(void **state)
{
	struct fixture *fx = *state;
	uint64_t gpa = guest_up(fx);
	struct guest *g = &fx->guest;
	struct driver_used used;

	for (unsigned turn = 0; turn < 25; turn++) {
		fill_queue(g, gpa);
		assert_int_equal(guest_ram_remap(&g->ram, 0, false, &fx->old), 0);
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		driver_remap(&g->drv);
		assert_int_equal(frontend_set_ring_addr(g->fe, &g->drv), 0);
		guest_ram_region_fini(&fx->old);
		for (unsigned i = 0; i < DEPTH; i++)
			guest_must_take(g, &used);
	}
}

/* Memory is plugged and unplugged; what is gone must not be served from. */
static void test_regions_come_and_go(void **state)
{
	struct fixture *fx = *state;
	uint64_t gpa = guest_up(fx), more_gpa = 0x900000000ull;
	struct guest *g = &fx->guest;
	struct driver_used used;

	for (unsigned turn = 0; turn < 25; turn++) {
		fill_queue(g, gpa);
		assert_int_equal(guest_ram_add_memfd(&g->ram, more_gpa, BIG_BYTES), 0);
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		guest_request(g, more_gpa, BIG_BYTES, 99);
		do
			guest_must_take(g, &used);
		while (g->drv.nr_offered > 0);
		assert_int_equal(used.cookie, 99);
		g->ram.nr_regions--;
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		guest_ram_region_fini(&g->ram.regions[2]);
	}
}

/* Everything at once */

static const char *point_source_at(const struct daemon *d, const char *target)
{
	char next[sizeof(d->source) + 8];

	snprintf(next, sizeof(next), "%s.next", d->source);
	if (symlink(target, next) != 0 || rename(next, d->source) != 0)
		return "the source's link could not be changed";
	return NULL;
}

static const char *change_memory(struct fixture *fx, unsigned turn)
{
	struct guest_ram_region old = {0};
	struct guest *g = &fx->guest;
	const char *complaint = NULL;

	/* Each second time the buffers' region is mapped at another address of the VMM. The guest's
	 * thread goes on with the first mapping, which is of the same memory. */
	if (turn % 2 == 0 && guest_ram_remap(&g->ram, 1, false, &old) != 0)
		return "memory could not be mapped again";
	if (frontend_set_memory(g->fe, &g->ram) != 0)
		complaint = "a memory table was refused";
	if (fx->old.host == NULL)
		fx->old = old;
	else
		guest_ram_region_fini(&old);
	return complaint;
}

static const char *stop_and_restart(struct guest *g)
{
	uint16_t base;

	if (frontend_stop_ring(g->fe, &base) != 0)
		return "the ring could not be stopped";
	/* Of a packed ring only the driver's thread knows: test_lifecycle.c asks there. */
	if (!g->drv.packed && base != driver_resume_base(&g->drv))
		return "the ring's base is not its used index";
	sleep_ms(1);
	if (!g->drv.packed && base != driver_resume_base(&g->drv))
		return "a request was answered after the stop";
	return frontend_start_ring(g->fe, &g->drv, base) == 0 ? NULL
							      : "the ring could not be restarted";
}

static const char *switch_source(struct fixture *fx, bool to_fifo)
{
	char fifo[sizeof(fx->daemon.source) + 8];

	snprintf(fifo, sizeof(fifo), "%s.fifo", fx->daemon.source);
	if (to_fifo && mkfifo(fifo, 0600) != 0)
		return "no FIFO could be made";
	__atomic_store_n(&fx->storm.source_is_blocked, to_fifo, __ATOMIC_RELEASE);
	return point_source_at(&fx->daemon, to_fifo ? fifo : "/dev/urandom");
}

static const char *one_tick(struct fixture *fx, unsigned tick)
{
	const char *complaint = NULL;

	if (tick == 60 || tick == 120)
		complaint = switch_source(fx, tick == 60);
	if (complaint == NULL && tick % 2 == 0) {
		complaint = change_memory(fx, tick / 2);
		fx->storm.nr_changes++;
	} else if (complaint == NULL) {
		complaint = stop_and_restart(&fx->guest);
		fx->storm.nr_stops++;
	}
	return complaint;
}

static void *vmm(void *arg)
{
	struct fixture *fx = arg;
	struct storm *storm = &fx->storm;
	unsigned tick_ms = storm->seconds * 1000 / 200;

	for (unsigned tick = 0; tick < 200 && storm->complaint == NULL; tick++) {
		int64_t next_ms = now_ms() + tick_ms;

		if (__atomic_load_n(&storm->give_up, __ATOMIC_ACQUIRE))
			break;
		storm->complaint = one_tick(fx, tick);
		if (now_ms() < next_ms)
			sleep_ms((int)(next_ms - now_ms()));
	}
	__atomic_store_n(&storm->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Wait for an answer as long as it takes while the source is blocked. @return how long it took */
static int64_t take_in_storm(struct fixture *fx, struct driver_used *used)
{
	int64_t from_ms = now_ms();

	while (!guest_take(&fx->guest, used, 1)) {
		if (__atomic_load_n(&fx->storm.source_is_blocked, __ATOMIC_ACQUIRE))
			from_ms = now_ms();
		if (now_ms() - from_ms > LIVENESS_MS)
			fail_msg("a request was lost");
	}
	return now_ms() - from_ms;
}

/*
 * One guest at depth 1 for four seconds (VRNG_E2E_SECONDS) while its VMM changes the memory table
 * 100 times and stops and restarts the ring 100 times, and the source becomes a FIFO that nobody
 * writes to, and /dev/urandom again. No request is lost, none answered with 0, none over-reported.
 */
static void test_everything_at_once(void **state)
{
	struct fixture *fx = *state;
	struct storm *storm = &fx->storm;
	uint64_t gpa = guest_up(fx), nr_answers = 0;
	uint8_t *host = guest_ram_at(&fx->guest.ram, gpa, 64);
	int64_t wait_ms, longest_ms = 0;
	struct driver_used used;

	storm->seconds = env_number("VRNG_E2E_SECONDS", 4);
	assert_int_equal(pthread_create(&storm->thread, NULL, vmm, fx), 0);
	storm->running = true;
	for (; !__atomic_load_n(&storm->done, __ATOMIC_ACQUIRE); nr_answers++) {
		memset(host, POISON, 64);
		guest_request(&fx->guest, gpa, 64, nr_answers);
		wait_ms = take_in_storm(fx, &used);
		longest_ms = wait_ms > longest_ms ? wait_ms : longest_ms;
		assert_int_equal(used.cookie, nr_answers);
		assert_written(host, host, 0, used.len_bytes);
		if (nr_answers % 64 == 0)
			sched_yield();
	}
	pthread_join(storm->thread, NULL);
	storm->running = false;
	if (storm->complaint != NULL)
		fail_msg("%s", storm->complaint);
	print_message("# %llu answers, %u table changes, %u stops; longest wait %lld ms\n",
		(unsigned long long)nr_answers, storm->nr_changes, storm->nr_stops,
		(long long)longest_ms);
	guest_assert_served(&fx->guest);
}

#define MEMORY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEMORY_TEST(test_same_table),
		MEMORY_TEST(test_other_memory),
		MEMORY_TEST(test_queue_moves),
		MEMORY_TEST(test_regions_come_and_go),
		MEMORY_TEST(test_everything_at_once),
	};

	return cmocka_run_group_tests(tests, start, daemon_fixture_end);
}
