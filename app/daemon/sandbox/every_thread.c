/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/every_thread.h"

#include "clock.h"

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 1024

static int (*task)(void); /* MAIN: rw, the thread that is asked: ro */
static pid_t asked;	  /* who is to run it; 0: nobody. MAIN: rw, handlers: rw */
static int first_error;	  /* MAIN: rw, the thread that is asked: rw */
static sem_t done;

static void keep_error(int err)
{
	int none = 0;

	__atomic_compare_exchange_n(
		&first_error, &none, err, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* The turn is taken once: by the thread that is asked, or by MAIN, who waits no longer. */
static bool take_turn(pid_t tid)
{
	return __atomic_compare_exchange_n(
		&asked, &tid, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void handle(int sig)
{
	int saved = errno;

	if (take_turn(gettid())) {
		keep_error(task());
		sem_post(&done);
	}
	errno = saved;
}

/* The default action of the signal would end the process, so the handler stays. */
static int install(void)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};

	sem_init(&done, 0, 0);
	return sigaction(SIGRTMIN, &action, NULL) == 0 ? 0 : -errno;
}

static int wait_done(const struct timespec *until)
{
	int rc;

	do
		rc = until != NULL ? sem_clockwait(&done, CLOCK_MONOTONIC, until) : sem_wait(&done);
	while (rc != 0 && errno == EINTR);
	return rc == 0 ? 0 : -errno;
}

static void run_on(pid_t tid, unsigned wait_ms)
{
	struct timespec until;
	int err;

	__atomic_store_n(&asked, tid, __ATOMIC_RELEASE);
	if (tgkill(getpid(), tid, SIGRTMIN) != 0)
		return; /* it has ended */
	until = clock_timespec(clock_now_ns() + wait_ms * UINT64_C(1000000));
	err = wait_done(&until);
	if (err != 0 && !take_turn(tid))
		err = wait_done(NULL); /* it is at it */
	keep_error(err);
}

static bool is_known(const pid_t *tids, unsigned n, pid_t tid)
{
	for (unsigned i = 0; i < n; i++)
		if (tids[i] == tid)
			return true;
	return false;
}

/* Those that were not there at the last look. @return how many; they are known now */
static unsigned run_on_new(DIR *dir, pid_t *tids, unsigned *n, unsigned wait_ms)
{
	const struct dirent *entry;
	unsigned before = *n;

	rewinddir(dir);
	while ((entry = readdir(dir)) != NULL) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0 || is_known(tids, *n, tid))
			continue;
		if (*n == THREADS_MAX) {
			keep_error(-E2BIG);
			break;
		}
		tids[(*n)++] = tid;
		run_on(tid, wait_ms);
	}
	return *n - before;
}

int every_thread(int (*fn)(void), unsigned wait_ms)
{
	pid_t tids[THREADS_MAX] = {gettid()};
	unsigned n = 1;
	DIR *dir = opendir("/proc/self/task");
	int err;

	if (dir == NULL)
		return -errno;
	err = install();
	if (err == 0) {
		first_error = 0;
		task = fn;
		/* A thread that was started meanwhile may be a child of one that had not run it. */
		while (run_on_new(dir, tids, &n, wait_ms) > 0)
			;
		keep_error(fn()); /* this one last: until then it can look for others */
		err = first_error;
	}
	closedir(dir);
	return err;
}
