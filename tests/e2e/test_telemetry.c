/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's telemetry: there when it is asked for, for the daemon's user alone; it says what the
 * control socket says, and goes on while guests come and go.
 */
#include "telemetry.h"

#include "client.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NR_CHANGES 100
#define LATE_MS	   100 /* in which an lcore with work counts its time, most of the time */

struct fixture {
	struct daemon daemon;
	char control[96];
	int fd; /* of the telemetry socket; -1: none */
	struct guest guest;
	struct honest honest;
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	fx->fd = -1;
	snprintf(fx->control, sizeof(fx->control), "%s/control", fx->daemon.dir);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	honest_fini(&fx->honest);
	guest_fini(&fx->guest);
	if (fx->fd >= 0)
		close(fx->fd);
	/* Let it take its socket away: others would find it. */
	if (fx->daemon.pid > 0)
		daemon_stop(&fx->daemon, SIGTERM, NULL);
	return daemon_fixture_end(state);
}

static void start(struct fixture *fx, unsigned nr_sockets, const char *const *more)
{
	const char *args[16] = {"--telemetry", "--control-socket", fx->control};

	for (unsigned n = 3; more != NULL && *more != NULL; more++)
		args[n++] = *more;
	daemon_start(&fx->daemon, nr_sockets, args);
	daemon_wait_until_said(&fx->daemon, "vhost-rng: serving");
	fx->fd = telemetry_connect(&fx->daemon);
}

static void connect_guest(struct fixture *fx, unsigned socket)
{
	guest_init(&fx->guest, &(struct guest_cfg){.event_idx = true, .queue_size = 16});
	guest_connect(&fx->guest, fx->daemon.socket[socket]);
}

static json_int_t number_of(struct fixture *fx, const char *command, const char *path)
{
	json_t *answer = telemetry_ask(fx->fd, "%s", command);
	json_int_t n = client_number(answer, path);

	json_decref(answer);
	return n;
}

static bool has_text(struct fixture *fx, const char *command, const char *key, const char *text)
{
	json_t *answer = telemetry_ask(fx->fd, "%s", command);
	const json_t *value = json_object_get(answer, key);
	bool has = false;

	if (json_is_string(value))
		has = strcmp(json_string_value(value), text) == 0;
	else
		fail_msg("%s has no text %s", command, key);
	json_decref(answer);
	return has;
}

static void wait_for_text(
	struct fixture *fx, const char *command, const char *key, const char *text)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!has_text(fx, command, key, text)) {
		if (now_ms() > deadline_ms)
			fail_msg("%s: %s does not become '%s'", command, key, text);
		sleep_ms(5);
	}
}

static void wait_for_more(
	struct fixture *fx, const char *command, const char *path, json_int_t than)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (number_of(fx, command, path) <= than) {
		if (now_ms() > deadline_ms)
			fail_msg("%s: %s stays at %lld", command, path, (long long)than);
		sleep_ms(5);
	}
}

static void test_off_by_default(void **state)
{
	struct fixture *fx = *state;

	daemon_start(&fx->daemon, 1, NULL);
	assert_int_equal(telemetry_try(&fx->daemon), -1);
}

/* The socket goes with the daemon, and nobody else comes near it. */
static void test_socket(void **state)
{
	struct fixture *fx = *state;
	struct stat st;
	char dir[80];

	start(fx, 1, NULL);
	telemetry_dir(dir, sizeof(dir));
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	assert_int_equal(telemetry_try(&fx->daemon), -1);
}

/* What both say must be the same; but for names of the socket, and what changes with time. */
static void assert_same(const json_t *by_telemetry, json_t *by_control)
{
	const char *key;
	json_t *value;

	json_object_foreach(by_control, key, value)
	{
		const json_t *other;
		char name[64];

		snprintf(name, sizeof(name), "%s", key);
		for (char *p = name; *p != '\0'; p++)
			*p = *p == '-' ? '_' : *p;
		other = json_object_get(by_telemetry, name);
		if (json_is_null(value))
			assert_true(other == NULL || json_string_length(other) == 0);
		else if (other == NULL)
			fail_msg("telemetry has no %s", name);
		else if (json_is_object(value))
			assert_same(other, value);
		else if (json_is_boolean(value))
			assert_int_equal(json_integer_value(other), json_is_true(value));
		else if (json_is_integer(value) && strcmp(name, "age_s") != 0)
			assert_int_equal(json_integer_value(other), json_integer_value(value));
		else if (json_is_string(value))
			assert_string_equal(json_string_value(other), json_string_value(value));
	}
}

static void test_same_as_control(void **state)
{
	struct fixture *fx = *state;
	json_t *list, *answer, *result;

	start(fx, 2, (const char *[]){"-m", "1G", "--guest", "1,weight=3,cap=1M", NULL});
	connect_guest(fx, 1);
	guest_assert_served(&fx->guest);
	guest_assert_served(&fx->guest);
	answer = telemetry_ask(fx->fd, "/vhost_rng/guests");
	assert_int_equal(json_array_size(answer), 2);
	assert_string_equal(json_string_value(json_array_get(answer, 1)), "1");
	json_decref(answer);
	answer = telemetry_ask(fx->fd, "/vhost_rng/guests,1");
	assert_int_equal(json_array_size(answer), 1);
	json_decref(answer);

	wait_for_more(fx, "/vhost_rng/guest,1", "counters.requests", 1);
	answer = telemetry_ask(fx->fd, "/vhost_rng/guest,1");
	result = client_must(fx->control, "{\"command\": \"guests\", \"name\": \"1\"}");
	assert_int_equal(client_number(answer, "counters.bytes"), 128);
	assert_int_equal(client_number(answer, "weight"), 3);
	assert_same(answer, json_array_get(json_object_get(result, "guests"), 0));
	json_decref(answer);
	json_decref(result);

	result = client_must(fx->control, "{\"command\": \"status\"}");
	answer = telemetry_ask(fx->fd, "/vhost_rng/budget");
	assert_int_equal(client_number(answer, "weights"), 4);
	assert_same(answer, json_object_get(result, "budget"));
	json_decref(answer);
	answer = telemetry_ask(fx->fd, "/vhost_rng/source");
	assert_string_equal(json_string_value(json_object_get(answer, "mode")), "passthrough");
	list = json_object_get(answer, "0");
	assert_string_equal(json_string_value(json_object_get(list, "file")), "/dev/urandom");
	assert_string_equal(json_string_value(json_object_get(list, "state")), "ok");
	json_decref(answer);
	json_decref(result);
}

static void test_unknown(void **state)
{
	static const char *const commands[] = {"/vhost_rng/guest,nobody", "/vhost_rng/guest",
		"/vhost_rng/histogram", "/vhost_rng/histogram,service",
		"/vhost_rng/histogram,service,nobody", "/vhost_rng/histogram,wake,99",
		"/vhost_rng/histogram,wake,", "/vhost_rng/histogram,other,0"};
	struct fixture *fx = *state;

	start(fx, 1, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		json_t *answer = telemetry_ask(fx->fd, "%s", commands[i]);

		assert_true(json_is_null(answer));
		json_decref(answer);
	}
}

/* More lcores than fit into an answer, which the EAL cuts off in silence: they come in several. */
static void test_many_lcores(void **state)
{
	struct fixture *fx = *state;
	unsigned n = 0;
	size_t more;

	daemon_run(&fx->daemon,
		(const char *[]){"--no-huge", "--no-shconf", "--no-pci", "-m", "64", "--lcores",
			"(0-60)@0", "--", "-s", fx->daemon.prefix, "--idle", "adaptive", NULL});
	daemon_wait_until_said(&fx->daemon, "vhost-rng: serving");
	fx->fd = telemetry_connect(&fx->daemon);
	do {
		json_t *lcores = telemetry_ask(fx->fd, "/vhost_rng/lcores,%u", n);
		const char *key;
		json_t *lcore;

		more = json_object_size(lcores);
		assert_in_range(more, 0, 24);
		json_object_foreach(lcores, key, lcore)
		{
			assert_int_equal(client_number(lcore, "lcore"), ++n);
			assert_int_equal(atoi(key), n);
			assert_int_equal(client_number(lcore, "cpu"), 0);
			assert_true(client_number(lcore, "wakes") >= 0);
		}
		json_decref(lcores);
	} while (more > 0);
	assert_int_equal(n, 60);
}

/* How long the daemon's one lcore has been what it can be; in '*busy_ns' how long it was busy. */
static int64_t counted_ns(struct fixture *fx, int64_t *busy_ns)
{
	static const char *const states[] = {
		"busy_ns", "spinning_ns", "pausing_ns", "sleeping_ns", "blocked_ns"};
	json_t *lcores = telemetry_ask(fx->fd, "/vhost_rng/lcores");
	const char *key;
	json_t *lcore;
	int64_t sum = 0;

	assert_int_equal(json_object_size(lcores), 1);
	json_object_foreach(lcores, key, lcore)
	{
		assert_int_equal(client_number(lcore, "lcore"), atoi(key));
		*busy_ns = client_number(lcore, "busy_ns");
		for (unsigned i = 0; i < ARRAY_SIZE(states); i++)
			sum += client_number(lcore, states[i]);
	}
	json_decref(lcores);
	return sum;
}

/* The lcore's time is accounted for: all of it, and no more. */
static void account(struct fixture *fx, const char *policy)
{
	int64_t begin_ms, from_ms, to_ms, before_ns, passed_ns, busy_before_ns, busy_ns;
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	start(fx, 1, (const char *[]){"--idle", policy, NULL});
	honest_start(&fx->honest, fx->daemon.socket[0]);
	honest_check(&fx->honest);
	begin_ms = now_ms();
	before_ns = counted_ns(fx, &busy_before_ns);
	from_ms = now_ms();
	do {
		sleep_ms(500);
		to_ms = now_ms();
		assert_true(to_ms < deadline_ms);
		passed_ns = counted_ns(fx, &busy_ns) - before_ns;
	} while (passed_ns < (to_ms - from_ms - LATE_MS) * 1000000);
	assert_true(busy_ns > busy_before_ns);
	honest_stop(&fx->honest);
	wait_for_more(fx, "/vhost_rng/guest,0", "counters.requests", 100);
	passed_ns = counted_ns(fx, &busy_ns) - before_ns;
	/* What was not yet counted before is a window, or how long it had slept. */
	assert_in_range(passed_ns, 1, (now_ms() - begin_ms + 1100) * 1000000);
}

/* Also when it has no rest: each of its turns finds more to do. */
static void test_time_without_rest(void **state)
{
	struct fixture *fx = *state;
	int64_t before_ns, busy_ns;

	start(fx, 1, (const char *[]){"--idle", "adaptive", "--source-mode", "drbg", NULL});
	honest_start_as(&fx->honest, &(struct honest_cfg){.path = fx->daemon.socket[0],
					     .polls = true,
					     .depth = 16,
					     .size_bytes = 1 << 20});
	honest_wait_answer(&fx->honest, 32);
	before_ns = counted_ns(fx, &busy_ns);
	sleep_ms(1500);
	assert_true(counted_ns(fx, &busy_ns) - before_ns > 1000000000);
	honest_stop(&fx->honest);
}

static void test_time_of_poll(void **state)
{
	account(*state, "poll");
}

static void test_time_of_adaptive(void **state)
{
	account(*state, "adaptive");
}

/* While a guest waits, how long it does is seen to grow. */
static void test_throttled(void **state)
{
	struct fixture *fx = *state;
	static const char guest[] = "/vhost_rng/guest,0";
	struct driver_used used;
	uint64_t gpa;

	start(fx, 1, (const char *[]){"-m", "64", "-p", "3600000", NULL});
	connect_guest(fx, 0);
	gpa = guest_alloc(&fx->guest, 0, 64);
	guest_request(&fx->guest, gpa, 64, 1);
	guest_must_take(&fx->guest, &used);
	assert_true(has_text(fx, guest, "waits_for", ""));
	assert_int_equal(number_of(fx, guest, "counters.throttled_ns"), 0);
	guest_request(&fx->guest, gpa, 64, 2);
	wait_for_text(fx, guest, "waits_for", "tokens");
	assert_int_equal(number_of(fx, guest, "counters.throttled"), 1);
	wait_for_more(fx, guest, "counters.throttled_ns", 20000000);
	wait_for_more(fx, guest, "counters.throttled_ns", 50000000);
	assert_int_equal(number_of(fx, guest, "counters.starved_ns"), 0);
	guest_die(&fx->guest);
	wait_for_text(fx, guest, "waits_for", "");
}

static void test_starved(void **state)
{
	struct fixture *fx = *state;
	static const char guest[] = "/vhost_rng/guest,0";

	assert_int_equal(mkfifo(fx->daemon.source, 0600), 0);
	start(fx, 1, (const char *[]){"-f", fx->daemon.source, NULL});
	connect_guest(fx, 0);
	guest_request(&fx->guest, guest_alloc(&fx->guest, 0, 64), 64, 1);
	wait_for_text(fx, guest, "waits_for", "bytes");
	wait_for_more(fx, guest, "counters.starved_ns", 20000000);
	assert_int_equal(number_of(fx, guest, "counters.throttled_ns"), 0);
	assert_int_equal(number_of(fx, guest, "counters.starved"), 1);
}

/* A histogram is whole. @return how many are in it */
static json_int_t check_histogram(struct fixture *fx, const char *of)
{
	json_t *answer = telemetry_ask(fx->fd, "/vhost_rng/histogram,%s", of);
	const json_t *le = json_object_get(answer, "le"), *counts;
	json_int_t sum = client_number(answer, "over"), last = 0;

	counts = json_object_get(answer, "counts");
	assert_int_equal(json_array_size(le), json_array_size(counts));
	assert_int_equal(json_integer_value(json_array_get(le, 0)), 256);
	for (size_t i = 0; i < json_array_size(le); i++) {
		assert_true(json_integer_value(json_array_get(le, i)) > last);
		last = json_integer_value(json_array_get(le, i));
		sum += json_integer_value(json_array_get(counts, i));
	}
	assert_int_equal(client_number(answer, "count"), sum);
	assert_true(sum == 0 || client_number(answer, "sum") > 0);
	json_decref(answer);
	return sum;
}

static void test_histograms_of_poll(void **state)
{
	struct fixture *fx = *state;
	int64_t deadline_ms;

	start(fx, 1, (const char *[]){"--lcores", "1", NULL});
	assert_int_equal(check_histogram(fx, "service,0"), 0);
	assert_int_equal(check_histogram(fx, "wake,1"), 0);
	honest_start(&fx->honest, fx->daemon.socket[0]);
	deadline_ms = now_ms() + LIVENESS_MS;
	while (check_histogram(fx, "service,0") < 10) {
		assert_true(now_ms() < deadline_ms);
		sleep_ms(5);
	}
	honest_stop(&fx->honest);
}

/* An lcore that blocks is woken by kicks, and by the daemon, and by the time. */
static void test_histograms_of_adaptive(void **state)
{
	struct fixture *fx = *state;
	int64_t deadline_ms;

	start(fx, 1, (const char *[]){"--lcores", "1", "--idle", "adaptive", NULL});
	connect_guest(fx, 0);
	deadline_ms = now_ms() + LIVENESS_MS;
	while (number_of(fx, "/vhost_rng/guest,0", "counters.kicks") < 3 ||
		check_histogram(fx, "wake,1") < 1 || check_histogram(fx, "timer,1") < 3) {
		assert_true(now_ms() < deadline_ms);
		guest_assert_served(&fx->guest);
		sleep_ms(20);
	}
	assert_int_equal(
		number_of(fx, "/vhost_rng/lcores", "1.wakes"), check_histogram(fx, "wake,1"));
}

struct asker {
	const struct daemon *daemon;
	bool stop; /* main: w, thread: r */
	unsigned nr_answers;
};

static void *ask_all_the_time(void *arg)
{
	struct asker *a = arg;
	int fd = telemetry_connect(a->daemon);

	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		static const char *const commands[] = {"/vhost_rng/guests", "/vhost_rng/guest,x",
			"/vhost_rng/histogram,service,x", "/vhost_rng/budget", "/vhost_rng/lcores"};

		for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
			json_decref(telemetry_ask(fd, "%s", commands[i]));
			a->nr_answers++;
		}
	}
	close(fd);
	return NULL;
}

/* Whoever asks about a guest while it comes or goes has an answer, or none; the others go on. */
static void test_while_guests_come_and_go(void **state)
{
	struct fixture *fx = *state;
	struct asker asker = {.daemon = &fx->daemon};
	pthread_t thread;

	start(fx, 1, NULL);
	honest_start(&fx->honest, fx->daemon.socket[0]);
	assert_int_equal(pthread_create(&thread, NULL, ask_all_the_time, &asker), 0);
	for (unsigned i = 0; i < NR_CHANGES; i++) {
		client_do(fx->control,
			"{\"command\": \"add\", \"name\": \"x\", \"socket\": \"%s/x\"}",
			fx->daemon.dir);
		client_do(fx->control, "{\"command\": \"set\", \"name\": \"x\", \"weight\": %u}",
			1 + i % 9);
		client_do(fx->control, "{\"command\": \"remove\", \"name\": \"x\"}");
	}
	__atomic_store_n(&asker.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_true(asker.nr_answers > 0);
	honest_check(&fx->honest);
	honest_stop(&fx->honest);
	daemon_assert_alive(&fx->daemon);
}

#define TELEMETRY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TELEMETRY_TEST(test_off_by_default),
		TELEMETRY_TEST(test_socket),
		TELEMETRY_TEST(test_same_as_control),
		TELEMETRY_TEST(test_unknown),
		TELEMETRY_TEST(test_many_lcores),
		TELEMETRY_TEST(test_time_of_poll),
		TELEMETRY_TEST(test_time_of_adaptive),
		TELEMETRY_TEST(test_time_without_rest),
		TELEMETRY_TEST(test_throttled),
		TELEMETRY_TEST(test_starved),
		TELEMETRY_TEST(test_histograms_of_poll),
		TELEMETRY_TEST(test_histograms_of_adaptive),
		TELEMETRY_TEST(test_while_guests_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
