/* SPDX-License-Identifier: BSD-3-Clause */
/* Each byte once, in order, and none left behind; on one thread and between two. */
#include "byte_ring.h"

#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define RING_BYTES 64

struct fixture {
	struct byte_ring ring;
	uint8_t data[RING_BYTES];
	uint64_t made, taken; /* how far the stream is */
};

/* The stream: no byte of it is 0, so that what was wiped can be told from what was not. */
static uint8_t stream_at(uint64_t i)
{
	return (uint8_t)(1 + (i * 0x9e3779b97f4a7c15 >> 32) % 255);
}

static void fixture_init(struct fixture *fx)
{
	memset(fx, 0, sizeof(*fx));
	assert_int_equal(byte_ring_init(&fx->ring, fx->data, sizeof(fx->data)), 0);
}

/* Write up to 'len' bytes of the stream. @return how many there was room for */
static size_t produce(struct fixture *fx, size_t len)
{
	size_t done = 0, room;

	while (done < len) {
		uint8_t *to = byte_ring_room(&fx->ring, 0, &room);

		if (room == 0)
			break;
		assert_true(to >= fx->data && to + room <= fx->data + sizeof(fx->data));
		assert_true(is_filled(to, room, 0)); /* nothing stays behind in the ring */
		room = room < len - done ? room : len - done;
		for (size_t i = 0; i < room; i++)
			to[i] = stream_at(fx->made++);
		byte_ring_produce(&fx->ring, room);
		done += room;
	}
	return done;
}

/* Read 'len' bytes, which must be the stream's next ones. */
static void consume(struct fixture *fx, size_t len)
{
	uint8_t out[RING_BYTES];

	assert_true(byte_ring_avail(&fx->ring, len) >= len);
	byte_ring_read(&fx->ring, out, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(out[i], stream_at(fx->taken++));
}

static void test_init_refuses(void **state)
{
	static const size_t bad[] = {0, 3, 63, 65, SIZE_MAX, SIZE_MAX / 2 + 2};
	struct byte_ring ring;
	uint8_t data[1] = {0};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(byte_ring_init(&ring, data, bad[i]), -EINVAL);
	assert_int_equal(byte_ring_init(&ring, data, 1), 0);
}

static void test_starts_empty(void **state)
{
	struct fixture fx;
	size_t room;

	fixture_init(&fx);
	assert_int_equal(byte_ring_avail(&fx.ring, 1), 0);
	assert_int_equal(byte_ring_fill(&fx.ring), 0);
	assert_ptr_equal(byte_ring_room(&fx.ring, 0, &room), fx.data);
	assert_int_equal(room, RING_BYTES);
	assert_false(byte_ring_is_dry(&fx.ring));
}

static void test_full_and_empty_at_every_position(void **state)
{
	struct fixture fx;
	size_t room;

	fixture_init(&fx);
	for (unsigned i = 0; i < 3 * RING_BYTES; i++) {
		assert_int_equal(produce(&fx, RING_BYTES + 1), RING_BYTES);
		byte_ring_room(&fx.ring, 0, &room);
		assert_int_equal(room, 0);
		assert_int_equal(byte_ring_fill(&fx.ring), RING_BYTES);
		consume(&fx, RING_BYTES);
		assert_int_equal(byte_ring_avail(&fx.ring, 1), 0);
		byte_ring_release(&fx.ring);
		assert_true(is_filled(fx.data, RING_BYTES, 0));
		assert_int_equal(produce(&fx, 1), 1); /* go on one further */
		consume(&fx, 1);
		byte_ring_release(&fx.ring);
	}
}

/* What was read is wiped at once, but its room is the producer's only after the release. */
static void test_room_comes_with_release(void **state)
{
	struct fixture fx;
	size_t room;

	fixture_init(&fx);
	produce(&fx, RING_BYTES);
	consume(&fx, 40);
	assert_true(is_filled(fx.data, 40, 0));
	assert_int_equal(byte_ring_fill(&fx.ring), RING_BYTES);
	byte_ring_room(&fx.ring, 0, &room);
	assert_int_equal(room, 0);
	assert_int_equal(byte_ring_avail(&fx.ring, 64), 24);
	byte_ring_release(&fx.ring);
	assert_int_equal(byte_ring_fill(&fx.ring), 24);
	assert_ptr_equal(byte_ring_room(&fx.ring, 0, &room), fx.data);
	assert_int_equal(room, 40);
	for (unsigned i = 40; i < RING_BYTES; i++) /* the others are still there */
		assert_int_equal(fx.data[i], stream_at(i));
}

static void test_avail_is_not_asked_too_often(void **state)
{
	struct fixture fx;

	fixture_init(&fx);
	produce(&fx, 10);
	assert_int_equal(byte_ring_avail(&fx.ring, 1), 10);
	produce(&fx, 10);
	assert_int_equal(byte_ring_avail(&fx.ring, 10), 10); /* enough are known of */
	assert_int_equal(byte_ring_avail(&fx.ring, 11), 20);
}

/* Dry means: nothing there, and nothing coming. */
static void test_dry(void **state)
{
	struct fixture fx;

	fixture_init(&fx);
	produce(&fx, 2);
	byte_ring_set_dry(&fx.ring, true);
	assert_false(byte_ring_is_dry(&fx.ring));
	consume(&fx, 1);
	assert_false(byte_ring_is_dry(&fx.ring));
	consume(&fx, 1);
	assert_true(byte_ring_is_dry(&fx.ring));
	byte_ring_release(&fx.ring);
	assert_true(byte_ring_is_dry(&fx.ring));
	produce(&fx, 1); /* the producer is between produce and set_dry(false) */
	assert_false(byte_ring_is_dry(&fx.ring));
	consume(&fx, 1);
	byte_ring_set_dry(&fx.ring, false);
	assert_false(byte_ring_is_dry(&fx.ring));
}

static void test_one_byte_ring(void **state)
{
	struct byte_ring ring;
	uint8_t data[1] = {0}, out;
	size_t room;

	assert_int_equal(byte_ring_init(&ring, data, 1), 0);
	for (unsigned i = 1; i < 300; i++) {
		*byte_ring_room(&ring, 0, &room) = (uint8_t)i;
		assert_int_equal(room, 1);
		byte_ring_produce(&ring, 1);
		byte_ring_room(&ring, 0, &room);
		assert_int_equal(room, 0);
		assert_int_equal(byte_ring_avail(&ring, 9), 1);
		byte_ring_read(&ring, &out, 1);
		byte_ring_release(&ring);
		assert_int_equal(out, (uint8_t)i);
		assert_int_equal(data[0], 0);
	}
}

static void test_random_steps(void **state)
{
	uint64_t seed = random_seed("random_steps");
	struct fixture fx;

	fixture_init(&fx);
	for (unsigned i = 0; i < 100000; i++) {
		size_t n = random_below(&seed, RING_BYTES + 1), room, avail;

		switch (random_below(&seed, 3)) {
		case 0:
			room = RING_BYTES - byte_ring_fill(&fx.ring);
			assert_int_equal(produce(&fx, n), n < room ? n : room);
			break;
		case 1:
			avail = byte_ring_avail(&fx.ring, RING_BYTES);
			assert_int_equal(avail, fx.made - fx.taken);
			consume(&fx, n < avail ? n : avail);
			break;
		case 2:
			byte_ring_release(&fx.ring);
			assert_int_equal(byte_ring_fill(&fx.ring), fx.made - fx.taken);
			break;
		}
	}
}

/* Two threads. Neither asserts: cmocka's assertions belong to the main thread. */

#define STRESS_RING  4096
#define STRESS_BYTES (24u << 20)

struct stress {
	struct byte_ring ring;
	uint8_t data[STRESS_RING];
	uint64_t seed;
	bool dirty; /* producer: rw; a byte was not wiped before its room came back */
};

static void *stress_produce(void *arg)
{
	struct stress *s = arg;
	uint64_t seed = s->seed + 1, made = 0;

	while (made < STRESS_BYTES) {
		size_t room, n;
		uint8_t *to = byte_ring_room(&s->ring, 0, &room);

		if (room == 0) {
			sched_yield();
			continue;
		}
		if (!is_filled(to, room, 0))
			s->dirty = true;
		n = 1 + random_below(&seed, room);
		n = n < STRESS_BYTES - made ? n : STRESS_BYTES - made;
		for (size_t i = 0; i < n; i++)
			to[i] = stream_at(made++);
		byte_ring_produce(&s->ring, n);
	}
	byte_ring_set_dry(&s->ring, true);
	return NULL;
}

/* @return how many bytes came right until the ring was dry */
static uint64_t stress_consume(struct stress *s)
{
	uint8_t out[STRESS_RING];
	uint64_t seed = s->seed + 2, right = 0;

	for (;;) {
		size_t want = 1 + random_below(&seed, STRESS_RING);
		size_t n = byte_ring_avail(&s->ring, want);

		if (n == 0) {
			if (byte_ring_is_dry(&s->ring))
				return right;
			byte_ring_release(&s->ring);
			sched_yield();
			continue;
		}
		n = n < want ? n : want;
		byte_ring_read(&s->ring, out, n);
		if (!random_once_in(&seed, 4))
			byte_ring_release(&s->ring);
		for (size_t i = 0; i < n; i++)
			right += out[i] == stream_at(right);
	}
}

static void test_two_threads(void **state)
{
	static struct stress s;
	pthread_t producer;
	uint64_t right;

	s.seed = random_seed("two_threads");
	assert_int_equal(byte_ring_init(&s.ring, s.data, sizeof(s.data)), 0);
	assert_int_equal(pthread_create(&producer, NULL, stress_produce, &s), 0);
	right = stress_consume(&s);
	byte_ring_release(&s.ring);
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_int_equal(right, STRESS_BYTES);
	assert_false(s.dirty);
	assert_true(is_filled(s.data, sizeof(s.data), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_starts_empty),
		cmocka_unit_test(test_full_and_empty_at_every_position),
		cmocka_unit_test(test_room_comes_with_release),
		cmocka_unit_test(test_avail_is_not_asked_too_often),
		cmocka_unit_test(test_dry),
		cmocka_unit_test(test_one_byte_ring),
		cmocka_unit_test(test_random_steps),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
