/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon has given up once it serves, as the kernel tells of each of its threads; that it
 * serves on all the same; and that what can be turned off is off. What a process in such a state
 * can't do is shown by tests/unit/test_sandbox.c.
 */
#include "../unit/forbid.h"
#include "client.h"
#include "daemon.h"
#include "guest.h"
#include "threads.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

struct fixture {
	struct daemon daemon;
	struct guest guest;
	char control[96];
	char elsewhere[64]; /* a directory that is none of the daemon's; "": not made */
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	snprintf(fx->control, sizeof(fx->control), "%s/control", fx->daemon.dir);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	guest_fini(&fx->guest);
	daemon_fini(&fx->daemon);
	if (fx->elsewhere[0] != '\0')
		rmdir(fx->elsewhere);
	free(fx);
	return 0;
}

/* Start, wait until it has gone as far as it goes, and let a guest be served then. */
static void up(struct fixture *fx, const char *const *args)
{
	daemon_start(&fx->daemon, 1, args);
	daemon_wait_until_said(&fx->daemon, "vhost-rng: serving");
	guest_init(&fx->guest, &(struct guest_cfg){0});
	guest_connect(&fx->guest, fx->daemon.socket[0]);
	guest_assert_served(&fx->guest);
}

/* A part that cannot be had here: the log says so. */
static bool is_without(const struct daemon *d, const char *part)
{
	char text[64];

	snprintf(text, sizeof(text), "sandbox: without %s", part);
	if (!daemon_said(d, text))
		return false;
	print_message("# the daemon is without %s here\n", part);
	return true;
}

/* One line of /proc/PID/task/TID/status, as a number. */
static unsigned long long status_of(const char *text, const char *name, int base)
{
	const char *line = strstr(text, name);

	if (line == NULL)
		fail_msg("no %s in\n%s", name, text);
	return strtoull(line + strlen(name), NULL, base);
}

typedef void check_fn(const struct daemon *d, const char *status, bool is_lcore);

/* Check each thread. There are the main one, the lcore, and rte_vhost's at least. */
static void each_thread(const struct daemon *d, check_fn *check)
{
	unsigned n = 0, n_lcores = 0;
	const struct dirent *entry;
	char path[320];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)d->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char text[4096] = "";
		bool is_lcore;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)d->pid, entry->d_name);
		file = fopen(path, "r");
		assert_non_null(file);
		assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
		fclose(file);
		is_lcore = strstr(text, "vrng-lcore-") != NULL;
		check(d, text, is_lcore);
		n++;
		n_lcores += is_lcore;
	}
	closedir(dir);
	assert_true(n >= 3);
	assert_int_equal(n_lcores, 1);
}

static void check_confined(const struct daemon *d, const char *status, bool is_lcore)
{
	if (!is_without(d, "privileges"))
		assert_int_equal(status_of(status, "NoNewPrivs:", 10), 1);
	if (!is_without(d, "seccomp")) {
		assert_int_equal(status_of(status, "Seccomp:", 10), 2);
		/* An lcore has its own on top. (Linux tells how many from 5.9 on.) */
		if (strstr(status, "Seccomp_filters:") != NULL)
			assert_true(status_of(status, "Seccomp_filters:", 10) >= 1u + is_lcore);
	}
	if (is_without(d, "caps"))
		return;
	assert_int_equal(status_of(status, "CapEff:", 16), 0);
	assert_int_equal(status_of(status, "CapPrm:", 16), 0);
	assert_int_equal(status_of(status, "CapAmb:", 16), 0);
	if (geteuid() == 0)
		assert_int_equal(status_of(status, "CapBnd:", 16), 0);
}

static void check_nobody(const struct daemon *d, const char *status, bool is_lcore)
{
	const char *uids = strstr(status, "Uid:"), *gids = strstr(status, "Gid:");

	assert_memory_equal(uids, "Uid:\t65534\t65534\t65534\t65534\n", 29);
	assert_memory_equal(gids, "Gid:\t65534\t65534\t65534\t65534\n", 29);
	assert_int_equal(status_of(status, "CapEff:", 16), 0);
	assert_int_equal(status_of(status, "CapPrm:", 16), 0);
}

static void check_free(const struct daemon *d, const char *status, bool is_lcore)
{
	assert_int_equal(status_of(status, "NoNewPrivs:", 10), 0);
	assert_int_equal(status_of(status, "Seccomp:", 10), 0);
	if (geteuid() == 0)
		assert_int_not_equal(status_of(status, "CapBnd:", 16), 0);
}

static bool dump_limit_is_0(const struct daemon *d)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)d->pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		unsigned long long soft, hard;

		found = sscanf(line, "Max core file size %llu %llu", &soft, &hard) == 2 &&
			soft == 0 && hard == 0;
	}
	fclose(file);
	return found;
}

static bool has_own_network(const struct daemon *d)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)d->pid);
	assert_int_equal(stat("/proc/self/ns/net", &own), 0);
	assert_int_equal(stat(path, &its), 0);
	return own.st_ino != its.st_ino;
}

static void test_it_is_confined_unless_told_otherwise(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;

	up(fx, NULL);
	each_thread(d, check_confined);
	if (!is_without(d, "dumps"))
		assert_true(dump_limit_is_0(d));
	if (geteuid() == 0 && !is_without(d, "namespaces"))
		assert_true(has_own_network(d));
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	assert_false(socket_answers(d->socket[0]));
	assert_int_equal(access(d->socket[0], F_OK), -1);
}

static void test_it_can_be_turned_off(void **state)
{
	struct fixture *fx = *state;

	up(fx, (const char *[]){"--sandbox", "off", NULL});
	each_thread(&fx->daemon, check_free);
	if (geteuid() == 0)
		assert_false(has_own_network(&fx->daemon));
	assert_true(daemon_said(&fx->daemon, "turned off: dumps, namespaces, caps"));
}

static void test_parts_can_be_turned_off(void **state)
{
	struct fixture *fx = *state;

	up(fx, (const char *[]){"--sandbox", "no-landlock,no-namespaces", "--core-dumps", NULL});
	if (!is_without(&fx->daemon, "seccomp"))
		assert_true(daemon_said(&fx->daemon,
			"system calls filtered; turned off: dumps, namespaces, landlock"));
	each_thread(&fx->daemon, check_confined);
}

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("# skipped: not root\n");
	skip();
}

static void test_user_is_dropped(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	struct stat st;

	need_root();
	assert_int_equal(chown(d->dir, NOBODY, NOBODY), 0);
	up(fx, (const char *[]){"--user", "65534:65534", NULL});
	each_thread(d, check_nobody);
	assert_int_equal(stat(d->socket[0], &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	assert_int_equal(st.st_gid, NOBODY);
	/* It still makes new connections, and removes what was root's. */
	guest_die(&fx->guest);
	guest_connect(&fx->guest, d->socket[0]);
	guest_assert_served(&fx->guest);
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	assert_int_equal(access(d->socket[0], F_OK), -1);
}

static void test_root_is_warned_about(void **state)
{
	static const char warning[] = "sandbox: running as root: no --user; ";
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;

	need_root();
	daemon_start(d, 1, (const char *[]){"--user", "0:0", NULL});
	daemon_wait_until_said(d, "vhost-rng: serving");
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	assert_int_equal(chown(d->dir, NOBODY, NOBODY), 0);
	daemon_start(d, 1, (const char *[]){"--user", "65534:65534", NULL});
	daemon_wait_until_said(d, "vhost-rng: serving");
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	assert_false(daemon_said(d, warning));
	daemon_start(d, 1, NULL);
	daemon_wait_until_said(d, warning);
}

static void test_what_the_user_may_not_do_is_said(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;

	need_root();
	write_file(d->source, d, sizeof(*d)); /* root's alone */
	assert_int_equal(chmod(d->dir, 0755), 0);
	daemon_start(d, 1, (const char *[]){"--user", "nobody", "-f", d->source, NULL});
	daemon_wait_until_said(d, "vhost-rng: serving");
	assert_true(daemon_said(d, "cannot be opened again: user 65534 may not read it"));
	assert_true(daemon_said(d, "at the end, until the next start"));
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
}

/* A source that becomes a link to what it was not allowed: the old file is read on, and it is said.
 */
static void test_source_elsewhere(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	char next[96];

	assert_int_equal(symlink("/dev/urandom", d->source), 0);
	up(fx, (const char *[]){"-f", d->source, NULL});
	snprintf(next, sizeof(next), "%s.next", d->source);
	assert_int_equal(symlink("/dev/zero", next), 0);
	assert_int_equal(rename(next, d->source), 0);
	if (!is_without(d, "landlock"))
		daemon_wait_until_said(d,
			"cannot be opened again: Permission denied; the file that is "
			"open is read on (see --sandbox-dir");
	else
		daemon_wait_until_said(d, "is another file now");
	if (!is_without(d, "landlock"))
		guest_assert_served(&fx->guest);
}

/* Of a source in the root directory, by whatever path, it keeps the file alone. */
static void test_source_in_the_root_directory(void **state)
{
	char source[] = "/vrng-e2e-XXXXXX";
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	int fd;

	need_root();
	assert_int_equal(chdir("/"), 0);
	fd = mkstemp(source);
	if (fd < 0)
		skip();
	close(fd);
	daemon_start(d, 1, (const char *[]){"-f", source + 1, NULL});
	daemon_wait_until_said(d, "vhost-rng: serving");
	assert_int_equal(unlink(source), 0);
	assert_int_equal(symlink("/dev/zero", source), 0);
	if (!is_without(d, "landlock"))
		daemon_wait_until_said(d, "cannot be opened again: Permission denied");
	assert_int_equal(unlink(source), 0);
}

/* The state of a part in the answer to 'status', and that it has a reason only when it is missing.
 */
static void assert_reported(const struct fixture *fx, const char *part, const char *state)
{
	json_t *status = client_must(fx->control, "{\"command\": \"status\"}");
	const json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(status, "sandbox"), i, entry)
	{
		if (strcmp(json_string_value(json_object_get(entry, "part")), part) != 0)
			continue;
		assert_string_equal(json_string_value(json_object_get(entry, "state")), state);
		assert_int_equal(json_is_string(json_object_get(entry, "why")),
			strcmp(state, "missing") == 0);
		json_decref(status);
		return;
	}
	fail_msg("status says nothing of %s", part);
}

static const char *const parts[] = {
	"dumps", "namespaces", "caps", "privileges", "landlock", "seccomp"};

static void test_status_says_what_is_in_force(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;

	up(fx, (const char *[]){"--control-socket", fx->control, NULL});
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		assert_reported(fx, parts[i], is_without(d, parts[i]) ? "missing" : "in-force");
	guest_fini(&fx->guest);
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	up(fx, (const char *[]){"--control-socket", fx->control, "--sandbox", "off", NULL});
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		assert_reported(fx, parts[i], "off");
}

#define ADD "{\"command\": \"add\", \"name\": \"vm\", \"socket\": \"%s/vm\"}"

/* Guests that come later have their sockets where sockets are, or in --sandbox-dir. */
static void test_sockets_elsewhere(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	char socket[96];

	snprintf(fx->elsewhere, sizeof(fx->elsewhere), "/tmp/vrng-e2e-else-XXXXXX");
	assert_non_null(mkdtemp(fx->elsewhere));
	snprintf(socket, sizeof(socket), "%s/vm", fx->elsewhere);
	daemon_start(d, 1, (const char *[]){"--control-socket", fx->control, NULL});
	daemon_wait_until_said(d, "vhost-rng: serving");
	if (!is_without(d, "landlock")) {
		client_must_not(fx->control, "failed", "--sandbox-dir", ADD, fx->elsewhere);
		assert_int_equal(access(socket, F_OK), -1);
	}
	client_do(fx->control, ADD, d->dir);
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	daemon_start(d, 1,
		(const char *[]){
			"--control-socket", fx->control, "--sandbox-dir", fx->elsewhere, NULL});
	client_do(fx->control, ADD, fx->elsewhere);
	guest_init(&fx->guest, &(struct guest_cfg){0});
	guest_connect(&fx->guest, socket);
	guest_assert_served(&fx->guest);
	client_do(fx->control, "{\"command\": \"remove\", \"name\": \"vm\"}");
	assert_int_equal(access(socket, F_OK), -1);
}

/* The name of the daemon's main thread. */
static void assert_main_name(const struct daemon *d, const char *name)
{
	char path[64], comm[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)d->pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(comm, sizeof(comm), file));
	fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	assert_string_equal(comm, name);
}

/* rte_vhost creates its threads with the first guest. They have DPDK's names: of 22.11, or later.
 */
static void test_threads_that_come_later_have_names(void **state)
{
	static const char *const names[][2] = {
		{"vhost-events", "dpdk-vhost-evt"}, {"vhost_reconn", "dpdk-vhost-reco"}};
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;

	daemon_run(d, (const char *[]){"--control-socket", fx->control, "--client", NULL});
	daemon_wait_until_said(d, "vhost-rng: serving");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(thread_find(d, names[i][0]) == 0 && thread_find(d, names[i][1]) == 0);
	client_do(fx->control, ADD, d->dir);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(thread_find(d, names[i][0]) > 0 || thread_find(d, names[i][1]) > 0);
	assert_main_name(d, "dpdk-vhost-rng");
}

/* What is refused is seen, on a thread of any kind, and those who behave are served on. */
static void test_refused_calls_are_seen(void **state)
{
	static const char *const threads[] = {"vrng-lcore-", "dpdk-vhost-rng", "vrng-feeder-"};
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	unsigned n = 0;

	d->may_be_refused = true;
	setenv("LD_PRELOAD", getenv("VRNG_INTRUDER"), 1);
	daemon_start(d, 1, (const char *[]){"--control-socket", fx->control, NULL});
	unsetenv("LD_PRELOAD");
	daemon_wait_until_said(d, "vhost-rng: serving");
	if (is_without(d, "seccomp"))
		skip();
	for (; n < ARRAY_SIZE(threads); n++) {
		json_t *status;
		char says[96];
		pid_t tid = thread_find(d, threads[n]);

		assert_true(tid > 0);
		assert_int_equal(syscall(SYS_tgkill, d->pid, tid, SIGRTMAX), 0);
		daemon_wait_until_said(d, "sandbox: refused 1 system call, the last one socket");
		snprintf(says, sizeof(says), "of thread %d, %s", (int)tid, threads[n]);
		daemon_wait_until_said(d, says);
		status = client_must(fx->control, "{\"command\": \"status\"}");
		assert_int_equal(client_number(status, "refused-calls"), n + 1);
		json_decref(status);
	}
	guest_init(&fx->guest, &(struct guest_cfg){0});
	guest_connect(&fx->guest, d->socket[0]);
	guest_assert_served(&fx->guest);
}

/* An lcore has another way to call its guests then, which the filter lets it go. The last test. */
static void test_without_asynchronous_io(void **state)
{
	struct fixture *fx = *state;
	struct guest *g = &fx->guest;
	uint64_t gpa;

	assert_int_equal(forbid(SYS_io_setup, ENOSYS), 0);
	up(fx, NULL);
	assert_true(daemon_said(&fx->daemon, "no asynchronous I/O"));
	gpa = guest_alloc(g, 0, 64);
	for (unsigned i = 0; i < 100; i++) {
		struct driver_used used;

		guest_request(g, gpa, 64, i);
		assert_true(frontend_wait_call(g->fe, LIVENESS_MS) > 0);
		guest_must_take(g, &used);
	}
}

static void test_bad_users(void **state)
{
	static const struct {
		const char *user, *says;
	} cases[] = {
		{"no-such-user", "--user 'no-such-user' is no user of this system"},
		{"0:no-such-group", "'no-such-group' is no group of this system"},
		{"4242424", "give it as USER:GROUP"},
	};
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		daemon_run(d, (const char *[]){"-s", d->prefix, "--user", cases[i].user, NULL});
		assert_int_equal(daemon_wait(d, LIVENESS_MS), 2);
		assert_true(daemon_said(d, cases[i].says));
	}
}

#define SANDBOX_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_it_is_confined_unless_told_otherwise),
		SANDBOX_TEST(test_it_can_be_turned_off),
		SANDBOX_TEST(test_parts_can_be_turned_off),
		SANDBOX_TEST(test_user_is_dropped),
		SANDBOX_TEST(test_root_is_warned_about),
		SANDBOX_TEST(test_what_the_user_may_not_do_is_said),
		SANDBOX_TEST(test_source_elsewhere),
		SANDBOX_TEST(test_source_in_the_root_directory),
		SANDBOX_TEST(test_status_says_what_is_in_force),
		SANDBOX_TEST(test_sockets_elsewhere),
		SANDBOX_TEST(test_threads_that_come_later_have_names),
		SANDBOX_TEST(test_bad_users),
		SANDBOX_TEST(test_without_asynchronous_io),
	};
	const struct CMUnitTest with_an_intruder[] = {
		SANDBOX_TEST(test_refused_calls_are_seen),
	};

	if (getenv("VRNG_INTRUDER") != NULL)
		return cmocka_run_group_tests(with_an_intruder, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
