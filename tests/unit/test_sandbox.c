/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a process in the sandbox can't do, and what it can: each attempt is made by a child of this
 * test that has gone there. A child ends with the errno of its attempt, or by a signal.
 */

#include "sandbox/sandbox.h"

#include "attempts.h"
#include "directory.h"
#include "forbid.h"
#include "sandbox/refused.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define BY_SIGNAL 128

#define NOBODY 65534

static const struct user nobody = {.uid = NOBODY, .gid = NOBODY, .n_groups = 1, .groups = {NOBODY}};

/* Go into the sandbox, with what it allows: "sockets" and "sources". */
static int enter(const char *words, const struct user *user, struct sandbox_report *report)
{
	struct sandbox_options so = {.user = user != NULL ? "nobody" : NULL};
	struct landlock files;
	const struct sandbox_config cfg = {.options = &so, .user = user, .files = &files};
	struct why why;
	int err = sandbox_parse(words, &so);

	landlock_open(&files);
	landlock_allow(&files, "sockets", LANDLOCK_SOCKETS);
	landlock_allow(&files, "sources", LANDLOCK_READ);
	landlock_allow(&files, "nothing", LANDLOCK_READ);
	if (err == 0)
		err = sandbox_begin(&so, report, &why);
	if (err == 0)
		err = sandbox_enter(&cfg, report, &why);
	landlock_close(&files);
	return err;
}

static int wait_for(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		assert_false(WCOREDUMP(status));
	return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int attempt_as(const char *words, const struct user *user, attempt_fn *attempt)
{
	struct sandbox_report report;
	pid_t pid = fork();

	if (pid == 0)
		_exit(enter(words, user, &report) == 0 ? attempt() : BROKEN);
	return wait_for(pid);
}

static int attempt_in(const char *words, attempt_fn *attempt)
{
	return attempt_as(words, NULL, attempt);
}

/* A test of a part that this system lets nobody have says so, and is skipped. */
static void need(enum sandbox_part part)
{
	struct sandbox_report *report = mmap(
		NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool in_force;
	pid_t pid;

	assert_true(report != MAP_FAILED);
	pid = fork();
	if (pid == 0)
		_exit(enter("on", NULL, report) == 0 ? 0 : BROKEN);
	assert_int_equal(wait_for(pid), 0);
	in_force = report->parts[part].in_force;
	if (!in_force)
		print_message("# skipped: %s is not to be had here: %s\n", sandbox_part_name(part),
			report->parts[part].why_not);
	munmap(report, sizeof(*report));
	if (!in_force)
		skip();
}

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("# skipped: not root\n");
	skip();
}

static int make_files(void **state)
{
	if (directory_make(state) != 0 || mkdir("sockets", 0755) != 0 ||
		mkdir("sources", 0755) != 0 || mkdir("other", 0755) != 0)
		return -1;
	append("sources/one", "bytes");
	append("other/one", "bytes");
	return 0;
}

/* The threads of a process that has gone into the sandbox */

static attempt_fn *thread_attempt;
static int go; /* set when the process is in the sandbox */
static int began;

static void *polling(void *arg)
{
	__atomic_store_n(&began, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		sched_yield();
	return (void *)(intptr_t)thread_attempt();
}

static void *polling_for_ever(void *arg)
{
	while (poll(NULL, 0, 1) <= 0)
		;
	return NULL;
}

static void *waiting(void *arg)
{
	uint64_t value;

	__atomic_store_n(&began, 1, __ATOMIC_RELEASE);
	if (read(*(int *)arg, &value, sizeof(value)) != sizeof(value))
		return (void *)(intptr_t)BROKEN;
	return (void *)(intptr_t)thread_attempt();
}

static void *as_lcore(void *arg)
{
	if (sandbox_enter_lcore() != 0)
		return (void *)(intptr_t)BROKEN;
	return (void *)(intptr_t)thread_attempt();
}

/* Start a thread before, or after, the process goes into the sandbox, and let it attempt. */
static int attempt_on(void *(*thread)(void *), bool before, const char *words, attempt_fn *attempt)
{
	struct sandbox_report report;
	pid_t pid = fork();
	void *result;
	pthread_t t;
	int fd;

	if (pid != 0)
		return wait_for(pid);
	fd = eventfd(0, 0);
	thread_attempt = attempt;
	if (before && pthread_create(&t, NULL, thread, &fd) != 0)
		_exit(BROKEN);
	while (before && !__atomic_load_n(&began, __ATOMIC_ACQUIRE))
		sched_yield();
	if (enter(words, NULL, &report) != 0)
		_exit(BROKEN);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	if (!before && pthread_create(&t, NULL, thread, &fd) != 0)
		_exit(BROKEN);
	eventfd_write(fd, 1);
	pthread_join(t, &result);
	_exit((int)(intptr_t)result);
}

static int attempt_on_lcore(attempt_fn *attempt)
{
	return attempt_on(as_lcore, false, "on", attempt);
}

/* As the EAL ends threads of its own. */
static int cancel_thread(void)
{
	pthread_t t;
	void *result;

	if (pthread_create(&t, NULL, polling_for_ever, NULL) != 0 || pthread_cancel(t) != 0)
		return BROKEN;
	return pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED ? 0 : BROKEN;
}

/* An lcore's attempts */

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	return answer(fd);
}

static int event_fd; /* made before */

static int notify_and_wait(void)
{
	struct pollfd poll_fd = {.fd = event_fd, .events = POLLIN};
	const struct timespec now = {0};
	uint64_t value = 1;
	uint8_t byte;

	if (write(event_fd, &value, sizeof(value)) != sizeof(value) || sched_yield() != 0)
		return BROKEN;
	if (ppoll(&poll_fd, 1, &now, NULL) != 1)
		return BROKEN;
	return syscall(SYS_getrandom, &byte, 1, 0) == 1 ? 0 : BROKEN;
}

static int put_memory_in_place(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return errno;
	page = mmap(
		page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return page == MAP_FAILED ? errno : 0;
}

static int make_unix_socket(void)
{
	return answer(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int name_itself(void)
{
	return answer(prctl(PR_SET_NAME, "other", 0, 0, 0));
}

/* What it was refused, it can tell. */
static int count_refused(void)
{
	char text[96], tid[32];

	if (connect_tcp() != EPERM || refused_count() != 1 || connect_tcp() != EPERM)
		return BROKEN;
	refused_describe(text, sizeof(text));
	snprintf(tid, sizeof(tid), " of thread %d", (int)gettid());
	return refused_count() == 2 && strncmp(text, "socket (", 8) == 0 &&
			       strstr(text, tid) != NULL
		       ? 0
		       : BROKEN;
}

static int connect_unseen(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return connect_tcp();
}

/* Tests */

static void test_files(void **state)
{
	need(SANDBOX_LANDLOCK);
	assert_int_equal(attempt_in("off", open_other), 0);
	assert_int_equal(attempt_in("on", open_other), EACCES);
	assert_int_equal(attempt_in("on", open_passwd), EACCES);
	assert_int_equal(attempt_in("on", open_source), 0);
	assert_int_equal(attempt_in("on", write_source), EACCES);
	assert_int_equal(attempt_in("on", remove_source), EACCES);
	assert_int_equal(attempt_in("on", make_file), EACCES);
	assert_int_equal(attempt_in("on", make_and_remove_socket), 0);
	assert_int_equal(attempt_in("on", make_socket_elsewhere), EACCES);
	assert_int_equal(attempt_in("no-landlock", open_other), 0);
}

/* Landlock's part of it, which Linux 6.7 brought. */
static void test_tcp(void **state)
{
	need(SANDBOX_LANDLOCK);
	assert_int_equal(attempt_in("no-landlock,no-seccomp,no-namespaces", listen_tcp), 0);
	if (syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) < 4)
		print_message("# this kernel's Landlock does not know TCP\n");
	else
		assert_int_equal(attempt_in("no-seccomp,no-namespaces", listen_tcp), EACCES);
}

static void test_system_calls(void **state)
{
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_in("off", connect_tcp), 0);
	assert_int_equal(attempt_in("on", connect_tcp), EPERM);
	assert_int_equal(attempt_in("on", connect_netlink), EPERM);
	assert_int_equal(attempt_in("off", make_process), 0);
	assert_int_equal(attempt_in("on", make_process), EPERM);
	assert_int_equal(attempt_in("off", signal_parent), 0);
	assert_int_equal(attempt_in("on", signal_parent), EPERM);
	assert_int_equal(attempt_in("on", signal_parents_thread), EPERM);
	assert_int_equal(attempt_in("off", limit_parent), 0);
	assert_int_equal(attempt_in("on", limit_parent), EPERM);
	assert_int_equal(attempt_in("off", make_ioctl), 0);
	assert_int_equal(attempt_in("on", make_ioctl), EPERM);
	assert_int_equal(attempt_in("on", change_host_name), EPERM);
	assert_int_equal(attempt_in("no-seccomp,no-namespaces", connect_tcp), 0);
}

static void test_refused_calls_are_seen(void **state)
{
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_in("on", count_refused), 0);
	assert_int_equal(attempt_in("on", connect_unseen), BY_SIGNAL + SIGSYS);
}

static void test_no_new_code(void **state)
{
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_in("off", make_code), 0);
	assert_int_equal(attempt_in("on", make_code), EPERM);
	assert_int_equal(attempt_in("on", map_code), EPERM);
}

/* What only somebody who has taken the process over does ends it. */
static void test_fatal_calls(void **state)
{
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_in("off", run_program), 0);
	assert_int_equal(attempt_in("on", run_program), BY_SIGNAL + SIGSYS);
	assert_int_equal(attempt_in("on", run_file_of_fd), BY_SIGNAL + SIGSYS);
	assert_int_equal(attempt_in("on", trace_parent), BY_SIGNAL + SIGSYS);
	assert_int_equal(attempt_in("on", use_io_uring), BY_SIGNAL + SIGSYS);
	assert_int_equal(attempt_on_lcore(run_program), BY_SIGNAL + SIGSYS);
}

static void test_user(void **state)
{
	need_root();
	need(SANDBOX_CAPS);
	assert_int_equal(attempt_as("off", &nobody, become_root), EPERM);
	assert_int_equal(attempt_as("on", &nobody, become_root), EPERM);
	/* Not by a thread of its own, past libc, either. */
	assert_int_equal(attempt_as("no-seccomp", &nobody, become_root_directly), EPERM);
	assert_int_equal(chmod("other/one", 0644), 0);
	assert_int_equal(attempt_as("no-landlock", &nobody, open_other), 0);
	assert_int_equal(chmod("other/one", 0600), 0);
	assert_int_equal(attempt_as("no-landlock", &nobody, open_other), EACCES);
}

static int has_capabilities(void)
{
	char text[4096] = "", *line;
	int fd = open("/proc/thread-self/status", O_RDONLY);
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return BROKEN;
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
		/* What it could get by a program is root's to give away; it runs no program. */
		if (geteuid() != 0 && strcmp(sets[i], "CapBnd:") == 0)
			continue;
		line = strstr(text, sets[i]);
		if (line == NULL || strtoull(line + strlen(sets[i]), NULL, 16) != 0)
			return 1;
	}
	return strstr(text, "NoNewPrivs:\t1") == NULL;
}

static void test_capabilities(void **state)
{
	need_root();
	need(SANDBOX_CAPS);
	assert_int_equal(attempt_in("off", has_capabilities), 1);
	assert_int_equal(attempt_in("no-seccomp,no-landlock", has_capabilities), 0);
	assert_int_equal(attempt_in("no-seccomp,no-namespaces", change_host_name), EPERM);
}

static void test_threads_that_were_there(void **state)
{
	need(SANDBOX_LANDLOCK);
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_on(polling, true, "on", open_other), EACCES);
	assert_int_equal(attempt_on(waiting, true, "on", open_other), EACCES);
	assert_int_equal(attempt_on(waiting, true, "on", open_source), 0);
	assert_int_equal(attempt_on(polling, true, "on", connect_tcp), EPERM);
	assert_int_equal(attempt_on(polling, true, "no-seccomp,no-landlock", has_capabilities), 0);
	assert_int_equal(attempt_on(waiting, true, "no-seccomp,no-landlock", has_capabilities), 0);
}

static void test_threads_that_come_later(void **state)
{
	need(SANDBOX_LANDLOCK);
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_on(waiting, false, "on", open_other), EACCES);
	assert_int_equal(attempt_on(waiting, false, "on", open_source), 0);
	assert_int_equal(attempt_in("on", cancel_thread), 0);
	assert_int_equal(attempt_on(waiting, false, "on", run_program), BY_SIGNAL + SIGSYS);
}

static void test_lcore(void **state)
{
	need(SANDBOX_SECCOMP);
	event_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(attempt_on_lcore(notify_and_wait), 0);
	assert_int_equal(attempt_on_lcore(put_memory_in_place), 0);
	assert_int_equal(attempt_on_lcore(die), BY_SIGNAL + SIGABRT);
	assert_int_equal(attempt_on_lcore(make_eventfd), EPERM);
	assert_int_equal(attempt_on_lcore(open_source), EPERM);
	assert_int_equal(attempt_on_lcore(make_unix_socket), EPERM);
	assert_int_equal(attempt_on_lcore(name_itself), EPERM);
	assert_int_equal(attempt_on_lcore(make_code), EPERM);
	assert_int_equal(attempt_on_lcore(signal_parents_thread), EPERM);
	close(event_fd);
	/* What it may not, others of the process may. */
	assert_int_equal(attempt_in("on", make_unix_socket), 0);
	assert_int_equal(attempt_in("on", name_itself), 0);
}

static void test_dumps(void **state)
{
	need(SANDBOX_DUMPS);
	assert_int_equal(attempt_in("on", dumps_allowed), 0);
	assert_int_equal(attempt_in("on", die), BY_SIGNAL + SIGABRT); /* see wait_for() */
	if (geteuid() != 0 || attempt_in("off", raise_dump_limit) == 0)
		assert_int_equal(attempt_in("on", raise_dump_limit), EPERM);
	need(SANDBOX_SECCOMP);
	assert_int_equal(attempt_in("on", allow_dumps_again), EPERM);
}

static ino_t net_before;

static int is_same_network(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) == 0 && st.st_ino == net_before;
}

static void test_namespaces(void **state)
{
	struct stat st;

	need(SANDBOX_NAMESPACES);
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	net_before = st.st_ino;
	assert_int_equal(attempt_in("no-namespaces", is_same_network), 1);
	assert_int_equal(attempt_in("on", is_same_network), 0);
}

static int enter_crippled(const char *words, long call, int err, enum sandbox_part part)
{
	struct sandbox_report report;
	pid_t pid = fork();

	if (pid != 0)
		return wait_for(pid);
	if (forbid(call, err) != 0)
		_exit(BROKEN);
	if (enter(words, NULL, &report) != 0)
		_exit(1);
	for (int i = 0; i < SANDBOX_PARTS; i++)
		if (report.parts[i].wanted && report.parts[i].in_force == (i == (int)part) &&
			(geteuid() == 0 || i != SANDBOX_NAMESPACES))
			_exit(2 + i);
	_exit(report.parts[part].why_not[0] != '\0' ? 0 : BROKEN);
}

/* As systemd's unit does: own namespaces, and then no right to make any. */
static void test_namespaces_of_a_supervisor(void **state)
{
	struct sandbox_report report;
	pid_t pid;

	need(SANDBOX_NAMESPACES);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0 || forbid(SYS_unshare, EPERM) != 0 ||
			enter("on", NULL, &report) != 0)
			_exit(BROKEN);
		_exit(report.parts[SANDBOX_NAMESPACES].in_force ? 0 : 1);
	}
	assert_int_equal(wait_for(pid), 0);
}

static void test_parts_that_are_not_to_be_had(void **state)
{
	static const struct {
		long call;
		int err;
		enum sandbox_part part;
	} cases[] = {
		{SYS_unshare, EPERM, SANDBOX_NAMESPACES},
		{444 /* landlock_create_ruleset */, ENOSYS, SANDBOX_LANDLOCK},
		{446 /* landlock_restrict_self */, EPERM, SANDBOX_LANDLOCK},
		{SYS_capset, EPERM, SANDBOX_CAPS},
		{SYS_seccomp, EPERM, SANDBOX_SECCOMP},
	};

	need(SANDBOX_LANDLOCK);
	need(SANDBOX_SECCOMP);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		/* Who is not root has none to lose. */
		if (geteuid() != 0 && cases[i].part == SANDBOX_CAPS)
			continue;
		assert_int_equal(
			enter_crippled("on", cases[i].call, cases[i].err, cases[i].part), 0);
		assert_int_equal(
			enter_crippled("require", cases[i].call, cases[i].err, cases[i].part), 1);
	}
}

static void test_find_user(void **state)
{
	struct user user;
	struct why why;

	need_root();
	assert_int_equal(user_find("nobody", (gid_t)-1, &user, &why), 0);
	assert_int_equal(user.uid, NOBODY);
	assert_int_equal(user.gid, NOBODY);
	assert_int_equal(user_find("65534:0", 7, &user, &why), 0);
	assert_int_equal(user.gid, 0);
	assert_int_equal(user.groups[user.n_groups - 1], 7);
	assert_int_equal(user_find("12345:34", (gid_t)-1, &user, &why), 0);
	assert_int_equal(user.uid, 12345);
	assert_int_equal(user.n_groups, 1);
	assert_int_equal(user.groups[0], 34);
	assert_int_equal(user_find("12345", (gid_t)-1, &user, &why), -EINVAL);
	assert_int_equal(user_find("no-such-user", (gid_t)-1, &user, &why), -ENOENT);
	assert_int_equal(user_find("nobody:no-such-group", (gid_t)-1, &user, &why), -ENOENT);
	assert_int_equal(user_find("4294967295:0", (gid_t)-1, &user, &why), -ENOENT);
}

static void test_words(void **state)
{
	struct sandbox_options so = {0};

	assert_int_equal(sandbox_parse("require,no-caps,no-landlock", &so), 0);
	assert_true(so.require);
	assert_int_equal(so.off, 1u << SANDBOX_CAPS | 1u << SANDBOX_LANDLOCK);
	assert_int_equal(sandbox_parse("on", &so), 0);
	assert_false(so.require);
	assert_int_equal(so.off, 0);
	assert_int_equal(sandbox_parse("off", &so), 0);
	assert_int_equal(so.off, (1u << SANDBOX_PARTS) - 1);
	assert_int_equal(sandbox_parse("", &so), -EINVAL);
	assert_int_equal(sandbox_parse("on,", &so), -EINVAL);
	assert_int_equal(sandbox_parse("no-privileges", &so), -EINVAL);
	assert_int_equal(sandbox_parse("caps", &so), -EINVAL);
}

/* A build with sanitizers has no sandbox. */
static bool is_possible(void)
{
	struct sandbox_report report;
	pid_t pid = fork();

	if (pid == 0)
		_exit(enter("on", NULL, &report) == 0 && report.parts[SANDBOX_PRIVILEGES].in_force);
	return wait_for(pid) == 1;
}

/* Not before the first line of the tests' output, which cmocka 1.1.7 and later have for TAP's. */
static int say_without(void **state)
{
	print_message("# skipped: all that needs a sandbox; this build can have none\n");
	return 0;
}

#define sandbox_test(f) cmocka_unit_test_setup_teardown(f, make_files, directory_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sandbox_test(test_files),
		sandbox_test(test_tcp),
		sandbox_test(test_system_calls),
		sandbox_test(test_refused_calls_are_seen),
		sandbox_test(test_no_new_code),
		sandbox_test(test_fatal_calls),
		sandbox_test(test_user),
		sandbox_test(test_capabilities),
		sandbox_test(test_threads_that_were_there),
		sandbox_test(test_threads_that_come_later),
		sandbox_test(test_lcore),
		sandbox_test(test_dumps),
		sandbox_test(test_namespaces),
		sandbox_test(test_namespaces_of_a_supervisor),
		sandbox_test(test_parts_that_are_not_to_be_had),
		sandbox_test(test_find_user),
		cmocka_unit_test(test_words),
	};
	const struct CMUnitTest without[] = {
		sandbox_test(test_find_user),
		cmocka_unit_test(test_words),
	};

	if (!is_possible())
		return cmocka_run_group_tests(without, say_without, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
