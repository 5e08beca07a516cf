/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an lcore does without work: in each policy a guest that was silent for any time is
 * answered, and in 'adaptive' the lcore is really asleep meanwhile.
 */
#include "daemon.h"
#include "guest.h"
#include "stream.h"
#include "threads.h"
#include "util.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NR_GUESTS  3
#define NR_RACES   10000
#define FEW_WAKES  5	/* a second, of an lcore that nobody wakes */
#define SOME_WAKES 40	/* a second, of one that is woken now and then */
#define MANY_WAKES 2000 /* a second, of one that looks at a ring every millisecond */

struct fixture {
	struct daemon daemon;
	struct guest guests[NR_GUESTS];
	unsigned nr_guests;
};

static int setup(void **state)
{
	daemon_fixture(state, sizeof(struct fixture));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < fx->nr_guests; i++)
		guest_fini(&fx->guests[i]);
	return daemon_fixture_end(state);
}

static void start(struct fixture *fx, unsigned nr_sockets, const char *policy, const char *option,
	const char *value)
{
	const char *args[] = {"--idle", policy, option, value, NULL};

	daemon_start(&fx->daemon, nr_sockets, args);
}

static struct guest *add_guest(struct fixture *fx, unsigned socket, bool event_idx)
{
	struct guest_cfg cfg = {.queue_size = 16, .event_idx = event_idx, .start_idx = 65500};
	struct guest *g = &fx->guests[fx->nr_guests++];

	guest_init(g, &cfg);
	guest_connect(g, fx->daemon.socket[socket]);
	guest_assert_served(g);
	return g;
}

/* Requests with all kinds of silence between them, on all ways from spinning to blocking. */
static void ask_now_and_then(struct guest *g)
{
	static const int gaps_us[] = {
		0, 30, 60, 90, 110, 130, 150, 180, 200, 250, 300, 1000, 20000};

	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(gaps_us); i++) {
			struct timespec ts = {.tv_nsec = gaps_us[i] * 1000L};

			nanosleep(&ts, NULL);
			guest_assert_served(g);
		}
	}
}

static void answered_in_policy(struct fixture *fx, const char *policy)
{
	start(fx, 2, policy, NULL, NULL);
	add_guest(fx, 0, true);
	add_guest(fx, 1, false);
	ask_now_and_then(&fx->guests[0]);
	ask_now_and_then(&fx->guests[1]);
}

static void assert_it_never_sleeps(struct fixture *fx)
{
	unsigned long before = lcore_sleeps(&fx->daemon);

	sleep_ms(100);
	assert_int_equal(lcore_sleeps(&fx->daemon), before);
}

static void test_poll_answers(void **state)
{
	struct fixture *fx = *state;

	answered_in_policy(fx, "poll");
	assert_it_never_sleeps(fx);
}

static void test_pause_answers(void **state)
{
	struct fixture *fx = *state;

	answered_in_policy(fx, "pause");
	assert_it_never_sleeps(fx);
}

static void test_adaptive_answers(void **state)
{
	struct fixture *fx = *state;

	answered_in_policy(fx, "adaptive");
	lcore_wait_blocked(&fx->daemon);
	assert_true(lcore_sleeps_in_a_second(&fx->daemon) < FEW_WAKES);
	for (unsigned i = 0; i < 2; i++) {
		lcore_wait_blocked(&fx->daemon);
		guest_assert_served(&fx->guests[i]);
	}
}

/* Nothing wakes the lcore but the time: a guest that has used up its share is answered when the
 * next one comes. */
static void test_tokens_wake(void **state)
{
	struct fixture *fx = *state;
	const char *args[] = {"--idle", "adaptive", "-m", "64", "-p", "300", NULL};
	struct driver_used used;
	struct guest *g;

	daemon_start(&fx->daemon, 1, args);
	g = add_guest(fx, 0, true);
	for (unsigned i = 0; i < 8; i++) {
		guest_request(g, g->scratch_gpa, 64, i);
		guest_must_take(g, &used);
		assert_int_equal(used.len_bytes, 64);
	}
	assert_true(lcore_sleeps(&fx->daemon) > 0);
	assert_true(lcore_sleeps_in_a_second(&fx->daemon) < SOME_WAKES);
}

/* Bytes wake the lcore: a guest waits for those of a source that has none. There come more than are
 * read ahead, so that nothing else is to be told after the first of them. */
static void test_bytes_wake(void **state)
{
	struct fixture *fx = *state;
	struct driver_used used;
	struct guest *g;
	uint64_t gpa;

	stream_append(fx->daemon.source, 0, 4096);
	start(fx, 1, "adaptive", "-f", fx->daemon.source);
	g = add_guest(fx, 0, true);
	gpa = guest_alloc(g, 0, 65536);
	for (unsigned i = 0; i < 5; i++) {
		/* Take what there is, and ask for more. */
		do
			guest_request(g, gpa, 65536, i);
		while (guest_take(g, &used, 100));
		lcore_wait_blocked(&fx->daemon);
		stream_append(fx->daemon.source, 4096 + i * 1048576ull, 1048576);
		guest_must_take(g, &used);
	}
}

/* A request of Linux's that has most of its bytes waits for the others: the lcore sleeps, too. */
static void test_part_of_a_request(void **state)
{
	struct fixture *fx = *state;
	struct driver_used used;
	uint64_t before_ns;
	struct guest *g;
	pid_t lcore;

	stream_append(fx->daemon.source, 0, 20 * 64 + 40);
	start(fx, 1, "adaptive", "-f", fx->daemon.source);
	g = add_guest(fx, 0, true);
	for (unsigned i = 1; i < 20; i++)
		guest_assert_served(g);
	guest_request(g, g->scratch_gpa, 64, 0);
	lcore_wait_blocked(&fx->daemon);
	lcore = thread_find(&fx->daemon, "vrng-lcore-");
	before_ns = thread_cpu_ns(&fx->daemon, lcore);
	guest_assert_quiet(g, 500);
	assert_true(thread_cpu_ns(&fx->daemon, lcore) - before_ns < 50000000);
	stream_append(fx->daemon.source, 20 * 64 + 40, 24);
	guest_must_take(g, &used);
	assert_int_equal(used.len_bytes, 64);
}

/* An lcore that blocks hears what VHOST and MAIN want. */
static void test_come_and_go_while_blocked(void **state)
{
	struct fixture *fx = *state;
	int took_ms;

	start(fx, 2, "adaptive", NULL, NULL);
	add_guest(fx, 0, true);
	for (unsigned i = 0; i < 20; i++) {
		lcore_wait_blocked(&fx->daemon);
		guest_stop(&fx->guests[0]);
		lcore_wait_blocked(&fx->daemon);
		guest_restart(&fx->guests[0]);
		lcore_wait_blocked(&fx->daemon);
		guest_assert_served(&fx->guests[0]);
		guest_die(&fx->guests[0]);
		lcore_wait_blocked(&fx->daemon);
		guest_connect(&fx->guests[0], fx->daemon.socket[0]);
		/* Asked before the ring was its own, with nobody to hear the kick: not lost. */
		guest_assert_served(&fx->guests[0]);
	}
	add_guest(fx, 1, false);
	lcore_wait_blocked(&fx->daemon);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, &took_ms), 0);
}

/* What was made available while the ring was stopped needs no kick. */
static void test_asked_while_stopped(void **state)
{
	struct fixture *fx = *state;
	struct driver_used used;
	struct guest *g;

	start(fx, 1, "adaptive", NULL, NULL);
	g = add_guest(fx, 0, true);
	for (unsigned i = 0; i < 50; i++) {
		guest_stop(g);
		guest_ask(g, g->scratch_gpa, 64, i);
		driver_publish(&g->drv);
		(void)driver_kick_needed(&g->drv);
		guest_restart(g);
		guest_must_take(g, &used);
	}
}

/* A long random loop at the edges between looking and blocking. */
static void race(struct fixture *fx, bool event_idx)
{
	unsigned seed = (unsigned)now_us();
	struct guest *g;

	start(fx, 1, "adaptive", "--idle-spin-us", "5");
	print_message("# seed %u\n", seed);
	g = add_guest(fx, 0, event_idx);
	for (unsigned i = 0; i < NR_RACES; i++) {
		int64_t until_us = now_us() + rand_r(&seed) % 200;

		while (now_us() < until_us)
			;
		guest_assert_served(g);
	}
}

static void test_race_with_event_idx(void **state)
{
	race(*state, true);
}

static void test_race_with_flags(void **state)
{
	race(*state, false);
}

/* Hand the back-end another kick descriptor; -1: none. Closes it. */
static void set_kick(struct guest *g, int fd)
{
	uint64_t payload = fd < 0 ? 1 << 8 : 0; /* VHOST_USER_VRING_NOFD_MASK, queue 0 */

	assert_int_equal(frontend_set(g->fe, VHOST_USER_SET_VRING_KICK, &payload, sizeof(payload),
				 &fd, fd < 0 ? 0 : 1),
		0);
	if (fd >= 0)
		close(fd);
}

static int full_pipe(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "kick", 4), 4);
	close(fds[1]);
	return fds[0];
}

/*
 * What is no eventfd is not listened to, and not being listened to is no harm to others: the lcore
 * blocks, and looks at that guest now and then.
 */
static void test_kick_descriptor_of_another_kind(void **state)
{
	struct fixture *fx = *state;
	struct guest *liar, *other;

	start(fx, 2, "adaptive", NULL, NULL);
	liar = add_guest(fx, 0, true);
	other = add_guest(fx, 1, true);
	for (unsigned i = 0; i < 5; i++) {
		const int fds[] = {-1, full_pipe(), open("/dev/zero", O_RDWR | O_CLOEXEC),
			open("/proc/self/exe", O_RDONLY | O_CLOEXEC), epoll_create1(EPOLL_CLOEXEC)};
		unsigned long n;

		set_kick(liar, fds[i]);
		for (unsigned k = 0; k < ARRAY_SIZE(fds); k++)
			if (k != i && fds[k] >= 0)
				close(fds[k]);
		sleep_ms(30);
		guest_assert_served(liar);
		sleep_ms(30);
		guest_assert_served(other);
		n = lcore_sleeps_in_a_second(&fx->daemon);
		print_message("# kind %u: %lu sleeps in a second\n", i, n);
		assert_true(n > 0);
		assert_true(n < MANY_WAKES);
	}
}

/* One that was kicked as often as it can be is readable for ever, and wakes nobody for that. */
static void test_kick_counter_is_full(void **state)
{
	struct fixture *fx = *state;
	struct guest *g;

	start(fx, 1, "adaptive", NULL, NULL);
	g = add_guest(fx, 0, true);
	assert_int_equal(eventfd_write(frontend_kick_fd(g->fe), UINT64_MAX - 10), 0);
	lcore_wait_blocked(&fx->daemon);
	assert_true(lcore_sleeps_in_a_second(&fx->daemon) < FEW_WAKES);
	for (unsigned i = 0; i < 5; i++) {
		lcore_wait_blocked(&fx->daemon);
		guest_assert_served(g);
	}
}

struct flood {
	pthread_t thread;
	int fd;
	bool stop;
	uint64_t nr_kicks;
};

static void *flood(void *arg)
{
	struct flood *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		eventfd_write(f->fd, 1);
		f->nr_kicks++;
	}
	return NULL;
}

/* A front-end that kicks all the time, and asks for nothing: soon nobody listens to it. Others are
 * served, and so is it, when it asks for something. */
static void test_flood_of_kicks(void **state)
{
	struct fixture *fx = *state;
	struct flood f = {0};
	struct guest *liar;
	unsigned long n;

	start(fx, 2, "adaptive", NULL, NULL);
	liar = add_guest(fx, 0, true);
	add_guest(fx, 1, true);
	f.fd = frontend_kick_fd(liar->fe);
	assert_int_equal(pthread_create(&f.thread, NULL, flood, &f), 0);
	lcore_wait_blocked(&fx->daemon);
	n = lcore_sleeps_in_a_second(&fx->daemon);
	print_message("# %lu sleeps in a second\n", n);
	for (unsigned i = 0; i < 10; i++) {
		guest_assert_served(&fx->guests[1]);
		sleep_ms(10);
	}
	guest_assert_served(liar);
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(f.thread, NULL), 0);
	assert_true(n < SOME_WAKES);
	assert_true(f.nr_kicks > 10000);

	/* Once it kicks for a reason, it is listened to again. */
	guest_assert_served(liar);
	for (unsigned i = 0; i < 5; i++) {
		lcore_wait_blocked(&fx->daemon);
		guest_assert_served(liar);
	}
}

/* People, and programs such as tuned, find threads by their names. */
static void test_thread_names(void **state)
{
	struct fixture *fx = *state;

	start(fx, 1, "adaptive", NULL, NULL);
	assert_int_not_equal(thread_find(&fx->daemon, "vrng-lcore-"), 0);
	assert_int_not_equal(thread_find(&fx->daemon, "vrng-feeder-0\n"), 0);
	assert_int_equal(thread_find(&fx->daemon, "dpdk-vhost-rng\n"), fx->daemon.pid);
}

#define IDLE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IDLE_TEST(test_poll_answers),
		IDLE_TEST(test_pause_answers),
		IDLE_TEST(test_adaptive_answers),
		IDLE_TEST(test_tokens_wake),
		IDLE_TEST(test_bytes_wake),
		IDLE_TEST(test_part_of_a_request),
		IDLE_TEST(test_come_and_go_while_blocked),
		IDLE_TEST(test_asked_while_stopped),
		IDLE_TEST(test_race_with_event_idx),
		IDLE_TEST(test_race_with_flags),
		IDLE_TEST(test_kick_descriptor_of_another_kind),
		IDLE_TEST(test_kick_counter_is_full),
		IDLE_TEST(test_flood_of_kicks),
		IDLE_TEST(test_thread_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
