/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: who may use it, what it answers, and that no client of it hurts another.
 */
#include "client.h"
#include "daemon.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384 /* docs/control.md */
#define CLIENTS_MAX    16

struct fixture {
	struct daemon daemon;
	char control[96];
	char socket[96]; /* of a guest that tests add */
	struct guest guest;
	struct honest honest;
};

static int setup(void **state)
{
	struct fixture *fx = daemon_fixture(state, sizeof(*fx));

	snprintf(fx->control, sizeof(fx->control), "%s/control", fx->daemon.dir);
	snprintf(fx->socket, sizeof(fx->socket), "%s/vm", fx->daemon.dir);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	honest_fini(&fx->honest);
	guest_fini(&fx->guest);
	return daemon_fixture_end(state);
}

/* Start with these options and the control socket, and wait until that answers. */
static void start(struct fixture *fx, const char *const *more)
{
	const char *args[16] = {"--control-socket", fx->control};

	for (unsigned n = 2; *more != NULL; more++)
		args[n++] = *more;
	daemon_run(&fx->daemon, args);
	client_do(fx->control, "{\"command\": \"version\"}");
}

#define START(...) start(fx, (const char *const[]){__VA_ARGS__, NULL})
#define DO(...)	   client_do(fx->control, __VA_ARGS__)
#define ASK(...)   client_must(fx->control, __VA_ARGS__)

static json_t *the_guest(struct fixture *fx, const char *name)
{
	json_t *result = ASK("{\"command\": \"guests\", \"name\": \"%s\"}", name);
	json_t *guest = json_incref(json_array_get(json_object_get(result, "guests"), 0));

	json_decref(result);
	return guest;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void serve(struct fixture *fx, const char *path)
{
	guest_init(&fx->guest, &(struct guest_cfg){0});
	guest_connect(&fx->guest, path);
	guest_assert_served(&fx->guest);
}

/* It begins with no guests at all; and takes its socket along when it ends. */
static void test_empty(void **state)
{
	struct fixture *fx = *state;
	struct stat st;
	json_t *status;

	START("-m", "1000");
	status = ASK("{\"command\": \"status\"}");
	assert_int_equal(client_number(status, "pid"), fx->daemon.pid);
	assert_int_equal(client_number(status, "guests.all"), 0);
	assert_int_equal(client_number(status, "budget.max-bytes"), 1000);
	assert_int_equal(client_number(status, "budget.period_ms"), 65536);
	assert_true(
		json_is_null(json_object_get(json_object_get(status, "budget"), "max-requests")));
	json_decref(status);
	assert_int_equal(stat(fx->control, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	assert_false(exists(fx->control));
}

/* The guests of the command line are guests as all others. */
static void test_counters(void **state)
{
	struct fixture *fx = *state;
	json_t *guest;

	START("-s", fx->daemon.prefix, "-c", "2");
	guest = the_guest(fx, "1");
	assert_string_equal(text(guest, "state"), "alone");
	assert_string_equal(text(guest, "socket"), fx->daemon.socket[1]);
	assert_string_equal(text(guest, "mode"), "server");
	json_decref(guest);
	serve(fx, fx->daemon.socket[1]);
	guest = the_guest(fx, "1");
	assert_string_equal(text(guest, "state"), "served");
	assert_int_equal(client_number(guest, "counters.requests"), 1);
	assert_int_equal(client_number(guest, "counters.bytes"), 64);
	json_decref(guest);
	guest = the_guest(fx, "0");
	assert_int_equal(client_number(guest, "counters.requests"), 0);
	json_decref(guest);
}

/* Its front-end sees that nobody is at the other end any more. */
static void assert_hung_up(const struct guest *g)
{
	struct pollfd pfd = {.fd = frontend_socket_fd(g->fe), .events = POLLIN};
	char byte;

	assert_int_equal(poll(&pfd, 1, LIVENESS_MS), 1);
	assert_int_equal(recv(pfd.fd, &byte, 1, MSG_PEEK), 0);
}

static void test_add_and_remove(void **state)
{
	struct fixture *fx = *state;

	START("-s", fx->daemon.prefix);
	honest_start(&fx->honest, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 3; i++) {
		DO("{\"command\": \"add\", \"name\": \"vm\", \"socket\": \"%s\"}", fx->socket);
		serve(fx, fx->socket);
		DO("{\"command\": \"remove\", \"name\": \"vm\"}");
		assert_false(exists(fx->socket));
		assert_hung_up(&fx->guest);
		guest_fini(&fx->guest);
		honest_check(&fx->honest);
	}
	client_must_not(
		fx->control, "not-found", "vm", "{\"command\": \"remove\", \"name\": \"vm\"}");
	honest_stop(&fx->honest);
}

/* What is refused says why, and changes nothing. */
static void test_refusals(void **state)
{
	struct fixture *fx = *state;
	const char *c = fx->control, *dir = fx->daemon.dir;
	int fd;

	START("-s", fx->daemon.prefix);
#define REFUSED(code, says, ...) client_must_not(c, code, says, __VA_ARGS__)
	REFUSED("bad-request", "JSON", "what");
	REFUSED("bad-request", "command", "{}");
	REFUSED("bad-request", "version", "{\"command\": \"status\", \"version\": 2}");
	REFUSED("unknown-command", "there are", "{\"command\": \"dance\"}");
	REFUSED("bad-request", "\"x\"", "{\"command\": \"status\", \"x\": 1}");
	REFUSED("bad-request", "name", "{\"command\": \"add\", \"socket\": \"%s\"}", fx->socket);
	REFUSED("bad-request", "socket", "{\"command\": \"add\", \"name\": \"a\"}");
	REFUSED("bad-request", "name",
		"{\"command\": \"add\", \"name\": \"a b\", \"socket\": \"%s\"}", fx->socket);
	REFUSED("bad-request", "absolute",
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"vm\"}");
	REFUSED("bad-request", "107",
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"/%0200d\"}", 0);
	REFUSED("bad-request", "\"socket\" has the control character \\x0a",
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"%s\\nforged\"}", fx->socket);
	REFUSED("bad-request", "\"name\" has the control character \\x1b",
		"{\"command\": \"set\", \"name\": \"\\u001b[2J\", \"weight\": 1}");
	REFUSED("exists", "0", "{\"command\": \"add\", \"name\": \"0\", \"socket\": \"%s\"}",
		fx->socket);
	REFUSED("exists", fx->daemon.socket[0],
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"%s\"}",
		fx->daemon.socket[0]);
	REFUSED("exists", fx->control,
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"%s\"}", fx->control);
	write_file(fx->socket, "x", 1);
	REFUSED("exists", fx->socket, "{\"command\": \"add\", \"name\": \"a\", \"socket\": \"%s\"}",
		fx->socket);
	REFUSED("not-found", "/none",
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"%s/none/s\"}", dir);
	REFUSED("bad-request", "lcore 99",
		"{\"command\": \"add\", \"name\": \"a\", \"socket\": \"%s2\", \"lcore\": 99}",
		fx->socket);
	REFUSED("bad-request", "weight",
		"{\"command\": \"set\", \"name\": \"0\", \"weight\": 1001}");
	REFUSED("bad-request", "cap", "{\"command\": \"set\", \"name\": \"0\", \"cap\": 0}");
	REFUSED("bad-request", "all guests",
		"{\"command\": \"set\", \"name\": \"0\", \"max-bytes\": 1}");
	REFUSED("bad-request", "name", "{\"command\": \"set\", \"cap\": 1}");
	REFUSED("bad-request", "lcore", "{\"command\": \"move\", \"name\": \"0\"}");
	REFUSED("bad-request", "lcore 99",
		"{\"command\": \"move\", \"name\": \"0\", \"lcore\": 99}");
	REFUSED("failed", "source-mode", "{\"command\": \"reseed\"}");
	REFUSED("bad-request", "level", "{\"command\": \"log-level\", \"level\": \"loud\"}");
#undef REFUSED
	fd = open(fx->socket, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0); /* what was there is still there */
	close(fd);
	serve(fx, fx->daemon.socket[0]);
}

/* Several requests in one piece, and one in several: all are answered, in order. */
static void test_pieces(void **state)
{
	static const char many[] = "{\"command\": \"version\", \"id\": 1}\n"
				   "{\"command\": \"nonsense\", \"id\": 2}\n"
				   "{\"command\": \"status\", \"id\": 3}\n";
	struct fixture *fx = *state;
	int fd;

	START("-s", fx->daemon.prefix);
	fd = client_connect(fx->control);
	client_send(fd, many, sizeof(many) - 1);
	for (const char *p = many; *p != '\0'; p++) {
		client_send(fd, p, 1);
		if (p == many + 5)
			sleep_ms(20);
	}
	shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < 6; i++) {
		json_t *answer = client_receive(fd);

		assert_non_null(answer);
		assert_int_equal(client_number(answer, "id"), i % 3 + 1);
		json_decref(answer);
	}
	assert_null(client_receive(fd));
	close(fd);
}

static void test_long_line(void **state)
{
	struct fixture *fx = *state;
	char line[LINE_MAX_BYTES + 1];
	json_t *answer;
	int fd;

	START("-s", fx->daemon.prefix);
	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"command\": \"version\"", 21);
	line[LINE_MAX_BYTES - 1] = '}';
	line[LINE_MAX_BYTES] = '\n';
	fd = client_connect(fx->control);
	client_send(fd, line, sizeof(line));
	answer = client_receive(fd);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	line[LINE_MAX_BYTES] = ' ';
	client_send(fd, line, sizeof(line));
	answer = client_receive(fd);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
	assert_null(client_receive(fd));
	close(fd);
}

/* One that sends and never reads is not read from any more; others do not notice. */
static void test_client_that_stalls(void **state)
{
	static const char line[] = "{\"command\": \"guests\"}\n";
	struct fixture *fx = *state;
	size_t sent = 0;
	int fds[2];

	START("-s", fx->daemon.prefix, "-c", "100");
	honest_start(&fx->honest, fx->daemon.socket[0]);
	for (unsigned i = 0; i < 2; i++)
		fds[i] = client_connect(fx->control);
	client_send(fds[0], line, 5); /* never goes on */
	for (;;) {
		ssize_t n = send(fds[1], line, sizeof(line) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

		/* Until the daemon has taken no more for a while. */
		if (n < 0) {
			sleep_ms(300);
			n = send(fds[1], line, sizeof(line) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		if (n < 0)
			break;
		sent += (size_t)n;
		assert_true(sent < (64u << 20));
	}
	for (unsigned i = 0; i < 20; i++)
		DO("{\"command\": \"status\"}");
	honest_check(&fx->honest);
	honest_stop(&fx->honest);
	/* When it reads at last, it gets what it asked for. */
	for (unsigned i = 0; i < 50; i++) {
		json_t *answer = client_receive(fds[1]);

		assert_true(json_is_true(json_object_get(answer, "ok")));
		json_decref(answer);
	}
	close(fds[0]);
	close(fds[1]);
}

/* More than there is room for: those that were silent for longest go, never the newest. */
static void test_many_clients(void **state)
{
	static const char line[] = "{\"command\": \"version\"}\n";
	int fds[2 * CLIENTS_MAX];
	struct fixture *fx = *state;

	START("-s", fx->daemon.prefix);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		json_t *answer;

		fds[i] = client_connect(fx->control);
		client_send(fds[i], line, sizeof(line) - 1);
		answer = client_receive(fds[i]);
		assert_non_null(answer);
		json_decref(answer);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		json_t *answer = NULL;

		if (i >= CLIENTS_MAX) {
			client_send(fds[i], line, sizeof(line) - 1);
			answer = client_receive(fds[i]);
			assert_non_null(answer);
			json_decref(answer);
		} else {
			assert_null(client_receive(fds[i]));
		}
		close(fds[i]);
	}
}

static void test_reseed(void **state)
{
	struct fixture *fx = *state;
	json_int_t before = 0, after = 0;
	int64_t deadline_ms;

	START("-s", fx->daemon.prefix, "--source-mode", "drbg");
	serve(fx, fx->daemon.socket[0]);
	deadline_ms = now_ms() + LIVENESS_MS;
	for (unsigned i = 0; after == before; i++) {
		json_t *status = ASK("{\"command\": \"status\"}");
		const json_t *lcore = json_array_get(json_object_get(status, "lcores"), 0);

		after = client_number(lcore, "reseeds");
		json_decref(status);
		if (i == 0) {
			before = after;
			DO("{\"command\": \"reseed\"}");
		}
		assert_true(now_ms() < deadline_ms);
		sleep_ms(5);
	}
	assert_true(after > before);
}

/* The sockets of --client are the front-ends', and whoever writes their options must know. */
static void test_client_mode(void **state)
{
	struct fixture *fx = *state;
	json_t *guest;

	START("-s", fx->daemon.prefix, "--client");
	guest = the_guest(fx, "0");
	assert_string_equal(text(guest, "mode"), "client");
	json_decref(guest);
}

/* An lcore that serves and then has nothing to do says how long it did either. */
static void test_times(void **state)
{
	struct fixture *fx = *state;
	json_int_t busy = 0, idle = 0;
	int64_t deadline_ms;

	START("-s", fx->daemon.prefix, "--idle", "adaptive");
	serve(fx, fx->daemon.socket[0]);
	deadline_ms = now_ms() + LIVENESS_MS;
	while (busy == 0 || idle == 0) {
		json_t *status = ASK("{\"command\": \"status\"}");
		const json_t *lcore = json_array_get(json_object_get(status, "lcores"), 0);

		busy = client_number(lcore, "busy_ns");
		idle = client_number(lcore, "spinning_ns") + client_number(lcore, "blocked_ns");
		json_decref(status);
		guest_assert_served(&fx->guest);
		assert_true(now_ms() < deadline_ms);
	}
}

static void test_log_level(void **state)
{
	struct fixture *fx = *state;

	START("-s", fx->daemon.prefix);
	DO("{\"command\": \"log-level\", \"level\": \"error\"}");
	serve(fx, fx->daemon.socket[0]);
	assert_false(daemon_said(&fx->daemon, "front-end connected"));
	guest_fini(&fx->guest);
	DO("{\"command\": \"log-level\", \"level\": \"info\"}");
	serve(fx, fx->daemon.socket[0]);
	assert_true(daemon_said(&fx->daemon, "front-end connected"));
}

static void wait_until_gone(const char *path)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (exists(path)) {
		if (now_ms() > deadline_ms)
			fail_msg("%s is still there", path);
		sleep_ms(10);
	}
}

/* A guest that is drained is served until its front-end goes; the next one is not. */
static void test_drain_guest(void **state)
{
	struct fixture *fx = *state;

	START("-s", fx->daemon.prefix, "-c", "2");
	serve(fx, fx->daemon.socket[0]);
	DO("{\"command\": \"drain\", \"name\": \"0\"}");
	guest_assert_served(&fx->guest);
	guest_die(&fx->guest);
	wait_until_gone(fx->daemon.socket[0]);
	guest_fini(&fx->guest);
	/* One that is not in use goes at once, and the daemon stays. */
	DO("{\"command\": \"drain\", \"name\": \"1\"}");
	assert_false(exists(fx->daemon.socket[1]));
	daemon_assert_alive(&fx->daemon);
}

static void test_drain_and_think_again(void **state)
{
	struct fixture *fx = *state;

	START("-s", fx->daemon.prefix);
	serve(fx, fx->daemon.socket[0]);
	DO("{\"command\": \"drain\", \"name\": \"0\"}");
	DO("{\"command\": \"drain\", \"name\": \"0\", \"cancel\": true}");
	guest_fini(&fx->guest);
	serve(fx, fx->daemon.socket[0]);
}

/* All of it: whoever is there stays, nobody comes, and with the last one the daemon goes. */
static void test_drain_all(void **state)
{
	struct fixture *fx = *state;

	START("-s", fx->daemon.prefix, "-c", "2");
	serve(fx, fx->daemon.socket[0]);
	DO("{\"command\": \"drain\"}");
	assert_false(exists(fx->daemon.socket[1]));
	guest_assert_served(&fx->guest);
	client_must_not(fx->control, "failed", "drained",
		"{\"command\": \"add\", \"name\": \"vm\", \"socket\": \"%s\"}", fx->socket);
	guest_die(&fx->guest);
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 0);
	assert_false(exists(fx->control));
}

#define CONTROL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(test_empty),
		CONTROL_TEST(test_counters),
		CONTROL_TEST(test_add_and_remove),
		CONTROL_TEST(test_refusals),
		CONTROL_TEST(test_pieces),
		CONTROL_TEST(test_long_line),
		CONTROL_TEST(test_client_that_stalls),
		CONTROL_TEST(test_many_clients),
		CONTROL_TEST(test_reseed),
		CONTROL_TEST(test_client_mode),
		CONTROL_TEST(test_times),
		CONTROL_TEST(test_log_level),
		CONTROL_TEST(test_drain_guest),
		CONTROL_TEST(test_drain_and_think_again),
		CONTROL_TEST(test_drain_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
