/* SPDX-License-Identifier: BSD-3-Clause */
/* Where an lcore's bytes come from: no byte twice, seeds when they are due, nothing without one. */
#include "entropy.h"

#include "stats.h"
#include "unit.h"

#include <errno.h>

#define RING_BYTES   16384
#define SEED_BYTES   48
#define RESEED_BYTES (256 * 1024)

struct fixture {
	struct byte_ring ring;
	uint8_t data[RING_BYTES];
	struct entropy e;
	struct entropy_config cfg;
};

static struct fixture *make(bool drbg, bool continue_unseeded)
{
	struct fixture *fx = aligned_alloc(64, (sizeof(*fx) + 63) / 64 * 64);

	assert_non_null(fx);
	memset(fx, 0, sizeof(*fx));
	assert_int_equal(byte_ring_init(&fx->ring, fx->data, RING_BYTES), 0);
	fx->cfg = (struct entropy_config){
		.ring = &fx->ring,
		.seed_bytes = SEED_BYTES,
		.reseed_bytes = RESEED_BYTES,
		.continue_unseeded = continue_unseeded,
		.nonce = {"nonce nonce nonce nonce", 23},
		.person = {"a test", 6},
	};
	if (drbg)
		assert_int_equal(keystream_create(KEYSTREAM_LIBCRYPTO, &fx->cfg.keystream), 0);
	assert_int_equal(entropy_init(&fx->e, &fx->cfg), 0);
	return fx;
}

static void destroy(struct fixture *fx)
{
	entropy_fini(&fx->e);
	keystream_destroy(fx->cfg.keystream);
	free(fx);
}

static void feed(struct fixture *fx, size_t len, uint8_t first)
{
	while (len > 0) {
		size_t room;
		uint8_t *at = byte_ring_room(&fx->ring, 0, &room);

		assert_int_not_equal(room, 0);
		room = room < len ? room : len;
		for (size_t i = 0; i < room; i++)
			at[i] = first++;
		byte_ring_produce(&fx->ring, room);
		len -= room;
	}
}

static int fill(struct fixture *fx, void *dst, size_t len)
{
	struct iovec seg = {dst, len};

	return entropy_fill(&fx->e, &seg, 1, len);
}

static void test_passthrough(void **state)
{
	struct fixture *fx = make(false, false);
	uint8_t got[100];

	assert_int_equal(entropy_avail(&fx->e, 10), 0);
	assert_false(entropy_is_dry(&fx->e));
	byte_ring_set_dry(&fx->ring, true);
	assert_true(entropy_is_dry(&fx->e));
	feed(fx, 100, 1);
	assert_false(entropy_is_dry(&fx->e));
	assert_int_equal(entropy_avail(&fx->e, 100), 100);
	assert_int_equal(fill(fx, got, 60), 0);
	assert_int_equal(fill(fx, got + 60, 40), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(got[i], i + 1);
	assert_true(is_filled(fx->data, RING_BYTES, 0));
	destroy(fx);
}

static void test_seed_sizes(void **state)
{
	struct fixture *fx = make(true, false);
	struct entropy_config cfg = fx->cfg;
	struct entropy *e = &fx->e;

	cfg.seed_bytes = DRBG_ENTROPY_BYTES_MIN - 1;
	assert_int_equal(entropy_init(e, &cfg), -EINVAL);
	cfg.seed_bytes = ENTROPY_SEED_BYTES_MAX + 1;
	assert_int_equal(entropy_init(e, &cfg), -EINVAL);
	destroy(fx);
}

static void test_nothing_before_the_first_seed(void **state)
{
	struct fixture *fx = make(true, true); /* also with continue_unseeded */

	assert_int_equal(entropy_avail(&fx->e, 64), 0);
	assert_true(entropy_is_dry(&fx->e));
	feed(fx, SEED_BYTES - 1, 0);
	assert_int_equal(entropy_avail(&fx->e, 64), 0);
	assert_int_equal(fx->e.stats.reseeds, 0);
	feed(fx, 1, 0);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	assert_int_equal(fx->e.stats.reseeds, 1);
	assert_true(is_filled(fx->data, RING_BYTES, 0)); /* the seed is wiped */
	assert_true(is_filled(fx->e.seed, sizeof(fx->e.seed), 0));
	destroy(fx);
}

/* The output is that of the DRBG of drbg.c, by both ways, whatever the pieces. */
static void test_output_is_the_drbgs(void **state)
{
	static uint8_t got[3 * DRBG_REQUEST_BYTES_MAX], want[sizeof(got)];
	struct fixture *fx = make(true, false);
	struct iovec segs[3] = {{want, DRBG_REQUEST_BYTES_MAX}};
	uint8_t seed[SEED_BYTES];
	struct keystream *ks;
	struct drbg d;

	for (unsigned i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)i;
	assert_int_equal(keystream_create(KEYSTREAM_LIBCRYPTO, &ks), 0);
	assert_int_equal(drbg_instantiate(&d, ks, (struct drbg_input){seed, sizeof(seed)},
				 fx->cfg.nonce, fx->cfg.person),
		0);
	feed(fx, SEED_BYTES, 0);

	/* Large: straight, 64 KiB a Generate, over three pieces. */
	assert_int_equal(entropy_avail(&fx->e, sizeof(got)), sizeof(got));
	for (unsigned i = 0; i < 3; i++) {
		segs[0].iov_base = want + i * DRBG_REQUEST_BYTES_MAX;
		assert_int_equal(drbg_generate(&d, segs, 1, (struct drbg_input){NULL, 0}), 0);
	}
	segs[0] = (struct iovec){got, 100000};
	segs[1] = (struct iovec){got + 100000, 30001};
	segs[2] = (struct iovec){got + 130001, sizeof(got) - 130001};
	assert_int_equal(entropy_fill(&fx->e, segs, 3, sizeof(got)), 0);
	assert_memory_equal(got, want, sizeof(got));

	/* Small: from a pool, a Generate of ENTROPY_POOL_BYTES each; nothing of it stays. */
	segs[0] = (struct iovec){want, ENTROPY_POOL_BYTES};
	assert_int_equal(drbg_generate(&d, segs, 1, (struct drbg_input){NULL, 0}), 0);
	for (size_t at = 0; at < ENTROPY_POOL_BYTES; at += 64)
		assert_int_equal(fill(fx, got + at, 64), 0);
	assert_memory_equal(got, want, ENTROPY_POOL_BYTES);
	assert_true(is_filled(fx->e.pool, sizeof(fx->e.pool), 0));
	drbg_uninstantiate(&d);
	keystream_destroy(ks);
	destroy(fx);
}

/* Take bytes until a reseed is due. */
static void use_up(struct fixture *fx)
{
	static uint8_t sink[65536];

	while (fx->e.stats.generated < RESEED_BYTES) {
		assert_int_equal(entropy_avail(&fx->e, sizeof(sink)), sizeof(sink));
		assert_int_equal(fill(fx, sink, sizeof(sink)), 0);
	}
}

static void test_reseed_by_bytes(void **state)
{
	struct fixture *fx = make(true, false);

	feed(fx, SEED_BYTES, 0);
	use_up(fx);
	assert_int_equal(fx->e.stats.reseeds, 1);
	assert_int_equal(entropy_avail(&fx->e, 64), 0); /* due, and no seed */
	assert_int_equal(fx->e.stats.overdue, 1);
	feed(fx, SEED_BYTES, 100);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	assert_int_equal(fx->e.stats.reseeds, 2);
	assert_int_equal(fx->e.stats.overdue, 0);
	assert_int_equal(fx->e.stats.generated, 0);
	destroy(fx);
}

static void test_continue_unseeded(void **state)
{
	struct fixture *fx = make(true, true);

	feed(fx, SEED_BYTES, 0);
	use_up(fx);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	assert_int_equal(fx->e.stats.overdue, 1); /* but it is said */
	feed(fx, SEED_BYTES, 100);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	assert_int_equal(fx->e.stats.overdue, 0);
	assert_int_equal(fx->e.stats.reseeds, 2);
	destroy(fx);
}

static void test_reseed_wanted_and_due(void **state)
{
	struct fixture *fx = make(true, false);

	feed(fx, SEED_BYTES, 0);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	entropy_want_reseed(&fx->e, false);
	assert_int_equal(entropy_avail(&fx->e, 64), 64); /* nobody waits for what is wanted */
	assert_int_equal(fx->e.stats.reseeds, 1);
	feed(fx, SEED_BYTES, 1);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	assert_int_equal(fx->e.stats.reseeds, 2);
	entropy_want_reseed(&fx->e, true);
	assert_int_equal(entropy_avail(&fx->e, 64), 0);
	entropy_want_reseed(&fx->e, false); /* takes nothing back */
	assert_int_equal(entropy_avail(&fx->e, 64), 0);
	feed(fx, SEED_BYTES, 2);
	assert_int_equal(entropy_avail(&fx->e, 64), 64);
	assert_int_equal(fx->e.stats.reseeds, 3);
	destroy(fx);
}

/* After a reseed nothing comes that was generated before it. */
static void test_reseed_empties_the_pool(void **state)
{
	struct fixture *fx = make(true, false);
	uint8_t byte;

	feed(fx, SEED_BYTES, 0);
	assert_int_equal(entropy_avail(&fx->e, 1), 1);
	assert_int_equal(fill(fx, &byte, 1), 0);
	assert_int_equal(fx->e.pool_left, ENTROPY_POOL_BYTES - 1);
	entropy_want_reseed(&fx->e, false);
	feed(fx, SEED_BYTES, 9);
	assert_int_equal(entropy_avail(&fx->e, 1), 1);
	assert_int_equal(fx->e.pool_left, 0);
	assert_true(is_filled(fx->e.pool, sizeof(fx->e.pool), 0));
	destroy(fx);
}

/* Of many seeds in the ring (a start-up test leaves them) the newest are used. */
static void test_old_seeds_are_dropped(void **state)
{
	struct fixture *fx = make(true, false);

	feed(fx, 20 * SEED_BYTES, 0);
	assert_int_equal(entropy_avail(&fx->e, 1), 1);
	assert_int_equal(fx->e.stats.reseeds, 1);
	assert_int_equal(byte_ring_fill(&fx->ring), SEED_BYTES);
	destroy(fx);
}

/* Two with the same seed and another nonce have nothing in common. */
static void test_nonce_parts_the_streams(void **state)
{
	struct fixture *a = make(true, false), *b = make(true, false);
	uint8_t from_a[64], from_b[64];

	b->e.cfg.nonce.data = "nonce nonce nonce noncf";
	feed(a, SEED_BYTES, 0);
	feed(b, SEED_BYTES, 0);
	assert_int_equal(entropy_avail(&a->e, 64) + entropy_avail(&b->e, 64), 128);
	assert_int_equal(fill(a, from_a, 64), 0);
	assert_int_equal(fill(b, from_b, 64), 0);
	assert_memory_not_equal(from_a, from_b, 64);
	destroy(a);
	destroy(b);
}

/* Who may draw bytes itself does, when they are wanted; and lives on the ring when it cannot. */
struct well {
	struct byte_ring ring;
	uint8_t data[1024];
	uint8_t next;
	bool open;
	size_t drawn;
};

static void draw(void *arg, size_t want_bytes)
{
	struct well *well = arg;

	for (; well->open && want_bytes > 0; want_bytes--) {
		size_t room;
		uint8_t *at = byte_ring_room(&well->ring, 0, &room);

		if (room == 0)
			return;
		*at = well->next++;
		byte_ring_produce(&well->ring, 1);
		well->drawn++;
	}
}

static void test_own_bytes(void **state)
{
	struct fixture *fx = make(false, false);
	struct well well = {.next = 200, .open = true};
	uint8_t got[64];

	assert_int_equal(byte_ring_init(&well.ring, well.data, sizeof(well.data)), 0);
	fx->cfg.own = &well.ring;
	fx->cfg.refill = draw;
	fx->cfg.refill_arg = &well;
	assert_int_equal(entropy_init(&fx->e, &fx->cfg), 0);
	feed(fx, 100, 1);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(entropy_avail(&fx->e, 64) >= 64);
		assert_int_equal(fill(fx, got, 64), 0);
		for (unsigned j = 0; j < 64; j++)
			assert_int_equal(got[j], (uint8_t)(200 + 64 * i + j));
	}
	assert_int_equal(well.drawn, 40 * 64);
	/* What it has drawn first, then the ring's. */
	draw(&well, 10);
	well.open = false;
	assert_int_equal(entropy_avail(&fx->e, 64), 10);
	assert_int_equal(fill(fx, got, 10), 0);
	assert_int_equal(entropy_avail(&fx->e, 64), 100);
	assert_int_equal(fill(fx, got, 64), 0);
	for (unsigned j = 0; j < 64; j++)
		assert_int_equal(got[j], 1 + j);
	assert_int_equal(entropy_avail(&fx->e, 64), 36);
	assert_int_equal(fill(fx, got, 36), 0);
	assert_int_equal(entropy_avail(&fx->e, 64), 0);
	assert_false(entropy_is_dry(&fx->e));
	byte_ring_set_dry(&fx->ring, true);
	assert_true(entropy_is_dry(&fx->e));
	well.open = true;
	assert_true(entropy_avail(&fx->e, 64) >= 64);
	destroy(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passthrough),
		cmocka_unit_test(test_own_bytes),
		cmocka_unit_test(test_seed_sizes),
		cmocka_unit_test(test_nothing_before_the_first_seed),
		cmocka_unit_test(test_output_is_the_drbgs),
		cmocka_unit_test(test_reseed_by_bytes),
		cmocka_unit_test(test_continue_unseeded),
		cmocka_unit_test(test_reseed_wanted_and_due),
		cmocka_unit_test(test_reseed_empties_the_pool),
		cmocka_unit_test(test_old_seeds_are_dropped),
		cmocka_unit_test(test_nonce_parts_the_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
