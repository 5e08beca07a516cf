/* SPDX-License-Identifier: BSD-3-Clause */
#include "procstat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In /proc/PID/task/TID/stat, counted from the state, which follows the name: proc(5). */
#define STAT_UTIME     11
#define STAT_STIME     12
#define STAT_PROCESSOR 36

static int read_file(int dir_fd, const char *name, char *text, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	text[n] = '\0';
	return 0;
}

static void parse_stat(char *text, struct procstat_thread *t)
{
	char *from = strchr(text, '('), *to = strrchr(text, ')'), *rest = NULL, *word;
	uint64_t jiffies = 0;

	if (from == NULL || to == NULL)
		return;
	snprintf(t->name, sizeof(t->name), "%.*s", (int)(to - from - 1), from + 1);
	word = strtok_r(to + 1, " ", &rest);
	for (unsigned i = 0; word != NULL; i++, word = strtok_r(NULL, " ", &rest)) {
		if (i == STAT_UTIME || i == STAT_STIME)
			jiffies += strtoull(word, NULL, 10);
		else if (i == STAT_PROCESSOR)
			t->cpu = atoi(word);
	}
	t->cpu_ns = jiffies * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t number_after(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static int read_thread(int task_fd, const char *tid, struct procstat_thread *t)
{
	char text[4096];
	int dir_fd = openat(task_fd, tid, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (dir_fd < 0)
		return -errno;
	*t = (struct procstat_thread){.tid = atoi(tid)};
	err = read_file(dir_fd, "stat", text, sizeof(text));
	if (err == 0)
		parse_stat(text, t);
	/* In nanoseconds where the kernel keeps it; stat counts in units of 10 ms or so. */
	if (err == 0 && read_file(dir_fd, "schedstat", text, sizeof(text)) == 0)
		t->cpu_ns = strtoull(text, NULL, 10);
	if (err == 0)
		err = read_file(dir_fd, "status", text, sizeof(text));
	if (err == 0) {
		t->voluntary = number_after(text, "\nvoluntary_ctxt_switches:");
		t->involuntary = number_after(text, "\nnonvoluntary_ctxt_switches:");
	}
	close(dir_fd);
	return err;
}

int procstat_read(pid_t pid, struct procstat *ps)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	ps->nr_threads = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL && ps->nr_threads < PROCSTAT_THREADS_MAX)
		if (entry->d_name[0] != '.' &&
			read_thread(dirfd(dir), entry->d_name, &ps->threads[ps->nr_threads]) == 0)
			ps->nr_threads++;
	closedir(dir);
	return ps->nr_threads > 0 ? 0 : -ENOENT;
}

void procstat_subtract(struct procstat *after, const struct procstat *before)
{
	for (unsigned i = 0; i < after->nr_threads; i++) {
		struct procstat_thread *t = &after->threads[i];

		for (unsigned k = 0; k < before->nr_threads; k++) {
			const struct procstat_thread *b = &before->threads[k];

			if (b->tid != t->tid)
				continue;
			t->cpu_ns -= b->cpu_ns;
			t->voluntary -= b->voluntary;
			t->involuntary -= b->involuntary;
		}
	}
}

struct procstat_thread procstat_sum(const struct procstat *ps)
{
	struct procstat_thread sum = {.cpu = -1};

	for (unsigned i = 0; i < ps->nr_threads; i++) {
		sum.cpu_ns += ps->threads[i].cpu_ns;
		sum.voluntary += ps->threads[i].voluntary;
		sum.involuntary += ps->threads[i].involuntary;
	}
	return sum;
}
