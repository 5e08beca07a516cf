/* SPDX-License-Identifier: BSD-3-Clause */
#include "dpdk_compat.h"
#include "session.h"

#include "conn.h"
#include "log.h"
#include "placement.h"
#include "vhost_thread.h"
#include "worker.h"

#include <rte_config.h>
#include <rte_vhost.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define REQUESTQ 0 /* the only virtqueue (virtio 1.3 §5.4.2) */

#define FEATURE(bit) (UINT64_C(1) << (bit))

/*
 * What is offered. QEMU 7.2 hands the guest EVENT_IDX and INDIRECT_DESC, and RING_PACKED with
 * packed=on, whether we offer them or not, so we must. PROTOCOL_FEATURES, because without it a ring
 * is enabled as soon as it is kicked.
 */
#define FEATURES                                                                       \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_EVENT_IDX) |              \
		FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_F_RING_PACKED) | \
		FEATURE(VHOST_F_LOG_ALL) | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))

/*
 * Not PROTOCOL_F_STATUS: rte_vhost would wait for a DRIVER_OK that QEMU 7.2 never sends for this
 * device.
 */
#define PROTOCOL_FEATURES \
	(FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK) | FEATURE(VHOST_USER_PROTOCOL_F_LOG_SHMFD))

/* Request codes of the vhost-user protocol that matter here. */
enum {
	MSG_GET_FEATURES = 1,
	MSG_SET_OWNER = 3,
	MSG_RESET_OWNER = 4,
	MSG_SET_MEM_TABLE = 5,
	MSG_GET_VRING_BASE = 11,
	MSG_SET_VRING_CALL = 13,
	MSG_SET_VRING_ERR = 14,
	MSG_GET_PROTOCOL_FEATURES = 15,
	MSG_SET_PROTOCOL_FEATURES = 16,
	MSG_GET_QUEUE_NUM = 17,
	MSG_SET_VRING_ENABLE = 18,
	MSG_ADD_MEM_REG = 37,
	MSG_REM_MEM_REG = 38,
};

struct session {
	struct guest *guest;
	struct session
		*older; /* of the same guest: its connection ended, which is yet to be seen */
	struct conn conn;
	int vid;
	bool running;	     /* between new_device and destroy_device */
	bool enabled;	     /* the ring, by the front-end */
	bool mem_ok;	     /* the last memory table was accepted, and is sound */
	bool mem_unsound;    /* it was accepted by the library, but is not sound */
	bool ring_broken;    /* the ring lied: not served until it is stopped */
	bool attached;	     /* the guest is with its worker, by this session */
	bool placed;	     /* the guest has the worker that suits its memory */
	const char *refused; /* what the log last said was wrong with the ring */
	uint64_t requests_before, bytes_before; /* counters when the front-end came */
};

/* Fixed by session_init() before rte_vhost has callbacks to make. */
static struct guest_table *guests;

/*
 * Held by every callback of rte_vhost, and by MAIN while it works on sessions. Nothing that takes a
 * lock of the library's is called with it, but for what gives up when that is taken.
 */
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

/* By vid. While MAIN ends a session, VHOST may already have given its vid to another one. */
static struct session *sessions[RTE_MAX_VHOST_DEVICE];

static struct log_limit limit;

static struct session *find(int vid)
{
	if (vid < 0 || vid >= RTE_MAX_VHOST_DEVICE)
		return NULL;
	return sessions[vid];
}

static void set_state(struct guest *g, enum guest_state state)
{
	__atomic_store_n(&g->state, (uint32_t)state, __ATOMIC_RELAXED);
}

/* Setting up what the lcore works on */

static const char *load_memory(struct guest *g, int vid)
{
	struct guest_region regions[GUEST_MEM_REGIONS_MAX];
	struct rte_vhost_memory *table;
	const char *why = NULL;

	if (rte_vhost_get_mem_table(vid, &table) != 0)
		return "no memory table";
	if (table->nregions > GUEST_MEM_REGIONS_MAX)
		why = "more than 8 memory regions";
	for (uint32_t i = 0; why == NULL && i < table->nregions; i++) {
		const struct rte_vhost_mem_region *r = &table->regions[i];
		uint64_t offset = r->host_user_addr - (uint64_t)(uintptr_t)r->mmap_addr;
		struct stat st;

		/* Beyond the end of its file a mapping is there, and touching it is fatal. */
		if (fstat(r->fd, &st) != 0 || st.st_size < 0 || offset > (uint64_t)st.st_size ||
			r->size > (uint64_t)st.st_size - offset)
			why = "a memory region larger than its file";
		regions[i] = (struct guest_region){
			.gpa = r->guest_phys_addr,
			.size = r->size,
			.hva = (uint8_t *)(uintptr_t)r->host_user_addr,
		};
	}
	if (why == NULL)
		guest_mem_init(&g->dev.mem, regions, table->nregions, &why);
	free(table);
	return why;
}

/*
 * For dirty_log, when the guest is migrated. The log stays where it is as long as the guest is
 * attached: before_message().
 */
static void mark_dirty(void *arg, uint64_t gpa, uint64_t len_bytes)
{
	rte_vhost_log_write((int)(intptr_t)arg, gpa, len_bytes);
}

static const char *load_ring(struct guest *g, int vid)
{
	struct virtq_config cfg = {0};
	struct rte_vhost_vring vring;
	const char *why;
	uint64_t features;

	if (rte_vhost_get_negotiated_features(vid, &features) != 0 ||
		rte_vhost_get_vhost_vring(vid, REQUESTQ, &vring) != 0 ||
		rte_vhost_get_vring_base(vid, REQUESTQ, &cfg.last_avail, &cfg.last_used) != 0)
		return "no ring";
	if (vring.size > VIRTQ_SIZE_MAX)
		return "ring size is larger than 32768";
	cfg.size = (uint16_t)vring.size;
	cfg.desc = vring.desc;
	cfg.avail = vring.avail;
	cfg.used = vring.used;
	cfg.packed = features & FEATURE(VIRTIO_F_RING_PACKED);
	cfg.event_idx = features & FEATURE(VIRTIO_RING_F_EVENT_IDX);
	cfg.indirect = features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	if (features & FEATURE(VHOST_F_LOG_ALL)) {
		g->log = (struct dirty_log){mark_dirty, (void *)(intptr_t)vid};
		cfg.log = &g->log;
	}
	rng_device_start(&g->dev, &cfg, &why);
	return why;
}

static void refuse(struct session *s, const char *why)
{
	if (s->refused == NULL || strcmp(why, s->refused) != 0)
		LOG_LIMITED(&limit, WARNING, "guest %s: not served: %s", s->guest->spec.name, why);
	s->refused = why;
}

/* Hand the guest to its lcore if all is as it must be. */
static void resume(struct session *s)
{
	struct guest *g = s->guest;
	const char *why;

	if (s->attached || !s->running || !s->enabled || !s->mem_ok || s->ring_broken ||
		g->session != s)
		return;
	why = load_memory(g, s->vid);
	if (why == NULL)
		why = load_ring(g, s->vid);
	if (why != NULL) {
		refuse(s, why);
		return;
	}
	s->refused = NULL;
	if (!s->placed)
		placement_choose(g);
	s->placed = true;
	g->vid = s->vid;
	/* What was completed before may be unknown to the driver. */
	g->dev.call_owed = virtq_wants_call(&g->dev.vq);
	s->attached = true;
	worker_attach(g->worker, g);
	set_state(g, GUEST_SERVED);
}

/* Take the guest back: from here on nothing of ours touches its memory. */
static void suspend(struct session *s)
{
	struct guest *g = s->guest;
	const struct virtq_config *ring = &g->dev.vq.cfg;

	if (!s->attached)
		return;
	worker_detach(g->worker, g);
	set_state(g, GUEST_CONNECTED);
	s->attached = false;
	s->ring_broken = g->dev.vq.broken != NULL;
	/* The library answers GET_VRING_BASE with its own indices. */
	rte_vhost_set_vring_base(s->vid, REQUESTQ, ring->last_avail, ring->last_used);
}

static int call_packed(const struct guest *g)
{
	struct rte_vhost_vring vring;

	/* Not EAGAIN either: so many calls wait that one more is none. */
	if (rte_vhost_get_vhost_vring(g->vid, REQUESTQ, &vring) == 0 && vring.callfd >= 0)
		(void)eventfd_write(vring.callfd, 1);
	return 0;
}

int session_notify(struct guest *g)
{
	const struct virtq_config *ring = &g->dev.vq.cfg;

	/*
	 * The library would decide again, by an index that does not tell one lap of a packed ring
	 * from the next: it is right only when asked about every lap. virtq_wants_call() is.
	 * The descriptor stays open as long as the guest is attached: before_message().
	 */
	if (ring->packed)
		return call_packed(g);
	/* The library decides by its own used index, which is not ours unless we say so. */
	rte_vhost_set_vring_base(g->vid, REQUESTQ, ring->last_avail, ring->last_used);
	/* Anything but "the lock is taken" will not get better by asking again. */
	return rte_vhost_vring_call_nonblock(g->vid, REQUESTQ) == -EAGAIN ? -EAGAIN : 0;
}

/*
 * The front-end's ring stops, or it is gone. As suspend(), and where the library holds no lock, so
 * that a call that is owed can be made: this is the last chance for it.
 */
static void stop(struct session *s)
{
	struct guest *g = s->guest;

	suspend(s);
	if (s->running && g->session == s && g->vid == s->vid && g->dev.call_owed) {
		session_notify(g);
		g->dev.call_owed = false;
	}
	s->running = false;
	s->ring_broken = false;
	s->refused = NULL;
}

/* Messages */

static bool is_harmless(uint32_t request)
{
	switch (request) {
	case MSG_GET_FEATURES:
	case MSG_SET_OWNER:
	case MSG_SET_VRING_ERR:
	case MSG_GET_PROTOCOL_FEATURES:
	case MSG_SET_PROTOCOL_FEATURES:
	case MSG_GET_QUEUE_NUM:
		return true;
	default:
		return false;
	}
}

/* How a message begins, whatever else the library has behind it. */
struct message {
	uint32_t request, flags, size;
	uint32_t index, num; /* of the messages about one ring */
};

static struct message message_of(const void *msg)
{
	struct message m;

	memcpy(&m, msg, sizeof(m));
	return m;
}

static bool changes_memory(uint32_t request)
{
	return request == MSG_SET_MEM_TABLE || request == MSG_ADD_MEM_REG ||
	       request == MSG_REM_MEM_REG;
}

/* Does the library look into the ring when it works on this message? */
static bool touches_ring(uint32_t request)
{
	return !is_harmless(request) && !changes_memory(request) && request != MSG_RESET_OWNER &&
	       request != MSG_GET_VRING_BASE && request != MSG_SET_VRING_CALL;
}

static enum rte_vhost_msg_result prepare(struct session *s, const void *msg)
{
	struct message m = message_of(msg);

	suspend(s);
	/* The library says so only after it has acknowledged the message. */
	if (m.request == MSG_SET_VRING_ENABLE && m.index == REQUESTQ && m.num == 0)
		s->enabled = false;
	/* Refused or half done: not ok until after_message() says so. */
	if (changes_memory(m.request) || m.request == MSG_RESET_OWNER)
		s->mem_ok = false;
	/* It would read the ring where there may be no memory, which is the end of the process. */
	if (s->mem_unsound && touches_ring(m.request))
		return RTE_VHOST_MSG_RESULT_ERR;
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result before_message(int vid, void *msg)
{
	enum rte_vhost_msg_result result = RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	struct session *s;

	if (is_harmless(message_of(msg).request))
		return result;
	pthread_mutex_lock(&sessions_lock);
	s = find(vid);
	if (s != NULL)
		result = prepare(s, msg);
	pthread_mutex_unlock(&sessions_lock);
	return result;
}

/* Whoever waits for a call may not make the lcore wait. */
static void unblock_call(const struct session *s)
{
	struct rte_vhost_vring vring;

	if (rte_vhost_get_vhost_vring(s->vid, REQUESTQ, &vring) == 0 && vring.callfd >= 0)
		fcntl(vring.callfd, F_SETFL, fcntl(vring.callfd, F_GETFL) | O_NONBLOCK);
}

/* A memory table was accepted by the library, which does not look at the files behind it. */
static void judge_memory(struct session *s)
{
	const char *why = load_memory(s->guest, s->vid);

	s->mem_ok = why == NULL;
	s->mem_unsound = why != NULL;
	if (why != NULL)
		refuse(s, why);
}

/* Not called after a message that was refused. */
static enum rte_vhost_msg_result after_message(int vid, void *msg)
{
	uint32_t request = message_of(msg).request;
	struct session *s;

	pthread_mutex_lock(&sessions_lock);
	s = find(vid);
	if (s != NULL && s->guest->session == s) {
		if (changes_memory(request))
			judge_memory(s);
		if (request == MSG_SET_VRING_CALL)
			unblock_call(s);
		resume(s);
	}
	pthread_mutex_unlock(&sessions_lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
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

static bool is_of_session(const struct conn *conn, void *guest)
{
	const struct guest *g = guest;

	for (const struct session *s = g->session; s != NULL; s = s->older)
		if (s->conn.ino == conn->ino)
			return true;
	return false;
}

/* May a front-end come? One that is heard of before the end of the one before it may. */
static bool may_connect(struct guest *g)
{
	if (g->draining) {
		LOG_LIMITED(&limit, WARNING,
			"guest %s: a front-end on %s was refused: it is being drained",
			g->spec.name, g->spec.path);
		return false;
	}
	if (g->session == NULL)
		return true;
	/*
	 * A front-end that died and came back may be heard of in the wrong order: its new
	 * connection first, then the end of its old one. So the old one is looked at.
	 */
	if (conn_is_live(&g->session->conn)) {
		LOG_LIMITED(&limit, WARNING,
			"guest %s: a second front-end on %s was refused: one is served",
			g->spec.name, g->spec.path);
		return false;
	}
	stop(g->session);
	return true;
}

static int begin_session(struct guest *g, int vid)
{
	struct session *s;

	if (!may_connect(g))
		return -1;
	s = calloc(1, sizeof(*s));
	if (s == NULL || rte_vhost_extern_callback_register(vid, &message_ops, NULL) != 0) {
		free(s);
		return -1;
	}
	s->guest = g;
	s->conn = conn_find(g->spec.path, is_of_session, g);
	s->older = g->session;
	s->vid = vid;
	s->requests_before = stats_read(&g->dev.stats.requests);
	s->bytes_before = stats_read(&g->dev.stats.bytes);
	g->session = s;
	set_state(g, GUEST_CONNECTED);
	sessions[vid] = s;
	worker_reseed(g->worker, false);
	LOG_LIMITED(
		&limit, INFO, "guest %s: front-end connected to %s", g->spec.name, g->spec.path);
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

static void end_session(struct session *s)
{
	struct guest *g = s->guest;
	struct session **link = &g->session;

	suspend(s);
	while (*link != s)
		link = &(*link)->older;
	*link = s->older;
	if (g->session == NULL)
		set_state(g, GUEST_ALONE);
	if (sessions[s->vid] == s)
		sessions[s->vid] = NULL;
	LOG_LIMITED(&limit, INFO,
		"guest %s: front-end left %s after %" PRIu64 " requests, %" PRIu64 " bytes",
		g->spec.name, g->spec.path, stats_read(&g->dev.stats.requests) - s->requests_before,
		stats_read(&g->dev.stats.bytes) - s->bytes_before);
	free(s);
}

static void on_destroy_connection(int vid)
{
	struct session *s;

	pthread_mutex_lock(&sessions_lock);
	s = find(vid);
	if (s != NULL)
		end_session(s);
	pthread_mutex_unlock(&sessions_lock);
}

static void run(struct session *s)
{
	const struct guest *g = s->guest;

	s->running = true;
	s->placed = false;
	resume(s);
	if (s->attached)
		LOG_LIMITED(&limit, INFO, "guest %s: served by lcore %u, %sring of %u",
			g->spec.name, worker_lcore(g->worker),
			g->dev.vq.cfg.packed ? "packed " : "", g->dev.vq.cfg.size);
}

static int on_new_device(int vid)
{
	struct session *s;

	pthread_mutex_lock(&sessions_lock);
	s = find(vid);
	if (s != NULL)
		run(s);
	pthread_mutex_unlock(&sessions_lock);
	/* Fine, too, when the ring was refused: the next message may mend it, and resume() tries
	 * again. */
	return s != NULL ? 0 : -1;
}

static void on_destroy_device(int vid)
{
	struct session *s;

	pthread_mutex_lock(&sessions_lock);
	s = find(vid);
	if (s != NULL)
		stop(s);
	pthread_mutex_unlock(&sessions_lock);
}

static int on_vring_state_changed(int vid, uint16_t queue, int enable)
{
	struct session *s;

	if (queue != REQUESTQ)
		return 0;
	pthread_mutex_lock(&sessions_lock);
	s = find(vid);
	if (s != NULL) {
		s->enabled = enable;
		if (enable)
			resume(s);
		else
			suspend(s);
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

/* Sockets */

static int listen_on(const char *path)
{
	uint64_t offered;
	mode_t mask;
	int rc;

	if (rte_vhost_driver_register(path, 0) != 0) {
		LOG(ERR, "cannot make a socket for %s: rte_vhost refused it", path);
		return -EIO;
	}
	if (rte_vhost_driver_set_features(path, FEATURES) != 0 ||
		rte_vhost_driver_get_protocol_features(path, &offered) != 0 ||
		rte_vhost_driver_set_protocol_features(path, offered & PROTOCOL_FEATURES) != 0 ||
		rte_vhost_driver_callback_register(path, &device_ops) != 0) {
		LOG(ERR, "cannot set up the socket %s: rte_vhost refused it", path);
		rte_vhost_driver_unregister(path);
		return -EIO;
	}
	/* bind() must not make it with wider rights, not for a moment. */
	mask = umask(0177);
	rc = rte_vhost_driver_start(path);
	umask(mask);
	if (rc != 0) {
		LOG(ERR, "cannot listen on %s: see the line before this one", path);
		rte_vhost_driver_unregister(path);
		return -EIO;
	}
	return 0;
}

/* MAIN's side */

void session_init(struct guest_table *table)
{
	guests = table;
}

int session_add(struct guest *g)
{
	int err = listen_on(g->spec.path);

	if (err == 0)
		vhost_thread_wake();
	return err;
}

/* A front-end that stopped in the middle of a message holds up whoever waits for its connection. */
static void hang_up(const struct guest *g)
{
	pthread_mutex_lock(&sessions_lock);
	for (const struct session *s = g->session; s != NULL; s = s->older)
		if (conn_is_live(&s->conn))
			shutdown(s->conn.fd, SHUT_RDWR);
	pthread_mutex_unlock(&sessions_lock);
}

void session_remove(struct guest *g)
{
	hang_up(g);
	/* Calls on_destroy_device(), but not on_destroy_connection(). */
	rte_vhost_driver_unregister(g->spec.path);
	pthread_mutex_lock(&sessions_lock);
	while (g->session != NULL)
		end_session(g->session);
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
			suspend(s);
		placement_move(g, to);
		if (attached)
			resume(s);
	}
	pthread_mutex_unlock(&sessions_lock);
}

void session_drain(struct guest *g, bool draining)
{
	pthread_mutex_lock(&sessions_lock);
	g->draining = draining;
	pthread_mutex_unlock(&sessions_lock);
}
