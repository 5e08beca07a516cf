/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's side of a packed queue against a device of a few lines, as test_driver.c has it for a
 * split one. No daemon, no socket.
 */
#include "driver.h"
#include "driver_rude.h"
#include "guest_ram.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define RAM_GPA	   0x100000ull
#define RAM_SIZE   (8ull << 20)
#define FILL	   0x5a
#define AVAIL	   (1u << 7)
#define USED	   (1u << 15)
#define MAX_CHAINS 512

/* The device: as the standard tells it (virtio 1.3 §2.8), with the wrap counter as a bool. */
struct toy {
	const struct guest_ram *ram;
	struct driver *drv; /* for the addresses and the size only */
	unsigned avail_at, used_at;
	bool avail_wrap, used_wrap;
	/* popped and not answered */
	unsigned n_popped;
	struct {
		uint16_t id;
		unsigned n_descs;
		uint32_t written;
	} popped[MAX_CHAINS];
};

static void toy_init(
	struct toy *toy, const struct guest_ram *ram, struct driver *drv, uint16_t base)
{
	*toy = (struct toy){.ram = ram, .drv = drv};
	toy->avail_at = toy->used_at = base & 0x7fff;
	toy->avail_wrap = toy->used_wrap = base >> 15;
}

static void step(const struct toy *toy, unsigned *at, bool *wrap)
{
	if (++*at == toy->drv->cfg.size) {
		*at = 0;
		*wrap = !*wrap;
	}
}

static uint32_t toy_write(struct toy *toy, const struct vring_packed_desc *d)
{
	if ((d->flags & VRING_DESC_F_WRITE) == 0)
		return 0;
	assert_int_equal(guest_ram_fill(toy->ram, d->addr, d->len, FILL), 0);
	return d->len;
}

static uint32_t toy_write_table(struct toy *toy, const struct vring_packed_desc *d)
{
	const struct vring_packed_desc *table = guest_ram_at(toy->ram, d->addr, d->len);
	uint32_t written = 0;

	assert_int_equal(d->len % sizeof(*table), 0);
	for (unsigned i = 0; i < d->len / sizeof(*table); i++)
		written += toy_write(toy, &table[i]);
	return written;
}

static bool toy_pop(struct toy *toy)
{
	const struct vring_packed_desc *d = &toy->drv->ring[toy->avail_at];
	unsigned n = 0;
	uint32_t written = 0;

	for (;; n++) {
		/* The driver sets both in all of a chain's descriptors, not just the first one. */
		if (!!(d->flags & AVAIL) != toy->avail_wrap ||
			!!(d->flags & USED) == toy->avail_wrap) {
			assert_int_equal(n, 0);
			return false;
		}
		written += d->flags & VRING_DESC_F_INDIRECT ? toy_write_table(toy, d)
							    : toy_write(toy, d);
		step(toy, &toy->avail_at, &toy->avail_wrap);
		if ((d->flags & VRING_DESC_F_NEXT) == 0)
			break;
		d = &toy->drv->ring[toy->avail_at];
	}
	toy->popped[toy->n_popped].id = d->id;
	toy->popped[toy->n_popped].n_descs = n + 1;
	toy->popped[toy->n_popped++].written = written;
	return true;
}

static void toy_answer(struct toy *toy, uint16_t id, uint32_t len, unsigned n_descs)
{
	struct vring_packed_desc *d = &toy->drv->ring[toy->used_at];

	d->id = id;
	d->len = len;
	__atomic_store_n(&d->flags, VRING_DESC_F_WRITE | (toy->used_wrap ? AVAIL | USED : 0),
		__ATOMIC_RELEASE);
	while (n_descs-- > 0)
		step(toy, &toy->used_at, &toy->used_wrap);
}

/* Pop all that is there, answer it, the last one first. @return how many */
static unsigned toy_poll(struct toy *toy)
{
	unsigned n;

	while (toy_pop(toy))
		continue;
	for (n = 0; toy->n_popped > 0; n++) {
		toy->n_popped--;
		toy_answer(toy, toy->popped[toy->n_popped].id, toy->popped[toy->n_popped].written,
			toy->popped[toy->n_popped].n_descs);
	}
	return n;
}

struct fixture {
	struct guest_ram ram;
	struct driver drv;
	struct toy toy;
};

static void fixture_init(struct fixture *fx, const struct driver_cfg *cfg)
{
	struct driver_cfg mine = *cfg;

	mine.layout = DRIVER_PACKED;
	guest_ram_init(&fx->ram);
	assert_int_equal(guest_ram_add_memfd(&fx->ram, RAM_GPA, RAM_SIZE), 0);
	assert_int_equal(driver_init(&fx->drv, &fx->ram, &mine), 0);
	toy_init(&fx->toy, &fx->ram, &fx->drv, driver_start_base(&fx->drv));
}

static void fixture_fini(struct fixture *fx)
{
	driver_fini(&fx->drv);
	guest_ram_fini(&fx->ram);
}

static struct driver_buf make_buf(struct fixture *fx, uint32_t len, bool writable)
{
	struct driver_buf buf = {.len_bytes = len, .writable = writable};

	assert_int_equal(guest_ram_alloc(&fx->ram, 0, len, 1, &buf.gpa), 0);
	return buf;
}

/* All shapes of a chain, in all sizes of a queue, over many laps, answered out of order. */
static void test_chains_come_back(void **state)
{
	static const unsigned sizes[] = {1, 2, 3, 7, 64, 509, 512};

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned size = sizes[s];
		struct driver_cfg cfg = {.size = size, .table_entries = 4, .start_idx = 65500};
		struct driver_buf bufs[4];
		struct driver_used used;
		struct fixture fx;

		fixture_init(&fx, &cfg);
		for (unsigned i = 0; i < 4; i++)
			bufs[i] = make_buf(&fx, 10 + i, i > 0);
		for (unsigned turn = 0; turn < 20000 / size; turn++) {
			unsigned nr_bufs = 1 + turn % 4, nr_direct = turn % 3 ? nr_bufs : 0;
			uint32_t room = (nr_bufs - 1) * 10 + (nr_bufs - 1) * nr_bufs / 2;
			unsigned n = 0;

			while (driver_add(&fx.drv, bufs, nr_bufs, nr_direct, 1000 + n) == 0)
				n++;
			assert_int_equal(n, size / (nr_direct == 0 ? 1 : nr_direct));
			assert_int_equal(toy_poll(&fx.toy), 0);
			driver_publish(&fx.drv);
			assert_int_equal(driver_take(&fx.drv, &used), DRIVER_EMPTY);
			assert_int_equal(toy_poll(&fx.toy), n);
			for (unsigned i = n; i-- > 0;) {
				assert_int_equal(driver_take(&fx.drv, &used), DRIVER_OK);
				assert_int_equal(used.cookie, 1000 + i);
				assert_int_equal(used.len_bytes, room);
			}
			assert_int_equal(driver_take(&fx.drv, &used), DRIVER_EMPTY);
			assert_int_equal(fx.drv.nr_free, size);
			assert_int_equal(fx.drv.nr_offered, 0);
		}
		fixture_fini(&fx);
	}
}

static void test_build_refuses(void **state)
{
	struct driver_cfg cfg = {.size = 4, .table_entries = 3};
	struct driver_buf bufs[8] = {0};
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, &cfg);
	assert_int_equal(driver_build(&fx.drv, bufs, 0, 0, 0, &id), -EINVAL);
	assert_int_equal(driver_build(&fx.drv, bufs, 3, 1, 0, &id), -EINVAL); /* mixed */
	assert_int_equal(driver_build(&fx.drv, bufs, 4, 0, 0, &id), -E2BIG);
	assert_int_equal(driver_build(&fx.drv, bufs, 5, 5, 0, &id), -ENOSPC);
	assert_int_equal(driver_build(&fx.drv, bufs, 4, 4, 0, &id), 0);
	assert_int_equal(driver_build(&fx.drv, bufs, 1, 0, 0, &id), -ENOSPC);
	fixture_fini(&fx);
}

static void test_illegal_answers(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct driver_used used;
	struct driver_buf buf;
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, &cfg);
	buf = make_buf(&fx, 64, true);
	assert_int_equal(driver_build(&fx.drv, &buf, 1, 1, 7, &id), 0);
	toy_answer(&fx.toy, id, 64, 0); /* nothing was offered */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_PROGRESS);

	driver_reset(&fx.drv);
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_EMPTY);
	assert_int_equal(driver_build(&fx.drv, &buf, 1, 1, 7, &id), 0);
	driver_offer(&fx.drv, id);
	driver_publish(&fx.drv);
	toy_answer(&fx.toy, id ^ 1u, 1, 0); /* not outstanding */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_ID);
	toy_answer(&fx.toy, 4, 1, 0); /* beyond the queue */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_ID);
	toy_answer(&fx.toy, id, 65, 1);
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_TOO_LONG);
	assert_int_equal(used.len_bytes, 65);
	assert_int_equal(used.cookie, 7);
	fixture_fini(&fx);
}

/* The decisions about kicks and calls, by flags and by descriptor, in both laps. */
static void test_kicks_and_calls(void **state)
{
	for (unsigned start = 0; start < 10; start++) {
		struct driver_cfg cfg = {
			.size = 5, .event_idx = true, .start_idx = (uint16_t)start};
		struct driver_used used;
		struct fixture fx;
		struct driver_buf buf;
		uint16_t base;

		fixture_init(&fx, &cfg);
		buf = make_buf(&fx, 8, true);
		base = driver_start_base(&fx.drv);
		assert_int_equal(base, start < 5 ? start + 0x8000 : start - 5);
		/* Wants to hear of the third from here. */
		fx.drv.device_event->off_wrap = driver_packed_pos(&fx.drv, base, 2);
		fx.drv.device_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
		assert_false(driver_kick_needed(&fx.drv));
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
			driver_publish(&fx.drv);
			assert_int_equal(driver_kick_needed(&fx.drv), i == 2);
			assert_false(driver_kick_needed(&fx.drv)); /* it was asked about */
		}
		fx.drv.device_event->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
		assert_false(driver_kick_needed(&fx.drv));
		assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
		driver_publish(&fx.drv);
		assert_true(driver_kick_needed(&fx.drv));

		assert_false(driver_calls_on(&fx.drv));
		assert_int_equal(fx.drv.driver_event->flags, VRING_PACKED_EVENT_FLAG_DESC);
		assert_int_equal(fx.drv.driver_event->off_wrap, base);
		assert_int_equal(toy_poll(&fx.toy), 5);
		assert_true(driver_calls_on(&fx.drv));
		driver_calls_off(&fx.drv);
		assert_int_equal(fx.drv.driver_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);

		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(driver_take(&fx.drv, &used), DRIVER_OK);
		fx.drv.device_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
		driver_publish(&fx.drv);
		assert_false(driver_kick_needed(&fx.drv));
		fixture_fini(&fx);
	}
}

static void test_reset_and_resume(void **state)
{
	for (unsigned start = 0; start < 10; start++) {
		struct driver_cfg cfg = {.size = 5, .start_idx = (uint16_t)start};
		struct driver_used used;
		struct driver_buf bufs[2];
		struct fixture fx;
		uint16_t base;

		fixture_init(&fx, &cfg);
		bufs[0] = make_buf(&fx, 8, true);
		bufs[1] = make_buf(&fx, 8, true);
		base = driver_start_base(&fx.drv);
		assert_int_equal(driver_resume_base(&fx.drv), base);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(driver_add(&fx.drv, bufs, 2, 2, i), 0);
		driver_publish(&fx.drv);
		assert_int_equal(driver_resume_base(&fx.drv), base);
		assert_true(toy_pop(&fx.toy));
		toy_answer(&fx.toy, fx.toy.popped[0].id, 16, 2);
		base = driver_packed_pos(&fx.drv, base, 2);
		assert_int_equal(driver_resume_base(&fx.drv), base);
		toy_init(&fx.toy, &fx.ram, &fx.drv, base); /* a new device goes on from there */
		assert_int_equal(toy_poll(&fx.toy), 1);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(driver_take(&fx.drv, &used), DRIVER_OK);
			assert_int_equal(used.cookie, i);
		}
		assert_int_equal(driver_add(&fx.drv, bufs, 1, 1, 0), 0);
		driver_publish(&fx.drv);
		driver_reset(&fx.drv);
		toy_init(&fx.toy, &fx.ram, &fx.drv, driver_start_base(&fx.drv));
		assert_int_equal(toy_poll(&fx.toy), 0);
		assert_int_equal(driver_take(&fx.drv, &used), DRIVER_EMPTY);
		assert_int_equal(fx.drv.nr_free, 5);
		fixture_fini(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains_come_back),
		cmocka_unit_test(test_build_refuses),
		cmocka_unit_test(test_illegal_answers),
		cmocka_unit_test(test_kicks_and_calls),
		cmocka_unit_test(test_reset_and_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
