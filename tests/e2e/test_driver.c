/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's side against a device of a few lines: if the driver of the tests were wrong, all
 * that is tested with it would mean nothing. No daemon, no socket.
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
#include <time.h>

#include <cmocka.h>

#define RAM_GPA	 0x100000ull
#define RAM_SIZE (8ull << 20)
#define FILL	 0x5a
#define POISON	 0xa5

/* The device: walks chains as the standard says, fills what is writable with FILL. */
struct toy {
	const struct guest_ram *ram;
	struct driver *drv; /* for the addresses and the size only */
	uint16_t last_avail;
	uint16_t used_idx;
	unsigned nr_desc_seen;
};

static void toy_init(struct toy *toy, const struct guest_ram *ram, struct driver *drv)
{
	*toy = (struct toy){.ram = ram, .drv = drv};
	toy->last_avail = toy->used_idx = drv->cfg.start_idx;
}

static uint32_t toy_walk(struct toy *toy, const struct vring_desc *table, unsigned at)
{
	uint32_t written = 0;

	for (;;) {
		const struct vring_desc *desc = &table[at];

		if (desc->flags & VRING_DESC_F_INDIRECT) {
			assert_int_equal(desc->len % sizeof(*desc), 0);
			return written +
			       toy_walk(toy, guest_ram_at(toy->ram, desc->addr, desc->len), 0);
		}
		toy->nr_desc_seen++;
		if (desc->flags & VRING_DESC_F_WRITE) {
			assert_int_equal(guest_ram_fill(toy->ram, desc->addr, desc->len, FILL), 0);
			written += desc->len;
		}
		if ((desc->flags & VRING_DESC_F_NEXT) == 0)
			return written;
		at = desc->next;
	}
}

static void toy_answer(struct toy *toy, uint32_t id, uint32_t len)
{
	struct vring_used *used = toy->drv->used;
	unsigned slot = toy->used_idx & toy->drv->mask;

	used->ring[slot].id = id;
	used->ring[slot].len = len;
	toy->used_idx++;
	__atomic_store_n(&used->idx, toy->used_idx, __ATOMIC_RELEASE);
}

/* Serve all that is there. @return how many */
static unsigned toy_poll(struct toy *toy)
{
	const struct vring_avail *avail = toy->drv->avail;
	unsigned n = 0;

	for (; toy->last_avail != avail->idx; toy->last_avail++, n++) {
		uint16_t head = avail->ring[toy->last_avail & toy->drv->mask];

		toy_answer(toy, head, toy_walk(toy, toy->drv->desc, head));
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
	guest_ram_init(&fx->ram);
	assert_int_equal(guest_ram_add_memfd(&fx->ram, RAM_GPA, RAM_SIZE), 0);
	assert_int_equal(driver_init(&fx->drv, &fx->ram, cfg), 0);
	toy_init(&fx->toy, &fx->ram, &fx->drv);
}

static void fixture_fini(struct fixture *fx)
{
	driver_fini(&fx->drv);
	guest_ram_fini(&fx->ram);
}

static uint64_t alloc(struct fixture *fx, uint64_t len, uint64_t align)
{
	uint64_t gpa;

	assert_int_equal(guest_ram_alloc(&fx->ram, 0, len, align, &gpa), 0);
	return gpa;
}

static void test_ram_translates(void **state)
{
	struct guest_ram ram;
	uint8_t in[64], out[64];
	uint64_t got, where;

	guest_ram_init(&ram);
	assert_int_equal(guest_ram_add_memfd(&ram, 0x1000, 0x1000), 0);
	assert_int_equal(guest_ram_add_memfd(&ram, 0x2000, 0x1000), 0); /* a neighbour */
	assert_int_equal(guest_ram_add_memfd(&ram, 0x8000, 0x1000), 0); /* after a gap */
	assert_null(guest_ram_at(&ram, 0xfff, 1));
	assert_non_null(guest_ram_at(&ram, 0x1000, 0x1000));
	assert_null(guest_ram_at(&ram, 0x1000, 0x1001));
	assert_null(guest_ram_at(&ram, 0x3000, 1));
	assert_null(guest_ram_at(&ram, UINT64_MAX, 2));
	assert_ptr_equal(guest_ram_span(&ram, 0x1ff0, 64, &got), ram.regions[0].host + 0xff0);
	assert_int_equal(got, 16);

	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i + 1);
	assert_int_equal(guest_ram_write(&ram, 0x1fe0, in, sizeof(in)), 0);
	assert_int_equal(guest_ram_read(&ram, 0x1fe0, out, sizeof(out)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(ram.regions[1].host[0], 33);
	assert_int_equal(guest_ram_write(&ram, 0x2ff0, in, sizeof(in)), -EFAULT);

	assert_int_equal(guest_ram_fill(&ram, 0x1800, 0x1000, POISON), 0);
	assert_int_equal(guest_ram_check(&ram, 0x1800, 0x1000, POISON, NULL), 0);
	ram.regions[1].host[0x7ff] = 0;
	assert_int_equal(guest_ram_check(&ram, 0x1800, 0x1000, POISON, &where), -EILSEQ);
	assert_int_equal(where, 0x27ff);
	assert_int_equal(guest_ram_check(&ram, 0x1800, 0xfff, POISON, NULL), 0);
	guest_ram_fini(&ram);
}

static void test_ram_remaps(void **state)
{
	struct guest_ram ram;
	struct guest_ram_region old;

	guest_ram_init(&ram);
	assert_int_equal(guest_ram_add_memfd(&ram, 0, 0x2000), 0);
	ram.regions[0].host[5] = 1;
	assert_int_equal(guest_ram_remap(&ram, 0, false, &old), 0);
	assert_ptr_not_equal(ram.regions[0].host, old.host);
	ram.regions[0].host[5] = 2;
	assert_int_equal(old.host[5], 2); /* one file */
	guest_ram_region_fini(&old);
	assert_int_equal(guest_ram_remap(&ram, 0, true, &old), 0);
	assert_int_equal(ram.regions[0].host[5], 2);
	ram.regions[0].host[5] = 3;
	assert_int_equal(old.host[5], 2); /* two files */
	guest_ram_region_fini(&old);
	guest_ram_fini(&ram);
}

static void test_ram_allocates_aligned(void **state)
{
	struct guest_ram ram;
	uint64_t a, b;

	guest_ram_init(&ram);
	assert_int_equal(guest_ram_add_memfd(&ram, 0x3010, 0x1000), 0);
	assert_int_equal(guest_ram_alloc(&ram, 0, 3, 1, &a), 0);
	assert_int_equal(guest_ram_alloc(&ram, 0, 64, 64, &b), 0);
	assert_int_equal(a, 0x3010);
	assert_int_equal(b, 0x3040);
	assert_int_equal(guest_ram_alloc(&ram, 0, 0x1000, 1, &a), -ENOMEM);
	assert_int_equal(guest_ram_alloc(&ram, 1, 1, 1, &a), -EINVAL);
	assert_int_equal(guest_ram_alloc(&ram, 0, 1, 3, &a), -EINVAL);
	guest_ram_fini(&ram);
}

static void test_init_refuses(void **state)
{
	static const struct driver_cfg bad[] = {
		{.size = 0}, {.size = 3}, {.size = 65536}, {.size = 4, .region = 1}};
	struct guest_ram ram;
	struct driver drv;

	guest_ram_init(&ram);
	assert_int_equal(guest_ram_add_memfd(&ram, 0, 0x1000), 0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(driver_init(&drv, &ram, &bad[i]), -EINVAL);
		driver_fini(&drv);
	}
	assert_int_equal(driver_init(&drv, &ram, &(struct driver_cfg){.size = 256}), -ENOMEM);
	guest_ram_fini(&ram);
}

/* All shapes of a chain, in all sizes of a queue, over more than one turn of the 16-bit index. */
static void test_chains_come_back(void **state)
{
	for (unsigned size = 1; size <= 512; size *= 8) {
		struct driver_cfg cfg = {.size = size, .table_entries = 4, .start_idx = 65500};
		struct driver_buf bufs[4];
		struct driver_used used;
		struct fixture fx;

		fixture_init(&fx, &cfg);
		for (unsigned i = 0; i < 4; i++)
			bufs[i] = (struct driver_buf){alloc(&fx, 16, 1), 10 + i, i > 0};
		for (unsigned turn = 0; turn < 70000 / size; turn++) {
			unsigned nr_bufs = 1 + turn % 4, nr_direct = turn % (nr_bufs + 1);
			uint32_t room = (nr_bufs - 1) * 10 + (nr_bufs - 1) * nr_bufs / 2;
			unsigned n = 0;

			while (driver_add(&fx.drv, bufs, nr_bufs, nr_direct, 1000 + n) == 0)
				n++;
			assert_int_equal(n, size / (nr_direct + (nr_direct < nr_bufs ? 1u : 0u)));
			assert_int_equal(toy_poll(&fx.toy), 0);
			driver_publish(&fx.drv);
			assert_int_equal(driver_take(&fx.drv, &used), DRIVER_EMPTY);
			assert_int_equal(toy_poll(&fx.toy), n);
			for (unsigned i = 0; i < n; i++) {
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
	struct driver_cfg cfg = {.size = 4, .table_entries = 2};
	struct driver_buf bufs[8] = {0};
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, &cfg);
	assert_int_equal(driver_build(&fx.drv, bufs, 0, 0, 0, &id), -EINVAL);
	assert_int_equal(driver_build(&fx.drv, bufs, 1, 2, 0, &id), -EINVAL);
	assert_int_equal(driver_build(&fx.drv, bufs, 3, 0, 0, &id), -E2BIG);
	assert_int_equal(driver_build(&fx.drv, bufs, 5, 5, 0, &id), -ENOSPC);
	assert_int_equal(driver_build(&fx.drv, bufs, 5, 3, 0, &id), 0);
	assert_int_equal(driver_build(&fx.drv, bufs, 1, 1, 0, &id), -ENOSPC);
	fixture_fini(&fx);
}

static void test_illegal_answers(void **state)
{
	struct driver_cfg cfg = {.size = 4};
	struct driver_buf buf = {.len_bytes = 64, .writable = true};
	struct driver_used used;
	struct fixture fx;
	uint16_t id;

	fixture_init(&fx, &cfg);
	buf.gpa = alloc(&fx, 64, 64);
	assert_int_equal(driver_build(&fx.drv, &buf, 1, 1, 7, &id), 0);

	toy_answer(&fx.toy, id, 64); /* nothing was offered */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_PROGRESS);
	driver_rude_used_idx(&fx.drv, --fx.toy.used_idx);

	driver_offer(&fx.drv, id);
	driver_publish(&fx.drv);
	toy_answer(&fx.toy, id, 65);
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_TOO_LONG);
	assert_int_equal(used.len_bytes, 65);
	assert_int_equal(used.cookie, 7);

	driver_offer(&fx.drv, id);
	driver_publish(&fx.drv);
	toy_answer(&fx.toy, 4, 1); /* beyond the queue */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_ID);
	toy_answer(&fx.toy, id ^ 1u, 1); /* not outstanding */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_ID);
	toy_answer(&fx.toy, 0x10000u + id, 1); /* the upper half counts too */
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_BAD_ID);
	toy_answer(&fx.toy, id, 64);
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_OK);
	fixture_fini(&fx);
}

/* The decisions about kicks and calls, by flags and by event index, across the index's wrap. */
static void test_kicks_and_calls(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		struct driver_cfg cfg = {.size = 8, .event_idx = event_idx, .start_idx = 65533};
		struct driver_buf buf = {.len_bytes = 8, .writable = true};
		struct driver_used used;
		struct fixture fx;
		uint16_t *avail_event;

		fixture_init(&fx, &cfg);
		avail_event = (uint16_t *)&fx.drv.used->ring[8];
		buf.gpa = alloc(&fx, 8, 8);
		*avail_event = 65533;
		assert_false(driver_kick_needed(&fx.drv));
		assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
		driver_publish(&fx.drv);
		assert_true(driver_kick_needed(&fx.drv));
		assert_false(driver_kick_needed(&fx.drv)); /* it was asked about already */
		*avail_event = 0; /* wants to hear of the entry with index 0 */
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
			driver_publish(&fx.drv);
			assert_int_equal(driver_kick_needed(&fx.drv), !event_idx || i == 2);
		}
		fx.drv.used->flags = VRING_USED_F_NO_NOTIFY;
		*avail_event = fx.drv.avail_next;
		assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
		driver_publish(&fx.drv);
		assert_int_equal(driver_kick_needed(&fx.drv), event_idx);

		assert_false(driver_calls_on(&fx.drv));
		assert_int_equal(fx.drv.avail->flags, 0);
		if (event_idx)
			assert_int_equal(fx.drv.avail->ring[8], 65533);
		assert_int_equal(toy_poll(&fx.toy), 6);
		assert_true(driver_calls_on(&fx.drv));
		driver_calls_off(&fx.drv);
		if (event_idx) { /* an event that 30000 answers don't reach */
			assert_int_equal(fx.drv.avail->flags, 0);
			assert_false(vring_need_event(
				fx.drv.avail->ring[8], (uint16_t)(65533 + 30000), 65533));
		} else {
			assert_int_equal(fx.drv.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
		}
		for (unsigned i = 0; i < 100000; i++) {
			uint16_t before = fx.drv.used_next;

			if (driver_take(&fx.drv, &used) == DRIVER_OK && event_idx)
				assert_false(vring_need_event(
					fx.drv.avail->ring[8], fx.drv.used_next, before));
			assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
			driver_publish(&fx.drv);
			toy_poll(&fx.toy);
		}
		fixture_fini(&fx);
	}
}

static void test_reset_and_resume(void **state)
{
	struct driver_cfg cfg = {.size = 4, .start_idx = 9};
	struct driver_buf buf = {.len_bytes = 8, .writable = true};
	struct driver_used used;
	struct fixture fx;

	fixture_init(&fx, &cfg);
	buf.gpa = alloc(&fx, 8, 8);
	assert_int_equal(driver_resume_base(&fx.drv), 9);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, i), 0);
	driver_publish(&fx.drv);
	toy_answer(&fx.toy, fx.drv.avail->ring[9 & 3], 8);
	assert_int_equal(driver_resume_base(&fx.drv), 10);
	toy_init(&fx.toy, &fx.ram, &fx.drv); /* a new device goes on from there */
	fx.toy.last_avail = fx.toy.used_idx = driver_resume_base(&fx.drv);
	assert_int_equal(toy_poll(&fx.toy), 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(driver_take(&fx.drv, &used), DRIVER_OK);
		assert_int_equal(used.cookie, i);
	}
	assert_int_equal(driver_add(&fx.drv, &buf, 1, 1, 0), 0);
	driver_publish(&fx.drv);
	driver_reset(&fx.drv);
	toy_init(&fx.toy, &fx.ram, &fx.drv);
	assert_int_equal(toy_poll(&fx.toy), 0);
	assert_int_equal(driver_take(&fx.drv, &used), DRIVER_EMPTY);
	assert_int_equal(fx.drv.nr_free, 4);
	fixture_fini(&fx);
}

/* The driver's own cost, for the reader of the log: nothing is judged by a clock. */
static void test_rate(void **state)
{
	struct driver_cfg cfg = {.size = 128, .event_idx = true};
	struct driver_buf buf = {.len_bytes = 64, .writable = true};
	const unsigned nr_turns = 200000;
	struct driver_used used = {0};
	struct timespec from, to;
	struct fixture fx;
	uint64_t taken = 0;
	uint16_t id;

	fixture_init(&fx, &cfg);
	driver_calls_off(&fx.drv);
	for (unsigned i = 0; i < 128; i++) {
		buf.gpa = alloc(&fx, 64, 64);
		assert_int_equal(driver_build(&fx.drv, &buf, 1, 1, i, &id), 0);
		driver_offer(&fx.drv, id);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned turn = 0; turn < nr_turns; turn++) {
		driver_publish(&fx.drv);
		(void)driver_kick_needed(&fx.drv);
		for (unsigned i = 0; i < 128; i++, fx.toy.last_avail++)
			toy_answer(&fx.toy, fx.drv.avail->ring[fx.toy.last_avail & 127], 64);
		while (driver_take(&fx.drv, &used) == DRIVER_OK) {
			driver_offer(&fx.drv, (uint16_t)used.id);
			taken++;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(taken, nr_turns * 128ull);
	print_message("# driver and instant device on one core: %.1f million requests/s\n",
		(double)taken / ((double)(to.tv_sec - from.tv_sec) * 1e6 +
					(double)(to.tv_nsec - from.tv_nsec) / 1e3));
	fixture_fini(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ram_translates),
		cmocka_unit_test(test_ram_remaps),
		cmocka_unit_test(test_ram_allocates_aligned),
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_chains_come_back),
		cmocka_unit_test(test_build_refuses),
		cmocka_unit_test(test_illegal_answers),
		cmocka_unit_test(test_kicks_and_calls),
		cmocka_unit_test(test_reset_and_resume),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
