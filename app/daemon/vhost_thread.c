/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_thread.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

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
		char path[64], name[16] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof(name), file) != NULL && strcmp(name, wanted) == 0)
			found = atoi(entry->d_name);
		fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
	return found;
}

void vhost_thread_wake(void)
{
	static const struct sigaction nothing = {.sa_handler = do_nothing};
	static pid_t thread;

	/* It lives as long as the process. */
	if (thread == 0) {
		sigaction(SIGUSR2, &nothing, NULL);
		thread = find_thread("vhost-events\n");
	}
	if (thread != 0)
		tgkill(getpid(), thread, SIGUSR2);
}
