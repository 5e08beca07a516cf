/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's generator by its fast door, from which lcores draw themselves: when there is none,
 * when it turns bad, and when the path comes to name another source. fake_vdso.c plays the door.
 */
#include "daemon.h"
#include "guest.h"
#include "stream.h"
#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUF_BYTES  4096
#define GOOD_BYTES (4 << 20)

struct fixture {
	struct daemon daemon;
	struct guest guest;
	uint64_t gpa;
};

static int setup(void **state)
{
	daemon_fixture(state, sizeof(struct fixture));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	unsetenv("LD_PRELOAD");
	guest_fini(&fx->guest);
	return daemon_fixture_end(state);
}

/* Start the daemon with such a door ("": the kernel's own), and connect a guest. */
static void up(struct fixture *fx, const char *door, const char *const *args)
{
	if (door[0] != '\0') {
		setenv("FAKE_VDSO", door, 1);
		setenv("LD_PRELOAD", getenv("VRNG_FAKE_VDSO"), 1);
	}
	daemon_start(&fx->daemon, 1, args);
	unsetenv("LD_PRELOAD");
	guest_init(&fx->guest, &(struct guest_cfg){0});
	fx->gpa = guest_alloc(&fx->guest, 0, BUF_BYTES);
	guest_connect(&fx->guest, fx->daemon.socket[0]);
}

/* The answer to a request of so many bytes. @return false when there is none */
static bool get_some(struct fixture *fx, uint8_t *buf, uint32_t len_bytes, int limit_ms)
{
	struct driver_used used;

	if (fx->guest.drv.nr_offered == 0)
		guest_request(&fx->guest, fx->gpa, len_bytes, 0);
	if (!guest_take(&fx->guest, &used, limit_ms))
		return false;
	memset(buf, 0xff, BUF_BYTES);
	assert_int_equal(guest_ram_read(&fx->guest.ram, fx->gpa, buf, used.len_bytes), 0);
	return true;
}

static bool get(struct fixture *fx, uint8_t *buf, int limit_ms)
{
	return get_some(fx, buf, BUF_BYTES, limit_ms);
}

/* Zeros in a row, which chance does not bring. */
static void assert_no_zeros(const uint8_t *buf)
{
	static const uint8_t zeros[8];

	for (size_t i = 0; i + sizeof(zeros) <= BUF_BYTES; i++)
		assert_memory_not_equal(buf + i, zeros, sizeof(zeros));
}

static void test_absent(void **state)
{
	struct fixture *fx = *state;
	uint8_t buf[BUF_BYTES];

	up(fx, "absent", NULL);
	for (unsigned i = 0; i < 500; i++) {
		assert_true(get(fx, buf, LIVENESS_MS));
		assert_no_zeros(buf);
	}
}

/* It turns to zeros: not one of them reaches the guest, which then waits. */
static void test_turns_to_zeros(void **state)
{
	struct fixture *fx = *state;
	uint8_t buf[BUF_BYTES];
	unsigned answers = 0;

	up(fx, "4194304", NULL);
	while (get(fx, buf, answers < 10 ? LIVENESS_MS : 1000)) {
		assert_no_zeros(buf);
		answers++;
	}
	assert_in_range(answers, 500, GOOD_BYTES / 256);
	daemon_wait_until_said(&fx->daemon, "as lcores draw from it, failed a test");
	daemon_assert_alive(&fx->daemon);
}

static void take_small(struct fixture *fx, unsigned n)
{
	uint8_t buf[BUF_BYTES];

	for (unsigned i = 0; i < n; i++) {
		assert_true(get_some(fx, buf, 64, LIVENESS_MS));
		assert_no_zeros(buf);
	}
}

enum file_byte { GOOD, ZEROS, UNINITIALISED }; /* see fake_vdso.c */

/* From now on the kernel's generator is as 'byte' says. */
static void set_kernel(struct fixture *fx, uint8_t byte)
{
	int fd = open(fx->daemon.source, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
	close(fd);
}

/*
 * It turns to zeros and back, while a guest asks for little: what was drawn before is still there,
 * and leaves little room for what is drawn when it is tried again, after a second.
 */
static void test_comes_back(void **state)
{
	struct fixture *fx = *state;

	write_file(fx->daemon.source, "", 1);
	up(fx, fx->daemon.source, NULL);
	take_small(fx, 1000);
	for (unsigned i = 0; i < 2; i++) {
		set_kernel(fx, ZEROS);
		take_small(fx, 8);
		set_kernel(fx, GOOD);
		sleep_ms(1200);
		take_small(fx, 40);
	}
}

/* The next source serves then, from its start. */
static void test_next_source_serves(void **state)
{
	struct fixture *fx = *state;
	uint8_t buf[BUF_BYTES];

	stream_append(fx->daemon.source, 0, 1 << 20);
	up(fx, "4194304", (const char *[]){"-f", "/dev/urandom", "-f", fx->daemon.source, NULL});
	do {
		assert_true(get(fx, buf, LIVENESS_MS));
		assert_no_zeros(buf);
	} while (stream_locate(buf, 64) < 0);
}

/*
 * Before the kernel's generator is initialised not a byte of it reaches a guest, by whatever way;
 * the log says so. From then on guests are served.
 */
static void wait_for_kernel(struct fixture *fx, const char *door, const char *const *args)
{
	const uint8_t uninitialised = UNINITIALISED;
	uint8_t buf[BUF_BYTES];
	char fake[128];

	write_file(fx->daemon.source, &uninitialised, 1);
	snprintf(fake, sizeof(fake), "%s%s", door, fx->daemon.source);
	up(fx, fake, args);
	assert_false(get(fx, buf, 1500));
	daemon_wait_until_said(&fx->daemon, "generator is not initialised yet");
	daemon_assert_alive(&fx->daemon);
	set_kernel(fx, GOOD);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(get(fx, buf, LIVENESS_MS));
		assert_no_zeros(buf);
	}
	daemon_wait_until_said(&fx->daemon, "gives bytes again");
}

static void test_not_initialised(void **state)
{
	wait_for_kernel(*state, "", NULL);
}

static void test_device_not_initialised(void **state)
{
	wait_for_kernel(*state, "absent:", (const char *[]){"-f", "/dev/random", NULL});
}

static void test_seed_not_initialised(void **state)
{
	wait_for_kernel(*state, "absent:", (const char *[]){"--source-mode=drbg", NULL});
}

/* Meanwhile another source serves, as in the place of any that gives nothing. */
static void test_next_source_until_initialised(void **state)
{
	struct fixture *fx = *state;
	const uint8_t uninitialised = UNINITIALISED;
	char fake[100], file[100];
	uint8_t buf[BUF_BYTES];
	int64_t end;

	snprintf(file, sizeof(file), "%s/file", fx->daemon.dir);
	snprintf(fake, sizeof(fake), "%s/fake", fx->daemon.dir);
	stream_append(file, 0, 16 << 20);
	write_file(fake, &uninitialised, 1);
	up(fx, fake, (const char *[]){"-f", "/dev/urandom", "-f", file, NULL});
	assert_true(get(fx, buf, LIVENESS_MS));
	assert_true(stream_locate(buf, 64) >= 0);
	write_file(fake, "", 1);
	end = now_ms() + LIVENESS_MS;
	do {
		assert_true(get(fx, buf, LIVENESS_MS));
		assert_true(now_ms() < end);
	} while (stream_locate(buf, 64) >= 0);
}

/* The path is a link to the kernel's generator, and then to a file: lcores draw no more. */
static void test_path_names_another_source(void **state)
{
	struct fixture *fx = *state;
	uint8_t buf[BUF_BYTES];
	char file[100], link[100];
	int64_t end;

	snprintf(file, sizeof(file), "%s/file", fx->daemon.dir);
	snprintf(link, sizeof(link), "%s/link", fx->daemon.dir);
	assert_int_equal(symlink("/dev/urandom", fx->daemon.source), 0);
	up(fx, "", (const char *[]){"-f", fx->daemon.source, NULL});
	for (unsigned i = 0; i < 1000; i++)
		assert_true(get(fx, buf, LIVENESS_MS));
	stream_append(file, 0, 1 << 20);
	assert_int_equal(symlink(file, link), 0);
	assert_int_equal(rename(link, fx->daemon.source), 0);
	end = now_ms() + LIVENESS_MS;
	do {
		assert_true(get(fx, buf, LIVENESS_MS));
		assert_true(now_ms() < end);
	} while (stream_locate(buf, 64) < 0);
}

#define DOOR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest with_a_fake[] = {
		DOOR_TEST(test_absent),
		DOOR_TEST(test_turns_to_zeros),
		DOOR_TEST(test_comes_back),
		DOOR_TEST(test_next_source_serves),
		DOOR_TEST(test_path_names_another_source),
		DOOR_TEST(test_not_initialised),
		DOOR_TEST(test_device_not_initialised),
		DOOR_TEST(test_seed_not_initialised),
		DOOR_TEST(test_next_source_until_initialised),
	};
	const struct CMUnitTest with_the_kernels[] = {
		DOOR_TEST(test_path_names_another_source),
	};

	/* Not where nothing can be preloaded: in builds with sanitizers. */
	if (getenv("VRNG_FAKE_VDSO") == NULL)
		return cmocka_run_group_tests(with_the_kernels, NULL, NULL);
	return cmocka_run_group_tests(with_a_fake, NULL, NULL);
}
