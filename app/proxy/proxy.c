/* SPDX-License-Identifier: BSD-3-Clause */
#include "proxy.h"

#include "backoff.h"
#include "clock.h"
#include "fd_reaper.h"
#include "front_socket.h"
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

/* Between attempts to connect to the datapath, and to a front-end in client mode. */
#define BACK_MIN_NS  (2 * MS)
#define BACK_MAX_NS  (100 * MS)
#define FRONT_MIN_NS (10 * MS)
#define FRONT_MAX_NS (1000 * MS)

/* A connection that ends before this has died young, and does not reset the delay. */
#define YOUNG_NS (1000 * MS)

/* Pause of a listening socket after accept() has failed, as without a free descriptor. */
#define SHORTAGE_NS (100 * MS)

/* No request of a guest is read while so many of its descriptors wait to be closed. */
#define BACKLOG_MAX	256
#define BACKLOG_WAIT_NS (10 * MS)

enum source_kind { SOURCE_STOP, SOURCE_LISTEN, SOURCE_FRONT, SOURCE_BACK };

/* One descriptor that epoll watches. */
struct event_source {
	enum source_kind kind;
	struct proxy_guest *guest;
	int fd; /* -1: none is watched */
	uint32_t events;
};

struct proxy_guest {
	struct proxy_guest *next;
	struct proxy *proxy;
	char *name, *path, *back_path;
	bool is_client, any_memory_file;
	struct front_socket listen; /* in server mode */
	struct fd_reaper *reaper;
	struct relay *relay; /* NULL: no front-end */
	bool is_replayed;
	bool told_back_lost; /* the log has it, until the next replay */
	struct event_source listen_source, front_source, back_source;
	struct backoff back_backoff, front_backoff;
	uint64_t connected_ns;	  /* when the front-end came */
	uint64_t back_retry_ns;	  /* when to connect to the datapath, without a connection */
	uint64_t front_retry_ns;  /* when to connect to the front-end, in client mode without one */
	uint64_t listen_retry_ns; /* when to accept again; 0: now */
};

struct proxy {
	struct proxy_config config;
	int epoll_fd;
	struct event_source stop_source;
	bool stopping;
	struct proxy_guest *guests;
	struct proxy_stats stats;
};

static void log_guest(const struct proxy_guest *g, enum proxy_log_level level, const char *format,
	...) __attribute__((format(printf, 3, 4)));

static void log_guest(
	const struct proxy_guest *g, enum proxy_log_level level, const char *format, ...)
{
	const struct proxy_config *config = &g->proxy->config;
	char text[WHY_SIZE + 160];
	int n = snprintf(text, sizeof(text), "guest %s: ", g->name);
	va_list args;

	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - (size_t)n, format, args);
	va_end(args);
	config->log(config->log_arg, level, text);
}

/* One writer, PROXY; proxy_get_stats() reads from any thread. */
static void count(uint64_t *counter, int change)
{
	__atomic_store_n(counter, *counter + (uint64_t)(int64_t)change, __ATOMIC_RELEASE);
}

/* Descriptors that epoll watches */

static uint32_t epoll_events(short wanted)
{
	return (wanted & POLLIN ? EPOLLIN : 0u) | (wanted & POLLOUT ? EPOLLOUT : 0u);
}

static short poll_events(uint32_t events)
{
	return (short)((events & EPOLLIN ? POLLIN : 0) | (events & EPOLLOUT ? POLLOUT : 0) |
		       (events & EPOLLHUP ? POLLHUP : 0) | (events & EPOLLERR ? POLLERR : 0));
}

/* Watch 'fd' for 'events'; with -1 nothing. A closed descriptor has left the epoll set by itself.
 */
static void watch(struct proxy *proxy, struct event_source *source, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};
	int op = source->fd == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (fd == source->fd && (fd < 0 || events == source->events))
		return;
	source->fd = fd;
	source->events = events;
	if (fd >= 0 && epoll_ctl(proxy->epoll_fd, op, fd, &event) != 0)
		source->fd = -1; /* tried again by the next call */
}

static bool is_choked(struct proxy_guest *g)
{
	return fd_reaper_backlog(g->reaper) > BACKLOG_MAX;
}

static void watch_guest(struct proxy_guest *g, bool choked, uint64_t now_ns)
{
	short front = g->relay != NULL ? relay_front_wanted(g->relay) : 0;

	if (choked)
		front &= (short)~POLLIN;
	watch(g->proxy, &g->front_source, g->relay != NULL ? relay_front_fd(g->relay) : -1,
		epoll_events(front));
	watch(g->proxy, &g->back_source, g->relay != NULL ? relay_back_fd(g->relay) : -1,
		g->relay != NULL ? epoll_events(relay_back_wanted(g->relay)) : 0);
	watch(g->proxy, &g->listen_source, g->listen.fd,
		now_ns >= g->listen_retry_ns ? EPOLLIN : 0);
}

/* Connections */

/* @return a connection; -ECONNREFUSED, -ENOENT: 'path' has no listener; another -errno */
static int connect_path(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Forget a descriptor that the relay has closed: its number may belong to another file now. */
static void forget(struct event_source *source)
{
	source->fd = -1;
}

static void end_front(struct proxy_guest *g, uint64_t now_ns)
{
	/* The reaper may close the connection later: its events must not arrive any more. */
	epoll_ctl(g->proxy->epoll_fd, EPOLL_CTL_DEL, relay_front_fd(g->relay), NULL);
	forget(&g->front_source);
	forget(&g->back_source);
	relay_destroy(g->relay);
	g->relay = NULL;
	count(&g->proxy->stats.front_ends, -1);
	if (now_ns - g->connected_ns >= YOUNG_NS)
		backoff_reset(&g->front_backoff);
	g->front_retry_ns = now_ns + backoff_next(&g->front_backoff);
}

static void lose_back(struct proxy_guest *g, const struct why *why, uint64_t now_ns)
{
	forget(&g->back_source);
	count(&g->proxy->stats.back_lost, 1);
	g->back_retry_ns = now_ns + backoff_next(&g->back_backoff);
	g->is_replayed = false;
	if (!g->told_back_lost)
		log_guest(g, PROXY_LOG_WARNING, "%s; its session waits for another datapath",
			why->text);
	g->told_back_lost = true;
}

static void note_replay(struct proxy_guest *g)
{
	if (g->is_replayed || !relay_is_replayed(g->relay))
		return;
	g->is_replayed = true;
	count(&g->proxy->stats.replayed, 1);
	backoff_reset(&g->back_backoff);
	if (g->told_back_lost)
		log_guest(g, PROXY_LOG_NOTICE, "its session goes on with another datapath");
	g->told_back_lost = false;
}

/* Act on what is left after an event of a relay. */
static void settle(
	struct proxy_guest *g, enum relay_status status, const struct why *why, uint64_t now_ns)
{
	if (status == RELAY_BACK_LOST) {
		lose_back(g, why, now_ns);
	} else if (status == RELAY_FRONT_ENDED) {
		if (why->err != -ECONNRESET) {
			count(&g->proxy->stats.ended, 1);
			log_guest(g, PROXY_LOG_WARNING, "%s; closing connection", why->text);
		}
		end_front(g, now_ns);
		log_guest(g, PROXY_LOG_INFO, "front-end left %s", g->path);
	} else {
		note_replay(g);
	}
}

static void try_back(struct proxy_guest *g, uint64_t now_ns)
{
	struct why why = {0};
	int fd = connect_path(g->back_path);

	if (fd < 0) {
		g->back_retry_ns = now_ns + backoff_next(&g->back_backoff);
		return;
	}
	settle(g, relay_attach(g->relay, fd, &why), &why, now_ns);
}

static void begin_front(struct proxy_guest *g, int fd, uint64_t now_ns)
{
	const struct relay_config config = {
		.any_memory_file = g->any_memory_file,
		.closer = fd_reaper_closer(g->reaper),
	};

	if (relay_create(&config, fd, &g->relay) != 0) {
		log_guest(g, PROXY_LOG_ERROR, "front-end refused: no memory");
		fd_closer_close(config.closer, fd);
		return;
	}
	count(&g->proxy->stats.front_ends, 1);
	count(&g->proxy->stats.connected, 1);
	g->connected_ns = now_ns;
	g->is_replayed = false;
	log_guest(g, PROXY_LOG_INFO, "front-end connected to %s", g->path);
	try_back(g, now_ns);
}

static bool is_gone(int fd)
{
	struct pollfd look = {.fd = fd};

	return poll(&look, 1, 0) == 1 && look.revents & (POLLHUP | POLLERR);
}

static void accept_front(struct proxy_guest *g, uint64_t now_ns)
{
	int fd = front_socket_accept(&g->listen);

	if (fd == -EAGAIN)
		return;
	if (fd < 0) {
		log_guest(g, PROXY_LOG_ERROR, "%s: cannot accept a connection: %s", g->path,
			strerror(-fd));
		g->listen_retry_ns = now_ns + SHORTAGE_NS;
		return;
	}
	if (g->relay != NULL && is_gone(relay_front_fd(g->relay))) {
		end_front(g, now_ns);
		log_guest(g, PROXY_LOG_INFO, "front-end left %s", g->path);
	}
	if (g->relay == NULL) {
		begin_front(g, fd, now_ns);
		return;
	}
	count(&g->proxy->stats.refused, 1);
	log_guest(
		g, PROXY_LOG_WARNING, "second front-end at %s refused: one is connected", g->path);
	fd_closer_close(fd_reaper_closer(g->reaper), fd);
}

static void try_front(struct proxy_guest *g, uint64_t now_ns)
{
	int fd = connect_path(g->path);

	if (fd < 0)
		g->front_retry_ns = now_ns + backoff_next(&g->front_backoff);
	else
		begin_front(g, fd, now_ns);
}

/* Events */

static void handle_event(struct proxy *proxy, const struct epoll_event *event, uint64_t now_ns)
{
	const struct event_source *source = event->data.ptr;
	struct proxy_guest *g = source->guest;
	enum relay_status status = RELAY_OK;
	struct why why = {0};

	if (source->fd < 0) /* forgotten by an event before this one */
		return;
	switch (source->kind) {
	case SOURCE_STOP:
		proxy->stopping = true;
		return;
	case SOURCE_LISTEN:
		accept_front(g, now_ns);
		return;
	case SOURCE_FRONT:
		status = relay_front_events(g->relay, poll_events(event->events), &why);
		break;
	case SOURCE_BACK:
		status = relay_back_events(g->relay, poll_events(event->events), &why);
		break;
	}
	settle(g, status, &why, now_ns);
}

/* Do what is due for a guest. @return when something is due next; UINT64_MAX: never */
static uint64_t tick_guest(struct proxy_guest *g, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;
	bool choked;

	if (g->relay == NULL && g->is_client && now_ns >= g->front_retry_ns)
		try_front(g, now_ns);
	if (g->relay != NULL && relay_back_fd(g->relay) < 0 && now_ns >= g->back_retry_ns)
		try_back(g, now_ns);
	choked = is_choked(g);
	watch_guest(g, choked, now_ns);
	if (g->relay == NULL && g->is_client)
		next_ns = g->front_retry_ns;
	else if (g->relay != NULL && relay_back_fd(g->relay) < 0)
		next_ns = g->back_retry_ns;
	if (now_ns < g->listen_retry_ns && g->listen_retry_ns < next_ns)
		next_ns = g->listen_retry_ns;
	if (choked && now_ns + BACKLOG_WAIT_NS < next_ns)
		next_ns = now_ns + BACKLOG_WAIT_NS;
	return next_ns;
}

static int wait_ms(uint64_t next_ns, uint64_t now_ns)
{
	if (next_ns == UINT64_MAX)
		return -1;
	return next_ns <= now_ns ? 0 : (int)((next_ns - now_ns + MS - 1) / MS);
}

int proxy_run(struct proxy *proxy)
{
	struct epoll_event events[64];

	while (!proxy->stopping) {
		uint64_t now_ns = clock_now_ns(), next_ns = UINT64_MAX;
		int n;

		for (struct proxy_guest *g = proxy->guests; g != NULL; g = g->next) {
			uint64_t due_ns = tick_guest(g, now_ns);

			next_ns = due_ns < next_ns ? due_ns : next_ns;
		}
		n = epoll_wait(proxy->epoll_fd, events, 64, wait_ms(next_ns, now_ns));
		if (n < 0 && errno != EINTR)
			return -errno;
		now_ns = clock_now_ns();
		for (int i = 0; i < n; i++)
			handle_event(proxy, &events[i], now_ns);
	}
	return 0;
}

void proxy_stop(struct proxy *proxy)
{
	const uint64_t one = 1;

	(void)!write(proxy->stop_source.fd, &one, sizeof(one));
}

/* Making and ending */

static void free_guest(struct proxy_guest *g)
{
	relay_destroy(g->relay);
	front_socket_close(&g->listen);
	fd_reaper_destroy(g->reaper);
	free(g->name);
	free(g->path);
	free(g->back_path);
	free(g);
}

static struct proxy_guest *make_guest(struct proxy *proxy, const struct proxy_guest_config *config)
{
	struct proxy_guest *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return NULL;
	g->proxy = proxy;
	g->listen = (struct front_socket){-1, -1, -1, ""};
	g->is_client = config->is_client;
	g->any_memory_file = config->any_memory_file;
	g->listen_source = (struct event_source){SOURCE_LISTEN, g, -1, 0};
	g->front_source = (struct event_source){SOURCE_FRONT, g, -1, 0};
	g->back_source = (struct event_source){SOURCE_BACK, g, -1, 0};
	backoff_init(&g->back_backoff, BACK_MIN_NS, BACK_MAX_NS);
	backoff_init(&g->front_backoff, FRONT_MIN_NS, FRONT_MAX_NS);
	g->name = strdup(config->name);
	g->path = strdup(config->path);
	g->back_path = strdup(config->back_path);
	if (g->name != NULL && g->path != NULL && g->back_path != NULL &&
		fd_reaper_create(&g->reaper) == 0)
		return g;
	free_guest(g);
	return NULL;
}

int proxy_add_guest(struct proxy *proxy, const struct proxy_guest_config *config, struct why *why)
{
	struct proxy_guest *g = make_guest(proxy, config);
	int err = 0;

	if (g == NULL)
		return why_set(why, -ENOMEM, "guest %s: no memory", config->name);
	if (!config->is_client)
		err = front_socket_open(&g->listen, config->path, config->mode, config->gid, why);
	if (err != 0) {
		free_guest(g);
		return err;
	}
	g->next = proxy->guests;
	proxy->guests = g;
	return 0;
}

int proxy_create(const struct proxy_config *config, struct proxy **out)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));
	int err, fd;

	if (proxy == NULL)
		return -ENOMEM;
	proxy->config = *config;
	proxy->stop_source = (struct event_source){SOURCE_STOP, NULL, -1, 0};
	proxy->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (proxy->epoll_fd >= 0 && fd >= 0)
		watch(proxy, &proxy->stop_source, fd, EPOLLIN);
	if (proxy->stop_source.fd >= 0) {
		*out = proxy;
		return 0;
	}
	err = -errno;
	if (fd >= 0)
		close(fd);
	proxy_destroy(proxy);
	return err;
}

void proxy_destroy(struct proxy *proxy)
{
	if (proxy == NULL)
		return;
	for (struct proxy_guest *g = proxy->guests, *next; g != NULL; g = next) {
		next = g->next;
		free_guest(g);
	}
	if (proxy->stop_source.fd >= 0)
		close(proxy->stop_source.fd);
	if (proxy->epoll_fd >= 0)
		close(proxy->epoll_fd);
	free(proxy);
}

void proxy_get_stats(const struct proxy *proxy, struct proxy_stats *stats)
{
	const struct proxy_stats *now = &proxy->stats;

	*stats = (struct proxy_stats){
		.front_ends = __atomic_load_n(&now->front_ends, __ATOMIC_ACQUIRE),
		.connected = __atomic_load_n(&now->connected, __ATOMIC_ACQUIRE),
		.refused = __atomic_load_n(&now->refused, __ATOMIC_ACQUIRE),
		.ended = __atomic_load_n(&now->ended, __ATOMIC_ACQUIRE),
		.back_lost = __atomic_load_n(&now->back_lost, __ATOMIC_ACQUIRE),
		.replayed = __atomic_load_n(&now->replayed, __ATOMIC_ACQUIRE),
	};
}
