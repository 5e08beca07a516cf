/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DRBG mode and sources that break: what guests get, and when they get nothing.
 */
#include "daemon.h"
#include "guest.h"
#include "util.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUF_BYTES  4096
#define BLOCK	   32 /* no such block comes twice, but by a chance of 2^-200 and less */
#define DEPTH	   16
#define REQ_MAX	   100000
#define FILE_BYTES 100000

struct player {
	struct guest guest;
	uint64_t gpa; /* of DEPTH buffers */
};

struct fixture {
	struct daemon daemon[2];
	struct player player[2];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	stay_off_lcores();
	*state = fx;
	daemon_init(&fx->daemon[0]);
	daemon_init(&fx->daemon[1]);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	for (unsigned i = 0; i < 2; i++) {
		guest_fini(&fx->player[i].guest);
		daemon_fini(&fx->daemon[i]);
	}
	free(fx);
	return 0;
}

/* Let the daemon's source be another file. */
static void point_source(struct daemon *d, const char *target)
{
	char next[96];

	snprintf(next, sizeof(next), "%s.next", d->source);
	unlink(next);
	assert_int_equal(symlink(target, next), 0);
	assert_int_equal(rename(next, d->source), 0);
}

static struct player *connect_player(struct fixture *fx, unsigned i, const char *socket)
{
	struct player *p = &fx->player[i];

	guest_init(&p->guest, &(struct guest_cfg){.event_idx = true});
	p->gpa = guest_alloc(&p->guest, 0, (uint64_t)DEPTH * REQ_MAX);
	guest_connect(&p->guest, socket);
	return p;
}

/* Fill 'dst' by requests of 'req_bytes'. */
static void take_bytes(struct player *p, uint8_t *dst, size_t len, uint32_t req_bytes)
{
	struct guest *g = &p->guest;

	while (len > 0) {
		struct driver_used used;
		size_t n;

		for (unsigned i = 0; i < DEPTH; i++)
			guest_ask(g, p->gpa + i * req_bytes, req_bytes, i);
		guest_show(g);
		for (unsigned i = 0; i < DEPTH; i++) {
			guest_must_take(g, &used);
			n = used.len_bytes < len ? used.len_bytes : len;
			assert_int_equal(
				guest_ram_read(&g->ram, p->gpa + used.cookie * req_bytes, dst, n),
				0);
			dst += n;
			len -= n;
		}
	}
}

static int compare_blocks(const void *a, const void *b)
{
	return memcmp(a, b, BLOCK);
}

/* No block twice; sorts 'bytes'. */
static void assert_no_block_twice(uint8_t *bytes, size_t len)
{
	qsort(bytes, len / BLOCK, BLOCK, compare_blocks);
	for (size_t at = BLOCK; at + BLOCK <= len; at += BLOCK)
		assert_memory_not_equal(bytes + at - BLOCK, bytes + at, BLOCK);
}

/* Two guests on one lcore, small requests and large ones: all of it is different. */
static void test_no_block_twice(void **state)
{
	static const uint32_t sizes[] = {64, 1000, 4096, 100000};
	const size_t part = 512 * 1024;
	struct fixture *fx = *state;
	uint8_t *bytes = malloc(8 * part), *at = bytes;

	daemon_start(&fx->daemon[0], 2,
		(const char *[]){"--source-mode=drbg", "--reseed-bytes=300k", NULL});
	connect_player(fx, 0, fx->daemon[0].socket[0]);
	connect_player(fx, 1, fx->daemon[0].socket[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned g = 0; g < 2; g++, at += part)
			take_bytes(&fx->player[g], at, part, sizes[i]);
		kill(fx->daemon[0].pid, SIGUSR1);
	}
	assert_no_block_twice(bytes, 8 * part);
	free(bytes);
	assert_int_equal(daemon_stop(&fx->daemon[0], SIGTERM, NULL), 0);
}

/* The same regular file at the same time: the nonces part the two. */
static void test_same_file_other_stream(void **state)
{
	struct fixture *fx = *state;
	uint8_t *bytes = malloc(FILE_BYTES), first[2][BUF_BYTES];

	for (unsigned i = 0; i < FILE_BYTES; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 16);
	for (unsigned i = 0; i < 2; i++) {
		write_file(fx->daemon[i].source, bytes, FILE_BYTES);
		daemon_start(&fx->daemon[i], 1,
			(const char *[]){"--source-mode=drbg", "-f", fx->daemon[i].source, NULL});
	}
	free(bytes);
	for (unsigned i = 0; i < 2; i++) {
		connect_player(fx, i, fx->daemon[i].socket[0]);
		take_bytes(&fx->player[i], first[i], BUF_BYTES, 64);
	}
	for (unsigned i = 0; i < BUF_BYTES; i += BLOCK)
		for (unsigned j = 0; j < BUF_BYTES; j += BLOCK)
			assert_memory_not_equal(first[0] + i, first[1] + j, BLOCK);
}

/* A source that turns to zeros: not one of them reaches the guest, and it is said. */
static void test_zeros_reach_nobody(void **state)
{
	static const uint8_t zeros[16];
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon[0];
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	uint8_t bytes[65536];

	point_source(d, "/dev/urandom");
	daemon_start(d, 1,
		(const char *[]){
			"-f", d->source, "--source-entropy=8", "--sandbox-dir=/dev", NULL});
	connect_player(fx, 0, d->socket[0]);
	guest_assert_served(&fx->player[0].guest);
	point_source(d, "/dev/zero");
	/* Read ahead was enough for a while: go on until that is used up. */
	while (!daemon_said(d, "failed its repetition count test")) {
		take_bytes(&fx->player[0], bytes, sizeof(bytes), BUF_BYTES);
		for (size_t i = 0; i + sizeof(zeros) <= sizeof(bytes); i++)
			assert_memory_not_equal(bytes + i, zeros, sizeof(zeros));
		assert_true(now_ms() < deadline_ms);
	}
	point_source(d, "/dev/urandom");
	guest_assert_served(&fx->player[0].guest);
}

/* The next source serves when one fails, and the first again when it is well. */
static void test_next_source_serves(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon[0];
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	uint8_t bytes[65536];

	point_source(d, "/dev/zero");
	daemon_start(d, 1, (const char *[]){"-f", d->source, "-f", "/dev/urandom", NULL});
	connect_player(fx, 0, d->socket[0]);
	guest_assert_served(&fx->player[0].guest);
	assert_true(daemon_said(d, "source /dev/urandom serves now"));
	point_source(d, "/dev/urandom");
	while (!daemon_said(d, "/source serves now")) {
		take_bytes(&fx->player[0], bytes, sizeof(bytes), BUF_BYTES);
		assert_true(now_ms() < deadline_ms);
	}
}

/* A reseed that is due and cannot be: guests wait, or are served on, as --source-failure says. */
static void reseed_overdue(struct fixture *fx, const char *policy, bool served)
{
	struct daemon *d = &fx->daemon[0];
	struct guest *g = &fx->player[0].guest;
	struct driver_used used;

	point_source(d, "/dev/urandom");
	daemon_start(d, 1,
		(const char *[]){"--source-mode=drbg", "-f", d->source, "--reseed-time=1", policy,
			"--sandbox-dir=/dev", NULL});
	connect_player(fx, 0, d->socket[0]);
	guest_assert_served(g);
	point_source(d, "/dev/zero");
	daemon_wait_until_said(d, "a reseed is due");
	guest_request(g, g->scratch_gpa, 64, 7);
	if (served)
		guest_must_take(g, &used);
	else
		guest_assert_quiet(g, 300);
	point_source(d, "/dev/urandom");
	if (!served)
		guest_must_take(g, &used);
	assert_int_equal(used.cookie, 7);
	assert_int_equal(used.len_bytes, 64);
	daemon_wait_until_said(d, "seeded again");
	guest_assert_served(g);
}

static void test_failure_stop(void **state)
{
	reseed_overdue(*state, "--source-failure=stop", false);
}

static void test_failure_continue(void **state)
{
	reseed_overdue(*state, "--source-failure=continue", true);
}

static void test_mix(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon[0];

	point_source(d, "/dev/zero"); /* one of three is not well */
	daemon_start(d, 1,
		(const char *[]){"--source-mode=drbg", "--source-mix", "-f", "/dev/urandom", "-f",
			d->source, "-f", "/dev/random", NULL});
	connect_player(fx, 0, d->socket[0]);
	guest_assert_served(&fx->player[0].guest);
	for (unsigned i = 0; i < 50; i++) {
		kill(d->pid, SIGUSR1);
		guest_assert_served(&fx->player[0].guest);
		sleep_ms(5);
	}
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
}

/* No source at all from the start: nobody is served, and the daemon can be ended. */
static void test_never_seeded(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon[0];

	daemon_start(d, 1,
		(const char *[]){"--source-mode=drbg", "-f", "/dev/zero",
			"--source-failure=continue", NULL});
	connect_player(fx, 0, d->socket[0]);
	guest_request(&fx->player[0].guest, fx->player[0].guest.scratch_gpa, 64, 1);
	guest_assert_quiet(&fx->player[0].guest, 500);
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
}

/* FIPS 197 §5.1.1: the inverse in GF(2^8), which is the power 254, and an affine map. */
static uint8_t multiply(uint8_t a, uint8_t b)
{
	uint8_t product = 0;

	for (; b != 0; b >>= 1, a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0)))
		product ^= b & 1 ? a : 0;
	return product;
}

static uint8_t s_box(uint8_t byte)
{
	uint8_t power = 1, result = 0x63;

	for (unsigned i = 0; i < 254; i++)
		power = multiply(power, byte);
	for (unsigned i = 0; i < 5; i++)
		result ^= (uint8_t)(power << i | power >> (8 - i));
	return result;
}

/* Whether an expanded AES-256 key begins here: words 8 to 12 by FIPS 197 §5.2. */
static bool is_expanded_key(const uint8_t *k, const uint8_t *sub)
{
	static const uint8_t rcon[4] = {1};

	for (unsigned i = 0; i < 4; i++)
		if (k[32 + i] != (k[i] ^ sub[k[28 + (i + 1) % 4]] ^ rcon[i]))
			return false;
	for (unsigned i = 36; i < 48; i++)
		if (k[i] != (k[i - 32] ^ k[i - 4]))
			return false;
	for (unsigned i = 48; i < 52; i++)
		if (k[i] != (k[i - 32] ^ sub[k[i - 4]]))
			return false;
	return true;
}

static unsigned count_expanded_keys(
	int mem, unsigned long from, unsigned long to, const uint8_t *sub)
{
	uint8_t *bytes = malloc(to - from);
	unsigned n = 0;
	ssize_t len;

	assert_non_null(bytes);
	len = pread(mem, bytes, to - from, (off_t)from);
	for (ssize_t at = 0; at + 52 <= len; at += 4)
		n += is_expanded_key(bytes + at, sub);
	free(bytes);
	return n;
}

/* The lcores' keys are in memory that is locked and out of core dumps, and nowhere else. */
static void test_keys_are_protected(void **state)
{
	const bool has_mlock = getenv("VRNG_FAULTS") != NULL; /* a sanitizer makes it do nothing */
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon[0];
	unsigned long from = 0, to = 0;
	unsigned protected_keys = 0;
	uint8_t sub[256];
	bool writable = false;
	char path[64], line[512];
	FILE *maps;
	int mem;

	for (unsigned i = 0; i < sizeof(sub); i++)
		sub[i] = s_box((uint8_t)i);
	daemon_start(d, 1, (const char *[]){"--source-mode=drbg", "--core-dumps", NULL});
	connect_player(fx, 0, d->socket[0]);
	guest_assert_served(&fx->player[0].guest);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)d->pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)d->pid);
	maps = fopen(path, "re");
	assert_true(mem >= 0 && maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long begin, end;
		char perms[5];
		unsigned n;

		/* Other lines may begin with a hexadecimal digit, too. */
		if (sscanf(line, "%lx-%lx %4s", &begin, &end, perms) == 3) {
			from = begin;
			to = end;
			writable = perms[1] == 'w' && to - from < 1ul << 30;
		}
		if (strncmp(line, "Rss:", 4) == 0 && strtoul(line + 4, NULL, 10) == 0)
			writable = false; /* never touched */
		if (strncmp(line, "VmFlags:", 8) != 0 || !writable)
			continue;
		n = count_expanded_keys(mem, from, to, sub);
		if (n > 0 && strstr(line, " dd") == NULL)
			fail_msg("%u keys in %lx-%lx, which is in core dumps", n, from, to);
		if (n > 0 && has_mlock && strstr(line, " lo") == NULL)
			fail_msg("%u keys in %lx-%lx, which is not locked", n, from, to);
		protected_keys += n;
	}
	fclose(maps);
	close(mem);
	print_message("# expanded keys found: %u, all protected\n", protected_keys);
#ifdef __x86_64__
	if (__builtin_cpu_supports("aes"))
		assert_true(protected_keys > 0); /* else they may have another form */
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_block_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_file_other_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zeros_reach_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_next_source_serves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_continue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_seeded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_protected, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
