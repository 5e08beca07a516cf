/* SPDX-License-Identifier: BSD-3-Clause */
#include "telemetry.h"

#include "client.h"
#include "util.h"

#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (1u << 17)

void telemetry_dir(char *dir, size_t size)
{
	const char *base = getuid() == 0 ? "/var/run" : getenv("XDG_RUNTIME_DIR");

	snprintf(dir, size, "%s/dpdk/rte", base != NULL ? base : "/tmp");
}

static json_t *receive(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char *text = malloc(ANSWER_MAX);
	json_error_t error;
	json_t *answer;
	ssize_t n;

	if (poll(&pfd, 1, LIVENESS_MS) != 1)
		fail_msg("no answer over the telemetry socket");
	n = recv(fd, text, ANSWER_MAX, 0);
	assert_true(n > 0);
	answer = json_loadb(text, (size_t)n, 0, &error);
	if (answer == NULL)
		fail_msg("not JSON: %.*s: %s", (int)n, text, error.text);
	free(text);
	return answer;
}

/* It is the one that says that it has this process. @return a descriptor, or -1 */
static int connect_if(const char *path, pid_t pid)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	json_t *greeting = NULL;
	bool is_it = false;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};

		/* One of a daemon that stands still says nothing. */
		if (poll(&pfd, 1, 1000) == 1)
			greeting = receive(fd);
	}
	if (greeting != NULL)
		is_it = client_number(greeting, "pid") == pid;
	json_decref(greeting);
	if (is_it)
		return fd;
	close(fd);
	return -1;
}

int telemetry_try(const struct daemon *d)
{
	char dir[80], path[108];
	struct dirent *entry;
	int fd = -1;
	DIR *list;

	telemetry_dir(dir, sizeof(dir));
	list = opendir(dir);
	while (list != NULL && fd < 0 && (entry = readdir(list)) != NULL) {
		if (strncmp(entry->d_name, "dpdk_telemetry.v2", 17) != 0)
			continue;
		snprintf(path, sizeof(path), "%.75s/%.30s", dir, entry->d_name);
		fd = connect_if(path, d->pid);
	}
	if (list != NULL)
		closedir(list);
	return fd;
}

int telemetry_connect(const struct daemon *d)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	int fd;

	while ((fd = telemetry_try(d)) < 0) {
		if (now_ms() > deadline_ms)
			fail_msg("the daemon has no telemetry socket");
		sleep_ms(5);
	}
	return fd;
}

json_t *telemetry_ask(int fd, const char *format, ...)
{
	char command[256], name[256];
	json_t *answer, *result;
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	assert_in_range(len, 1, sizeof(command) - 1);
	assert_int_equal(send(fd, command, (size_t)len, MSG_NOSIGNAL), len);
	answer = receive(fd);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(command, ","), command);
	result = json_incref(json_object_get(answer, name));
	assert_non_null(result);
	json_decref(answer);
	return result;
}
