/* SPDX-License-Identifier: BSD-3-Clause */
#include "honest.h"

#include "listener.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POISON	  0xa5
#define HEADS_MAX (4u << 20)

/* How often the thread looks whether it is to stop. It takes no answer without a call. */
#define LOOK_MS 50

static void complain(struct honest *h, const char *what)
{
	const char *none = NULL;

	__atomic_compare_exchange_n(
		&h->complaint, &none, what, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static bool has_complaint(const struct honest *h)
{
	return __atomic_load_n(&h->complaint, __ATOMIC_ACQUIRE) != NULL;
}

static bool is_stopped(const struct honest *h)
{
	return __atomic_load_n(&h->stop, __ATOMIC_ACQUIRE);
}

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
}

static uint8_t *buffer(const struct honest *h, unsigned slot)
{
	return h->host + (size_t)slot * h->cfg.size_bytes;
}

/* The VMM's side */

static void disconnect(struct honest *h)
{
	guest_die(&h->guest);
}

static int get_connection(struct honest *h, struct frontend_cfg *cfg)
{
	if (h->cfg.listen)
		return listener_accept(h->listen_fd, LOOK_MS, &cfg->connection);
	cfg->socket_path = h->cfg.path;
	return 0;
}

/* One attempt. False: there is no back-end, or it died meanwhile. */
static bool connect_once(struct honest *h)
{
	struct frontend_cfg cfg = {.timeout_ms = LIVENESS_MS};

	if (get_connection(h, &cfg) != 0)
		return false;
	if (guest_attach(&h->guest, &cfg) != 0) {
		sleep_ms(5);
		return false;
	}
	count(&h->nr_connections);
	return true;
}

/* The driver's side */

static void offer(struct honest *h, unsigned slot)
{
	struct driver_buf buf = {
		.gpa = h->gpa + (uint64_t)slot * h->cfg.size_bytes,
		.len_bytes = h->cfg.size_bytes,
		.writable = true,
	};
	uint8_t *b = buffer(h, slot);

	memset(b, POISON, h->cfg.size_bytes);
	if (driver_add(&h->guest.drv, &buf, 1, 1, slot) != 0)
		complain(h, "the queue is corrupt");
	else
		count(&h->nr_offered);
}

static void show(struct honest *h)
{
	driver_publish(&h->guest.drv);
	if (driver_kick_needed(&h->guest.drv) && h->guest.fe != NULL)
		frontend_kick(h->guest.fe);
}

static bool is_poison(const uint8_t *b, size_t n)
{
	return n == 0 || (b[0] == POISON && memcmp(b, b + 1, n - 1) == 0);
}

static void judge_bytes(struct honest *h, const uint8_t *b, uint32_t len_bytes)
{
	if (len_bytes >= 8 && (is_poison(b, 8) || is_poison(b + len_bytes - 8, 8)))
		complain(h, "an answer's buffer was not written");
	/* A back-end that died may have written more than the next one does. */
	if (h->cfg.polls && !is_poison(b + len_bytes, h->cfg.size_bytes - len_bytes))
		complain(h, "more bytes were written than an answer tells of");
	if (h->cfg.judge != NULL) {
		const char *what = h->cfg.judge(h->cfg.arg, b, len_bytes);

		if (what != NULL)
			complain(h, what);
	} else if (len_bytes >= 8 && h->nr_heads < HEADS_MAX) {
		memcpy(&h->heads[h->nr_heads++], b, sizeof(h->heads[0]));
	}
}

static void judge(struct honest *h, const struct driver_used *used)
{
	int64_t now = now_us();

	if (used->len_bytes < (h->cfg.may_be_short ? 1 : h->cfg.size_bytes))
		complain(h, "an answer is short");
	judge_bytes(h, buffer(h, (unsigned)used->cookie), used->len_bytes);
	if (h->answered_us != 0 && now - h->answered_us > h->longest_gap_us)
		__atomic_store_n(&h->longest_gap_us, now - h->answered_us, __ATOMIC_RELAXED);
	h->answered_us = now;
	count(&h->nr_answers);
}

/* Take all answers there are, and ask anew with their buffers. */
static void take_all(struct honest *h)
{
	struct driver_used used;
	enum driver_result result;

	while ((result = driver_take(&h->guest.drv, &used)) == DRIVER_OK) {
		judge(h, &used);
		if (!is_stopped(h))
			offer(h, (unsigned)used.cookie);
	}
	if (result == DRIVER_BAD_ID || result == DRIVER_BAD_PROGRESS)
		complain(h, "an answer to what was not asked, or was answered before");
	else if (result != DRIVER_EMPTY)
		complain(h, "an answer is too long");
	show(h);
}

/* If it sleeps: until there is nothing more to take. From then on only a call tells of more. */
static void take(struct honest *h)
{
	do {
		take_all(h);
		if (h->cfg.pause_us > 0)
			usleep(h->cfg.pause_us);
	} while (!h->cfg.polls && driver_calls_on(&h->guest.drv) && !has_complaint(h));
}

/* Sleep until there is a call, or no back-end any more. */
static void doze(struct honest *h)
{
	struct pollfd fds[2] = {
		{.fd = frontend_call_fd(h->guest.fe), .events = POLLIN},
		{.fd = frontend_socket_fd(h->guest.fe), .events = POLLIN},
	};

	if (poll(fds, 2, LOOK_MS) <= 0)
		return;
	/* Also when only the end was seen: the call may have come just before. */
	if (frontend_wait_call(h->guest.fe, 0) > 0)
		take(h);
	if (fds[1].revents != 0)
		disconnect(h);
}

static void *run(void *arg)
{
	struct honest *h = arg;
	struct patience patience;
	uint64_t seen = 0;

	for (unsigned i = 0; i < h->cfg.depth; i++)
		offer(h, i);
	take(h);
	patience_begin(&patience);
	while (!has_complaint(h) && !(is_stopped(h) && h->guest.drv.nr_offered == 0)) {
		if (h->guest.fe == NULL && !connect_once(h))
			continue;
		if (h->cfg.polls)
			take(h);
		else
			doze(h);
		if (h->nr_answers != seen || h->guest.fe == NULL) {
			seen = h->nr_answers;
			patience_begin(&patience);
		} else if (patience_is_over(&patience)) {
			complain(h, "a request is not answered");
		}
	}
	return NULL;
}

/* Main's side */

void honest_start_as(struct honest *h, const struct honest_cfg *cfg)
{
	struct guest_cfg guest = {
		.event_idx = true,
		.queue_size = 128,
		.region_bytes = (uint64_t)cfg->depth * cfg->size_bytes + (64u << 10),
		.start_idx = 65000,
		.packed = cfg->packed,
	};

	*h = (struct honest){.cfg = *cfg, .listen_fd = -1};
	assert_true(cfg->depth <= guest.queue_size && cfg->size_bytes >= 16);
	guest.region_bytes = (guest.region_bytes + 4095) & ~UINT64_C(4095);
	guest_init(&h->guest, &guest);
	h->gpa = guest_alloc(&h->guest, 0, (uint64_t)cfg->depth * cfg->size_bytes);
	h->host = h->guest.ram.regions[0].host + (h->gpa - h->guest.ram.regions[0].gpa);
	if (cfg->judge == NULL) {
		h->heads = malloc(HEADS_MAX * sizeof(h->heads[0]));
		assert_non_null(h->heads);
	}
	if (cfg->listen)
		assert_int_equal(listener_open(cfg->path, &h->listen_fd), 0);
	if (cfg->polls)
		guest_connect(&h->guest, cfg->path);
	assert_int_equal(pthread_create(&h->thread, NULL, run, h), 0);
	h->running = true;
}

void honest_start(struct honest *h, const char *path)
{
	honest_start_as(h, &(struct honest_cfg){.path = path,
				   .polls = true,
				   .depth = 4,
				   .size_bytes = 64,
				   .may_be_short = true,
				   .pause_us = 20});
}

uint64_t honest_answers(const struct honest *h)
{
	return __atomic_load_n(&h->nr_answers, __ATOMIC_ACQUIRE);
}

static void check_complaint(const struct honest *h)
{
	const char *complaint = __atomic_load_n(&h->complaint, __ATOMIC_ACQUIRE);

	if (complaint != NULL)
		fail_msg("the guest at %s: %s", h->cfg.path, complaint);
}

void honest_wait_answer(const struct honest *h, uint64_t answers)
{
	struct patience patience;

	patience_begin(&patience);
	while (honest_answers(h) <= answers) {
		check_complaint(h);
		if (patience_is_over(&patience))
			fail_msg("the guest at %s gets no answer", h->cfg.path);
		sleep_ms(1);
	}
	check_complaint(h);
}

void honest_check(const struct honest *h)
{
	honest_wait_answer(h, honest_answers(h) + 2 * h->cfg.depth - 1);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* No two answers begin alike. */
static void check_heads(struct honest *h)
{
	if (h->nr_heads == 0)
		return;
	qsort(h->heads, h->nr_heads, sizeof(h->heads[0]), compare);
	for (uint64_t i = 1; i < h->nr_heads; i++)
		if (h->heads[i] == h->heads[i - 1])
			fail_msg("two answers of %llu begin with the same 8 bytes",
				(unsigned long long)h->nr_heads);
}

static void join(struct honest *h)
{
	__atomic_store_n(&h->stop, true, __ATOMIC_RELEASE);
	pthread_join(h->thread, NULL);
	h->running = false;
}

void honest_stop(struct honest *h)
{
	join(h);
	check_complaint(h);
	assert_int_equal(h->guest.drv.nr_offered, 0);
	assert_int_equal(h->nr_answers, h->nr_offered);
	guest_assert_quiet(&h->guest, 20);
	check_heads(h);
}

void honest_fini(struct honest *h)
{
	if (h->running) {
		complain(h, "ended early");
		join(h);
	}
	guest_fini(&h->guest);
	free(h->heads);
	if (h->listen_fd > 0)
		close(h->listen_fd);
	*h = (struct honest){0};
}
