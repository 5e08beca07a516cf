/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sandbox holds on every thread: on those that were there before, on those that come later, and
 * on an lcore, which may do less.
 */

#include "sandboxed.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

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

static int own_event_fd(void)
{
	return answer(fcntl(event_fd, F_SETOWN, getppid()));
}

static int own_event_fd_ex(void)
{
	const struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = getppid()};

	return answer(fcntl(event_fd, F_SETOWN_EX, &owner));
}

static int signal_by_event_fd(void)
{
	return answer(fcntl(event_fd, F_SETSIG, SIGKILL));
}

static int set_event_fd_async(void)
{
	return answer(fcntl(event_fd, F_SETFL, O_NONBLOCK | O_ASYNC));
}

static attempt_fn *const lcore_file_signals[] = {
	own_event_fd, own_event_fd_ex, signal_by_event_fd, set_event_fd_async};

static int duplicate(void)
{
	return answer(fcntl(event_fd, F_DUPFD_CLOEXEC, 0));
}

static int notify_and_wait(void)
{
	struct pollfd poll_fd = {.fd = event_fd, .events = POLLIN};
	const struct timespec now = {0};
	uint64_t value = 1;
	uint8_t byte;

	/* As without asynchronous I/O, see caller.c. */
	if (fcntl(event_fd, F_SETFL, fcntl(event_fd, F_GETFL) | O_NONBLOCK) != 0)
		return BROKEN;
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

static int signal_main_thread(void)
{
	return answer(tgkill(getpid(), getpid(), 0));
}

/* Tests */

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

/* With a Landlock domain of its own, which limits signals from Linux 6.15 on. */
static void test_threads_signal_each_other(void **state)
{
	need(SANDBOX_LANDLOCK);
	assert_int_equal(attempt_on(waiting, true, "on", signal_main_thread), 0);
	assert_int_equal(attempt_on(waiting, false, "on", signal_main_thread), 0);
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
	assert_int_equal(attempt_on_lcore(run_program), BY_SIGNAL + SIGSYS);
	assert_int_equal(attempt_on_lcore(make_eventfd), EPERM);
	assert_int_equal(attempt_on_lcore(open_source), EPERM);
	assert_int_equal(attempt_on_lcore(make_unix_socket), EPERM);
	assert_int_equal(attempt_on_lcore(name_itself), EPERM);
	assert_int_equal(attempt_on_lcore(make_code), EPERM);
	assert_int_equal(attempt_on_lcore(signal_parents_thread), EPERM);
	for (unsigned i = 0; i < ARRAY_LEN(lcore_file_signals); i++)
		assert_int_equal(attempt_on_lcore(lcore_file_signals[i]), EPERM);
	assert_int_equal(attempt_on_lcore(duplicate), EPERM);
	close(event_fd);
	/* What it may not, others of the process may. */
	assert_int_equal(attempt_in("on", make_unix_socket), 0);
	assert_int_equal(attempt_in("on", name_itself), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sandbox_test(test_threads_that_were_there),
		sandbox_test(test_threads_that_come_later),
		sandbox_test(test_threads_signal_each_other),
		sandbox_test(test_lcore),
	};

	if (!is_possible()) {
		printf("1..0 # SKIP this build can have no sandbox\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
