/* SPDX-License-Identifier: BSD-3-Clause */
#define ALLOW_EXPERIMENTAL_API /* rte_vhost_vring_call_nonblock is one in DPDK 22.11 */
#include "session.h"

#include "conn.h"
#include "log.h"
#include "placement.h"
#include "worker.h"

#include <rte_config.h>
#include <rte_vhost.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

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
		FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))

/*
 * Not PROTOCOL_F_STATUS: rte_vhost would wait for a DRIVER_OK that QEMU 7.2 never sends for this
 * device.
 */
#define PROTOCOL_FEATURES FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK)

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

/* Fixed by session_start_all() before rte_vhost has callbacks to make. */
static struct guest *all_guests;
static unsigned n_all_guests;

/*
 * By vid. VHOST: rw. MAIN takes out what session_stop_all() ends, while VHOST may already have
 * given the vid to another connection: so entries are set and taken out atomically.
 */
static struct session *sessions[RTE_MAX_VHOST_DEVICE];

static struct log_limit limit;

static struct session *find(int vid)
{
	if (vid < 0 || vid >= RTE_MAX_VHOST_DEVICE)
		return NULL;
	return __atomic_load_n(&sessions[vid], __ATOMIC_ACQUIRE);
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
	rng_device_start(&g->dev, &cfg, &why);
	return why;
}

static void refuse(struct session *s, const char *why)
{
	if (s->refused == NULL || strcmp(why, s->refused) != 0)
		LOG_LIMITED(&limit, WARNING, "guest %u: not served: %s", s->guest->index, why);
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
}

/* Take the guest back: from here on nothing of ours touches its memory. */
static void suspend(struct session *s)
{
	struct guest *g = s->guest;
	const struct virtq_config *ring = &g->dev.vq.cfg;

	if (!s->attached)
		return;
	worker_detach(g->worker, g);
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

static enum rte_vhost_msg_result before_message(int vid, void *msg)
{
	struct session *s = find(vid);
	struct message m = message_of(msg);

	if (s == NULL || is_harmless(m.request))
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
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
	struct session *s = find(vid);
	uint32_t request = message_of(msg).request;

	if (s == NULL || s->guest->session != s)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	if (changes_memory(request))
		judge_memory(s);
	if (request == MSG_SET_VRING_CALL)
		unblock_call(s);
	resume(s);
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

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) != 0)
		return NULL;
	for (unsigned i = 0; i < n_all_guests; i++)
		if (strcmp(path, all_guests[i].path) == 0)
			return &all_guests[i];
	return NULL;
}

static bool is_of_session(const struct conn *conn, void *guest)
{
	const struct guest *g = guest;

	for (const struct session *s = g->session; s != NULL; s = s->older)
		if (s->conn.ino == conn->ino)
			return true;
	return false;
}

static int on_new_connection(int vid)
{
	struct guest *g = guest_of(vid);
	struct session *s;

	if (g == NULL)
		return -1;
	/*
	 * A front-end that died and came back may be heard of in the wrong order: its new
	 * connection first, then the end of its old one. So the old one is looked at.
	 */
	if (g->session != NULL) {
		if (conn_is_live(&g->session->conn)) {
			LOG_LIMITED(&limit, WARNING,
				"guest %u: a second front-end on %s was refused: one is served",
				g->index, g->path);
			return -1;
		}
		stop(g->session);
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL || rte_vhost_extern_callback_register(vid, &message_ops, NULL) != 0) {
		free(s);
		return -1;
	}
	s->guest = g;
	s->conn = conn_find(g->path, is_of_session, g);
	s->older = g->session;
	s->vid = vid;
	s->requests_before = stats_read(&g->dev.stats.requests);
	s->bytes_before = stats_read(&g->dev.stats.bytes);
	g->session = s;
	__atomic_store_n(&sessions[vid], s, __ATOMIC_RELEASE);
	worker_reseed(g->worker, false);
	LOG_LIMITED(&limit, INFO, "guest %u: front-end connected to %s", g->index, g->path);
	return 0;
}

static void end_session(struct session *s)
{
	struct guest *g = s->guest;
	struct session **link = &g->session, *expected = s;

	suspend(s);
	while (*link != s)
		link = &(*link)->older;
	*link = s->older;
	__atomic_compare_exchange_n(
		&sessions[s->vid], &expected, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	LOG_LIMITED(&limit, INFO,
		"guest %u: front-end left %s after %" PRIu64 " requests, %" PRIu64 " bytes",
		g->index, g->path, stats_read(&g->dev.stats.requests) - s->requests_before,
		stats_read(&g->dev.stats.bytes) - s->bytes_before);
	free(s);
}

static void on_destroy_connection(int vid)
{
	struct session *s = find(vid);

	if (s != NULL)
		end_session(s);
}

static int on_new_device(int vid)
{
	struct session *s = find(vid);

	if (s == NULL)
		return -1;
	s->running = true;
	s->placed = false;
	resume(s);
	if (s->attached)
		LOG_LIMITED(&limit, INFO, "guest %u: served by lcore %u, %sring of %u",
			s->guest->index, worker_lcore(s->guest->worker),
			s->guest->dev.vq.cfg.packed ? "packed " : "", s->guest->dev.vq.cfg.size);
	/* Also when the ring was refused: the next message may mend it, and resume() tries again.
	 */
	return 0;
}

static void on_destroy_device(int vid)
{
	struct session *s = find(vid);

	if (s == NULL)
		return;
	stop(s);
}

static int on_vring_state_changed(int vid, uint16_t queue, int enable)
{
	struct session *s = find(vid);

	if (s == NULL || queue != REQUESTQ)
		return 0;
	s->enabled = enable;
	if (enable)
		resume(s);
	else
		suspend(s);
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

static void stop_first(unsigned n_guests)
{
	for (unsigned i = 0; i < n_guests; i++) {
		struct guest *g = &all_guests[i];

		/* Calls on_destroy_device(), but not on_destroy_connection(). */
		rte_vhost_driver_unregister(g->path);
		while (g->session != NULL)
			end_session(g->session);
	}
}

static void do_nothing(int sig)
{
}

/*
 * rte_vhost of DPDK 22.11 adds a listener to its event thread's poll() only when that wakes up,
 * which may take a second. A signal that does nothing wakes it. (Later versions use epoll, which
 * sees the listener at once, and name the thread otherwise: then nothing is found here.)
 */
static void wake_event_thread(void)
{
	const struct sigaction nothing = {.sa_handler = do_nothing};
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;

	sigaction(SIGUSR2, &nothing, NULL);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[64], name[16] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(name, sizeof(name), file) != NULL && strcmp(name, "vhost-events\n") == 0)
			tgkill(getpid(), atoi(entry->d_name), SIGUSR2);
		fclose(file);
	}
	if (dir != NULL)
		closedir(dir);
}

int session_start_all(struct guest *guests, unsigned n_guests)
{
	int err;

	all_guests = guests;
	n_all_guests = n_guests;
	for (unsigned i = 0; i < n_guests; i++) {
		err = listen_on(guests[i].path);
		if (err != 0) {
			stop_first(i);
			return err;
		}
	}
	wake_event_thread();
	return 0;
}

void session_stop_all(void)
{
	stop_first(n_all_guests);
}
