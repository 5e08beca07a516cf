/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon dies, by kill -9, and is started again behind a relay (app/proxy): the front-end keeps
 * its one connection, and each request is answered once. The number of deaths is VRNG_RESTARTS
 * (10).
 */
#include "daemon.h"
#include "honest.h"
#include "listener.h"
#include "proxy_thread.h"
#include "util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	struct daemon daemon;
	struct proxy_thread proxy;
	struct honest honest;
	struct guest guest;
	char front_path[96];

	/* The thread that kills: main: w, thread: r */
	pthread_t killer;
	bool stop;
	/* thread: w, main: r */
	uint64_t nr_kills;
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(struct fixture));

	snprintf(fx->front_path, sizeof(fx->front_path), "%s/front", fx->daemon.dir);
	proxy_thread_start(&fx->proxy, fx->front_path, false, fx->daemon.socket[0]);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	honest_fini(&fx->honest);
	if (fx->guest.fe != NULL)
		guest_fini(&fx->guest);
	proxy_thread_free(&fx->proxy);
	return daemon_fixture_end(state);
}

static void run_daemon(struct fixture *fx)
{
	const char *args[] = {"-s", fx->daemon.prefix, "-c", "1", "--source-mode", "drbg", NULL};

	daemon_run(&fx->daemon, args);
}

static void linger(int max_ms)
{
	sleep_ms(1 + rand() % max_ms);
}

/* Kill the daemon and start it again. @return how long the guest then waits for an answer, in us */
static int64_t replace_daemon(struct fixture *fx)
{
	struct honest *h = &fx->honest;
	int64_t killed_us;
	uint64_t answers;

	assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
	killed_us = now_us();
	answers = honest_answers(h);
	run_daemon(fx);
	honest_wait_answer(h, answers);
	return now_us() - killed_us;
}

static void replace_idle_daemon(struct fixture *fx)
{
	assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
	run_daemon(fx);
}

static void assert_one_front(struct fixture *fx, const struct honest *h)
{
	struct proxy_stats stats;

	proxy_thread_stop(&fx->proxy);
	stats = proxy_thread_stats(&fx->proxy);
	if (stats.ended > 0)
		fail_msg("the proxy ended a front-end's connection: %s", fx->proxy.last_warning);
	assert_int_equal(stats.connected, 1);
	if (h != NULL)
		assert_int_equal(h->nr_connections, 1);
}

static void in_flight(struct fixture *fx, bool packed, unsigned depth, uint32_t size_bytes)
{
	const struct honest_cfg cfg = {
		.path = fx->front_path, .depth = depth, .size_bytes = size_bytes, .packed = packed};
	unsigned n = env_number("VRNG_RESTARTS", 10);
	struct honest *h = &fx->honest;
	int64_t longest_us = 0, sum_us = 0;

	run_daemon(fx);
	honest_start_as(h, &cfg);
	honest_wait_answer(h, 0);
	for (unsigned i = 0; i < n; i++) {
		int64_t us;

		linger(30);
		us = replace_daemon(fx);
		sum_us += us;
		longest_us = us > longest_us ? us : longest_us;
	}
	honest_stop(h);
	assert_true(proxy_thread_stats(&fx->proxy).back_lost >= n);
	assert_one_front(fx, h);
	print_message("# kills=%u layout=%s depth=%u size=%u requests=%llu answers=%llu "
		      "gap_mean_ms=%.0f gap_max_ms=%.0f\n",
		n, packed ? "packed" : "split", depth, size_bytes,
		(unsigned long long)h->nr_offered, (unsigned long long)h->nr_answers,
		(double)sum_us / n / 1000, (double)longest_us / 1000);
}

static void test_split_depth_1(void **state)
{
	in_flight(*state, false, 1, 64);
}

static void test_split_depth_64(void **state)
{
	in_flight(*state, false, 64, 4096);
}

static void test_packed_depth_1(void **state)
{
	in_flight(*state, true, 1, 64);
}

static void test_packed_depth_64(void **state)
{
	in_flight(*state, true, 64, 4096);
}

/* Kills at any moment, also while a new daemon starts or is told the session. */
static void *kill_often(void *arg)
{
	struct fixture *fx = arg;

	while (!__atomic_load_n(&fx->stop, __ATOMIC_ACQUIRE)) {
		linger(400);
		daemon_stop(&fx->daemon, SIGKILL, NULL);
		run_daemon(fx);
		__atomic_fetch_add(&fx->nr_kills, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* One of the changes that a VMM makes while the guest runs, in turn. */
static void converse(struct fixture *fx, unsigned turn)
{
	struct guest *g = &fx->guest;

	switch (turn % 5) {
	case 0:
		assert_int_equal(frontend_set_memory(g->fe, &g->ram), 0);
		break;
	case 1:
		assert_int_equal(frontend_renew_call(g->fe), 0);
		break;
	case 2:
		guest_stop(g);
		guest_restart(g);
		break;
	case 3:
		assert_int_equal(frontend_enable_ring(g->fe, false), 0);
		assert_int_equal(frontend_enable_ring(g->fe, true), 0);
		break;
	default:
		guest_reset(g);
	}
	guest_assert_served(g);
}

static void conversation(struct fixture *fx, bool packed)
{
	const struct guest_cfg cfg = {.packed = packed, .event_idx = true};
	unsigned n = env_number("VRNG_RESTARTS", 10), turn = 0;

	run_daemon(fx);
	guest_init(&fx->guest, &cfg);
	guest_connect(&fx->guest, fx->front_path);
	assert_int_equal(pthread_create(&fx->killer, NULL, kill_often, fx), 0);
	for (; __atomic_load_n(&fx->nr_kills, __ATOMIC_ACQUIRE) < n || turn % 5 != 0; turn++)
		converse(fx, turn);
	__atomic_store_n(&fx->stop, true, __ATOMIC_RELEASE);
	pthread_join(fx->killer, NULL);
	guest_fini(&fx->guest);
	assert_one_front(fx, NULL);
	print_message("# kills=%llu layout=%s turns=%u\n", (unsigned long long)fx->nr_kills,
		packed ? "packed" : "split", turn);
}

static void test_conversation_split(void **state)
{
	conversation(*state, false);
}

static void test_conversation_packed(void **state)
{
	conversation(*state, true);
}

/* GET_QUEUE_NUM and MQ, which the daemon does not have; no daemon is needed for the former. */
static void test_queue_num(void **state)
{
	struct fixture *fx = *state;
	const struct guest_cfg cfg = {0};
	struct guest *g = &fx->guest;
	struct vhost_user_header header = {
		.request = VHOST_USER_GET_QUEUE_NUM, .flags = VHOST_USER_VERSION};
	uint64_t n = 0;

	run_daemon(fx);
	guest_init(g, &cfg);
	guest_connect(g, fx->front_path);
	assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
	assert_int_equal(frontend_send_raw(g->fe, &header, NULL, 0, NULL, 0), 0);
	assert_int_equal(frontend_receive(g->fe, VHOST_USER_GET_QUEUE_NUM, &n, sizeof(n)), 0);
	assert_int_equal(n, 1);
	run_daemon(fx);
	guest_assert_served(g);
	guest_fini(g);
	assert_one_front(fx, NULL);
}

/* A second front-end is refused while the first is there, and served when it has gone. */
static void test_second_front_end(void **state)
{
	struct frontend_cfg cfg = {.socket_path = NULL, .timeout_ms = LIVENESS_MS};
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	struct frontend *second;

	run_daemon(fx);
	guest_init(g, &(struct guest_cfg){0});
	guest_connect(g, fx->front_path);
	cfg.socket_path = fx->front_path;
	assert_int_equal(frontend_create(&cfg, &second), 0);
	assert_int_equal(frontend_negotiate(second, 0, NULL), -ECONNRESET);
	frontend_destroy(second);
	guest_assert_served(g);
	for (unsigned i = 0; i < 20; i++) {
		guest_die(g);
		guest_connect(g, fx->front_path);
		guest_assert_served(g);
	}
	assert_int_equal(proxy_thread_stats(&fx->proxy).refused, 1);
}

/* The proxy connects to the front-end's socket; a front-end that comes back is found again. */
static void test_client_mode(void **state)
{
	struct frontend_cfg cfg = {.timeout_ms = LIVENESS_MS};
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	char path[100];
	int listen_fd;

	proxy_thread_free(&fx->proxy);
	snprintf(path, sizeof(path), "%s/client", fx->daemon.dir);
	proxy_thread_start(&fx->proxy, path, true, fx->daemon.socket[0]);
	run_daemon(fx);
	assert_int_equal(listener_open(path, &listen_fd), 0);
	guest_init(g, &(struct guest_cfg){0});
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(listener_accept(listen_fd, LIVENESS_MS, &cfg.connection), 0);
		assert_int_equal(guest_attach(g, &cfg), 0);
		guest_assert_served(g);
		replace_idle_daemon(fx);
		guest_assert_served(g);
		guest_die(g);
	}
	close(listen_fd);
}

/* Connections that die young are made again less and less often: 3 s take some ten, not hundreds.
 */
static void test_client_storm(void **state)
{
	struct fixture *fx = *state;
	int64_t until_ms = now_ms() + 3000;
	unsigned n = 0;
	int listen_fd, fd;
	char path[100];

	proxy_thread_free(&fx->proxy);
	snprintf(path, sizeof(path), "%s/client", fx->daemon.dir);
	assert_int_equal(listener_open(path, &listen_fd), 0);
	proxy_thread_start(&fx->proxy, path, true, fx->daemon.socket[0]);
	for (; now_ms() < until_ms; n++)
		if (listener_accept(listen_fd, 100, &fd) == 0)
			close(fd);
		else
			n--;
	close(listen_fd);
	print_message("# %u connections\n", n);
	assert_true(n > 0 && n < 20);
}

#define RELAY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELAY_TEST(test_split_depth_1),
		RELAY_TEST(test_split_depth_64),
		RELAY_TEST(test_packed_depth_1),
		RELAY_TEST(test_packed_depth_64),
		RELAY_TEST(test_conversation_split),
		RELAY_TEST(test_conversation_packed),
		RELAY_TEST(test_queue_num),
		RELAY_TEST(test_second_front_end),
		RELAY_TEST(test_client_mode),
		RELAY_TEST(test_client_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
