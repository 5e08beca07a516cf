/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that take their memory away while it is used: on an lcore and in rte_vhost's thread,
 * buffers and rings, pages of 4 KiB and of 2 MiB. The daemon must live, others must lose nothing,
 * the connection must end, and the next one must be served.
 *
 * This process maps the same files: it must not touch what it has truncated.
 */
#include "daemon.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NR_SOCKETS 8
#define HONEST	   (NR_SOCKETS - 1)
#define ROUNDS	   12
#define DEPTH	   16
#define BUF_BYTES  (128u << 10)
#define HUGE_BYTES (2u << 20)
#define NR_HUGE	   8

struct fixture {
	struct daemon daemon;
	struct honest honest;
	struct guest guests[HONEST];
	long pool; /* nr_hugepages as it was; -1: not changed */
};

static long read_pool(void)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "r");
	long n = -1;

	if (f != NULL && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f != NULL)
		fclose(f);
	return n;
}

static void write_pool(long n)
{
	FILE *f = n >= 0 ? fopen("/proc/sys/vm/nr_hugepages", "w") : NULL;

	if (f == NULL)
		return;
	fprintf(f, "%ld\n", n);
	fclose(f);
}

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	fx->pool = -1;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->honest.running && fx->daemon.pid > 0)
		(void)daemon_stop(&fx->daemon, SIGKILL, NULL);
	honest_fini(&fx->honest);
	for (unsigned i = 0; i < HONEST; i++)
		guest_fini(&fx->guests[i]);
	daemon_fini(&fx->daemon);
	write_pool(fx->pool);
	free(fx);
	return 0;
}

static void start(struct fixture *fx, const char *mode)
{
	daemon_start(&fx->daemon, NR_SOCKETS, (const char *[]){"--source-mode", mode, NULL});
	honest_start(&fx->honest, fx->daemon.socket[HONEST]);
}

static void finish(struct fixture *fx)
{
	int ms;

	daemon_assert_alive(&fx->daemon);
	honest_stop(&fx->honest);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, &ms), 0);
}

/* The queue in the first region, buffers in the second; served. @return where the buffers are */
static uint64_t new_guest(struct fixture *fx, unsigned i, bool huge)
{
	struct guest *g = &fx->guests[i];

	guest_fini(g);
	guest_init(g, &(struct guest_cfg){.queue_size = DEPTH,
			      .nr_regions = 2,
			      .region_bytes = DEPTH * BUF_BYTES,
			      .unsealable = true,
			      .huge = huge});
	guest_connect(g, fx->daemon.socket[i]);
	guest_assert_served(g);
	return guest_alloc(g, 1, (uint64_t)DEPTH * BUF_BYTES);
}

static void fill_queue(struct guest *g, uint64_t gpa)
{
	for (unsigned i = 0; g->drv.nr_offered < DEPTH; i++)
		guest_ask(g, gpa + (uint64_t)i * BUF_BYTES, BUF_BYTES, i);
	guest_show(g);
}

static void take_answers(struct guest *g)
{
	struct driver_used used;

	while (g->drv.nr_offered > 0 && guest_take(g, &used, 200))
		;
}

static void truncate_region(struct guest *g, unsigned idx, uint64_t size_bytes)
{
	assert_int_equal(ftruncate(g->ram.regions[idx].fd, (off_t)size_bytes), 0);
}

static void assert_hung_up(struct guest *g)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(g->fe), .events = POLLRDHUP};

	if (poll(&pfd, 1, LIVENESS_MS) != 1)
		fail_msg("the connection was not closed");
	guest_die(g);
}

static void check_others(struct fixture *fx)
{
	daemon_assert_alive(&fx->daemon);
	honest_check(&fx->honest);
}

static void lose_buffers(struct fixture *fx, bool huge)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t gpa = new_guest(fx, 0, huge);
		struct guest *g = &fx->guests[0];

		/* In the middle of the work, and before it; all of it, and a part. */
		if (i % 2 == 0)
			fill_queue(g, gpa);
		/* A hugepage that comes while its file is cut may stay: nothing is lost then. */
		if (huge)
			take_answers(g);
		truncate_region(g, 1, i % 3 == 0 ? (huge ? 0 : 4096) : 0);
		take_answers(g);
		fill_queue(g, gpa);
		assert_hung_up(g);
		check_others(fx);
	}
	daemon_wait_until_said(
		&fx->daemon, "guest 0: ring broken: its memory was taken away (SIGBUS)");
	new_guest(fx, 0, huge);
}

static void test_buffers_passthrough(void **state)
{
	struct fixture *fx = *state;

	start(fx, "passthrough");
	lose_buffers(fx, false);
	finish(fx);
}

static void test_buffers_drbg(void **state)
{
	struct fixture *fx = *state;

	start(fx, "drbg");
	lose_buffers(fx, false);
	finish(fx);
}

static void test_ring(void **state)
{
	struct fixture *fx = *state;

	start(fx, "drbg");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t gpa = new_guest(fx, 0, false);

		if (i % 2 == 0)
			fill_queue(&fx->guests[0], gpa);
		truncate_region(&fx->guests[0], 0, 0);
		assert_hung_up(&fx->guests[0]);
		check_others(fx);
	}
	new_guest(fx, 0, false);
	finish(fx);
}

static void test_many_at_once(void **state)
{
	struct fixture *fx = *state;
	uint64_t gpa[HONEST];

	start(fx, "drbg");
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < HONEST; i++) {
			gpa[i] = new_guest(fx, i, false);
			fill_queue(&fx->guests[i], gpa[i]);
		}
		/* Of every second one the ring, of the others the buffers */
		for (unsigned i = 0; i < HONEST; i++)
			truncate_region(&fx->guests[i], i % 2, 0);
		for (unsigned i = 1; i < HONEST; i += 2) {
			take_answers(&fx->guests[i]);
			fill_queue(&fx->guests[i], gpa[i]);
		}
		for (unsigned i = 0; i < HONEST; i++)
			assert_hung_up(&fx->guests[i]);
		check_others(fx);
	}
	for (unsigned i = 0; i < HONEST; i++)
		new_guest(fx, i, false);
	finish(fx);
}

/* The ring is stopped, so that only rte_vhost's thread can come upon what is lost. */
static void test_in_event_thread(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guests[0];
	struct vhost_user_vring_addr addr;

	start(fx, "passthrough");
	for (unsigned i = 0; i < ROUNDS; i++) {
		new_guest(fx, 0, false);
		frontend_fill_addr(&g->drv, &addr);
		guest_stop(g);
		truncate_region(g, 0, 0);
		(void)frontend_start_ring(g->fe, &g->drv, g->base);
		(void)frontend_set(g->fe, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
		assert_hung_up(g);
		check_others(fx);
	}
	daemon_wait_until_said(
		&fx->daemon, "guest 0: not served: its memory was taken away (SIGBUS)");
	new_guest(fx, 0, false);
	finish(fx);
}

/*
 * A new table while the ring runs, in which the ring lies beyond its file's end: rte_vhost reads it
 * before anybody else could look at the table.
 */
static void test_table_beyond_file(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guests[0];
	struct vhost_user_mem_table table;
	int fds[VHOST_USER_MAX_FDS];

	start(fx, "passthrough");
	for (unsigned i = 0; i < ROUNDS; i++) {
		new_guest(fx, 0, false);
		frontend_fill_table(&g->ram, &table, fds);
		table.regions[0].size_bytes += 4096;
		table.regions[0].fd_offset = 16 * g->cfg.region_bytes;
		(void)frontend_set(g->fe, VHOST_USER_SET_MEM_TABLE, &table, sizeof(table), fds, 2);
		assert_hung_up(g);
		check_others(fx);
	}
	new_guest(fx, 0, false);
	finish(fx);
}

/* Memory that can be sealed is sealed: nothing is lost then. */
static void test_sealed(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guests[0];

	start(fx, "passthrough");
	guest_init(g, &(struct guest_cfg){.nr_regions = 2});
	guest_connect(g, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 2; i++) {
		errno = 0;
		assert_int_equal(ftruncate(g->ram.regions[i].fd, 0), -1);
		assert_int_equal(errno, EPERM);
	}
	guest_assert_served(g);
	finish(fx);
}

/* Not a fault of ours to mend. */
static void test_signal_from_outside(void **state)
{
	struct fixture *fx = *state;

	daemon_start(&fx->daemon, 1, NULL);
	assert_int_equal(daemon_stop(&fx->daemon, SIGBUS, NULL), 128 + SIGBUS);
}

static bool can_reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, bytes);
	return true;
}

static void test_huge_pages(void **state)
{
	struct fixture *fx = *state;

	fx->pool = read_pool();
	write_pool(fx->pool + NR_HUGE);
	if (!can_reserve((size_t)NR_HUGE * HUGE_BYTES)) {
		print_message(
			"# %d hugepages of 2 MiB are not to be had (vm.nr_hugepages)\n", NR_HUGE);
		skip();
	}
	start(fx, "drbg");
	lose_buffers(fx, true);
	finish(fx);
}

#define TRUNCATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRUNCATE_TEST(test_buffers_passthrough),
		TRUNCATE_TEST(test_buffers_drbg),
		TRUNCATE_TEST(test_ring),
		TRUNCATE_TEST(test_many_at_once),
		TRUNCATE_TEST(test_in_event_thread),
		TRUNCATE_TEST(test_table_beyond_file),
		TRUNCATE_TEST(test_huge_pages),
		TRUNCATE_TEST(test_sealed),
		TRUNCATE_TEST(test_signal_from_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
