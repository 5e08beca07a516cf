/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A day in the life, in short: a crowd of guests that come, go, lie and die, a daemon that is
 * killed at random moments and started again, and some honest guests that ask all the time and
 * check each byte, of which none may come twice. Half of the time the daemon is killed now and
 * then; the other half it lives, and its memory and descriptors must be what they were.
 * VRNG_SOAK_SECONDS: how long (10). VRNG_SOAK_SEED: of the moments (the time).
 */
#include "crowd.h"
#include "daemon.h"
#include "honest.h"
#include "spring.h"
#include "util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define NR_HONEST 8
#define NR_CROWD  64
#define ALL	  "72"

/*
 * What memory may differ by. The process's own: heaps that have holes, and the log's buffers. The
 * EAL's heap is there from the start, and is touched further on when more rings of 32768 entries
 * than before are there at once.
 */
#define SLACK_KB      3072
#define SLACK_HEAP_KB 32768

struct fixture {
	struct daemon daemon;
	struct spring spring;
	struct honest honest[NR_HONEST];
	struct crowd *crowd;
	unsigned seed;
	unsigned restarts;
	uint64_t seen[NR_HONEST]; /* answers */
};

static int setup(void **state)
{
	struct rlimit files;

	/* Of a daemon with the address sanitizer: it keeps what was freed. */
	setenv("ASAN_OPTIONS",
		"abort_on_error=1:detect_leaks=1:handle_sigbus=0:quarantine_size_mb=1", 1);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	((struct daemon *)daemon_fixture(state, sizeof(struct fixture)))->inspected = true;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	if (fx->daemon.pid > 0)
		(void)daemon_stop(&fx->daemon, SIGKILL, NULL);
	crowd_destroy(fx->crowd);
	for (unsigned i = 0; i < NR_HONEST; i++)
		honest_fini(&fx->honest[i]);
	spring_fini(&fx->spring);
	return daemon_fixture_end(state);
}

static void run_daemon(struct fixture *fx)
{
	daemon_run(&fx->daemon, (const char *[]){"-s", fx->daemon.prefix, "-c", ALL, "-f",
					fx->daemon.source, NULL});
}

static const char *judge(void *arg, const uint8_t *bytes, uint32_t len_bytes)
{
	return spring_judge(arg, bytes, len_bytes);
}

static void start_honest(struct fixture *fx)
{
	for (unsigned i = 0; i < NR_HONEST; i++)
		honest_start_as(&fx->honest[i], &(struct honest_cfg){.path = fx->daemon.socket[i],
							.depth = 1u << i % 4,
							.size_bytes = 64u << i % 3,
							.may_be_short = true,
							.packed = i >= NR_HONEST / 2,
							.pause_us = 500,
							.judge = judge,
							.arg = &fx->spring});
}

static void fail_if_any_complains(struct fixture *fx)
{
	struct crowd_counts counts;
	const char *complaint = crowd_counts(fx->crowd, &counts);

	if (complaint != NULL)
		fail_msg("one of the crowd: %s", complaint);
}

/* Each honest guest has had an answer since the last time, and nobody complains. */
static void check(struct fixture *fx)
{
	daemon_assert_alive(&fx->daemon);
	for (unsigned i = 0; i < NR_HONEST; i++) {
		honest_wait_answer(&fx->honest[i], fx->seen[i]);
		fx->seen[i] = honest_answers(&fx->honest[i]);
	}
	fail_if_any_complains(fx);
}

/* Go on for so long. */
static void soak_for(struct fixture *fx, int64_t ms)
{
	for (int64_t end_ms = now_ms() + ms; now_ms() < end_ms; sleep_ms(200))
		check(fx);
}

/* Kill and start again, until the time is over: 12 times, or more in a long run. */
static void killing_time(struct fixture *fx, int64_t ms)
{
	int64_t end_ms = now_ms() + ms, longest_ms = ms / 6 < 20000 ? ms / 6 : 20000;

	while (now_ms() < end_ms) {
		soak_for(fx, rand_r(&fx->seed) % longest_ms);
		assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
		sleep_ms(rand_r(&fx->seed) % 50);
		run_daemon(fx);
		fx->restarts++;
		check(fx);
	}
}

/* Descriptors when the crowd is away, when the daemon has noticed what it left behind. */
static unsigned settled_fds(struct fixture *fx)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	unsigned n, before;

	crowd_pause(fx->crowd, true);
	n = daemon_count_fds(&fx->daemon);
	do {
		assert_true(now_ms() < deadline_ms);
		before = n;
		sleep_ms(500);
		check(fx); /* all honest guests are there */
		n = daemon_count_fds(&fx->daemon);
	} while (n != before);
	return n;
}

static void report(struct fixture *fx, unsigned seconds, uint64_t honest, uint64_t lost)
{
	struct crowd_counts counts;

	(void)crowd_counts(fx->crowd, &counts);
	print_message(
		"# tried: %u s with %u guests that come (%llu times), lie (%llu lies) and die "
		"(%llu times); kill -9 of the daemon %u times\n",
		seconds, NR_CROWD, (unsigned long long)counts.connections,
		(unsigned long long)counts.lies, (unsigned long long)counts.deaths, fx->restarts);
	print_message("# happened: %u honest guests had %llu requests answered, each byte checked, "
		      "lost %llu; the others had %llu\n",
		NR_HONEST, (unsigned long long)honest, (unsigned long long)lost,
		(unsigned long long)counts.answers);
	print_message(
		"# %llu bytes in answers too short to say where they are from, %llu refusals\n",
		(unsigned long long)fx->spring.unplaced, (unsigned long long)counts.refusals);
}

static void test_soak(void **state)
{
	unsigned seconds = env_number("VRNG_SOAK_SECONDS", 10), fds, fds_end;
	struct fixture *fx = *state;
	uint64_t honest = 0, lost = 0;
	long kb, kb_end, heap_kb, heap_kb_end;

	fx->seed = env_number("VRNG_SOAK_SEED", (unsigned)time(NULL));
	print_message("# seed %u\n", fx->seed);
	spring_start(&fx->spring, fx->daemon.source);
	run_daemon(fx);
	start_honest(fx);
	crowd_start(&fx->crowd, fx->daemon.prefix, NR_HONEST, NR_CROWD, &fx->spring);
	check(fx);
	killing_time(fx, (int64_t)seconds * 500);
	/* From here on it lives. First, whatever is allocated once. */
	soak_for(fx, (int64_t)seconds * 100);
	fds = settled_fds(fx);
	kb = daemon_memory_kb(&fx->daemon, "RssAnon");
	heap_kb = daemon_memory_kb(&fx->daemon, "RssShmem");
	crowd_pause(fx->crowd, false);
	soak_for(fx, (int64_t)seconds * 400);
	fds_end = settled_fds(fx);
	kb_end = daemon_memory_kb(&fx->daemon, "RssAnon");
	heap_kb_end = daemon_memory_kb(&fx->daemon, "RssShmem");
	check(fx);
	for (unsigned i = 0; i < NR_HONEST; i++) {
		honest_stop(&fx->honest[i]);
		honest += fx->honest[i].nr_answers;
		lost += fx->honest[i].nr_offered - fx->honest[i].nr_answers;
	}
	report(fx, seconds, honest, lost);
	print_message("# tried: memory and descriptors of the daemon, over the last %u s of that\n",
		seconds * 4 / 10);
	print_message(
		"# happened: %ld KiB, %ld KiB of the EAL's heap and %u descriptors before, %ld, "
		"%ld and %u after\n",
		kb, heap_kb, fds, kb_end, heap_kb_end, fds_end);
	assert_true(kb > 0 && heap_kb >= 0);
	assert_true(kb_end - kb < SLACK_KB);
	assert_true(heap_kb_end - heap_kb < SLACK_HEAP_KB);
	assert_true(fds_end <= fds);
	assert_int_equal(lost, 0);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_soak, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
