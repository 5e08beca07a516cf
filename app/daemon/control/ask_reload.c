/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ask_reload.h"

#include <jansson.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Less than systemd waits for a reload (90 s). */
#define ANSWER_LIMIT_S 60

/* More than an answer to "reload" has. */
#define ANSWER_MAX 16384

static int no_answer(const struct options *opt, int err, struct why *why)
{
	return why_set(why, err,
		"--reload: no answer on --control-socket %s: %s; is the daemon running, and was it "
		"started with this control socket?",
		opt->control_socket, strerror(-err));
}

/* The daemon that is to reload may have been started with another control socket. */
static int check_peer(const struct options *opt, int fd, struct why *why)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return no_answer(opt, -errno, why);
	/* 0: it is in another PID namespace. */
	if (peer.pid == 0 || (uint32_t)peer.pid == opt->reload_pid)
		return 0;
	return why_set(why, -EINVAL,
		"--reload %u: --control-socket %s belongs to process %d; a changed control-socket "
		"needs a restart",
		opt->reload_pid, opt->control_socket, (int)peer.pid);
}

static int connect_to(const struct options *opt, int *fd, struct why *why)
{
	const struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err;

	if (strlen(opt->control_socket) >= sizeof(addr.sun_path))
		return no_answer(opt, -ENAMETOOLONG, why);
	strcpy(addr.sun_path, opt->control_socket);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return no_answer(opt, -errno, why);
	if (setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
		setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
		connect(*fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		/* A missing socket is not a wrong option: the daemon may be about to start. */
		err = no_answer(opt, errno == ENOENT ? -ECONNREFUSED : -errno, why);
	else
		err = check_peer(opt, *fd, why);
	if (err != 0)
		close(*fd);
	return err;
}

/* Send the request, and receive one line without its newline. */
static int exchange(const struct options *opt, int fd, char answer[ANSWER_MAX], struct why *why)
{
	static const char request[] = "{\"command\": \"reload\"}\n";
	size_t len = 0;
	ssize_t n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	char *end = NULL;

	if (n != (ssize_t)sizeof(request) - 1)
		return no_answer(opt, n < 0 ? -errno : -EIO, why);
	while (end == NULL && len < ANSWER_MAX - 1) {
		n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return no_answer(opt,
				n == 0		  ? -ECONNRESET
				: errno == EAGAIN ? -ETIMEDOUT
						  : -errno,
				why);
		end = memchr(answer + len, '\n', (size_t)n);
		len += (size_t)n;
	}
	if (end == NULL)
		return no_answer(opt, -EPROTO, why);
	*end = '\0';
	return 0;
}

static int read_answer(const struct options *opt, const char *text, struct why *why)
{
	json_t *answer = json_loads(text, 0, NULL);
	const json_t *ok = json_object_get(answer, "ok");
	const char *message =
		json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	int err = 0;

	if (!json_is_boolean(ok) || (json_is_false(ok) && message == NULL))
		err = no_answer(opt, -EPROTO, why);
	else if (json_is_false(ok))
		err = why_set(why, -EINVAL, "--reload: %s", message);
	json_decref(answer);
	return err;
}

int ask_reload(const struct options *opt, struct why *why)
{
	char answer[ANSWER_MAX];
	int fd = -1, err = connect_to(opt, &fd, why);

	if (err != 0)
		return err;
	err = exchange(opt, fd, answer, why);
	close(fd);
	return err != 0 ? err : read_answer(opt, answer, why);
}
