/* SPDX-License-Identifier: BSD-3-Clause */
#include "proxy_thread.h"

#include "listener.h"
#include "relay.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_MS	 50 /* how often the thread looks whether it is to stop */
#define RETRY_MS 2  /* and, without a back-end, whether there is one */

static bool is_stopped(const struct proxy_thread *proxy)
{
	return __atomic_load_n(&proxy->stop, __ATOMIC_ACQUIRE);
}

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
}

/* @return a connection to the back-end; -1: there is none */
static int connect_back(const struct proxy_thread *proxy)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", proxy->back_path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static enum relay_status attach(struct proxy_thread *proxy, struct relay *relay, struct why *why)
{
	int fd = connect_back(proxy);

	return fd < 0 ? RELAY_OK : relay_attach(relay, fd, why);
}

/* One round of events. */
static enum relay_status work(struct proxy_thread *proxy, struct relay *relay, struct why *why)
{
	enum relay_status status = RELAY_OK;
	struct pollfd fds[2];

	if (relay_back_fd(relay) < 0)
		status = attach(proxy, relay, why);
	fds[0] = (struct pollfd){relay_front_fd(relay), relay_front_wanted(relay), 0};
	fds[1] = (struct pollfd){relay_back_fd(relay), relay_back_wanted(relay), 0};
	if (status != RELAY_OK || poll(fds, 2, fds[1].fd < 0 ? RETRY_MS : LOOK_MS) <= 0)
		return status;
	if (fds[1].revents != 0)
		status = relay_back_events(relay, fds[1].revents, why);
	if (status == RELAY_BACK_LOST)
		count(&proxy->nr_back_lost);
	if (status != RELAY_FRONT_ENDED && fds[0].revents != 0)
		status = relay_front_events(relay, fds[0].revents, why);
	return status;
}

static void serve_front(struct proxy_thread *proxy, int front_fd)
{
	enum relay_status status = RELAY_OK;
	struct why why = {0};
	struct relay *relay;

	if (relay_create(&(struct relay_config){0}, front_fd, &relay) != 0) {
		close(front_fd);
		return;
	}
	while (!is_stopped(proxy) && status != RELAY_FRONT_ENDED)
		status = work(proxy, relay, &why);
	relay_destroy(relay);
	if (status == RELAY_FRONT_ENDED && strstr(why.text, "closed the connection") == NULL) {
		proxy->why = why;
		count(&proxy->nr_refused);
	}
}

static void *run(void *arg)
{
	struct proxy_thread *proxy = arg;
	int front_fd;

	while (!is_stopped(proxy)) {
		if (listener_accept(proxy->listen_fd, LOOK_MS, &front_fd) != 0)
			continue;
		count(&proxy->nr_fronts);
		serve_front(proxy, front_fd);
	}
	return NULL;
}

void proxy_thread_start(struct proxy_thread *proxy, const char *front_path, const char *back_path)
{
	*proxy = (struct proxy_thread){.back_path = back_path};
	snprintf(proxy->front_path, sizeof(proxy->front_path), "%s", front_path);
	assert_int_equal(listener_open(proxy->front_path, &proxy->listen_fd), 0);
	assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
	proxy->running = true;
}

void proxy_thread_stop(struct proxy_thread *proxy)
{
	if (!proxy->running)
		return;
	__atomic_store_n(&proxy->stop, true, __ATOMIC_RELEASE);
	pthread_join(proxy->thread, NULL);
	close(proxy->listen_fd);
	proxy->running = false;
}

uint64_t proxy_thread_back_lost(const struct proxy_thread *proxy)
{
	return __atomic_load_n(&proxy->nr_back_lost, __ATOMIC_ACQUIRE);
}
