/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocations that fail, one at a time and all at once: a daemon that starts says so and ends, or
 * does without; one that serves refuses whoever needed the memory, and nobody else notices.
 * VRNG_FAULTS_STRIDE: of the allocations of a start, each how manyth is tried (11).
 */
#include "client.h"
#include "daemon.h"
#include "faults.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEWCOMER   0 /* sockets */
#define HONEST	   1
#define NR_HONEST  2
#define PROBES_MAX 2000

struct fixture {
	struct daemon daemon;
	struct faults *faults;
	struct honest honest[NR_HONEST];
	struct guest guest;
	char control[96];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	stay_off_lcores();
	*state = fx;
	daemon_init(&fx->daemon);
	snprintf(fx->control, sizeof(fx->control), "%s/control", fx->daemon.dir);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->honest[0].running && fx->daemon.pid > 0)
		(void)daemon_stop(&fx->daemon, SIGKILL, NULL);
	for (unsigned i = 0; i < NR_HONEST; i++)
		honest_fini(&fx->honest[i]);
	guest_fini(&fx->guest);
	faults_destroy(fx->faults);
	daemon_fini(&fx->daemon);
	free(fx);
	return 0;
}

static void order(struct fixture *fx)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/faults", fx->daemon.dir);
	fx->faults = faults_create(path);
}

/* Starting */

/* @return  -1: it serves; else its exit status */
static int serve_or_end(struct fixture *fx)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!socket_answers(fx->daemon.socket[0])) {
		int status = daemon_wait(&fx->daemon, 0);

		if (status != -1)
			return status;
		if (now_ms() > deadline_ms)
			fail_msg("it neither serves nor ends");
		sleep_ms(2);
	}
	return -1;
}

/* What it said last, on its way out. */
static void assert_said_why(struct fixture *fx, uint64_t nth)
{
	char *log = read_text(fx->daemon.log), *line = log, *end;

	while ((end = strchr(line, '\n')) != NULL && end[1] != '\0')
		line = end + 1;
	if (strncmp(line, "dpdk-vhost-rng: ", 16) != 0 || strlen(line) < 24)
		fail_msg("ended without a reason when allocation %llu failed: '%s'",
			(unsigned long long)nth, log);
	free(log);
}

struct outcomes {
	unsigned ended, served;
};

/* Start with some allocations that fail. @return false: there are not so many */
static bool start_once(struct fixture *fx, const char *const *args, uint64_t first, uint64_t last,
	struct outcomes *outcomes)
{
	uint64_t failed;
	int status;

	unlink(fx->daemon.log);
	faults_arm(fx->faults, first, last);
	daemon_run(&fx->daemon, args);
	status = serve_or_end(fx);
	faults_disarm(fx->faults);
	failed = fx->faults->nr_failed;
	if (status != -1) {
		if (status != 1)
			fail_msg("ended with %d when allocation %llu failed", status,
				(unsigned long long)first);
		assert_true(failed > 0);
		assert_said_why(fx, first);
		/* And has left nothing behind. */
		assert_false(access(fx->daemon.socket[0], F_OK) == 0);
	} else {
		assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	}
	outcomes->ended += failed > 0 && status != -1;
	outcomes->served += failed > 0 && status == -1;
	return failed > 0;
}

static void sweep_start(struct fixture *fx, const char *mode, bool all)
{
	const char *args[] = {"-s", fx->daemon.prefix, "--source-mode", mode, "--control-socket",
		fx->control, "--idle", "adaptive", NULL};
	unsigned stride = env_number("VRNG_FAULTS_STRIDE", 11);
	struct outcomes outcomes = {0};
	uint64_t nth = 1;

	for (; start_once(fx, args, nth, all ? UINT64_MAX : nth, &outcomes); nth += stride)
		assert_true(nth < PROBES_MAX * stride);
	print_message("# tried: start, %s, %s allocation fails, %u of about %llu\n", mode,
		all ? "that and each later" : "one", outcomes.ended + outcomes.served,
		(unsigned long long)nth);
	print_message(
		"# happened: %u ended with an error that says why, %u did without and served\n",
		outcomes.ended, outcomes.served);
	assert_true(outcomes.ended > 0);
}

static void test_start_passthrough(void **state)
{
	order(*state);
	sweep_start(*state, "passthrough", false);
}

static void test_start_drbg(void **state)
{
	order(*state);
	sweep_start(*state, "drbg", false);
}

static void test_start_no_more_memory(void **state)
{
	order(*state);
	sweep_start(*state, "drbg", true);
}

/* Serving */

static void up(struct fixture *fx, const char *const *more)
{
	order(fx);
	daemon_start(&fx->daemon, HONEST + NR_HONEST, more);
	for (unsigned i = 0; i < NR_HONEST; i++)
		honest_start(&fx->honest[i], fx->daemon.socket[HONEST + i]);
	guest_init(&fx->guest, &(struct guest_cfg){0});
}

static void check_others(struct fixture *fx)
{
	daemon_assert_alive(&fx->daemon);
	for (unsigned i = 0; i < NR_HONEST; i++)
		honest_check(&fx->honest[i]);
}

static uint64_t stop_others(struct fixture *fx)
{
	uint64_t answers = 0;

	for (unsigned i = 0; i < NR_HONEST; i++) {
		honest_stop(&fx->honest[i]);
		answers += fx->honest[i].nr_answers;
	}
	return answers;
}

/* A guest that is connected gets an answer, or it is disconnected; nothing in between. */
static bool is_served(struct guest *g, const struct faults *f)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(g->fe), .events = POLLRDHUP};
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	struct driver_used used;

	guest_request(g, g->scratch_gpa, 64, 0);
	while (!guest_take(g, &used, 1)) {
		if (poll(&pfd, 1, 0) == 1)
			return false;
		if (now_ms() > deadline_ms)
			fail_msg("allocation %llu failed, and a guest is neither served nor "
				 "disconnected",
				(unsigned long long)f->first);
	}
	return true;
}

/* One attempt to come. */
static bool come(struct fixture *fx)
{
	struct frontend_cfg cfg = {
		.socket_path = fx->daemon.socket[NEWCOMER], .timeout_ms = LIVENESS_MS};
	struct guest *g = &fx->guest;

	driver_reset(&g->drv);
	return guest_attach(g, &cfg) == 0 && is_served(g, fx->faults);
}

static void go(struct fixture *fx)
{
	guest_die(&fx->guest);
	driver_reset(&fx->guest.drv);
}

static void must_come(struct fixture *fx)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!come(fx)) {
		go(fx);
		if (now_ms() > deadline_ms)
			fail_msg("a guest is not served, although there is memory again");
		sleep_ms(1);
	}
	go(fx);
}

/* Each allocation that the daemon makes for a guest that comes and goes fails once. */
static void test_new_guest(void **state)
{
	struct fixture *fx = *state;
	unsigned refused = 0, served = 0;
	uint64_t allocs;

	up(fx, NULL);
	must_come(fx);
	for (uint64_t nth = 1;; nth++) {
		bool failed, came;

		faults_arm(fx->faults, nth, nth);
		came = come(fx);
		go(fx);
		allocs = faults_disarm(fx->faults);
		failed = fx->faults->nr_failed > 0;
		refused += failed && !came;
		served += failed && came;
		check_others(fx);
		must_come(fx);
		if (!failed)
			break;
		assert_true(nth < PROBES_MAX);
	}
	print_message("# tried: a guest comes while one of %llu allocations for it fails\n",
		(unsigned long long)allocs);
	print_message("# happened: %u times it was refused and came again, %u times served all the "
		      "same; the others' %llu requests were answered\n",
		refused, served, (unsigned long long)stop_others(fx));
	assert_true(refused > 0);
}

/* Not one allocation succeeds for a while: who is served is served on. */
static void test_no_memory_at_all(void **state)
{
	struct fixture *fx = *state;
	unsigned refused = 0;

	up(fx, (const char *[]){"--source-mode", "drbg", "--reseed-time", "1", NULL});
	must_come(fx);
	faults_arm(fx->faults, 1, UINT64_MAX);
	for (int64_t end_ms = now_ms() + 1500; now_ms() < end_ms; sleep_ms(10)) {
		assert_false(come(fx));
		refused++;
		go(fx);
		check_others(fx);
	}
	faults_disarm(fx->faults);
	must_come(fx);
	print_message("# tried: no memory at all for 1.5 s, %u guests come\n", refused);
	print_message("# happened: all were refused, served later; the others' %llu requests were "
		      "answered\n",
		(unsigned long long)stop_others(fx));
}

/* The control socket */

/* A good answer has all that was asked for. */
static void assert_whole(const char *request, const json_t *result)
{
	if (strstr(request, "\"guests\"") != NULL)
		assert_int_equal(
			json_array_size(json_object_get(result, "guests")), HONEST + NR_HONEST + 1);
	if (strstr(request, "\"status\"") != NULL)
		assert_true(client_number(result, "guests.all") > 0);
}

/* One request's answer: 1 for yes, 0 for no, -1 for no answer. */
static int ask(struct fixture *fx, const char *line)
{
	int fd = client_connect(fx->control), ok = -1;
	json_t *answer;

	client_send(fd, line, strlen(line));
	answer = client_receive(fd);
	if (answer != NULL)
		ok = json_is_true(json_object_get(answer, "ok"));
	if (ok == 1)
		assert_whole(line, json_object_get(answer, "result"));
	json_decref(answer);
	close(fd);
	return ok;
}

static void test_control(void **state)
{
	struct fixture *fx = *state;
	unsigned answers[3] = {0};
	char lines[5][256];

	up(fx, (const char *[]){"--control-socket", fx->control, NULL});
	snprintf(lines[0], 256, "{\"command\": \"add\", \"name\": \"g\", \"socket\": \"%s/g\"}\n",
		fx->daemon.dir);
	snprintf(lines[1], 256, "{\"command\": \"set\", \"name\": \"g\", \"weight\": 2}\n");
	snprintf(lines[2], 256, "{\"command\": \"status\"}\n");
	snprintf(lines[3], 256, "{\"command\": \"guests\"}\n");
	snprintf(lines[4], 256, "{\"command\": \"remove\", \"name\": \"g\"}\n");
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		for (uint64_t nth = 1;; nth++) {
			int ok;

			/* 'add' and 'remove' need the guest away, and there. */
			if (i == 0)
				(void)ask(fx, lines[4]);
			else
				(void)ask(fx, lines[0]);
			faults_arm(fx->faults, nth, nth);
			ok = ask(fx, lines[i]);
			faults_disarm(fx->faults);
			if (fx->faults->nr_failed == 0) {
				assert_int_equal(ok, 1);
				break;
			}
			answers[ok + 1]++;
			check_others(fx);
			assert_true(nth < PROBES_MAX);
		}
	}
	print_message("# tried: control requests while one of their allocations fails, %u times\n",
		answers[0] + answers[1] + answers[2]);
	print_message(
		"# happened: %u were refused, %u unanswered, %u done; then each was done; the "
		"others' %llu requests were answered\n",
		answers[1], answers[0], answers[2], (unsigned long long)stop_others(fx));
}

#define FAULTS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULTS_TEST(test_start_passthrough),
		FAULTS_TEST(test_start_drbg),
		FAULTS_TEST(test_start_no_more_memory),
		FAULTS_TEST(test_new_guest),
		FAULTS_TEST(test_no_memory_at_all),
		FAULTS_TEST(test_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
