/* SPDX-License-Identifier: BSD-3-Clause */
#include "sleeper.h"

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

static void complain(struct sleeper *s, const char *what)
{
	const char *none = NULL;

	__atomic_compare_exchange_n(
		&s->complaint, &none, what, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static bool has_complaint(const struct sleeper *s)
{
	return __atomic_load_n(&s->complaint, __ATOMIC_ACQUIRE) != NULL;
}

static bool is_stopped(const struct sleeper *s)
{
	return __atomic_load_n(&s->stop, __ATOMIC_ACQUIRE);
}

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
}

static uint8_t *buffer(const struct sleeper *s, unsigned slot)
{
	return s->host + (size_t)slot * s->cfg.size_bytes;
}

/* The VMM's side */

static void disconnect(struct sleeper *s)
{
	guest_die(&s->guest);
}

static int get_connection(struct sleeper *s, struct frontend_cfg *cfg)
{
	if (s->cfg.listen)
		return listener_accept(s->listen_fd, LOOK_MS, &cfg->connection);
	cfg->socket_path = s->cfg.path;
	return 0;
}

/* One attempt. False: there is no back-end, or it died meanwhile. */
static bool connect_once(struct sleeper *s)
{
	struct frontend_cfg cfg = {.timeout_ms = LIVENESS_MS};

	if (get_connection(s, &cfg) != 0)
		return false;
	if (guest_attach(&s->guest, &cfg) != 0) {
		sleep_ms(5);
		return false;
	}
	count(&s->nr_connections);
	return true;
}

/* The driver's side */

static void offer(struct sleeper *s, unsigned slot)
{
	struct driver_buf buf = {
		.gpa = s->gpa + (uint64_t)slot * s->cfg.size_bytes,
		.len_bytes = s->cfg.size_bytes,
		.writable = true,
	};
	uint8_t *b = buffer(s, slot);

	memset(b, POISON, 8);
	memset(b + s->cfg.size_bytes - 8, POISON, 8);
	if (driver_add(&s->guest.drv, &buf, 1, 1, slot) != 0)
		complain(s, "the queue is corrupt");
	else
		count(&s->nr_offered);
}

static void show(struct sleeper *s)
{
	driver_publish(&s->guest.drv);
	if (driver_kick_needed(&s->guest.drv) && s->guest.fe != NULL)
		frontend_kick(s->guest.fe);
}

static bool is_poison(const uint8_t *b)
{
	static const uint8_t poison[8] = {
		POISON, POISON, POISON, POISON, POISON, POISON, POISON, POISON};

	return memcmp(b, poison, sizeof(poison)) == 0;
}

static void judge(struct sleeper *s, const struct driver_used *used)
{
	const uint8_t *b = buffer(s, (unsigned)used->cookie);
	int64_t now = now_us();

	if (used->len_bytes < (s->cfg.may_be_short ? 1 : s->cfg.size_bytes))
		complain(s, "an answer is short");
	else if (used->len_bytes >= 8 && (is_poison(b) || is_poison(b + used->len_bytes - 8)))
		complain(s, "an answer's buffer was not written");
	if (s->cfg.judge != NULL && used->len_bytes <= s->cfg.size_bytes) {
		const char *what = s->cfg.judge(s->cfg.arg, b, used->len_bytes);

		if (what != NULL)
			complain(s, what);
	} else if (used->len_bytes >= 8 && s->nr_heads < HEADS_MAX) {
		memcpy(&s->heads[s->nr_heads++], b, sizeof(s->heads[0]));
	}
	if (s->answered_us != 0 && now - s->answered_us > s->longest_gap_us)
		__atomic_store_n(&s->longest_gap_us, now - s->answered_us, __ATOMIC_RELAXED);
	s->answered_us = now;
	count(&s->nr_answers);
}

/* Take all answers there are, and ask anew with their buffers. */
static void take_all(struct sleeper *s)
{
	struct driver_used used;
	enum driver_result result;

	while ((result = driver_take(&s->guest.drv, &used)) == DRIVER_OK) {
		judge(s, &used);
		if (!is_stopped(s))
			offer(s, (unsigned)used.cookie);
	}
	if (result == DRIVER_BAD_ID || result == DRIVER_BAD_PROGRESS)
		complain(s, "an answer to what was not asked, or was answered before");
	else if (result != DRIVER_EMPTY)
		complain(s, "an answer is too long");
	show(s);
}

/* Until there is nothing more to take: from then on only a call tells of more. */
static void take(struct sleeper *s)
{
	do {
		take_all(s);
		if (s->cfg.pause_us > 0)
			usleep(s->cfg.pause_us);
	} while (driver_calls_on(&s->guest.drv) && !has_complaint(s));
}

/* Sleep until there is a call, or no back-end any more. */
static void doze(struct sleeper *s)
{
	struct pollfd fds[2] = {
		{.fd = frontend_call_fd(s->guest.fe), .events = POLLIN},
		{.fd = frontend_socket_fd(s->guest.fe), .events = POLLIN},
	};

	if (poll(fds, 2, LOOK_MS) <= 0)
		return;
	/* Also when only the end was seen: the call may have come just before. */
	if (frontend_wait_call(s->guest.fe, 0) > 0)
		take(s);
	if (fds[1].revents != 0)
		disconnect(s);
}

static void *run(void *arg)
{
	struct sleeper *s = arg;
	struct patience patience;
	uint64_t seen = 0;

	for (unsigned i = 0; i < s->cfg.depth; i++)
		offer(s, i);
	take(s);
	patience_begin(&patience);
	while (!has_complaint(s) && !(is_stopped(s) && s->guest.drv.nr_offered == 0)) {
		if (s->guest.fe == NULL && !connect_once(s))
			continue;
		doze(s);
		if (s->nr_answers != seen || s->guest.fe == NULL) {
			seen = s->nr_answers;
			patience_begin(&patience);
		} else if (patience_is_over(&patience)) {
			complain(s, "a request is not answered");
		}
	}
	return NULL;
}

/* Main's side */

void sleeper_start(struct sleeper *s, const struct sleeper_cfg *cfg)
{
	struct guest_cfg guest = {
		.event_idx = true,
		.queue_size = 128,
		.region_bytes = (uint64_t)cfg->depth * cfg->size_bytes + (64u << 10),
		.start_idx = cfg->packed ? 0 : 65000,
		.packed = cfg->packed,
	};

	*s = (struct sleeper){.cfg = *cfg, .listen_fd = -1};
	assert_true(cfg->depth <= guest.queue_size && cfg->size_bytes >= 16);
	guest.region_bytes = (guest.region_bytes + 4095) & ~UINT64_C(4095);
	guest_init(&s->guest, &guest);
	s->gpa = guest_alloc(&s->guest, 0, (uint64_t)cfg->depth * cfg->size_bytes);
	s->host = s->guest.ram.regions[0].host + (s->gpa - s->guest.ram.regions[0].gpa);
	if (cfg->judge == NULL) {
		s->heads = malloc(HEADS_MAX * sizeof(s->heads[0]));
		assert_non_null(s->heads);
	}
	if (cfg->listen)
		assert_int_equal(listener_open(cfg->path, &s->listen_fd), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
	s->running = true;
}

uint64_t sleeper_answers(const struct sleeper *s)
{
	return __atomic_load_n(&s->nr_answers, __ATOMIC_ACQUIRE);
}

static void check_complaint(const struct sleeper *s)
{
	const char *complaint = __atomic_load_n(&s->complaint, __ATOMIC_ACQUIRE);

	if (complaint != NULL)
		fail_msg("the guest at %s: %s", s->cfg.path, complaint);
}

void sleeper_wait_answer(const struct sleeper *s, uint64_t answers)
{
	struct patience patience;

	patience_begin(&patience);
	while (sleeper_answers(s) <= answers) {
		check_complaint(s);
		if (patience_is_over(&patience))
			fail_msg("the guest at %s gets no answer", s->cfg.path);
		sleep_ms(1);
	}
	check_complaint(s);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* No two answers begin alike. */
static void check_heads(struct sleeper *s)
{
	if (s->nr_heads == 0)
		return;
	qsort(s->heads, s->nr_heads, sizeof(s->heads[0]), compare);
	for (uint64_t i = 1; i < s->nr_heads; i++)
		if (s->heads[i] == s->heads[i - 1])
			fail_msg("two answers of %llu begin with the same 8 bytes",
				(unsigned long long)s->nr_heads);
}

static void join(struct sleeper *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	pthread_join(s->thread, NULL);
	s->running = false;
}

void sleeper_stop(struct sleeper *s)
{
	join(s);
	check_complaint(s);
	assert_int_equal(s->guest.drv.nr_offered, 0);
	assert_int_equal(s->nr_answers, s->nr_offered);
	guest_assert_quiet(&s->guest, 20);
	check_heads(s);
}

void sleeper_fini(struct sleeper *s)
{
	if (s->running) {
		complain(s, "ended early");
		join(s);
	}
	guest_fini(&s->guest);
	free(s->heads);
	if (s->listen_fd > 0)
		close(s->listen_fd);
	*s = (struct sleeper){0};
}
