/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/every_thread.h"

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 1024

/* How long one thread may take: it may be off its CPU for long, on a machine that is overloaded. */
#define WAIT_S 5

static int (*task)(void); /* MAIN: rw, handlers: ro */
static int first_error;	  /* MAIN: rw, handlers: rw, one at a time */
static sem_t done;

static void keep_error(int err)
{
	int none = 0;

	__atomic_compare_exchange_n(
		&first_error, &none, err, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void handle(int sig)
{
	int saved = errno, (*fn)(void) = __atomic_load_n(&task, __ATOMIC_ACQUIRE);

	if (fn != NULL) {
		keep_error(fn());
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

static void run_on(pid_t tid)
{
	struct timespec until;
	int rc;

	if (tgkill(getpid(), tid, SIGRTMIN) != 0)
		return; /* it has ended */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	do
		rc = sem_clockwait(&done, CLOCK_MONOTONIC, &until);
	while (rc != 0 && errno == EINTR);
	if (rc != 0)
		keep_error(-errno);
}

static bool is_known(const pid_t *tids, unsigned n, pid_t tid)
{
	for (unsigned i = 0; i < n; i++)
		if (tids[i] == tid)
			return true;
	return false;
}

/* Those that were not there at the last look. @return how many; they are known now */
static unsigned run_on_new(DIR *dir, pid_t *tids, unsigned *n)
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
		run_on(tid);
	}
	return *n - before;
}

int every_thread(int (*fn)(void))
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
		__atomic_store_n(&task, fn, __ATOMIC_RELEASE);
		/* A thread that was started meanwhile may be a child of one that had not run it. */
		while (run_on_new(dir, tids, &n) > 0)
			;
		__atomic_store_n(&task, NULL, __ATOMIC_RELEASE);
		keep_error(fn()); /* this one last: until then it can look for others */
		err = first_error;
	}
	closedir(dir);
	return err;
}
