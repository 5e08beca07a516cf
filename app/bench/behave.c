/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end does when a guest or a front-end does something unusual: one case per run, told
 * as a line of JSON. scripts/compare.sh runs it against several back-ends and judges. Not
 * installed.
 *
 * Numbers that are -1 mean: no answer within the time limit.
 */
#include "clock.h"
#include "driver_rude.h"
#include "frontend.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RAM_GPA	     0x100000ull
#define DATA_GPA     0x40000000ull
#define RAM_BYTES    (1u << 20)
#define BUFFER_BYTES 4096u
#define HOG_BYTES    (256u << 20)
#define POISON	     0xa5
#define PATIENCE_MS  1000
#define WANT	     (1ull << VIRTIO_RING_F_INDIRECT_DESC)

struct guest {
	struct guest_ram ram;
	struct driver drv;
	struct frontend *fe;
	uint64_t buffer_gpa;
};

static int64_t now_us(void)
{
	return (int64_t)(clock_now_ns() / 1000);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void must(int err, const char *what)
{
	if (err == 0)
		return;
	printf("{\"failed\": \"%s: %s\"}\n", what, strerror(-err));
	exit(1);
}

static int try_connect(struct guest *g, const char *path, int timeout_ms)
{
	uint64_t got;
	int err = frontend_create(
		&(struct frontend_cfg){.socket_path = path, .timeout_ms = timeout_ms}, &g->fe);

	if (err == 0)
		err = frontend_negotiate(g->fe, WANT, &got);
	if (err == 0)
		err = frontend_set_memory(g->fe, &g->ram);
	if (err == 0)
		err = frontend_start_ring(g->fe, &g->drv, driver_resume_base(&g->drv));
	return err == 0 ? frontend_sync(g->fe) : err;
}

/* @param data_bytes  of a region of its own for buffers, which nobody can forbid to truncate */
static void make_guest(struct guest *g, uint64_t data_bytes)
{
	const struct guest_ram_region_cfg data = {
		.gpa = DATA_GPA, .size_bytes = data_bytes, .unsealable = true};

	*g = (struct guest){0};
	guest_ram_init(&g->ram);
	must(guest_ram_add_memfd(&g->ram, RAM_GPA, RAM_BYTES), "memory");
	must(guest_ram_add(&g->ram, &data), "memory");
	must(driver_init(&g->drv, &g->ram, &(struct driver_cfg){.size = 64, .table_entries = 4}),
		"queue");
	g->buffer_gpa = DATA_GPA;
}

static void connect_guest(struct guest *g, const char *path)
{
	make_guest(g, RAM_BYTES);
	must(try_connect(g, path, 20000), "connect");
}

/* A back-end may need a while until it listens again. */
static void reconnect(struct guest *g, const char *path)
{
	int64_t deadline_us = now_us() + 10000000;
	int err;

	do {
		frontend_destroy(g->fe);
		g->fe = NULL;
		driver_reset(&g->drv);
		sleep_ms(200);
		err = try_connect(g, path, 20000);
	} while (err != 0 && now_us() < deadline_us);
	must(err, "reconnect");
}

static void show(struct guest *g)
{
	driver_publish(&g->drv);
	(void)driver_kick_needed(&g->drv);
	frontend_kick(g->fe);
}

static void offer(struct guest *g, const struct driver_buf *bufs, unsigned n, unsigned nr_direct)
{
	must(driver_add(&g->drv, bufs, n, nr_direct, 0), "request");
	show(g);
}

/* Length of the next answer, or -1. */
static long answer(struct guest *g, long patience_ms)
{
	int64_t deadline_us = now_us() + patience_ms * 1000;
	struct driver_used used = {0};

	while (now_us() < deadline_us) {
		enum driver_result r = driver_take(&g->drv, &used);

		if (r == DRIVER_OK || r == DRIVER_TOO_LONG || r == DRIVER_BAD_ID)
			return (long)used.len_bytes;
		sched_yield();
	}
	return -1;
}

static long ask(struct guest *g, uint32_t len, long patience_ms)
{
	offer(g, &(struct driver_buf){g->buffer_gpa, len, true}, 1, 1);
	return answer(g, patience_ms);
}

/* An unusual request, a usual one after it, one after a reset, one after a new connection. */
static void afterwards(struct guest *g, const char *path)
{
	long first = answer(g, PATIENCE_MS), then = ask(g, 64, PATIENCE_MS), after_reset = -1;
	int err = frontend_stop_ring(g->fe, NULL);

	if (err == 0) {
		driver_reset(&g->drv);
		err = frontend_start_ring(g->fe, &g->drv, 0);
	}
	if (err == 0)
		after_reset = ask(g, 64, PATIENCE_MS);
	reconnect(g, path);
	printf("{\"first\": %ld, \"then\": %ld, \"after_reset\": %ld, \"after_reconnect\": %ld}\n",
		first, then, after_reset, ask(g, 64, PATIENCE_MS));
}

static void case_chain(const char *path)
{
	struct guest g;

	connect_guest(&g, path);
	offer(&g, (struct driver_buf[]){{g.buffer_gpa, 64, true}, {g.buffer_gpa + 64, 64, true}}, 2,
		2);
	afterwards(&g, path);
}

static void case_indirect(const char *path)
{
	struct guest g;

	connect_guest(&g, path);
	offer(&g, &(struct driver_buf){g.buffer_gpa, 64, true}, 1, 0);
	afterwards(&g, path);
}

static void case_readable(const char *path)
{
	struct guest g;

	connect_guest(&g, path);
	offer(&g, &(struct driver_buf){g.buffer_gpa, 64, false}, 1, 1);
	afterwards(&g, path);
}

static void case_bad_head(const char *path)
{
	struct guest g;

	connect_guest(&g, path);
	driver_rude_push(&g.drv, 0xffff);
	show(&g);
	afterwards(&g, path);
}

static void case_bad_index(const char *path)
{
	struct guest g;

	connect_guest(&g, path);
	driver_rude_jump(&g.drv, 1000);
	frontend_kick(g.fe);
	afterwards(&g, path);
}

/* A guest that reboots: the queue is stopped and starts anew, over the same connection. */
static void case_reset(const char *path)
{
	struct guest g;
	long first, second, after;

	connect_guest(&g, path);
	first = ask(&g, 64, PATIENCE_MS);
	second = ask(&g, 64, PATIENCE_MS);
	must(frontend_stop_ring(g.fe, NULL), "stop");
	driver_reset(&g.drv);
	must(frontend_start_ring(g.fe, &g.drv, 0), "start");
	after = ask(&g, 64, PATIENCE_MS);
	printf("{\"first\": %ld, \"second\": %ld, \"after_reset\": %ld, \"used_idx\": %u}\n", first,
		second, after, g.drv.used->idx);
}

/* Two requests, the second one has to wait for the next period; then the guest resets. */
static void case_reset_throttled(const char *path, long period_ms)
{
	struct guest g;
	int64_t from_us;
	long first, stop_ms;
	uint16_t used_before;
	int err, changed;

	connect_guest(&g, path);
	first = ask(&g, 64, PATIENCE_MS);
	must(guest_ram_fill(&g.ram, DATA_GPA, BUFFER_BYTES, POISON), "fill");
	offer(&g, &(struct driver_buf){DATA_GPA, 64, true}, 1, 1);
	sleep_ms(100);
	from_us = now_us();
	err = frontend_stop_ring(g.fe, NULL);
	stop_ms = err == 0 ? (long)(now_us() - from_us) / 1000 : -1;
	used_before = g.drv.used->idx;
	/* What is written from here on goes to memory that the guest uses for something else. */
	changed = guest_ram_check(&g.ram, DATA_GPA, BUFFER_BYTES, POISON, NULL);
	must(guest_ram_fill(&g.ram, DATA_GPA, BUFFER_BYTES, POISON), "fill");
	sleep_ms(period_ms + 500);
	printf("{\"first\": %ld, \"stop_ms\": %ld, \"written_before\": %s, \"data_after_stop\": %s, "
	       "\"used_after_stop\": %s}\n",
		first, stop_ms, changed != 0 ? "true" : "false",
		guest_ram_check(&g.ram, DATA_GPA, BUFFER_BYTES, POISON, NULL) != 0 ? "true"
										   : "false",
		g.drv.used->idx != used_before ? "true" : "false");
}

/* Requests of 'len' bytes, 'times' times; 'fresh': each from a new connection. */
static void case_ask(const char *path, uint32_t len, unsigned times, bool fresh)
{
	struct guest g;

	connect_guest(&g, path);
	printf("{\"answers\": [");
	for (unsigned i = 0; i < times; i++) {
		if (i > 0 && fresh)
			reconnect(&g, path);
		printf("%s%ld", i > 0 ? ", " : "", ask(&g, len, PATIENCE_MS));
	}
	printf("]}\n");
}

/* The front-end shrinks memory that it shares, and a request lies there. */
static void case_shrink(const char *path, const char *other_path)
{
	struct guest g, other;
	long first, other_first;

	connect_guest(&g, path);
	connect_guest(&other, other_path);
	must(ftruncate(g.ram.regions[1].fd, 0) == 0 ? 0 : -errno, "shrink");
	first = ask(&g, 64, PATIENCE_MS);
	other_first = ask(&other, 64, PATIENCE_MS);
	printf("{\"answer\": %ld, \"other\": %ld}\n", first, other_first);
}

/* One guest wants 256 MiB in one request; how long does another one wait for 64 bytes? */
static void case_hog(const char *path, const char *other_path)
{
	int64_t longest_us = 0, from_us, start_us, took_us;
	struct guest g, other;
	unsigned n = 0;
	long got;

	make_guest(&g, HOG_BYTES);
	memset(g.ram.regions[1].host, 0, HOG_BYTES);
	must(try_connect(&g, path, 20000), "connect");
	connect_guest(&other, other_path);
	from_us = now_us();
	offer(&g, &(struct driver_buf){DATA_GPA, HOG_BYTES, true}, 1, 1);
	sleep_ms(20);
	do {
		start_us = now_us();
		got = ask(&other, 64, 20000);
		took_us = now_us() - start_us;
		if (took_us > longest_us)
			longest_us = took_us;
		n++;
	} while (got > 0 && now_us() - from_us < 2000000);
	printf("{\"longest_us\": %ld, \"requests\": %u}\n", (long)longest_us, n);
}

/* A second front-end comes to a socket that has one. */
static void case_second(const char *path)
{
	struct guest g, second;
	int64_t from_us;
	long ms, first;
	int err;

	connect_guest(&g, path);
	make_guest(&second, RAM_BYTES);
	from_us = now_us();
	err = try_connect(&second, path, 3000);
	ms = (long)(now_us() - from_us) / 1000;
	first = ask(&g, 64, PATIENCE_MS);
	printf("{\"second\": \"%s\", \"ms\": %ld, \"first\": %ld}\n",
		err == 0 ? "served" : strerror(-err), ms, first);
}

int main(int argc, char **argv)
{
	const char *name = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
	const char *third = argc > 3 ? argv[3] : "0", *fourth = argc > 4 ? argv[4] : "1";

	if (strcmp(name, "chain") == 0)
		case_chain(path);
	else if (strcmp(name, "indirect") == 0)
		case_indirect(path);
	else if (strcmp(name, "readable") == 0)
		case_readable(path);
	else if (strcmp(name, "bad-head") == 0)
		case_bad_head(path);
	else if (strcmp(name, "bad-index") == 0)
		case_bad_index(path);
	else if (strcmp(name, "reset") == 0)
		case_reset(path);
	else if (strcmp(name, "reset-throttled") == 0)
		case_reset_throttled(path, atol(third));
	else if (strcmp(name, "ask") == 0)
		case_ask(path, (uint32_t)atol(third), (unsigned)atol(fourth), false);
	else if (strcmp(name, "ask-fresh") == 0)
		case_ask(path, (uint32_t)atol(third), (unsigned)atol(fourth), true);
	else if (strcmp(name, "shrink") == 0)
		case_shrink(path, third);
	else if (strcmp(name, "hog") == 0)
		case_hog(path, third);
	else if (strcmp(name, "second") == 0)
		case_second(path);
	else {
		fprintf(stderr,
			"usage: behave CASE SOCKET [...]; the cases are in scripts/compare/\n");
		return 2;
	}
	return 0;
}
