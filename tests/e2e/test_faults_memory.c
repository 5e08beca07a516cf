/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocations that fail, one at a time and all at once: a daemon that starts says so and ends, or
 * does without; one that serves refuses whoever needed the memory, and nobody else notices.
 * VRNG_FAULTS_STRIDE: of the allocations of a start, each how manyth is tried (17).
 */
#include "client.h"
#include "stage.h"
#include "util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_SOCKETS 3
#define PROBES_MAX 2000

/* Starting */

/* The start is over when it says so: its sockets answer before that. @return  -1: it serves; else
 * its exit status */
static int serve_or_end(struct stage *st)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!daemon_said(&st->daemon, "vhost-rng: serving")) {
		int status = daemon_wait(&st->daemon, 0);

		if (status != -1)
			return status;
		if (now_ms() > deadline_ms)
			fail_msg("it neither serves nor ends");
		sleep_ms(2);
	}
	assert_true(socket_answers(st->daemon.socket[0]));
	return -1;
}

/* The EAL ends the process itself where it has no other way, and says so. */
static bool eal_panicked(struct stage *st, int status)
{
	return status == 128 + SIGABRT && daemon_said(&st->daemon, "PANIC in rte_eal_init()");
}

/* What it said last, on its way out. */
static void assert_said_why(struct stage *st, uint64_t nth)
{
	char *log = read_text(st->daemon.log), *line = log, *end;

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
static bool start_once(struct stage *st, const char *const *args, uint64_t first, uint64_t last,
	struct outcomes *outcomes)
{
	uint64_t failed;
	int status;

	unlink(st->daemon.log);
	faults_arm(st->faults, first, last);
	daemon_run(&st->daemon, args);
	status = serve_or_end(st);
	faults_disarm(st->faults);
	failed = st->faults->nr_failed;
	if (status != -1) {
		assert_true(failed > 0);
		if (status == 1)
			assert_said_why(st, first);
		else if (!eal_panicked(st, status))
			fail_msg("ended with %d when allocation %llu failed", status,
				(unsigned long long)first);
		/* And has left nothing behind. */
		assert_false(access(st->daemon.socket[0], F_OK) == 0);
	} else {
		assert_int_equal(daemon_stop(&st->daemon, SIGTERM, NULL), 0);
	}
	outcomes->ended += failed > 0 && status != -1;
	outcomes->served += failed > 0 && status == -1;
	return failed > 0;
}

static void sweep_start(struct stage *st, const char *mode, bool all)
{
	const char *args[] = {"-s", st->daemon.prefix, "--source-mode", mode, "--control-socket",
		st->control, "--idle", "adaptive", NULL};
	unsigned stride = env_number("VRNG_FAULTS_STRIDE", 17);
	struct outcomes outcomes = {0};
	uint64_t nth = 1;

	for (; start_once(st, args, nth, all ? UINT64_MAX : nth, &outcomes); nth += stride)
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
	stage_order_faults(*state);
	sweep_start(*state, "passthrough", false);
}

static void test_start_drbg(void **state)
{
	stage_order_faults(*state);
	sweep_start(*state, "drbg", false);
}

static void test_start_no_more_memory(void **state)
{
	stage_order_faults(*state);
	sweep_start(*state, "drbg", true);
}

/* Serving */

/* One attempt to come. */
static bool come(struct stage *st)
{
	return stage_come(st, 0, LIVENESS_MS);
}

static void go(struct stage *st)
{
	guest_die(&st->guest);
	driver_reset(&st->guest.drv);
}

static void must_come(struct stage *st)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!come(st)) {
		go(st);
		if (now_ms() > deadline_ms)
			fail_msg("a guest is not served, although there is memory again");
		sleep_ms(1);
	}
	go(st);
}

/* Each allocation that the daemon makes for a guest that comes and goes fails once. */
static void test_new_guest(void **state)
{
	struct stage *st = *state;
	unsigned refused = 0, served = 0;
	uint64_t allocs;

	stage_order_faults(st);
	stage_start(st, NR_SOCKETS, NULL);
	must_come(st);
	for (uint64_t nth = 1;; nth++) {
		bool failed, came;

		faults_arm(st->faults, nth, nth);
		came = come(st);
		go(st);
		allocs = faults_disarm(st->faults);
		failed = st->faults->nr_failed > 0;
		refused += failed && !came;
		served += failed && came;
		stage_check_others(st);
		must_come(st);
		if (!failed)
			break;
		assert_true(nth < PROBES_MAX);
	}
	print_message("# tried: a guest comes while one of %llu allocations for it fails\n",
		(unsigned long long)allocs);
	print_message("# happened: %u times it was refused and came again, %u times served all the "
		      "same; the others' %llu requests were answered\n",
		refused, served, (unsigned long long)stage_stop_others(st));
	assert_true(refused > 0);
}

/* Not one allocation succeeds for a while: who is served is served on. */
static void test_no_memory_at_all(void **state)
{
	struct stage *st = *state;
	unsigned refused = 0;

	stage_order_faults(st);
	stage_start(st, NR_SOCKETS,
		(const char *[]){"--source-mode", "drbg", "--reseed-time", "1", NULL});
	must_come(st);
	faults_arm(st->faults, 1, UINT64_MAX);
	for (int64_t end_ms = now_ms() + 1500; now_ms() < end_ms; sleep_ms(10)) {
		assert_false(come(st));
		refused++;
		go(st);
		stage_check_others(st);
	}
	faults_disarm(st->faults);
	must_come(st);
	print_message("# tried: no memory at all for 1.5 s, %u guests come\n", refused);
	print_message("# happened: all were refused, served later; the others' %llu requests were "
		      "answered\n",
		(unsigned long long)stage_stop_others(st));
}

/*
 * The EAL's heap, from which rte_vhost takes what it needs for a ring, is smaller than it would be
 * by itself, and guests with the largest rings use it up: who comes then is refused, who is served
 * is served on, and when one of them goes, there is room again.
 */
#define GREEDY 6

static void test_heap_is_used_up(void **state)
{
	const struct guest_cfg largest = {
		.queue_size = DRIVER_SIZE_MAX, .packed = true, .region_bytes = 16 << 20};
	struct stage *st = *state;
	const char *args[] = {"--no-huge", "--no-shconf", "--no-pci", "-m", "7", "--", "-s",
		st->daemon.prefix, "-c", "8", NULL};
	struct guest greedy[GREEDY];
	unsigned came = 0, refused = 0;

	daemon_run(&st->daemon, args);
	daemon_wait_until_said(&st->daemon, "vhost-rng: serving");
	stage_enter(st, GREEDY + STAGE_HONEST);
	for (unsigned i = 0; i < GREEDY; i++)
		guest_init(&greedy[i], &largest);
	for (; came < GREEDY && stage_guest_comes(st, &greedy[came], came, LIVENESS_MS); came++)
		;
	assert_in_range(came, 1, GREEDY - 1);
	for (; refused < 20; refused++) {
		guest_die(&greedy[came]);
		stage_check_others(st);
		assert_false(stage_guest_comes(st, &greedy[came], came, LIVENESS_MS));
	}
	guest_assert_served(&greedy[0]);
	guest_die(&greedy[came - 1]);
	for (int64_t deadline_ms = now_ms() + LIVENESS_MS;
		!stage_guest_comes(st, &greedy[came], came, LIVENESS_MS);) {
		guest_die(&greedy[came]);
		if (now_ms() > deadline_ms)
			fail_msg("a guest is not served, although there is room again");
		sleep_ms(1);
	}
	print_message("# tried: guests with rings of 32768 entries use up the EAL's heap\n");
	print_message("# happened: %u were served, the next one was refused %u times, and served "
		      "when another one had gone; the others' %llu requests were answered\n",
		came, refused, (unsigned long long)stage_stop_others(st));
	for (unsigned i = 0; i < GREEDY; i++)
		guest_fini(&greedy[i]);
}

/* The control socket */

/* A good answer has all that was asked for. */
static void assert_whole(const char *request, const json_t *result)
{
	if (strstr(request, "\"guests\"") != NULL)
		assert_int_equal(
			json_array_size(json_object_get(result, "guests")), NR_SOCKETS + 1);
	if (strstr(request, "\"status\"") != NULL)
		assert_true(client_number(result, "guests.all") > 0);
}

/* One request's answer: 1 for yes, 0 for no, -1 for no answer. */
static int ask(struct stage *st, const char *line)
{
	int fd = client_connect(st->control), ok = -1;
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
	struct stage *st = *state;
	unsigned answers[3] = {0};
	char lines[5][256];

	stage_order_faults(st);
	stage_start(st, NR_SOCKETS, (const char *[]){"--control-socket", st->control, NULL});
	snprintf(lines[0], 256, "{\"command\": \"add\", \"name\": \"g\", \"socket\": \"%s/g\"}\n",
		st->daemon.dir);
	snprintf(lines[1], 256, "{\"command\": \"set\", \"name\": \"g\", \"weight\": 2}\n");
	snprintf(lines[2], 256, "{\"command\": \"status\"}\n");
	snprintf(lines[3], 256, "{\"command\": \"guests\"}\n");
	snprintf(lines[4], 256, "{\"command\": \"remove\", \"name\": \"g\"}\n");
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		for (uint64_t nth = 1;; nth++) {
			int ok;

			/* 'add' and 'remove' need the guest away, and there. */
			if (i == 0)
				(void)ask(st, lines[4]);
			else
				(void)ask(st, lines[0]);
			faults_arm(st->faults, nth, nth);
			ok = ask(st, lines[i]);
			faults_disarm(st->faults);
			if (st->faults->nr_failed == 0) {
				assert_int_equal(ok, 1);
				break;
			}
			answers[ok + 1]++;
			stage_check_others(st);
			assert_true(nth < PROBES_MAX);
		}
	}
	print_message("# tried: control requests while one of their allocations fails, %u times\n",
		answers[0] + answers[1] + answers[2]);
	print_message(
		"# happened: %u were refused, %u unanswered, %u done; then each was done; the "
		"others' %llu requests were answered\n",
		answers[1], answers[0], answers[2], (unsigned long long)stage_stop_others(st));
}

#define FAULTS_TEST(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULTS_TEST(test_start_passthrough),
		FAULTS_TEST(test_start_drbg),
		FAULTS_TEST(test_start_no_more_memory),
		FAULTS_TEST(test_new_guest),
		FAULTS_TEST(test_no_memory_at_all),
		FAULTS_TEST(test_heap_is_used_up),
		FAULTS_TEST(test_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
