/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Answers about hundreds of guests are long. */
#define LINE_MAX_BYTES (1u << 20)

int client_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		if (now_ms() > deadline_ms)
			fail_msg("nobody listens at %s: %s", path, strerror(errno));
		sleep_ms(5);
	}
	return fd;
}

void client_send(int fd, const char *text, size_t len)
{
	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* @return how many bytes came; 0: closed */
static size_t receive_some(int fd, char *buf, size_t size)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&pfd, 1, LIVENESS_MS) != 1)
		fail_msg("no answer over the control socket");
	n = recv(fd, buf, size, 0);
	return n > 0 ? (size_t)n : 0;
}

json_t *client_receive(int fd)
{
	char *line = malloc(LINE_MAX_BYTES);
	json_error_t error;
	size_t len = 0;
	json_t *answer;

	/* Byte by byte: what is after the newline belongs to the next one. */
	do {
		if (receive_some(fd, line + len, 1) == 0) {
			assert_int_equal(len, 0);
			free(line);
			return NULL;
		}
		assert_true(++len < LINE_MAX_BYTES);
	} while (line[len - 1] != '\n');
	answer = json_loadb(line, len, 0, &error);
	if (answer == NULL)
		fail_msg("not JSON: %.*s: %s", (int)len, line, error.text);
	free(line);
	return answer;
}

static json_t *ask(const char *path, const char *format, va_list ap)
{
	int fd = client_connect(path);
	char line[1024];
	json_t *answer;
	int len;

	len = vsnprintf(line, sizeof(line) - 1, format, ap);
	assert_in_range(len, 1, sizeof(line) - 2);
	line[len++] = '\n';
	client_send(fd, line, (size_t)len);
	answer = client_receive(fd);
	if (answer == NULL)
		fail_msg("no answer to %.*s", len, line);
	assert_int_equal(client_number(answer, "version"), 1);
	close(fd);
	return answer;
}

json_t *client_ask(const char *path, const char *format, ...)
{
	json_t *answer;
	va_list ap;

	va_start(ap, format);
	answer = ask(path, format, ap);
	va_end(ap);
	return answer;
}

json_t *client_must(const char *path, const char *format, ...)
{
	json_t *answer, *result;
	va_list ap;

	va_start(ap, format);
	answer = ask(path, format, ap);
	va_end(ap);
	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s: %s", format, json_dumps(answer, JSON_COMPACT));
	result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return result;
}

void client_must_not(const char *path, const char *code, const char *says, const char *format, ...)
{
	const json_t *error;
	json_t *answer;
	va_list ap;

	va_start(ap, format);
	answer = ask(path, format, ap);
	va_end(ap);
	error = json_object_get(answer, "error");
	if (!json_is_false(json_object_get(answer, "ok")) || error == NULL)
		fail_msg("%s was not refused", format);
	assert_string_equal(json_string_value(json_object_get(error, "code")), code);
	if (strstr(json_string_value(json_object_get(error, "message")), says) == NULL)
		fail_msg("'%s' does not say '%s'",
			json_string_value(json_object_get(error, "message")), says);
	json_decref(answer);
}

json_int_t client_number(const json_t *object, const char *path)
{
	char key[64];

	for (const char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
		snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
		object = json_object_get(object, key);
	}
	object = json_object_get(object, path);
	if (!json_is_integer(object))
		fail_msg("no number %s", path);
	return json_integer_value(object);
}
