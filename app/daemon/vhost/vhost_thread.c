/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/vhost_thread.h"

#include "clock.h"

#include <rte_version.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

/* How often it is woken again, and how long after. */
#define AGAIN	 5
#define AGAIN_NS UINT64_C(2000000)

/* DPDK's names: "dpdk-" and what rte_vhost asks for, from 23.11 on. */
static const char *const names[VHOST_THREADS] = {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	[VHOST_THREAD_EVENTS] = "dpdk-vhost-evt",
	[VHOST_THREAD_RECONNECT] = "dpdk-vhost-reco",
#else
	[VHOST_THREAD_EVENTS] = "vhost-events",
	[VHOST_THREAD_RECONNECT] = "vhost_reconn",
#endif
};

static bool is_created[VHOST_THREADS];

void vhost_thread_name(enum vhost_thread id, char previous[VHOST_THREAD_NAME_SIZE])
{
	if (is_created[id])
		return;
	prctl(PR_GET_NAME, previous, 0, 0, 0);
	prctl(PR_SET_NAME, names[id], 0, 0, 0);
}

void vhost_thread_unname(
	enum vhost_thread id, const char previous[VHOST_THREAD_NAME_SIZE], bool created)
{
	if (is_created[id])
		return;
	prctl(PR_SET_NAME, previous, 0, 0, 0);
	is_created[id] = created;
}

static void do_nothing(int sig)
{
}

/* The thread that has this name; 0: there is none. */
static pid_t find_thread(const char *wanted)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t found = 0;

	while (dir != NULL && found == 0 && (entry = readdir(dir)) != NULL) {
		char path[64], name[VHOST_THREAD_NAME_SIZE + 1] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof(name), file) != NULL) {
			name[strcspn(name, "\n")] = '\0';
			if (strcmp(name, wanted) == 0)
				found = atoi(entry->d_name);
		}
		fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static pid_t thread;   /* it lives as long as the process */
static unsigned again; /* how often to wake it again */
static uint64_t next_ns;

static void wake(void)
{
	tgkill(getpid(), thread, SIGUSR2);
	next_ns = clock_now_ns() + AGAIN_NS;
}

void vhost_thread_wake(void)
{
	static const struct sigaction nothing = {.sa_handler = do_nothing};

	if (thread == 0) {
		sigaction(SIGUSR2, &nothing, NULL);
		thread = find_thread(names[VHOST_THREAD_EVENTS]);
	}
	if (thread == 0)
		return;
	again = AGAIN;
	wake();
}

uint64_t vhost_thread_tick(void)
{
	uint64_t now_ns = clock_now_ns();

	if (again == 0)
		return UINT64_MAX;
	if (now_ns < next_ns)
		return next_ns - now_ns;
	again--;
	wake();
	return again > 0 ? AGAIN_NS : UINT64_MAX;
}
