/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor.h"

#include "parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long READY=1 may wait for room in the supervisor's queue. */
#define PATIENCE_S 1

/* A path, or with '@' for its first byte, 0, a name in the abstract namespace (unix(7)). */
static int find_address(struct supervisor *s, const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(s->address.sun_path))
		return -EINVAL;
	s->address.sun_family = AF_UNIX;
	memcpy(s->address.sun_path, name, len + 1);
	s->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (name[0] == '@')
		s->address.sun_path[0] = '\0';
	else
		s->address_len++; /* with its end */
	return 0;
}

/* WATCHDOG_USEC, unless it is for another process (sd_watchdog_enabled(3)). */
static uint64_t find_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, n;

	if (usec == NULL || parse_range(usec, 1, UINT64_MAX / 1000, &us) != 0)
		return 0;
	if (pid != NULL && (parse_range(pid, 1, INT32_MAX, &n) != 0 || n != (uint64_t)getpid()))
		return 0;
	return us * 1000;
}

int supervisor_open(struct supervisor *s)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const char *name = getenv("NOTIFY_SOCKET");
	int err;

	*s = (struct supervisor){0};
	if (name == NULL)
		return 0;
	err = find_address(s, name);
	if (err != 0)
		return err;
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		s->address_len = 0;
		return -errno;
	}
	setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	s->watchdog_ns = find_watchdog();
	return 0;
}

void supervisor_close(struct supervisor *s)
{
	if (s->address_len > 0)
		close(s->fd);
	s->address_len = 0;
}

/* To the address, not over a connection: a supervisor that started anew is found. */
static bool tell(const struct supervisor *s, const char *message, int flags)
{
	return s->address_len == 0 ||
	       sendto(s->fd, message, strlen(message), MSG_NOSIGNAL | flags,
		       (const struct sockaddr *)&s->address, s->address_len) >= 0;
}

void supervisor_ready(struct supervisor *s)
{
	char message[sizeof(s->status) + 32];

	snprintf(message, sizeof(message), "READY=1\nSTATUS=%s\n", s->status);
	tell(s, message, 0);
}

void supervisor_status(struct supervisor *s, const char *format, ...)
{
	char status[sizeof(s->status)], message[sizeof(status) + 16];
	va_list ap;

	va_start(ap, format);
	vsnprintf(status, sizeof(status), format, ap);
	va_end(ap);
	if (s->told && strcmp(status, s->status) == 0)
		return;
	memcpy(s->status, status, sizeof(status));
	snprintf(message, sizeof(message), "STATUS=%s\n", status);
	s->told = tell(s, message, MSG_DONTWAIT);
}

void supervisor_feed(const struct supervisor *s)
{
	if (s->watchdog_ns != 0)
		tell(s, "WATCHDOG=1\n", MSG_DONTWAIT);
}

void supervisor_stopping(struct supervisor *s)
{
	tell(s, "STOPPING=1\nSTATUS=ending\n", MSG_DONTWAIT);
}
