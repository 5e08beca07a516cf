/* SPDX-License-Identifier: BSD-3-Clause */
#include "threads.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* Far longer than it takes to block. */
#define AT_REST_MS 30

static bool is_named(const struct daemon *d, const char *tid, const char *name)
{
	char path[80], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", d->pid, tid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fgets(comm, sizeof(comm), file) == NULL)
		comm[0] = '\0';
	fclose(file);
	return strncmp(comm, name, strlen(name)) == 0;
}

pid_t thread_find(const struct daemon *d, const char *name)
{
	const struct dirent *entry;
	char path[64];
	pid_t found = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", d->pid);
	dir = opendir(path);
	if (dir == NULL)
		fail_msg("the daemon has no %s", path);
	while (found == 0 && (entry = readdir(dir)) != NULL)
		if (is_named(d, entry->d_name, name))
			found = atoi(entry->d_name);
	closedir(dir);
	return found;
}

void thread_stop(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
		assert_true(errno == EPERM || errno == ENOSYS);
		print_message("# no thread can be stopped here: ptrace is not allowed\n");
		skip();
	}
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
	assert_int_equal(waitpid(tid, &status, __WALL), tid);
	assert_true(WIFSTOPPED(status));
}

uint64_t thread_cpu_ns(const struct daemon *d, pid_t tid)
{
	unsigned long long ns = 0;
	char path[80];
	FILE *file;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", d->pid, tid);
	file = fopen(path, "r");
	if (file == NULL)
		fail_msg("the daemon has no %s", path);
	got = fscanf(file, "%llu", &ns);
	fclose(file);
	assert_int_equal(got, 1);
	return ns;
}

unsigned long lcore_sleeps(const struct daemon *d)
{
	static const char key[] = "\nvoluntary_ctxt_switches:";
	char path[64], text[4096], *at;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", d->pid,
		thread_find(d, "vrng-lcore-"));
	file = fopen(path, "r");
	if (file == NULL)
		fail_msg("no %s: the daemon has no lcore", path);
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	at = strstr(text, key);
	assert_non_null(at);
	return strtoul(at + sizeof(key) - 1, NULL, 10);
}

unsigned long lcore_sleeps_in_a_second(const struct daemon *d)
{
	int64_t from_us = now_us();
	unsigned long n = lcore_sleeps(d);

	sleep_ms(1000);
	return (lcore_sleeps(d) - n) * 1000000 / (unsigned long)(now_us() - from_us);
}

void lcore_wait_blocked(const struct daemon *d)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	unsigned long n = lcore_sleeps(d), before;

	do {
		if (now_ms() > deadline_ms)
			fail_msg("the lcore does not come to rest");
		before = n;
		sleep_ms(AT_REST_MS);
		n = lcore_sleeps(d);
	} while (n == 0 || n > before + 1);
}
