/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/session.h"

#include "clock.h"
#include "lcore/worker.h"
#include "log.h"
#include "placement.h"
#include "vhost/conn.h"
#include "vhost/guard.h"
#include "vhost/listener.h"
#include "vhost/message.h"
#include "vhost/receive.h"
#include "vhost/session_mem.h"
#include "vhost/session_serve.h"
#include "vhost/vhost_thread.h"

#include <rte_config.h>
#include <rte_vhost.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* VIRTIO_UNINITIALIZED_EVENTFD of rte_vhost: no message has set this descriptor of a ring. */
#define FD_NEVER_SET (-2)

/* Fixed by session_init() before rte_vhost has callbacks to make. */
static struct guest_table *guests;

/*
 * Held by every callback of rte_vhost, and by MAIN while it works on sessions. Nothing that takes a
 * lock of the library's is called with it, but for what gives up when that is taken.
 */
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

/* By vid. While MAIN ends a session, VHOST may already have given its vid to another one. */
static struct session *sessions[RTE_MAX_VHOST_DEVICE];

/* One for what is wrong, which whoever comes and goes must not crowd out. */
static struct log_limit limit, traffic;

/* Lock the sessions. @return the one of this device; NULL: there is none */
static struct session *lock_session(int vid)
{
	pthread_mutex_lock(&sessions_lock);
	return vid >= 0 && vid < RTE_MAX_VHOST_DEVICE ? sessions[vid] : NULL;
}

/* Messages */

/* Look at a message, and at who sent it, before the library does. */
static void judge_message(struct session *s, const struct message *m)
{
	/* Of what was refused after_message() knows nothing: the memory may be gone. */
	if (s->mem_changing)
		session_condemn(s, "its memory table was refused");
	else if (!message_is_allowed(m->request)) /* the library does not know it: receive.h */
		session_condemn(s, "a message that no feature allows");
	else if (message_names_other_ring(m))
		session_condemn(s, "a ring that the device does not have");
	else if (message_misplaces_log(m))
		session_condemn(s, "a log that begins within its file");
	else if (!conn_is_read(s->conn_fd))
		session_condemn(s, "its front-end reads no answers");
}

static void prepare(struct session *s, void *msg)
{
	struct message m = message_of(msg);

	guard_expect(NULL); /* of a memory table that was refused, whoever's */
	/* With a reply to it the library goes on, whatever happens: it will not end by this one. */
	s->in_message = !message_wants_reply(&m);
	judge_message(s, &m);
	if (s->condemned) /* by after_message() the latest; the library closes what came with it */
		message_expect_no_reply(msg);
	if (message_is_harmless(m.request))
		return;
	session_suspend(s);
	/* rte_vhost calls destroy_device for these, except for a ring of start_without_call(). */
	if (m.request == MSG_GET_VRING_BASE || m.request == MSG_RESET_OWNER)
		session_stop(s);
	/* The guest must be detached before rte_vhost acknowledges the message. */
	if (m.request == MSG_SET_VRING_ENABLE && m.index == REQUESTQ && m.num == 0)
		s->enabled = false;
	/* Refused or half done: not ok until after_message() says so. */
	if (m.request == MSG_SET_MEM_TABLE || m.request == MSG_RESET_OWNER)
		s->mem_ok = false;
	s->mem_changing = m.request == MSG_SET_MEM_TABLE;
	/* The library looks into the rings before after_message(). */
	if (s->mem_changing)
		guard_expect(s->guard);
}

static enum rte_vhost_msg_result before_message(int vid, void *msg)
{
	struct session *s = lock_session(vid);

	if (s != NULL)
		prepare(s, msg);
	pthread_mutex_unlock(&sessions_lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

/* A memory table was accepted by the library, which does not look at the files behind it. */
static void judge_memory(struct session *s)
{
	const char *why = session_mem_load(s->vid, &s->guest->dev.mem);

	s->mem_ok = why == NULL;
	if (why != NULL)
		session_condemn(s, why);
}

static void start_ring(struct session *s)
{
	const struct guest *g = s->guest;

	if (s->running) /* start_without_call() came first */
		return;
	s->running = true;
	s->placed = false;
	session_resume(s);
	if (s->attached)
		LOG_LIMITED(&traffic, INFO, "guest %s: served by lcore %u, %sring of %u",
			g->spec.name, worker_lcore(g->worker),
			g->dev.vq.cfg.packed ? "packed " : "", g->dev.vq.cfg.size);
}

/*
 * Start a ring for which the front-end has sent everything except SET_VRING_CALL: its driver polls
 * and has no interrupt. SET_VRING_KICK starts a ring (vhost-user protocol, "Starting and stopping
 * rings"), but rte_vhost waits for the call descriptor as well (vq_is_ready()). Until a late
 * SET_VRING_CALL comes, rte_vhost calls neither new_device nor destroy_device for such a ring;
 * prepare(), end_session() and session_remove() stop it.
 */
static void start_without_call(struct session *s)
{
	struct rte_vhost_vring vring;

	if (s->running || !s->enabled || rte_vhost_get_vhost_vring(s->vid, REQUESTQ, &vring) != 0)
		return;
	if (vring.callfd == FD_NEVER_SET && vring.kickfd != FD_NEVER_SET && vring.desc != NULL &&
		vring.avail != NULL && vring.used != NULL)
		start_ring(s);
}

/* Record what a message that rte_vhost has accepted did to the ring's enabled state. */
static void record_enabled(struct session *s, const struct message *m)
{
	uint64_t features;

	if (m->request == MSG_SET_VRING_ENABLE)
		s->enabled = m->num != 0;
	else if (m->request == MSG_RESET_OWNER)
		s->enabled = false;
	/* Without VHOST_USER_F_PROTOCOL_FEATURES a ring starts enabled. */
	else if (m->request == MSG_SET_VRING_KICK &&
		 rte_vhost_get_negotiated_features(s->vid, &features) == 0 &&
		 !(features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)))
		s->enabled = true;
}

static enum rte_vhost_msg_result conclude(struct session *s, void *msg)
{
	const struct message m = message_of(msg);
	const uint32_t request = m.request;

	s->in_message = false;
	if (request == MSG_SET_MEM_TABLE) {
		session_mem_cover(s->vid, false, s->guard);
		s->mem_changing = false;
		guard_expect(NULL);
	}
	if (request == MSG_SET_LOG_BASE)
		s->log_ok = true;
	if (request == MSG_RESET_OWNER) { /* the library has unmapped all */
		s->log_ok = false;
		guard_cover(s->guard, NULL, 0);
	}
	if (guard_is_hit(s->guard))
		session_condemn(s, guard_fault);
	if (s->guest->session == s && !s->condemned) {
		if (request == MSG_SET_MEM_TABLE)
			judge_memory(s);
		record_enabled(s, &m);
		start_without_call(s);
		session_resume(s);
	}
	/* The library closes what came with a message that nobody handled, and then hangs up. */
	if (!s->condemned || !message_is_allowed(request))
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	message_expect_no_reply(msg);
	return RTE_VHOST_MSG_RESULT_ERR;
}

/* Not called after a message that was refused. */
static enum rte_vhost_msg_result after_message(int vid, void *msg)
{
	enum rte_vhost_msg_result result = RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	struct session *s = lock_session(vid);

	if (s != NULL)
		result = conclude(s, msg);
	pthread_mutex_unlock(&sessions_lock);
	return result;
}

static const struct rte_vhost_user_extern_ops message_ops = {
	.pre_msg_handle = before_message,
	.post_msg_handle = after_message,
};

/* Connections */

static struct guest *guest_of(int vid)
{
	char path[PATH_MAX];
	struct guest *g;

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) != 0)
		return NULL;
	guest_table_lock(guests);
	g = guest_table_by_path(guests, path);
	guest_table_unlock(guests);
	return g;
}

static bool refuse(
	const struct guest *g, struct log_limit *told, const char *which, const char *why)
{
	LOG_LIMITED(told, WARNING, "guest %s: %s front-end on %s was refused: %s", g->spec.name,
		which, g->spec.path, why);
	return false;
}

/* May a front-end come? One that is heard of before the end of the one before it may. */
static bool may_connect(struct guest *g)
{
	static struct log_limit penances;

	if (!penance_is_over(&g->penance, clock_now_ns()))
		return refuse(g, &penances, "a",
			"it broke messages off, again and again; it may come back later");
	if (g->draining)
		return refuse(g, &limit, "a", "it is being drained");
	if (g->session == NULL)
		return true;
	/*
	 * A front-end that died and came back may be heard of in the wrong order: its new
	 * connection first, then the end of its old one. So the old one is looked at.
	 */
	if (conn_is_live(g->session->conn_fd))
		return refuse(g, &limit, "a second", "one is served");
	session_stop(g->session);
	g->session->mem_ok = false; /* the guest's memory will be the new one's */
	return true;
}

/* There is no room for one more: it is refused. */
static int give_up(const struct guest *g, struct session *s, int err)
{
	static struct log_limit shortages;

	LOG_LIMITED(&shortages, ERR, "guest %s: a front-end on %s was refused: %s", g->spec.name,
		g->spec.path, strerror(-err));
	if (s != NULL) {
		guard_close(s->guard);
		if (s->conn_fd >= 0)
			close(s->conn_fd);
	}
	free(s);
	return -1;
}

static int begin_session(struct guest *g, int vid)
{
	struct session *s;

	if (!may_connect(g))
		return -1;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return give_up(g, NULL, -ENOMEM);
	s->conn_fd = conn_open();
	if (s->conn_fd < 0)
		return give_up(g, s, s->conn_fd);
	conn_limit_waits(s->conn_fd, RECEIVE_WAIT_MS);
	s->guard = guard_open(s->conn_fd);
	if (s->guard == NULL || rte_vhost_extern_callback_register(vid, &message_ops, NULL) != 0)
		return give_up(g, s, -ENOMEM);
	s->guest = g;
	s->older = g->session;
	s->vid = vid;
	s->requests_before = stats_read(&g->dev.stats.requests);
	s->bytes_before = stats_read(&g->dev.stats.bytes);
	g->session = s;
	session_set_state(g, GUEST_CONNECTED);
	sessions[vid] = s;
	worker_reseed(g->worker, false);
	LOG_LIMITED(
		&traffic, INFO, "guest %s: front-end connected to %s", g->spec.name, g->spec.path);
	return 0;
}

static int on_new_connection(int vid)
{
	struct guest *g = guest_of(vid);
	int rc;

	if (g == NULL)
		return -1;
	pthread_mutex_lock(&sessions_lock);
	rc = begin_session(g, vid);
	pthread_mutex_unlock(&sessions_lock);
	return rc;
}

/* @param again  the library goes on to connect to its front-end */
static void end_session(struct session *s, bool again)
{
	struct guest *g = s->guest;
	struct session **link = &g->session;

	session_suspend(s);
	guard_close(s->guard);
	if (again)
		conn_leave(s->conn_fd);
	else
		close(s->conn_fd);
	while (*link != s)
		link = &(*link)->older;
	*link = s->older;
	if (g->session == NULL)
		session_set_state(g, GUEST_ALONE);
	if (sessions[s->vid] == s)
		sessions[s->vid] = NULL;
	LOG_LIMITED(&traffic, INFO,
		"guest %s: front-end left %s after %" PRIu64 " requests, %" PRIu64 " bytes",
		g->spec.name, g->spec.path, stats_read(&g->dev.stats.requests) - s->requests_before,
		stats_read(&g->dev.stats.bytes) - s->bytes_before);
	free(s);
}

/* The library gave up on a peer that is there: it did not get a message, and waited for it. */
static void judge_end(struct session *s)
{
	static struct log_limit strikes;

	if (s->in_message || s->condemned || guard_is_hit(s->guard) || !conn_is_live(s->conn_fd))
		return;
	LOG_LIMITED(&strikes, WARNING, "guest %s: its front-end broke a message off",
		s->guest->spec.name);
	penance_strike(&s->guest->penance, clock_now_ns());
}

static void on_destroy_connection(int vid)
{
	struct session *s = lock_session(vid);

	if (s != NULL) {
		judge_end(s);
		end_session(s, s->guest->spec.client);
	}
	pthread_mutex_unlock(&sessions_lock);
}

static int on_new_device(int vid)
{
	struct session *s = lock_session(vid);

	if (s != NULL)
		start_ring(s);
	pthread_mutex_unlock(&sessions_lock);
	/* Fine, too, when the ring was refused: the next message may mend it, and session_resume()
	 * tries again. */
	return s != NULL ? 0 : -1;
}

static void on_destroy_device(int vid)
{
	struct session *s = lock_session(vid);

	if (s != NULL)
		session_stop(s);
	pthread_mutex_unlock(&sessions_lock);
}

static int on_vring_state_changed(int vid, uint16_t queue, int ready)
{
	struct session *s;

	if (queue != REQUESTQ)
		return 0;
	s = lock_session(vid);
	if (s != NULL) {
		if (ready)
			session_resume(s);
		else
			session_suspend(s);
	}
	pthread_mutex_unlock(&sessions_lock);
	return 0;
}

static const struct rte_vhost_device_ops device_ops = {
	.new_connection = on_new_connection,
	.destroy_connection = on_destroy_connection,
	.new_device = on_new_device,
	.destroy_device = on_destroy_device,
	.vring_state_changed = on_vring_state_changed,
};

/* MAIN's side */

int session_init(struct guest_table *table)
{
	int err = guard_install(RTE_MAX_VHOST_DEVICE);

	if (err != 0)
		LOG(ERR, "cannot guard the guests' memory: %s", strerror(-err));
	conn_keep_spare();
	guests = table;
	return err;
}

int session_add(struct guest *g)
{
	int err;

	pthread_mutex_lock(&sessions_lock);
	g->removed = false; /* look_after() in guests.c adds a guest again */
	pthread_mutex_unlock(&sessions_lock);
	err = listener_start(g->spec.path, g->spec.client, &device_ops);
	if (err == 0 && !g->spec.client)
		vhost_thread_wake();
	return err;
}

void session_remove(struct guest *g)
{
	/* rte_vhost does not call on_destroy_device() for a ring of start_without_call(). */
	pthread_mutex_lock(&sessions_lock);
	g->removed = true;
	for (struct session *s = g->session; s != NULL; s = s->older)
		session_stop(s);
	pthread_mutex_unlock(&sessions_lock);
	/*
	 * Calls on_destroy_device(), but not on_destroy_connection(). It waits for a message that
	 * is half there, RECEIVE_WAIT_MS; a front-end that was hung up on would be connected to
	 * again.
	 */
	rte_vhost_driver_unregister(g->spec.path);
	pthread_mutex_lock(&sessions_lock);
	for (struct session *s = g->session, *older; s != NULL; s = older) {
		older = s->older;
		end_session(s, false);
	}
	pthread_mutex_unlock(&sessions_lock);
}

void session_freeze(void)
{
	pthread_mutex_lock(&sessions_lock);
}

void session_thaw(void)
{
	pthread_mutex_unlock(&sessions_lock);
}

void session_pin(struct guest *g, struct worker *to)
{
	struct session *s;
	bool attached;

	pthread_mutex_lock(&sessions_lock);
	g->pinned = to;
	s = g->session;
	attached = s != NULL && s->attached;
	if (to != NULL && to != g->worker) {
		if (attached)
			session_suspend(s);
		placement_move(g, to);
		if (attached)
			session_resume(s);
	}
	pthread_mutex_unlock(&sessions_lock);
}

void session_drain(struct guest *g, bool draining)
{
	pthread_mutex_lock(&sessions_lock);
	__atomic_store_n(&g->draining, draining, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&sessions_lock);
}
