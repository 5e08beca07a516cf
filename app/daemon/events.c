/* SPDX-License-Identifier: BSD-3-Clause */
#include "events.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct events {
	int fd;
};

int events_create(struct events **events)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (ev == NULL)
		return -ENOMEM;
	ev->fd = epoll_create1(EPOLL_CLOEXEC);
	if (ev->fd < 0) {
		int err = -errno;

		free(ev);
		return err;
	}
	*events = ev;
	return 0;
}

void events_destroy(struct events *ev)
{
	if (ev == NULL)
		return;
	close(ev->fd);
	free(ev);
}

static int control(struct events *ev, int op, struct event_handler *h, uint32_t wanted)
{
	struct epoll_event event = {.events = wanted, .data.ptr = h};

	return epoll_ctl(ev->fd, op, h->fd, &event) == 0 ? 0 : -errno;
}

int events_add(struct events *ev, struct event_handler *h, uint32_t wanted)
{
	return control(ev, EPOLL_CTL_ADD, h, wanted);
}

void events_change(struct events *ev, struct event_handler *h, uint32_t wanted)
{
	control(ev, EPOLL_CTL_MOD, h, wanted);
}

void events_remove(struct events *ev, struct event_handler *h)
{
	control(ev, EPOLL_CTL_DEL, h, 0);
}

void events_wait(struct events *ev, uint64_t limit_ns)
{
	uint64_t limit_ms = limit_ns / 1000000 + 1;
	struct epoll_event event;

	/* One at a time: a handler may free another one. The kernel takes them in turn. */
	if (epoll_wait(ev->fd, &event, 1, limit_ms < INT32_MAX ? (int)limit_ms : INT32_MAX) == 1) {
		struct event_handler *h = event.data.ptr;

		h->handle(h->arg, event.events);
	}
}
