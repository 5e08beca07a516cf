/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE_BYTES     ((uintptr_t)4096)
#define PAGE_BYTES_MAX ((uintptr_t)1 << 34)

/* An area as the handler sees it: it may read while another thread writes (a sequence lock). */
struct slot {
	uint32_t seq; /* odd: being written */
	struct guard_area area;
};

struct guard {
	/* change_lock: rw, the handler: ro */
	bool open;
	int conn_fd;
	struct slot slots[GUARD_AREAS_MAX];

	bool hit; /* the handler: sets it, any: ro */
};

const char guard_fault[] = "its memory was taken away (SIGBUS)";

uint32_t guard_n_hits;

/* Fixed by guard_install(), before the handler can be called */
static struct guard *guards;
static unsigned n_guards;
static struct sigaction before;
static int maps_fd; /* open from the start: when it is needed no descriptor may be left */

static pthread_mutex_t change_lock = PTHREAD_MUTEX_INITIALIZER;

static __thread struct guard *expecting;

/* The handler's side: async-signal-safe, on any thread */

static bool slot_read(const struct slot *s, struct guard_area *area)
{
	uint32_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);

	area->start = __atomic_load_n(&s->area.start, __ATOMIC_RELAXED);
	area->size_bytes = __atomic_load_n(&s->area.size_bytes, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	/* One that is being written is another guest's: that of the faulting thread stands still.
	 */
	return seq % 2 == 0 && __atomic_load_n(&s->seq, __ATOMIC_RELAXED) == seq;
}

static struct guard *find(uintptr_t addr, struct guard_area *area)
{
	for (unsigned i = 0; i < n_guards; i++)
		for (unsigned j = 0; j < GUARD_AREAS_MAX; j++)
			if (slot_read(&guards[i].slots[j], area) &&
				addr - area->start < area->size_bytes)
				return &guards[i];
	return NULL;
}

static bool map_anonymous(uintptr_t from, uintptr_t end)
{
	return mmap((void *)from, end - from, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		       0) != MAP_FAILED;
}

/* Replace the page of 'addr' and what follows it in the area, whatever the size of its pages. */
static bool replace(uintptr_t addr, const struct guard_area *area)
{
	uintptr_t end = area->start + area->size_bytes;

	for (uintptr_t page = PAGE_BYTES; page <= PAGE_BYTES_MAX; page *= 2) {
		uintptr_t from = addr & ~(page - 1);

		if (from < area->start)
			from = area->start;
		if (map_anonymous(from, end))
			return true;
		/* A kernel that does not overcommit may have room for a page, but not for all. */
		if (errno == ENOMEM && end - from > page && map_anonymous(from, from + page))
			return true;
		if (errno != EINVAL) /* the mapping's pages are larger */
			return false;
	}
	return false;
}

/* What /proc/self/maps says of one mapping, taken in character by character. */
struct maps_line {
	unsigned field, column;
	uintptr_t number[2]; /* where it begins and ends */
	bool writable, shared;
};

static void maps_take(struct maps_line *line, char c)
{
	if (c == ' ' || (line->field == 0 && c == '-')) {
		line->field++;
		line->column = 0;
		return;
	}
	if (line->field < 2)
		line->number[line->field] = line->number[line->field] * 16 +
					    (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	if (line->field == 2 && line->column == 1)
		line->writable = c == 'w';
	if (line->field == 2 && line->column == 3)
		line->shared = c == 's';
	line->column++;
}

/* The shared mapping that 'addr' is in. */
static bool find_shared(uintptr_t addr, struct guard_area *area)
{
	struct maps_line line = {0};
	bool found = false;
	char buf[1024];
	off_t at = 0;
	ssize_t n;

	for (; !found && (n = pread(maps_fd, buf, sizeof(buf), at)) > 0; at += n) {
		for (ssize_t i = 0; i < n && !found; i++) {
			if (buf[i] != '\n') {
				maps_take(&line, buf[i]);
				continue;
			}
			found = line.writable && line.shared && addr >= line.number[0] &&
				addr < line.number[1];
			if (found)
				*area = (struct guard_area){
					line.number[0], line.number[1] - line.number[0]};
			line = (struct maps_line){0};
		}
	}
	return found;
}

static bool heal(uintptr_t addr)
{
	struct guard_area area;
	struct guard *g = find(addr, &area);

	if (g == NULL && expecting != NULL && find_shared(addr, &area))
		g = expecting;
	if (g == NULL || !replace(addr, &area))
		return false;
	__atomic_store_n(&g->hit, true, __ATOMIC_RELEASE);
	__atomic_fetch_add(&guard_n_hits, 1, __ATOMIC_RELEASE);
	if (g->conn_fd >= 0)
		shutdown(g->conn_fd, SHUT_RDWR);
	return true;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int err = errno;

	/* si_code > 0: a fault of this thread. It happens again when nothing was mended. */
	if (info->si_code <= 0 || !heal((uintptr_t)info->si_addr)) {
		sigaction(SIGBUS, &before, NULL);
		if (info->si_code <= 0)
			raise(sig);
	}
	errno = err;
}

/* The others' side */

int guard_install(unsigned max)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};

	guards = calloc(max, sizeof(guards[0]));
	if (guards == NULL)
		return -ENOMEM;
	n_guards = max;
	maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, &before) == 0 ? 0 : -errno;
}

static void slot_write(struct slot *s, struct guard_area area)
{
	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&s->area.start, area.start, __ATOMIC_RELAXED);
	__atomic_store_n(&s->area.size_bytes, area.size_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&s->seq, s->seq + 1, __ATOMIC_RELEASE);
}

/*
 * Where there is a mapping now, there is none of anybody else, whatever its guard says: rte_vhost
 * does not tell whether it unmapped what was there before a memory table that it refused.
 */
static void evict(const struct guard_area *area)
{
	for (unsigned i = 0; i < n_guards; i++) {
		for (unsigned j = 0; j < GUARD_AREAS_MAX; j++) {
			struct slot *s = &guards[i].slots[j];

			if (s->area.size_bytes > 0 &&
				s->area.start < area->start + area->size_bytes &&
				area->start < s->area.start + s->area.size_bytes)
				slot_write(s, (struct guard_area){0});
		}
	}
}

struct guard *guard_open(int conn_fd)
{
	struct guard *g = NULL;

	pthread_mutex_lock(&change_lock);
	for (unsigned i = 0; i < n_guards && g == NULL; i++)
		if (!guards[i].open)
			g = &guards[i];
	if (g != NULL) {
		g->open = true;
		g->conn_fd = conn_fd;
		__atomic_store_n(&g->hit, false, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&change_lock);
	return g;
}

void guard_cover(struct guard *g, const struct guard_area *areas, unsigned n_areas)
{
	pthread_mutex_lock(&change_lock);
	for (unsigned i = 0; i < GUARD_AREAS_MAX; i++)
		slot_write(&g->slots[i], (struct guard_area){0});
	for (unsigned i = 0; i < n_areas && i < GUARD_AREAS_MAX; i++) {
		evict(&areas[i]);
		slot_write(&g->slots[i], areas[i]);
	}
	pthread_mutex_unlock(&change_lock);
}

void guard_close(struct guard *g)
{
	if (g == NULL)
		return;
	if (expecting == g)
		expecting = NULL;
	guard_cover(g, NULL, 0);
	pthread_mutex_lock(&change_lock);
	g->conn_fd = -1;
	g->open = false;
	pthread_mutex_unlock(&change_lock);
}

void guard_expect(struct guard *g)
{
	expecting = g;
}

bool guard_is_hit(const struct guard *g)
{
	return g != NULL && __atomic_load_n(&g->hit, __ATOMIC_ACQUIRE);
}
