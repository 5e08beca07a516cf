/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that come, change, move and go while others are served: those lose nothing, and all
 * together get no more than there is.
 */
#include "client.h"
#include "honest.h"
#include "watched.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS	  200
#define LIVE	  6 /* of those that come and go, at a time */
#define PERIOD_MS 50
#define PERIOD	  "50"

struct churn {
	struct watch fx; /* 'watched_*' use this */
	char control[96];
	struct honest honest[2];
	struct guest guests[LIVE];
};

static int setup(void **state)
{
	struct churn *c = daemon_fixture(state, sizeof(*c));

	snprintf(c->control, sizeof(c->control), "%s/control", c->fx.daemon.dir);
	return 0;
}

static int teardown(void **state)
{
	struct churn *c = *state;

	for (unsigned i = 0; i < 2; i++)
		honest_fini(&c->honest[i]);
	for (unsigned i = 0; i < LIVE; i++)
		guest_fini(&c->guests[i]);
	return watched_teardown(state);
}

#define DO(...) client_do(c->control, __VA_ARGS__)

static void path_of(const struct churn *c, unsigned n, char *path)
{
	snprintf(path, 96, "%s/g%u", c->fx.daemon.dir, n);
}

static void add(struct churn *c, unsigned n)
{
	char path[96];

	path_of(c, n, path);
	DO("{\"command\": \"add\", \"name\": \"g%u\", \"socket\": \"%s\", \"lcore\": %s}", n, path,
		n % 3 == 0   ? "null"
		: n % 3 == 1 ? "1"
			     : "2");
	guest_init(&c->guests[n % LIVE], &(struct guest_cfg){.region_bytes = 1 << 20});
	guest_connect(&c->guests[n % LIVE], path);
	guest_assert_served(&c->guests[n % LIVE]);
}

/* With a request on its way, and its ring running or not. */
static void remove_one(struct churn *c, unsigned n)
{
	struct guest *g = &c->guests[n % LIVE];

	guest_request(g, g->scratch_gpa, 64, 1);
	if (n % 4 == 0)
		guest_stop(g);
	DO("{\"command\": \"remove\", \"name\": \"g%u\"}", n);
	guest_fini(g);
}

static void change(struct churn *c, unsigned n)
{
	struct guest *g = &c->guests[n % LIVE];

	guest_request(g, g->scratch_gpa, 64, 1);
	DO("{\"command\": \"move\", \"name\": \"g%u\", \"lcore\": %u}", n, n % 2 + 1);
	DO("{\"command\": \"set\", \"name\": \"g%u\", \"weight\": %u, \"cap\": %s}", n,
		n % 1000 + 1, n % 2 == 0 ? "null" : "1000000");
	DO("{\"command\": \"set\", \"max-bytes\": %s}", n % 3 == 0 ? "null" : "100000000");
	DO("{\"command\": \"move\", \"name\": \"g%u\", \"lcore\": %u}", n, (n + 1) % 2 + 1);
	guest_must_take(g, &(struct driver_used){0});
	guest_assert_served(g);
}

/* 200 guests come, are limited, moved between the lcores, and go; two others are always busy. */
static void test_others_lose_nothing(void **state)
{
	struct churn *c = *state;
	json_t *status;

	daemon_start(&c->fx.daemon, 2,
		(const char *[]){"--lcores", "0,1", "-p", PERIOD, "--sharing", "fair",
			"--control-socket", c->control, NULL});
	for (unsigned i = 0; i < 2; i++)
		honest_start(&c->honest[i], c->fx.daemon.socket[i]);
	for (unsigned n = 0; n < ROUNDS; n++) {
		if (n >= LIVE)
			remove_one(c, n - LIVE);
		add(c, n);
		change(c, n);
		for (unsigned i = 0; i < 2 && n % 20 == 0; i++)
			honest_check(&c->honest[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		honest_check(&c->honest[i]);
		/* Not one request of it is left without an answer. */
		honest_stop(&c->honest[i]);
	}
	status = client_must(c->control, "{\"command\": \"status\"}");
	assert_int_equal(client_number(status, "guests.all"), 2 + LIVE);
	json_decref(status);
	assert_int_equal(daemon_stop(&c->fx.daemon, SIGTERM, NULL), 0);
}

/* A busy guest moves to and fro, and gets each answer once. */
static void test_move_under_load(void **state)
{
	struct churn *c = *state;

	daemon_start(&c->fx.daemon, 1,
		(const char *[]){"--lcores", "0,1", "--control-socket", c->control, NULL});
	honest_start(&c->honest[0], c->fx.daemon.socket[0]);
	for (unsigned n = 0; n < 100; n++) {
		json_t *guests;

		DO("{\"command\": \"move\", \"name\": \"0\", \"lcore\": %u}", n % 2 + 1);
		honest_check(&c->honest[0]);
		guests = client_must(c->control, "{\"command\": \"guests\"}");
		assert_int_equal(client_number(json_array_get(json_object_get(guests, "guests"), 0),
					 "lcore"),
			n % 2 + 1);
		json_decref(guests);
	}
	honest_stop(&c->honest[0]);
}

/* A third one that wants as much as the other two. */
static void come(struct churn *c)
{
	struct watched *w = &c->fx.watched[2];
	char path[96];

	path_of(c, 0, path);
	DO("{\"command\": \"add\", \"name\": \"g0\", \"socket\": \"%s\"}", path);
	guest_init(&w->guest, &(struct guest_cfg){0});
	w->buf_bytes = 64 << 10;
	w->gpa = guest_alloc(&w->guest, 0, w->buf_bytes);
	guest_connect(&w->guest, path);
	w->empty_us = now_us();
	c->fx.nr_guests = 3;
}

static void go(struct churn *c)
{
	DO("{\"command\": \"remove\", \"name\": \"g0\"}");
	c->fx.nr_guests = 2;
	guest_fini(&c->fx.watched[2].guest);
}

/*
 * Two guests want all they can get while a third one comes and goes and weights change: over all
 * that time they get no more than there is, whatever the moments at which that was changed.
 */
static void test_shares_add_up(void **state)
{
	struct churn *c = *state;
	struct watch *fx = &c->fx;

	daemon_start(&fx->daemon, 2,
		(const char *[]){
			"-m", "60000", "-p", PERIOD, "--control-socket", c->control, NULL});
	watched_add(fx, 0, 64 << 10);
	watched_add(fx, 1, 64 << 10);
	for (unsigned n = 0; n < 10; n++) {
		watched_for(fx, 30 + 7 * n);
		come(c);
		watched_for(fx, 30 + 11 * n);
		DO("{\"command\": \"set\", \"name\": \"%u\", \"weight\": %u}", n % 2, n + 1);
		watched_for(fx, 30);
		go(c);
	}
	watched_assert_within_shares(fx, WATCHED_GUESTS, 60000, PERIOD_MS);
}

/* The limit of all, and the cap of one, from the next period on. */
static void test_limits(void **state)
{
	struct churn *c = *state;
	struct watch *fx = &c->fx;

	daemon_start(&fx->daemon, 2,
		(const char *[]){"-p", PERIOD, "--control-socket", c->control, NULL});
	watched_add(fx, 0, 64 << 10);
	watched_add(fx, 1, 64 << 10);
	watched_until(fx, 10);
	DO("{\"command\": \"set\", \"max-bytes\": 60000}");
	watched_for(fx, 4 * PERIOD_MS);
	fx->nr_answers = 0;
	watched_for(fx, 10 * PERIOD_MS);
	watched_assert_within_shares(fx, 0, 30000, PERIOD_MS);
	watched_assert_within_shares(fx, WATCHED_GUESTS, 60000, PERIOD_MS);
	DO("{\"command\": \"set\", \"name\": \"1\", \"cap\": 5000}");
	watched_for(fx, 4 * PERIOD_MS);
	fx->nr_answers = 0;
	watched_for(fx, 10 * PERIOD_MS);
	watched_assert_within_shares(fx, 0, 30000, PERIOD_MS);
	watched_assert_within_shares(fx, 1, 5000, PERIOD_MS);
	/* And without any again: more in a moment than there was in all that time. */
	DO("{\"command\": \"set\", \"max-bytes\": null}");
	fx->watched[0].bytes = 0;
	for (int64_t until_ms = now_ms() + LIVENESS_MS; fx->watched[0].bytes < 1000000;) {
		fx->nr_answers = 0;
		watched_for(fx, 10);
		assert_true(now_ms() < until_ms);
	}
}

#define CHURN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHURN_TEST(test_others_lose_nothing),
		CHURN_TEST(test_move_under_load),
		CHURN_TEST(test_shares_add_up),
		CHURN_TEST(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
