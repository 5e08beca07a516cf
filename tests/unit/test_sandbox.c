/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a process in the sandbox can't do, and what it can: each attempt is made by a child of this
 * test that has gone there. A child ends with the errno of its attempt, or by a signal.
 */

#include "sandbox/sandbox.h"

#include "forbid.h"
#include "sandbox/refused.h"
#include "sandboxed.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOBODY 65534

static const struct user nobody = {.uid = NOBODY, .gid = NOBODY, .n_groups = 1, .groups = {NOBODY}};

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("# skipped: not root\n");
	skip();
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

/* Root may write to read-only memory of its own that way: to code. */
static void test_memory_by_proc(void **state)
{
	need_root();
	need(SANDBOX_LANDLOCK);
	assert_int_equal(attempt_in("no-landlock", write_memory), 0);
	assert_int_equal(attempt_in("no-landlock", write_memory_of_thread), 0);
	assert_int_equal(attempt_in("on", write_memory), EACCES);
	assert_int_equal(attempt_in("on", write_memory_of_thread), EACCES);
	assert_int_equal(attempt_in("on", write_thread_name), EACCES);
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

/* The scope of signals: Linux 6.15, and 6.12 with the fix that is reported as an erratum. */
static void test_signals_by_landlock(void **state)
{
	need(SANDBOX_LANDLOCK);
	assert_int_equal(attempt_in("no-landlock,no-seccomp", signal_parent), 0);
	if (syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) < 6 ||
		(syscall(444, NULL, 0, 2) & 2) == 0)
		print_message("# this kernel's Landlock has no scope of signals, or not the fix\n");
	else
		assert_int_equal(attempt_in("no-seccomp", signal_parent), EPERM);
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

/* Not by the kernel either: O_ASYNC. */
static void test_signals_of_files(void **state)
{
	need(SANDBOX_SECCOMP);
	for (unsigned i = 0; i < ARRAY_LEN(file_signals); i++) {
		assert_int_equal(attempt_in("off", file_signals[i]), 0);
		assert_int_equal(attempt_in("on", file_signals[i]), EPERM);
	}
	assert_int_equal(attempt_in("on", set_nonblocking), 0);
}

/* Without Landlock, which does not know modes, and would refuse to create files. */
static void test_set_id_files(void **state)
{
	static attempt_fn *const attempts[] = {set_user_id_bit, set_group_id_bit, set_id_bits_of_fd,
		create_set_id_file, create_unnamed_set_id_file};

	need(SANDBOX_SECCOMP);
	for (unsigned i = 0; i < ARRAY_LEN(attempts); i++) {
		int off = attempt_in("off", attempts[i]);

		assert_true(off == 0 || off == EOPNOTSUPP); /* O_TMPFILE in some file systems */
		assert_int_equal(attempt_in("no-landlock", attempts[i]), EPERM);
	}
	assert_int_equal(attempt_in("no-landlock", set_id_bits_at), EPERM);
	assert_int_equal(attempt_in("on", change_mode), 0);
	assert_int_equal(attempt_in("on", open_with_stray_mode), 0);
	assert_int_equal(attempt_in("no-landlock", create_file), 0);
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

static void test_capabilities(void **state)
{
	need_root();
	need(SANDBOX_CAPS);
	assert_int_equal(attempt_in("off", has_capabilities), 1);
	assert_int_equal(attempt_in("no-seccomp,no-landlock", has_capabilities), 0);
	assert_int_equal(attempt_in("no-seccomp,no-namespaces", change_host_name), EPERM);
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

/* Not before the first line of the tests' output, which cmocka 1.1.7 and later have for TAP's. */
static int say_without(void **state)
{
	print_message("# skipped: all that needs a sandbox; this build can have none\n");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sandbox_test(test_files),
		sandbox_test(test_memory_by_proc),
		sandbox_test(test_tcp),
		sandbox_test(test_signals_by_landlock),
		sandbox_test(test_system_calls),
		sandbox_test(test_signals_of_files),
		sandbox_test(test_set_id_files),
		sandbox_test(test_refused_calls_are_seen),
		sandbox_test(test_no_new_code),
		sandbox_test(test_fatal_calls),
		sandbox_test(test_user),
		sandbox_test(test_capabilities),
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
