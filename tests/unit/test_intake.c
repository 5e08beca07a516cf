/* SPDX-License-Identifier: BSD-3-Clause */
/* A source under watch: nothing untested is given on, nothing of a source that breaks. */
#include "source/intake.h"

#include "directory.h"

#include <errno.h>

#define RING_BYTES 65536
#define SECOND	   UINT64_C(1000000000)

struct fixture {
	struct intake in;
	struct byte_ring ring;
	uint8_t data[RING_BYTES], staging[HEALTH_STARTUP_SAMPLES];
	uint64_t now_ns;
};

static uint64_t seed;

static void sound(uint8_t *dst, size_t len)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (uint8_t)random_next(&seed);
}

static void put(const char *name, const void *bytes, size_t len)
{
	FILE *file = fopen(name, "a");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void put_sound(const char *name, size_t len)
{
	uint8_t *bytes = malloc(len);

	sound(bytes, len);
	put(name, bytes, len);
	free(bytes);
}

static void open_intake(struct fixture *fx, const char *path)
{
	memset(fx, 0, sizeof(*fx));
	assert_int_equal(byte_ring_init(&fx->ring, fx->data, RING_BYTES), 0);
	assert_int_equal(intake_open(&fx->in, path, 8 * HEALTH_BIT), 0);
	fx->in.staging = fx->staging;
	fx->now_ns = SECOND;
}

static enum intake_state feed(struct fixture *fx)
{
	return intake_feed(&fx->in, &fx->ring, 4096, fx->now_ns);
}

/* All that was given on; the ring is empty afterwards. */
static size_t drain(struct fixture *fx, uint8_t *dst, size_t size)
{
	size_t n = byte_ring_avail(&fx->ring, SIZE_MAX);

	assert_true(n <= size);
	byte_ring_read(&fx->ring, dst, n);
	byte_ring_release(&fx->ring);
	return n;
}

static void test_entropy_of_the_kind(void **state)
{
	struct intake in;

	put_sound("regular", 1);
	assert_int_equal(intake_open(&in, "/dev/urandom", 0), 0);
	assert_true(in.entropy_abits == 8 * HEALTH_BIT);
	intake_close(&in);
	assert_int_equal(intake_open(&in, "regular", 0), 0);
	assert_true(in.entropy_abits == HEALTH_BIT);
	intake_close(&in);
	assert_int_equal(intake_open(&in, "regular", 9 * HEALTH_BIT), -EINVAL);
	assert_int_equal(intake_open(&in, "none", 0), -ENOENT);
}

static void test_start_up(void **state)
{
	static uint8_t bytes[HEALTH_STARTUP_SAMPLES + 500], got[sizeof(bytes)];
	struct fixture fx;

	sound(bytes, sizeof(bytes));
	put("f", bytes, HEALTH_STARTUP_SAMPLES - 1);
	open_intake(&fx, "f");
	assert_int_equal(feed(&fx), INTAKE_STARTING);
	assert_true(intake_is_out(&fx.in, fx.now_ns));
	assert_int_equal(feed(&fx), INTAKE_ENDED);
	assert_int_equal(drain(&fx, got, sizeof(got)), 0);

	put("f", bytes + HEALTH_STARTUP_SAMPLES - 1, 501);
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_true(is_filled(fx.staging, sizeof(fx.staging), 0));
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(feed(&fx), INTAKE_ENDED);
	/* All of them, once, in order: also those that were held back. */
	assert_int_equal(drain(&fx, got, sizeof(got)), sizeof(bytes));
	assert_memory_equal(got, bytes, sizeof(bytes));
	assert_int_equal(fx.in.stats.bytes, sizeof(bytes));
	intake_close(&fx.in);
}

/* A source that passes its start-up test while the ring has no room for that is well, too. */
static void test_start_up_with_a_full_ring(void **state)
{
	static uint8_t bytes[HEALTH_STARTUP_SAMPLES + 100], got[RING_BYTES];
	const size_t full = RING_BYTES - HEALTH_STARTUP_SAMPLES + 1;
	struct fixture fx;

	sound(bytes, sizeof(bytes));
	put("f", bytes, sizeof(bytes));
	open_intake(&fx, "f");
	byte_ring_produce(&fx.ring, full);
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(fx.in.stats.bytes, 0);
	assert_true(is_filled(fx.staging, sizeof(fx.staging), 0));
	assert_int_equal(drain(&fx, got, sizeof(got)), full);
	/* What comes after the test is given on. */
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(feed(&fx), INTAKE_ENDED);
	assert_int_equal(drain(&fx, got, sizeof(got)), 100);
	assert_memory_equal(got, bytes + HEALTH_STARTUP_SAMPLES, 100);
	intake_close(&fx.in);
}

/* What is held back finds no room: nothing happens until it does, and no byte is lost. */
static void test_held_back_with_a_full_ring(void **state)
{
	static uint8_t got[RING_BYTES];

	for (unsigned room = 0; room <= 2; room++) {
		struct fixture fx;

		unlink("h");
		put_sound("h", HEALTH_STARTUP_SAMPLES - 3);
		put("h", "\1\7\7", 3);
		open_intake(&fx, "h");
		assert_int_equal(feed(&fx), INTAKE_OK);
		assert_int_equal(fx.in.run_bytes, 2);
		put("h", "\2\3", 2);
		byte_ring_produce(
			&fx.ring, RING_BYTES - byte_ring_avail(&fx.ring, SIZE_MAX) - room);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(feed(&fx), INTAKE_OK);
		assert_int_equal(drain(&fx, got, sizeof(got)), RING_BYTES - room);
		assert_int_equal(feed(&fx), INTAKE_OK);
		assert_int_equal(feed(&fx), INTAKE_ENDED);
		assert_int_equal(drain(&fx, got, sizeof(got)), 4);
		assert_memory_equal(got, "\7\7\2\3", 4);
		intake_close(&fx.in);
	}
}

/* One that was out and is well again is noticed, though nobody needs what it gives. */
static void test_comes_back_with_a_full_ring(void **state)
{
	static uint8_t got[RING_BYTES];
	struct fixture fx;

	put_sound("b", 2 * HEALTH_STARTUP_SAMPLES);
	open_intake(&fx, "b");
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(feed(&fx), INTAKE_ENDED);
	byte_ring_produce(&fx.ring, RING_BYTES - byte_ring_avail(&fx.ring, SIZE_MAX));
	put_sound("b", HEALTH_STARTUP_SAMPLES + 10);
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(fx.in.stats.bytes, 2 * HEALTH_STARTUP_SAMPLES);
	assert_int_equal(drain(&fx, got, sizeof(got)), RING_BYTES);
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(feed(&fx), INTAKE_ENDED);
	assert_int_equal(drain(&fx, got, sizeof(got)), 10);
	intake_close(&fx.in);
}

static void test_fails_at_start(void **state)
{
	struct fixture fx;
	uint8_t got[1];

	open_intake(&fx, "/dev/zero");
	assert_int_equal(feed(&fx), INTAKE_UNWELL);
	assert_int_equal(fx.in.failed_test, HEALTH_REPETITION);
	assert_int_equal(fx.in.stats.unwell, 1);
	assert_int_equal(fx.in.retry_ns, fx.now_ns + SECOND);
	assert_int_equal(drain(&fx, got, sizeof(got)), 0);
	fx.now_ns = fx.in.retry_ns;
	assert_int_equal(feed(&fx), INTAKE_UNWELL);
	assert_int_equal(fx.in.retry_ns, fx.now_ns + 2 * SECOND);
	assert_true(is_filled(fx.data, RING_BYTES, 0));
	assert_true(is_filled(fx.staging, sizeof(fx.staging), 0));
	intake_close(&fx.in);
}

/*
 * A source that turns to zeros, anywhere: in the middle of a read, at its end, in a later one. Not
 * one of the zeros is given on, nor what came in the same read.
 */
static void test_turns_to_zeros(void **state)
{
	static const uint8_t zeros[4096];
	static uint8_t got[RING_BYTES];

	for (unsigned i = 0; i < 200; i++) {
		size_t before = HEALTH_STARTUP_SAMPLES + random_below(&seed, 9000), n;
		uint8_t last = 0x80;
		struct fixture fx;

		unlink("z");
		put_sound("z", before - 1);
		put("z", &last, 1);
		put("z", zeros, 9 + random_below(&seed, 4000));
		open_intake(&fx, "z");
		while (feed(&fx) == INTAKE_OK || fx.in.state == INTAKE_STARTING)
			;
		assert_int_equal(fx.in.state, INTAKE_UNWELL);
		n = drain(&fx, got, sizeof(got));
		assert_true(n <= before);
		assert_true(n + 4096 + 1 >= before); /* whole reads before it were good */
		assert_true(is_filled(fx.data, RING_BYTES, 0));
		intake_close(&fx.in);
	}
}

/* A run that is no failure is late, not lost. */
static void test_run_is_held_back(void **state)
{
	static uint8_t got[HEALTH_STARTUP_SAMPLES + 20];
	struct fixture fx;

	put_sound("r", HEALTH_STARTUP_SAMPLES - 3);
	put("r", "\1\7\7", 3);
	open_intake(&fx, "r");
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(fx.in.run_bytes, 2);
	assert_int_equal(drain(&fx, got, sizeof(got)), HEALTH_STARTUP_SAMPLES - 2);
	put("r", "\7\7\1\2", 4);
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(drain(&fx, got, sizeof(got)), 5);
	assert_memory_equal(got, "\7\7\7\7\1", 5);
	assert_int_equal(feed(&fx), INTAKE_ENDED); /* it stopped: no reason to wait any longer */
	assert_int_equal(drain(&fx, got, sizeof(got)), 1);
	assert_int_equal(got[0], 2);
	intake_close(&fx.in);
}

static void test_another_file_starts_anew(void **state)
{
	static uint8_t got[RING_BYTES];
	struct fixture fx;

	put_sound("old", 100);
	put_sound("new", 2 * HEALTH_STARTUP_SAMPLES);
	assert_int_equal(symlink("old", "link"), 0);
	open_intake(&fx, "link");
	assert_int_equal(feed(&fx), INTAKE_STARTING);
	assert_int_equal(unlink("link"), 0);
	assert_int_equal(symlink("new", "link"), 0);
	fx.now_ns += SECOND;
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(fx.in.files, 1);
	assert_int_equal(fx.in.health.samples, HEALTH_STARTUP_SAMPLES);
	intake_close(&fx.in);
	drain(&fx, got, sizeof(got));
}

/* A device that failed is opened again, which does not make another one of it. */
static void test_device_is_opened_again(void **state)
{
	struct fixture fx;

	open_intake(&fx, "/dev/urandom");
	assert_int_equal(feed(&fx), INTAKE_OK);
	fx.in.state = INTAKE_FAILED;
	fx.now_ns += SECOND;
	assert_int_equal(feed(&fx), INTAKE_OK);
	assert_int_equal(fx.in.health.samples, HEALTH_STARTUP_SAMPLES); /* tested as at first */
	assert_int_equal(fx.in.files, 0);
	intake_close(&fx.in);
}

/* A link names something else from now on. */
static void replace(const char *link, const char *target)
{
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink(target, link), 0);
}

/* It is well for so long, and then fails; @return the time to the next try */
static uint64_t well_for(struct fixture *fx, unsigned seconds)
{
	static uint8_t got[RING_BYTES];

	replace("h", "/dev/urandom");
	for (unsigned s = 0; s < seconds; s++) {
		assert_int_equal(feed(fx), INTAKE_OK);
		drain(fx, got, sizeof(got));
		fx->now_ns += SECOND;
	}
	replace("h", "/dev/zero");
	assert_int_equal(feed(fx), INTAKE_UNWELL);
	return fx->in.retry_ns - fx->now_ns;
}

/* Each failure doubles the time to the next try, and a minute without one forgives. */
static void test_hysteresis(void **state)
{
	struct fixture fx;

	assert_int_equal(symlink("/dev/zero", "h"), 0);
	open_intake(&fx, "h");
	for (unsigned s = 1; s <= 64; s *= 2) {
		assert_int_equal(feed(&fx), INTAKE_UNWELL);
		assert_int_equal(fx.in.retry_ns - fx.now_ns, (s < 60 ? s : 60) * SECOND);
		fx.now_ns = fx.in.retry_ns;
	}
	assert_int_equal(well_for(&fx, 59), 60 * SECOND);
	fx.now_ns = fx.in.retry_ns;
	assert_int_equal(well_for(&fx, 60), SECOND);
	intake_close(&fx.in);
}

/* That it gave nothing in between makes no difference. */
static void test_hysteresis_of_a_slow_source(void **state)
{
	static const uint8_t zeros[100];
	struct fixture fx;
	int writer;

	assert_int_equal(mkfifo("slow", 0600), 0);
	open_intake(&fx, "slow");
	for (unsigned s = 1; s <= 8; s *= 2) {
		assert_int_equal(feed(&fx), INTAKE_ENDED);
		writer = open("slow", O_WRONLY);
		assert_int_equal(feed(&fx), INTAKE_NOT_YET);
		assert_int_equal(write(writer, zeros, sizeof(zeros)), sizeof(zeros));
		assert_int_equal(feed(&fx), INTAKE_UNWELL);
		assert_int_equal(fx.in.retry_ns - fx.now_ns, s * SECOND);
		fx.now_ns = fx.in.retry_ns;
		close(writer);
	}
	intake_close(&fx.in);
}

static void test_when_another_should_serve(void **state)
{
	struct fixture fx;
	int writer;

	assert_int_equal(mkfifo("fifo", 0600), 0);
	open_intake(&fx, "fifo");
	assert_int_equal(feed(&fx), INTAKE_ENDED);
	assert_true(intake_is_out(&fx.in, fx.now_ns)); /* nobody writes */
	writer = open("fifo", O_WRONLY);
	assert_int_equal(feed(&fx), INTAKE_NOT_YET);
	assert_false(intake_is_out(&fx.in, fx.now_ns)); /* a moment late */
	fx.now_ns += SECOND;
	assert_int_equal(feed(&fx), INTAKE_NOT_YET);
	assert_true(intake_is_out(&fx.in, fx.now_ns));
	close(writer);
	intake_close(&fx.in);
}

static int choose_seed(void **state)
{
	seed = random_seed("intake");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		directory_test(test_entropy_of_the_kind),
		directory_test(test_start_up),
		directory_test(test_start_up_with_a_full_ring),
		directory_test(test_held_back_with_a_full_ring),
		directory_test(test_comes_back_with_a_full_ring),
		directory_test(test_fails_at_start),
		directory_test(test_turns_to_zeros),
		directory_test(test_run_is_held_back),
		directory_test(test_another_file_starts_anew),
		directory_test(test_device_is_opened_again),
		directory_test(test_hysteresis),
		directory_test(test_hysteresis_of_a_slow_source),
		directory_test(test_when_another_should_serve),
	};

	return cmocka_run_group_tests(tests, choose_seed, NULL);
}
