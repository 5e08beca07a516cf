/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/tap.h"

#include "clock.h"
#include "secret_mem.h"

#include <errno.h>

/* Drawn at once: at least, what costs little more than less; at most, some 25 us. */
#define DRAW_BYTES_MIN 256
#define DRAW_BYTES_MAX 16384

/* With less room in the ring none are: small draws cost like large ones. */
#define DRAW_ROOM_BYTES 1024

/* The intake holds back the run of equal bytes that a read ends with: two bytes, seldom more. */
#define HELD_BACK_BYTES 4

#define RING_BYTES (2 * DRAW_BYTES_MAX)

struct tap {
	const bool *kernel_serves;
	struct intake intake;
	struct byte_ring ring;
	uint8_t staging[HEALTH_STARTUP_SAMPLES];
	uint8_t data[RING_BYTES];
};

int tap_create(uint64_t entropy_abits, const bool *kernel_serves, struct tap **tap)
{
	struct tap *t = secret_alloc(sizeof(*t), "random bytes");
	int err;

	if (t == NULL)
		return -ENOMEM;
	t->kernel_serves = kernel_serves;
	err = intake_open(&t->intake, "/dev/urandom", entropy_abits);
	if (err == 0 && t->intake.source.door == NULL)
		err = -ENOTSUP;
	if (err == 0)
		err = byte_ring_init(&t->ring, t->data, RING_BYTES);
	if (err != 0) {
		tap_destroy(t);
		return err;
	}
	t->intake.staging = t->staging;
	t->intake.stays = true;
	*tap = t;
	return 0;
}

void tap_destroy(struct tap *t)
{
	if (t == NULL)
		return;
	intake_close(&t->intake);
	secret_free(t, sizeof(*t));
}

struct byte_ring *tap_ring(struct tap *t)
{
	return &t->ring;
}

const struct intake_stats *tap_stats(const struct tap *t)
{
	return &t->intake.stats;
}

void tap_refill(void *tap, size_t want_bytes)
{
	struct tap *t = tap;
	uint64_t now;

	if (RING_BYTES - byte_ring_fill(&t->ring) < DRAW_ROOM_BYTES ||
		!__atomic_load_n(t->kernel_serves, __ATOMIC_RELAXED))
		return;
	now = clock_now_ns();
	if (now < t->intake.retry_ns)
		return;
	want_bytes += HELD_BACK_BYTES;
	if (want_bytes < DRAW_BYTES_MIN)
		want_bytes = DRAW_BYTES_MIN;
	if (want_bytes > DRAW_BYTES_MAX)
		want_bytes = DRAW_BYTES_MAX;
	intake_feed(&t->intake, &t->ring, want_bytes, now);
}
