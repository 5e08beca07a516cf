/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the host may do to the daemon: no descriptors are left, no socket can be made, a clock
 * jumps, an lcore stands still. Who is served is served on, and the log says what to do.
 */
#include "client.h"
#include "stage.h"
#include "threads.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#define NR_SOCKETS 8
#define NR_OTHERS  (NR_SOCKETS - STAGE_HONEST) /* without a bystander */

#define BIG_BYTES (1u << 20)

#define SECOND INT64_C(1000000000)
#define YEAR   (365 * 86400 * SECOND)

static unsigned times_said(const struct daemon *d, const char *text)
{
	char *log = read_text(d->log);
	unsigned n = 0;

	for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
		n++;
	free(log);
	return n;
}

/* Descriptors */

/* The limit with which it can open 'room' more. */
static rlim_t limit_with(const struct daemon *d, unsigned room)
{
	bool used[4096] = {false};
	const struct dirent *entry;
	rlim_t limit = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)d->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && strtoul(entry->d_name, NULL, 10) < 4096)
			used[strtoul(entry->d_name, NULL, 10)] = true;
	closedir(dir);
	while (used[limit] || room-- > 0)
		limit++;
	return limit;
}

/* Whoever is let in cannot make others wait for the rest of a message, whatever was lacking. */
static void knock(struct stage *st, const char *path)
{
	struct vhost_user_header header = {
		.request = VHOST_USER_SET_FEATURES, .flags = VHOST_USER_VERSION, .size_bytes = 8};
	struct frontend_cfg cfg = {.socket_path = path};
	struct frontend *fe;

	assert_int_equal(frontend_create(&cfg, &fe), 0);
	(void)frontend_send_raw(fe, &header, NULL, 0, NULL, 0);
	sleep_ms(5);
	assert_int_equal(frontend_sync(st->honest[0].guest.fe), 0);
	frontend_destroy(fe);
}

/* Come while there are 'room' descriptors; and go. @return whether it was served */
static bool come_with(struct stage *st, unsigned room)
{
	rlim_t before = daemon_limit_fds(&st->daemon, limit_with(&st->daemon, room));
	bool served;

	/* Another socket each time: who does that too often is kept out. */
	knock(st, st->daemon.socket[1 + room % (NR_OTHERS - 1)]);
	served = stage_come(st, 0, 300);
	stage_check_others(st);
	guest_die(&st->guest);
	daemon_limit_fds(&st->daemon, before);
	return served;
}

/* A guest needs some; it comes while there are none, then with one, with two... */
static void test_descriptors(void **state)
{
	struct stage *st = *state;
	unsigned refused = 0, room = 0;
	uint64_t answers;

	stage_start(st, NR_SOCKETS, NULL);
	while (!come_with(st, room)) {
		refused++;
		assert_true(room++ < 64);
	}
	assert_true(refused > 3);
	guest_connect(&st->guest, st->daemon.socket[0]);
	guest_assert_served(&st->guest);
	stage_check_others(st);
	answers = stage_stop_others(st);
	print_message(
		"# tried: a guest comes while there are 0, 1, ... %u descriptors left\n", room);
	print_message("# happened: refused %u times, served with %u, and after; the others' %llu "
		      "requests were answered\n",
		refused, room, (unsigned long long)answers);
}

static const char no_fds[] = "the limit of open files, ";

/* Leave it none, which it says. @return the limit as it was */
static rlim_t use_up_fds(struct stage *st)
{
	rlim_t before = daemon_limit_fds(&st->daemon, limit_with(&st->daemon, 0));
	int64_t end_ms = now_ms() + LIVENESS_MS;

	for (; !daemon_said(&st->daemon, no_fds); sleep_ms(20)) {
		if (now_ms() > end_ms)
			fail_msg("the daemon does not say: %s", no_fds);
		/* Some were in use for a moment. */
		daemon_limit_fds(&st->daemon, limit_with(&st->daemon, 0));
	}
	return before;
}

/*
 * Front-ends, and somebody at the control socket, come while there are none. The threads that wait
 * for them must not find them at the door over and over.
 */
static void test_descriptors_no_spinning(void **state)
{
	struct frontend_cfg cfg = {.timeout_ms = LIVENESS_MS};
	struct stage *st = *state;
	struct frontend *fe[STAGE_HONEST];
	uint64_t from_ns[2], cpu_ns[2], took_ns;
	rlim_t before;
	int64_t from_us;
	pid_t tid[2];
	int client;

	stage_start(st, NR_SOCKETS, (const char *[]){"--control-socket", st->control, NULL});
	stage_check_others(st);
	tid[0] = thread_find(&st->daemon, "vhost-events"); /* DPDK 22.11 */
	if (tid[0] == 0)
		tid[0] = thread_find(&st->daemon, "dpdk-vhost-evt");
	tid[1] = st->daemon.pid; /* MAIN */
	before = use_up_fds(st);
	for (unsigned i = 0; i < STAGE_HONEST; i++) {
		cfg.socket_path = st->daemon.socket[i];
		assert_int_equal(frontend_create(&cfg, &fe[i]), 0);
	}
	client = client_connect(st->control);
	sleep_ms(50);
	from_us = now_us();
	for (unsigned i = 0; i < 2; i++)
		from_ns[i] = thread_cpu_ns(&st->daemon, tid[i]);
	sleep_ms(500);
	for (unsigned i = 0; i < 2; i++)
		cpu_ns[i] = thread_cpu_ns(&st->daemon, tid[i]) - from_ns[i];
	took_ns = (uint64_t)(now_us() - from_us) * 1000;
	print_message("# tried: %d front-ends, and one at the control socket, come while there are "
		      "no descriptors left\n",
		STAGE_HONEST);
	print_message(
		"# happened: rte_vhost's thread used %llu %% of a CPU, the main one %llu %%\n",
		(unsigned long long)(cpu_ns[0] * 100 / took_ns),
		(unsigned long long)(cpu_ns[1] * 100 / took_ns));
	assert_true(cpu_ns[0] < took_ns / 5 && cpu_ns[1] < took_ns / 5);
	for (unsigned i = 0; i < STAGE_HONEST; i++) {
		assert_int_not_equal(frontend_sync(fe[i]), 0); /* it was refused */
		frontend_destroy(fe[i]);
	}
	close(client);
	daemon_limit_fds(&st->daemon, before);
	guest_connect(&st->guest, st->daemon.socket[0]);
	guest_assert_served(&st->guest);
	(void)stage_stop_others(st);
}

/* It lasts: it is said, once; and once more when it is over. */
static void test_descriptors_said_once(void **state)
{
	struct stage *st = *state;
	rlim_t before;
	int64_t end_ms;

	stage_start(st, NR_SOCKETS, NULL);
	before = use_up_fds(st);
	for (end_ms = now_ms() + 2500; now_ms() < end_ms; sleep_ms(20)) {
		(void)socket_answers(st->daemon.socket[0]);
		stage_check_others(st);
	}
	assert_int_equal(times_said(&st->daemon, no_fds), 1);
	daemon_limit_fds(&st->daemon, before);
	daemon_wait_until_said(&st->daemon, "there are open files to be had again");
	guest_connect(&st->guest, st->daemon.socket[0]);
	guest_assert_served(&st->guest);
	print_message("# tried: no descriptors left for 2.5 s, front-ends knock all the time\n");
	print_message(
		"# happened: one line says so, one that it is over; the others' %llu requests "
		"were answered\n",
		(unsigned long long)stage_stop_others(st));
}

/* The run directory */

static void must_refuse(struct stage *st, const char *const *args, int status, const char *path,
	const char *reason, const char *advice)
{
	unlink(st->daemon.log);
	daemon_run(&st->daemon, args);
	assert_int_equal(daemon_wait(&st->daemon, LIVENESS_MS), status);
	for (unsigned i = 0; i < 3; i++) {
		const char *what = i == 0 ? path : i == 1 ? reason : advice;
		char *log = read_text(st->daemon.log), *last = strstr(log, "dpdk-vhost-rng: ");

		if (last == NULL || strstr(last, what) == NULL)
			fail_msg("it does not say '%s': %s", what, log);
		free(log);
	}
	assert_int_not_equal(access(st->daemon.socket[0], F_OK), 0);
}

static const struct {
	int err, status;
	const char *reason, *advice;
} bind_errors[] = {
	{ENOSPC, 1, "No space left", "make room"},
	{EDQUOT, 1, "quota", "make room"},
	{EACCES, 2, "Permission denied", "choose a directory that may be written to"},
	{EROFS, 2, "Read-only", "choose a directory that may be written to"},
};

static void test_socket_cannot_be_made(void **state)
{
	struct stage *st = *state;
	char control[96];

	stage_order_faults(st);
	snprintf(control, sizeof(control), "%s/control", st->daemon.dir);
	for (unsigned i = 0; i < ARRAY_SIZE(bind_errors); i++) {
		st->faults->bind_errno = bind_errors[i].err;
		must_refuse(st, (const char *[]){"-s", st->daemon.prefix, NULL},
			bind_errors[i].status, st->daemon.socket[0], bind_errors[i].reason,
			bind_errors[i].advice);
		must_refuse(st, (const char *[]){"--control-socket", control, NULL},
			bind_errors[i].status, control, bind_errors[i].reason,
			bind_errors[i].advice);
	}
	print_message("# tried: bind() fails with ENOSPC, EDQUOT, EACCES, EROFS\n");
	print_message("# happened: each time one error with path, reason and way out\n");
}

/* A guest's socket that cannot be made when the file is read again: the reload says so. */
static void test_reload_without_socket(void **state)
{
	struct stage *st = *state;
	char config[96], text[512];
	int n;

	stage_order_faults(st);
	snprintf(config, sizeof(config), "%s/conf", st->daemon.dir);
	n = snprintf(text, sizeof(text),
		"[daemon]\ncontrol-socket = %s\n[guest a]\nsocket = %s/a\n", st->control,
		st->daemon.dir);
	write_file(config, text, (size_t)n);
	daemon_run(&st->daemon, (const char *[]){"--config", config, NULL});
	daemon_wait_until_said(&st->daemon, "vhost-rng: serving");
	snprintf(text + n, sizeof(text) - (size_t)n, "[guest b]\nsocket = %s/b\nweight = 2\n",
		st->daemon.dir);
	write_file(config, text, strlen(text));
	st->faults->bind_errno = ENOSPC;
	client_must_not(st->control, "failed", "all else was applied", "{\"command\": \"reload\"}");
	st->faults->bind_errno = 0;
	assert_true(daemon_said(&st->daemon, "again: 1 guests"));
	kill(st->daemon.pid, SIGHUP);
	daemon_wait_until_said(&st->daemon, "again: 2 guests");
	print_message("# tried: bind() fails with ENOSPC for a guest that the file adds\n");
	print_message("# happened: the reload fails, and adds it the next time\n");
}

static void test_directory(void **state)
{
	struct stage *st = *state;
	char prefix[96];

	snprintf(prefix, sizeof(prefix), "%s/not/there", st->daemon.dir);
	must_refuse(
		st, (const char *[]){"-s", prefix, NULL}, 2, prefix, "No such file", "create it");
	write_file(st->daemon.source, "x", 1);
	snprintf(prefix, sizeof(prefix), "%s/s", st->daemon.source);
	must_refuse(st, (const char *[]){"-s", prefix, NULL}, 2, prefix, "is not a directory",
		"choose another");
	print_message("# tried: the socket's directory is not there, or is a file\n");
	print_message("# happened: an error with path, reason and way out\n");
}

/* Memory that cannot be locked: a warning; an error where all protection is asked for. */
static void test_memory_cannot_be_locked(void **state)
{
	/* What a container may lack is left out; the rest is required. */
	static const char required[] =
		"--sandbox=require,no-namespaces,no-caps,no-landlock,no-seccomp";
	struct stage *st = *state;
	struct daemon *d = &st->daemon;

	stage_order_faults(st);
	st->faults->mlock_errno = EPERM;
	for (unsigned drbg = 0; drbg < 2; drbg++) {
		const char *mode = drbg ? "--source-mode=drbg" : "--source-mode=passthrough";

		daemon_start(d, 1, (const char *[]){mode, NULL});
		assert_true(daemon_said(d, "cannot lock memory for random bytes: Operation not"));
		assert_true(daemon_said(d, "cannot lock memory for the cipher's key") == drbg);
		assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
		unlink(d->log);
		daemon_run(d, (const char *[]){"-s", d->prefix, mode, required, NULL});
		assert_int_equal(daemon_wait(d, LIVENESS_MS), 1);
		assert_true(daemon_said(d, "cannot lock memory for random bytes: Operation not "
					   "permitted; not started, for --sandbox require. Raise "
					   "the memlock limit"));
		assert_int_not_equal(access(d->socket[0], F_OK), 0);
	}
	print_message("# tried: mlock(2) fails, in both source modes\n");
	print_message("# happened: a warning; with --sandbox require the start is refused\n");
}

/* Clocks */

/* After a jump all go on: those who are served, and one who waits for its share. */
static void jump(struct stage *st, uint64_t gpa, int64_t *clock, int64_t ns)
{
	struct driver_used used;

	guest_request(&st->guest, gpa, BIG_BYTES, 0);
	guest_must_take(&st->guest, &used);
	assert_int_not_equal(used.len_bytes, BIG_BYTES); /* that was all of it */
	guest_request(&st->guest, gpa, BIG_BYTES, 0);
	__atomic_store_n(clock, *clock + ns, __ATOMIC_RELAXED);
	guest_must_take(&st->guest, &used);
	stage_check_others(st);
	guest_assert_served(&st->guest);
}

static void test_clocks_jump(void **state)
{
	static const int64_t jumps[] = {SECOND / 100, SECOND, 3600 * SECOND, YEAR, 50 * YEAR};
	struct stage *st = *state;
	uint64_t gpa;

	stage_order_faults(st);
	stage_start(st, NR_SOCKETS,
		(const char *[]){"--source-mode", "drbg", "--reseed-time", "1", "-m", "1000000",
			"-p", "100", NULL});
	gpa = guest_alloc(&st->guest, 0, BIG_BYTES);
	guest_connect(&st->guest, st->daemon.socket[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(jumps); i++) {
		jump(st, gpa, &st->faults->monotonic_ns, jumps[i]);
		jump(st, gpa, &st->faults->realtime_ns, jumps[i]);
		jump(st, gpa, &st->faults->realtime_ns, -2 * jumps[i]);
	}
	guest_die(&st->guest);
	guest_connect(&st->guest, st->daemon.socket[0]);
	guest_assert_served(&st->guest);
	print_message("# tried: CLOCK_MONOTONIC jumps 10 ms to 50 years ahead, CLOCK_REALTIME to "
		      "and fro\n");
	print_message("# happened: all go on; the others' %llu requests were answered\n",
		(unsigned long long)stage_stop_others(st));
	assert_int_equal(daemon_stop(&st->daemon, SIGTERM, NULL), 0);
}

/* A jump over many periods brings one period's share, not that of all of them. */
static void test_clock_jump_brings_no_bytes(void **state)
{
	struct stage *st = *state;
	struct driver_used used;
	struct guest *g = &st->guest;
	uint64_t gpa;

	stage_order_faults(st);
	/* A period does not end while this runs, but for the jumps. */
	daemon_start(&st->daemon, 1,
		(const char *[]){"--source-mode", "drbg", "-m", "10000", "-p", "10000000", NULL});
	guest_init(g, &(struct guest_cfg){0});
	gpa = guest_alloc(g, 0, BIG_BYTES);
	guest_connect(g, st->daemon.socket[0]);
	guest_request(g, gpa, BIG_BYTES, 0);
	guest_must_take(g, &used);
	assert_int_equal(used.len_bytes, 10000);
	for (int64_t periods = 1; periods < 100000; periods *= 10) {
		guest_request(g, gpa, BIG_BYTES, 0);
		guest_assert_quiet(g, 50);
		__atomic_fetch_add(
			&st->faults->monotonic_ns, periods * 10000 * SECOND, __ATOMIC_RELAXED);
		guest_must_take(g, &used);
		assert_int_equal(used.len_bytes, 10000);
	}
	print_message("# tried: CLOCK_MONOTONIC jumps over 1 to 10,000 periods of a budget\n");
	print_message("# happened: each jump brought the share of one\n");
}

/* An lcore that stands still */

/* The guests of another lcore do not notice; its own wait, and are served when it goes on. */
static void test_stalled_lcore(void **state)
{
	struct stage *st = *state;
	uint64_t before[STAGE_HONEST], after[STAGE_HONEST];
	unsigned stalled = 0;
	pid_t lcore;

	stage_start(st, NR_SOCKETS, (const char *[]){"--lcores", "0,1", NULL});
	stage_check_others(st);
	daemon_wait_until_said(
		&st->daemon, "serving 8 guests"); /* the control lcore is ready, too */
	lcore = thread_find(&st->daemon, "vrng-lcore-");
	thread_stop(lcore);
	sleep_ms(20); /* what it did before */
	for (unsigned i = 0; i < STAGE_HONEST; i++)
		before[i] = __atomic_load_n(&st->honest[i].nr_answers, __ATOMIC_RELAXED);
	daemon_wait_until_said(&st->daemon, "has made no progress for");
	for (unsigned i = 0; i < STAGE_HONEST; i++) {
		after[i] = __atomic_load_n(&st->honest[i].nr_answers, __ATOMIC_RELAXED);
		stalled += after[i] <= before[i] + 4; /* what was answered, and not yet taken */
	}
	assert_int_equal(stalled, 1);
	assert_int_equal(ptrace(PTRACE_DETACH, lcore, NULL, NULL), 0);
	daemon_wait_until_said(&st->daemon, "goes on");
	stage_check_others(st);
	print_message("# tried: one of two lcores is stopped until the watchdog notices\n");
	print_message("# happened: its guest waited, the other's got %llu answers meanwhile; then "
		      "both were served on, %llu requests were answered\n",
		(unsigned long long)(after[0] - before[0] + after[1] - before[1]),
		(unsigned long long)stage_stop_others(st));
}

#define HOST_TEST(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(test_descriptors),
		HOST_TEST(test_descriptors_no_spinning),
		HOST_TEST(test_descriptors_said_once),
		HOST_TEST(test_socket_cannot_be_made),
		HOST_TEST(test_reload_without_socket),
		HOST_TEST(test_directory),
		HOST_TEST(test_memory_cannot_be_locked),
		HOST_TEST(test_clocks_jump),
		HOST_TEST(test_clock_jump_brings_no_bytes),
		HOST_TEST(test_stalled_lcore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
