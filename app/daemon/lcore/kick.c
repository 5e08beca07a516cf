/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/kick.h"

#include "guest.h"
#include "lcore/eventfd_check.h"

#include <sys/epoll.h>

/* Guests that cannot be heard are looked at so often while the lcore blocks. */
#define LOOK_NS UINT64_C(1000000)

/* Wakes in vain in a row for which a guest's kicks are not heard for a while. An honest guest has
 * one: of a kick that was on its way when its ring was looked at. */
#define VAIN_MAX    4
#define MUTE_MIN_NS UINT64_C(1000000)
#define MUTE_MAX_NS UINT64_C(128000000)

/* Kicks that are collected by one system call. */
#define EVENTS 16

void kick_init(struct kick *k, int fd)
{
	*k = (struct kick){.fd = fd >= 0 && eventfd_check(fd) == 0 ? fd : -1};
}

void kick_forget(int epoll, struct guest *g)
{
	if (g->kick.heard)
		epoll_ctl(epoll, EPOLL_CTL_DEL, g->kick.fd, NULL);
	g->kick.heard = false;
}

uint64_t kick_listen(int epoll, struct guest *g, uint64_t now_ns)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = g};
	struct kick *k = &g->kick;

	/* It had work: that was not in vain. */
	if (!g->dev.vq.kicks_on && g->dev.waits_for == WAITING_FOR_NOTHING) {
		k->vain = 0;
		k->mute_ns = k->look_ns = 0;
	}
	if (!k->heard && now_ns >= k->look_ns) {
		k->heard = k->fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, k->fd, &event) == 0;
		k->look_ns = now_ns + LOOK_NS;
	}
	return k->heard ? UINT64_MAX : k->look_ns;
}

/* It kicked in vain too often. */
static void mute(int epoll, struct guest *g, uint64_t now_ns)
{
	struct kick *k = &g->kick;

	kick_forget(epoll, g);
	k->mute_ns = k->mute_ns == 0 ? MUTE_MIN_NS : k->mute_ns * 2;
	if (k->mute_ns > MUTE_MAX_NS)
		k->mute_ns = MUTE_MAX_NS;
	k->look_ns = now_ns + k->mute_ns;
}

/* That their rings have work is seen by the next sweep, and by kick_listen() at the next time: a
 * guest that had a turn has its kicks off. */
void kick_hear(int epoll, uint64_t now_ns)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		struct guest *g = events[i].data.ptr;

		stats_add(&g->dev.stats.kicks, 1);
		if (g->dev.vq.broken != NULL)
			kick_forget(epoll, g);
		else if (++g->kick.vain > VAIN_MAX)
			mute(epoll, g, now_ns);
	}
}
