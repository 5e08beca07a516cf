/* SPDX-License-Identifier: BSD-3-Clause */
#include "watched.h"

#include <sched.h>
#include <stdlib.h>

int watched_setup(void **state)
{
	daemon_fixture(state, sizeof(struct watch));
	return 0;
}

int watched_teardown(void **state)
{
	struct watch *fx = *state;

	for (unsigned i = 0; i < WATCHED_GUESTS; i++)
		guest_fini(&fx->watched[i].guest);
	return daemon_fixture_end(state);
}

void watched_start(struct watch *fx, unsigned nr_sockets, const char *max_bytes, const char *period)
{
	daemon_start(&fx->daemon, nr_sockets,
		(const char *[]){"-m", max_bytes, "-p", period, "--source-mode", "drbg", NULL});
}

struct watched *watched_add(struct watch *fx, unsigned socket, uint32_t buf_bytes)
{
	struct watched *w = &fx->watched[fx->nr_guests++];

	guest_init(&w->guest, &(struct guest_cfg){0});
	w->buf_bytes = buf_bytes;
	w->gpa = guest_alloc(&w->guest, 0, buf_bytes);
	guest_connect(&w->guest, fx->daemon.socket[socket]);
	w->empty_us = now_us();
	return w;
}

void watched_ask(struct watched *w)
{
	if (w->guest.drv.nr_offered == WATCHED_DEPTH)
		return;
	while (w->guest.drv.nr_offered < WATCHED_DEPTH)
		guest_ask(&w->guest, w->gpa, w->buf_bytes, 0);
	guest_show(&w->guest);
}

struct watched_answer *watched_look(struct watch *fx, unsigned i)
{
	struct watched *w = &fx->watched[i];
	int64_t look_us = now_us();
	struct driver_used used;
	struct watched_answer *answer;

	if (!guest_take(&w->guest, &used, 0)) {
		w->empty_us = look_us;
		return NULL;
	}
	assert_true(fx->nr_answers < WATCHED_ANSWERS_MAX);
	answer = &fx->answers[fx->nr_answers++];
	*answer = (struct watched_answer){.after_us = w->empty_us,
		.before_us = now_us(),
		.len_bytes = used.len_bytes,
		.guest = i};
	w->nr_answers++;
	w->bytes += used.len_bytes;
	return answer;
}

void watched_until(struct watch *fx, unsigned nr)
{
	int64_t deadline_ms = now_ms() + 2 * LIVENESS_MS;
	bool all;

	do {
		all = true;
		for (unsigned i = 0; i < fx->nr_guests; i++) {
			watched_ask(&fx->watched[i]);
			while (watched_look(fx, i) != NULL)
				;
			all = all && fx->watched[i].nr_answers >= nr;
		}
		if (now_ms() > deadline_ms)
			fail_msg("somebody is starved");
		sched_yield();
	} while (!all);
}

void watched_for(struct watch *fx, unsigned ms)
{
	int64_t end_ms = now_ms() + ms;

	while (now_ms() < end_ms) {
		for (unsigned i = 0; i < fx->nr_guests; i++) {
			watched_ask(&fx->watched[i]);
			while (watched_look(fx, i) != NULL)
				;
		}
		sched_yield();
	}
}

void watched_assert_within_shares(
	const struct watch *fx, unsigned guest, uint64_t share, unsigned period_ms)
{
	for (unsigned i = 0; i < fx->nr_answers; i++) {
		uint64_t bytes = 0;

		if (guest != WATCHED_GUESTS && fx->answers[i].guest != guest)
			continue;
		for (unsigned j = i; j < fx->nr_answers; j++) {
			int64_t us = fx->answers[j].before_us - fx->answers[i].after_us;
			uint64_t periods = (uint64_t)us / (period_ms * 990) + 2; /* 1 %: clocks */

			if (guest != WATCHED_GUESTS && fx->answers[j].guest != guest)
				continue;
			bytes += fx->answers[j].len_bytes;
			if (bytes > share * periods)
				fail_msg("%llu bytes in %lld us, which touch %llu periods of %llu",
					(unsigned long long)bytes, (long long)us,
					(unsigned long long)periods, (unsigned long long)share);
		}
	}
}
