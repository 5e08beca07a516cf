/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conversations that no VMM has, one after the other, with the real daemon: see liar.h. After each
 * the daemon must live, an honest guest on another socket must have got all its answers, and the
 * liar's socket must serve an honest guest, too; at the end no descriptor is left, and the daemon
 * ends as if nothing had been.
 *
 * VRNG_FUZZ_SECONDS: how long each test lasts. VRNG_SEED: other stories. VRNG_FUZZ_STORY: begin
 * with this one, which is what a test that failed says; VRNG_FUZZ_STORIES: tell so many.
 */
#include "client.h"
#include "daemon.h"
#include "honest.h"
#include "liar.h"
#include "util.h"

#include "../unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SECONDS	 8
#define LOG_TAIL 8000

struct fixture {
	struct daemon daemon;
	char control[96];
	struct honest honest;
	struct guest guest; /* an honest one on the liar's socket */
	struct draft_kinds kinds;
	uint64_t seed;
	unsigned story; /* the one that is told */
	bool odd;	/* one since the liar's socket was made may have cost it */
	unsigned nr_penances;
	unsigned long nr_messages;
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));
	const char *seed = getenv("VRNG_SEED");

	fx->daemon.inspected = true;
	/* The same stories each time, unless somebody wants others. */
	fx->seed = seed != NULL ? strtoull(seed, NULL, 0) : 1;
	snprintf(fx->control, sizeof(fx->control), "%s/control", fx->daemon.dir);
	draft_kinds_open(&fx->kinds);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	size_t len;
	char *log;
	int end;

	if (fx->honest.running) {
		print_message("# VRNG_SEED=%#llx VRNG_FUZZ_STORY=%u tells this story first\n",
			(unsigned long long)fx->seed, fx->story);
		if (fx->daemon.pid > 0 && (end = daemon_wait(&fx->daemon, 0)) >= 0)
			print_message("# the daemon has ended with %d\n", end);
		else if (fx->daemon.pid > 0)
			(void)daemon_stop(&fx->daemon, SIGKILL, NULL);
		log = read_text(fx->daemon.log);
		len = strlen(log);
		print_message("# its log ends:\n%s\n", len > LOG_TAIL ? log + len - LOG_TAIL : log);
		free(log);
	}
	honest_fini(&fx->honest);
	guest_fini(&fx->guest);
	draft_kinds_close(&fx->kinds);
	return daemon_fixture_end(state);
}

static void print_fds(const struct fixture *fx)
{
	char path[64], name[64];

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)fx->daemon.pid, fd);
		len = readlink(path, name, sizeof(name));
		if (len > 0)
			print_message("# %d: %.*s\n", fd, (int)len, name);
	}
}

static void assert_fds(const struct fixture *fx, unsigned most)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (daemon_count_fds(&fx->daemon) > most) {
		if (now_ms() > deadline_ms) {
			print_fds(fx);
			fail_msg("%u descriptors are open, of which at most %u should be",
				daemon_count_fds(&fx->daemon), most);
		}
		sleep_ms(5);
	}
}

/* Make the liar's socket anew, without a past. */
static void do_penance(struct fixture *fx)
{
	if (!fx->odd)
		fail_msg("a front-end was refused after one that broke nothing off");
	client_do(fx->control, "{\"command\": \"remove\", \"name\": \"0\"}");
	client_do(fx->control, "{\"command\": \"add\", \"name\": \"0\", \"socket\": \"%s\"}",
		fx->daemon.socket[0]);
	fx->odd = false;
	fx->nr_penances++;
}

static void assert_socket_serves(struct fixture *fx)
{
	struct frontend_cfg cfg = {.socket_path = fx->daemon.socket[0], .timeout_ms = LIVENESS_MS};
	int err;

	guest_init(&fx->guest, &(struct guest_cfg){.region_bytes = 64 << 10});
	err = guest_attach(&fx->guest, &cfg);
	if (err == -ECONNRESET) {
		daemon_assert_alive(&fx->daemon);
		do_penance(fx);
		err = guest_attach(&fx->guest, &cfg);
	}
	if (err != 0)
		fail_msg("the liar's socket serves nobody: %s", strerror(-err));
	guest_assert_served(&fx->guest);
	guest_fini(&fx->guest);
}

static void tell_one(struct fixture *fx)
{
	struct liar_story story;

	liar_tell(fx->daemon.socket[0], fx->seed + fx->story, &fx->kinds, &story);
	fx->odd = fx->odd || story.odd;
	fx->nr_messages += story.nr_messages;
	daemon_assert_alive(&fx->daemon);
	honest_check(&fx->honest);
	assert_socket_serves(fx);
}

static void tell(struct fixture *fx, const char *const *more)
{
	unsigned first = env_number("VRNG_FUZZ_STORY", 0), fds;
	unsigned most = env_number("VRNG_FUZZ_STORIES", UINT32_MAX);
	int64_t end_ms = now_ms() + 1000 * (int64_t)env_number("VRNG_FUZZ_SECONDS", SECONDS);
	const char *args[16] = {"--control-socket", fx->control};

	for (unsigned n = 2; *more != NULL; more++)
		args[n++] = *more;
	daemon_start(&fx->daemon, 2, args);
	honest_start(&fx->honest, fx->daemon.socket[1]);
	assert_socket_serves(fx);
	fds = daemon_count_fds(&fx->daemon);
	for (unsigned n = 0; n < most && now_ms() < end_ms; n++) {
		fx->story = first + n;
		tell_one(fx);
	}
	print_message("# VRNG_SEED=%#llx: %u stories, %lu messages, %u sockets made anew\n",
		(unsigned long long)fx->seed, fx->story + 1 - first, fx->nr_messages,
		fx->nr_penances);
	assert_fds(fx, fds + 2);
	honest_stop(&fx->honest);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

static void test_passthrough(void **state)
{
	tell(*state, (const char *[]){NULL});
}

static void test_drbg_and_sleep(void **state)
{
	tell(*state, (const char *[]){"--source-mode", "drbg", "--idle", "adaptive", "-m",
			     "100000000", "-p", "10", NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_passthrough, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drbg_and_sleep, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
