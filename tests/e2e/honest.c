/* SPDX-License-Identifier: BSD-3-Clause */
#include "honest.h"

#include "util.h"

#include <string.h>
#include <time.h>

#define DEPTH	  4
#define BUF_BYTES 64
#define POISON	  0xa5
#define SOME	  16 /* that random bytes are never all POISON */

static void complain(struct honest *h, const char *what)
{
	__atomic_store_n(&h->complaint, what, __ATOMIC_RELEASE);
}

static uint8_t *buffer(struct honest *h, uint64_t cookie)
{
	return guest_ram_at(&h->guest.ram, h->gpa + cookie % DEPTH * BUF_BYTES, BUF_BYTES);
}

/* Are so many bytes there, and no more? Before, the buffer was full of poison. */
static void check_bytes(struct honest *h, const struct driver_used *used)
{
	static const uint8_t poison[BUF_BYTES] = {[0 ... BUF_BYTES - 1] = POISON};
	const uint8_t *buf = buffer(h, used->cookie);

	if (used->len_bytes >= SOME && memcmp(buf, poison, SOME) == 0)
		complain(h, "the bystander was told of bytes that it did not get");
	if (memcmp(buf + used->len_bytes, poison, BUF_BYTES - used->len_bytes) != 0)
		complain(h, "the bystander got bytes that it was not told of");
}

/* @return whether all that was asked for has been answered, one way or the other */
static bool take_all(struct honest *h)
{
	struct driver_used used;

	for (;;) {
		switch (driver_take(&h->guest.drv, &used)) {
		case DRIVER_EMPTY:
			return h->guest.drv.nr_offered == 0;
		case DRIVER_OK:
			if (used.len_bytes == 0)
				complain(h, "the bystander got an answer of 0 bytes");
			check_bytes(h, &used);
			__atomic_fetch_add(&h->nr_answers, 1, __ATOMIC_RELAXED);
			break;
		default:
			complain(h, "the bystander got an illegal answer");
			return true;
		}
	}
}

static void *run(void *arg)
{
	const struct timespec pause = {.tv_nsec = 20000};
	int64_t last_ms = now_ms();
	struct honest *h = arg;
	uint64_t cookie = 0;
	uint64_t seen = 0;

	while (__atomic_load_n(&h->complaint, __ATOMIC_ACQUIRE) == NULL) {
		bool stop = __atomic_load_n(&h->stop, __ATOMIC_ACQUIRE);
		bool all = take_all(h);

		if (stop && all)
			break;
		if (h->nr_answers != seen) {
			seen = h->nr_answers;
			last_ms = now_ms();
		} else if (now_ms() - last_ms > LIVENESS_MS) {
			complain(h, "the bystander lost a request");
		}
		while (!stop && h->guest.drv.nr_offered < DEPTH) {
			struct driver_buf buf = {.gpa = h->gpa + (cookie % DEPTH) * BUF_BYTES,
				.len_bytes = BUF_BYTES,
				.writable = true};

			memset(buffer(h, cookie), POISON, BUF_BYTES);
			if (driver_add(&h->guest.drv, &buf, 1, 1, cookie++) != 0)
				complain(h, "the bystander's queue is corrupt");
		}
		driver_publish(&h->guest.drv);
		if (driver_kick_needed(&h->guest.drv))
			frontend_kick(h->guest.fe);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void honest_start(struct honest *h, const char *path)
{
	*h = (struct honest){0};
	guest_init(&h->guest, &(struct guest_cfg){.event_idx = true});
	h->gpa = guest_alloc(&h->guest, 0, (uint64_t)DEPTH * BUF_BYTES);
	guest_connect(&h->guest, path);
	assert_int_equal(pthread_create(&h->thread, NULL, run, h), 0);
	h->running = true;
}

static void check_complaint(struct honest *h)
{
	const char *complaint = __atomic_load_n(&h->complaint, __ATOMIC_ACQUIRE);

	if (complaint != NULL)
		fail_msg("%s", complaint);
}

void honest_check(struct honest *h)
{
	uint64_t from = __atomic_load_n(&h->nr_answers, __ATOMIC_RELAXED);
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (__atomic_load_n(&h->nr_answers, __ATOMIC_RELAXED) < from + 2 * DEPTH) {
		check_complaint(h);
		if (now_ms() > deadline_ms)
			fail_msg("the bystander is served no more");
		sleep_ms(1);
	}
	check_complaint(h);
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
}

void honest_fini(struct honest *h)
{
	if (h->running) {
		complain(h, "ended early");
		join(h);
	}
	guest_fini(&h->guest);
	*h = (struct honest){0};
}
