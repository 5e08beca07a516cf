/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/control.h"

#include "clock.h"
#include "log.h"
#include "vhost/conn.h"
#include "vhost/sockets.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 8

struct client {
	struct control *control; /* NULL: not in use */
	struct event_handler handler;
	uint64_t heard_ns; /* when it last sent something */
	bool ended;	   /* it sends no more */
	bool failed;	   /* it sent what cannot be read on: close when it was told */
	size_t in_len;
	char *out; /* the answer; NULL: it was sent */
	size_t out_len, out_sent;
	char in[REQUEST_LINE_MAX + 1];
};

struct control {
	struct events *events;
	struct event_handler listener;
	control_fn *fn;
	void *arg;
	char path[SOCKETS_PATH_SIZE];
	struct client clients[CONTROL_CLIENTS_MAX];
};

static void close_client(struct client *cl)
{
	events_remove(cl->control->events, &cl->handler);
	close(cl->handler.fd);
	free(cl->out);
	cl->out = NULL;
	cl->control = NULL;
}

/* The length of its first line with the newline; 0: it has not all of it. */
static size_t line_of(const struct client *cl)
{
	const char *end = memchr(cl->in, '\n', cl->in_len);

	return end != NULL ? (size_t)(end - cl->in) + 1 : 0;
}

static void answer(
	struct client *cl, const struct request *r, int err, json_t *result, const struct why *why)
{
	cl->out = request_answer(r, err, result, why);
	cl->out_sent = 0;
	if (cl->out != NULL)
		cl->out_len = strlen(cl->out);
	else
		cl->failed = true;
}

static void do_request(struct client *cl, size_t len)
{
	struct why why = {0};
	struct request r;
	json_t *result = NULL;
	int err = request_parse(cl->in, len, &r, &why);

	if (err == 0)
		err = cl->control->fn(cl->control->arg, &r, &result, &why);
	answer(cl, &r, err, result, &why);
	request_fini(&r);
}

/* Do what is next for a client that has no answer to take. */
static void do_next(struct client *cl)
{
	size_t len = line_of(cl);

	if (len > 0) {
		do_request(cl, len);
		cl->in_len -= len;
		memmove(cl->in, cl->in + len, cl->in_len);
	} else if (cl->in_len == sizeof(cl->in)) {
		const struct request none = {0};
		struct why why;

		why_set(&why, -EPROTO, "the line has more than %d bytes", REQUEST_LINE_MAX);
		cl->failed = true;
		answer(cl, &none, -EPROTO, NULL, &why);
	}
}

/* @return false when the connection is of no more use */
static bool receive(struct client *cl)
{
	ssize_t n = recv(cl->handler.fd, cl->in + cl->in_len, sizeof(cl->in) - cl->in_len, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	cl->ended = n == 0;
	cl->in_len += (size_t)n;
	cl->heard_ns = clock_now_ns();
	return true;
}

/* @return false when the connection is of no more use */
static bool transmit(struct client *cl)
{
	ssize_t n = send(cl->handler.fd, cl->out + cl->out_sent, cl->out_len - cl->out_sent,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	cl->out_sent += (size_t)n;
	if (cl->out_sent == cl->out_len) {
		free(cl->out);
		cl->out = NULL;
	}
	return true;
}

/* Is there something to do for it, other than to read? */
static bool has_work(const struct client *cl)
{
	return cl->out != NULL || line_of(cl) > 0 || cl->in_len == sizeof(cl->in);
}

static void handle_client(void *arg, uint32_t ready)
{
	struct client *cl = arg;
	bool useful = true;

	/* A client that has work is waited for to take its answer, and to send no more. */
	if (!has_work(cl))
		useful = receive(cl);
	if (useful && cl->out == NULL)
		do_next(cl);
	if (useful && cl->out != NULL)
		useful = transmit(cl);
	if (cl->out == NULL && (cl->failed || (cl->ended && !has_work(cl))))
		useful = false;
	if (useful)
		events_change(cl->control->events, &cl->handler, has_work(cl) ? EPOLLOUT : EPOLLIN);
	else
		close_client(cl);
}

/* A place for one more. */
static struct client *find_place(struct control *c)
{
	struct client *place = &c->clients[0];

	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *cl = &c->clients[i];

		if (cl->control == NULL)
			return cl;
		if (cl->heard_ns < place->heard_ns)
			place = cl;
	}
	close_client(place);
	return place;
}

static void handle_listener(void *arg, uint32_t ready)
{
	struct control *c = arg;
	int fd = accept4(c->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *cl;

	if (fd < 0) {
		conn_turn_away(c->listener.fd);
		return;
	}
	cl = find_place(c);
	cl->handler = (struct event_handler){.fd = fd, .handle = handle_client, .arg = cl};
	if (events_add(c->events, &cl->handler, EPOLLIN) != 0) {
		close(fd);
		return;
	}
	cl->control = c;
	cl->heard_ns = clock_now_ns();
	cl->ended = cl->failed = false;
	cl->in_len = 0;
	cl->out = NULL;
}

static int listen_at(struct control *c, struct why *why)
{
	int err = sockets_bind("--control-socket ", c->path, &c->listener.fd, why);

	if (err != 0)
		return err;
	if (listen(c->listener.fd, BACKLOG) != 0)
		err = -errno;
	else
		err = events_add(c->events, &c->listener, EPOLLIN);
	if (err == 0)
		return 0;
	close(c->listener.fd);
	unlink(c->path);
	return why_set(
		why, err, "cannot listen on --control-socket %s: %s", c->path, strerror(-err));
}

int control_create(struct events *ev, const char *path, control_fn *fn, void *arg,
	struct control **control, struct why *why)
{
	struct control *c = calloc(1, sizeof(*c));
	int err;

	if (c == NULL)
		return why_set(why, -ENOMEM, "no memory for the control socket");
	c->events = ev;
	c->fn = fn;
	c->arg = arg;
	memcpy(c->path, path, strlen(path) + 1); /* its length was checked */
	c->listener = (struct event_handler){.handle = handle_listener, .arg = c};
	err = listen_at(c, why);
	if (err != 0) {
		free(c);
		return err;
	}
	LOG(INFO, "control socket %s", path);
	*control = c;
	return 0;
}

void control_destroy(struct control *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (c->clients[i].control != NULL)
			close_client(&c->clients[i]);
	events_remove(c->events, &c->listener);
	close(c->listener.fd);
	unlink(c->path);
	free(c);
}
