/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file, and reading it again while guests are served: what changed comes true,
 * nobody else notices, and a file with a mistake changes nothing.
 */
#include "client.h"
#include "daemon.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_SIZE 4096

struct reload {
	struct daemon daemon;
	char config[96], control[96];
	char path[4][96]; /* of the guests a, b, c, d */
	struct honest honest;
	struct guest guest;
};

static int setup(void **state)
{
	struct reload *r = daemon_fixture(state, sizeof(*r));
	const char *dir = r->daemon.dir;

	r->daemon.inspected = true;
	snprintf(r->config, sizeof(r->config), "%s/conf", dir);
	snprintf(r->control, sizeof(r->control), "%s/control", dir);
	for (unsigned i = 0; i < 4; i++)
		snprintf(r->path[i], sizeof(r->path[i]), "%s/%c.sock", dir, 'a' + i);
	return 0;
}

static int teardown(void **state)
{
	struct reload *r = *state;

	honest_fini(&r->honest);
	guest_fini(&r->guest);
	return daemon_fixture_end(state);
}

/* [daemon] with these lines, and sections of some of the guests "abcd", with lines of their own. */
static void write_config(struct reload *r, const char *daemon, const char *guests, const char *more)
{
	char text[FILE_SIZE];
	int n = snprintf(
		text, sizeof(text), "[daemon]\ncontrol-socket = %s\n%s", r->control, daemon);

	for (; *guests != '\0'; guests++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "[guest %c]\nsocket = %s\n%s",
			*guests, r->path[*guests - 'a'], more);
	write_file(r->config, text, (size_t)n);
}

static void append_guest(struct reload *r, char name, const char *more)
{
	FILE *file = fopen(r->config, "ae");

	assert_non_null(file);
	fprintf(file, "[guest %c]\nsocket = %s\n%s", name, r->path[name - 'a'], more);
	assert_int_equal(fclose(file), 0);
}

static void start(struct reload *r, const char *const *more)
{
	const char *args[8] = {"--config", r->config};

	for (unsigned n = 2; more != NULL && *more != NULL; more++)
		args[n++] = *more;
	daemon_run(&r->daemon, args);
	client_do(r->control, "{\"command\": \"version\"}");
}

/* Send the signal, and wait until the daemon has said this. */
static void hang_up(struct reload *r, const char *said)
{
	/* What was said before does not count. */
	assert_int_equal(truncate(r->daemon.log, 0), 0);
	kill(r->daemon.pid, SIGHUP);
	daemon_wait_until_said(&r->daemon, said);
}

static void assert_guests(struct reload *r, const char *names)
{
	json_t *result = client_must(r->control, "{\"command\": \"guests\"}");
	const json_t *list = json_object_get(result, "guests");

	assert_int_equal(json_array_size(list), strlen(names));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name =
			json_string_value(json_object_get(json_array_get(list, i), "name"));

		assert_int_equal(strlen(name), 1);
		assert_non_null(strchr(names, name[0]));
	}
	json_decref(result);
}

static json_int_t number_of(struct reload *r, const char *name, const char *key)
{
	json_t *result =
		client_must(r->control, "{\"command\": \"guests\", \"name\": \"%s\"}", name);
	json_int_t n = client_number(json_array_get(json_object_get(result, "guests"), 0), key);

	json_decref(result);
	return n;
}

/* Guests by their own sections are served. */
static void test_guests_of_a_file(void **state)
{
	struct reload *r = *state;

	write_config(r, "lcores = 1\n", "ab", "weight = 3\n");
	start(r, NULL);
	assert_guests(r, "ab");
	assert_int_equal(number_of(r, "a", "weight"), 3);
	guest_init(&r->guest, &(struct guest_cfg){0});
	guest_connect(&r->guest, r->path[1]);
	guest_assert_served(&r->guest);
	daemon_wait_until_said(&r->daemon, "guest b: served");
}

/* Some come, some go, some change; who stays does not notice. */
static void test_good_file(void **state)
{
	struct reload *r = *state;
	json_t *status;

	write_config(r, "max-bytes = 1G\nperiod = 50\n", "abc", "");
	start(r, NULL);
	honest_start(&r->honest, r->path[0]);
	for (unsigned i = 0; i < 10; i++) {
		write_config(r, "max-bytes = 2G\nperiod = 50\n", "acd", "weight = 2\ncap = 1G\n");
		hang_up(r, "again: 3 guests");
		assert_guests(r, "acd");
		assert_int_equal(number_of(r, "a", "weight"), 2);
		assert_int_equal(number_of(r, "a", "cap"), 1000000000);
		assert_false(socket_answers(r->path[1]));
		guest_init(&r->guest, &(struct guest_cfg){0});
		guest_connect(&r->guest, r->path[3]);
		guest_assert_served(&r->guest);
		guest_fini(&r->guest);
		status = client_must(r->control, "{\"command\": \"status\"}");
		assert_int_equal(client_number(status, "budget.max-bytes"), 2000000000);
		json_decref(status);
		write_config(r, "max-bytes = 1G\nperiod = 50\n", "ab", "");
		hang_up(r, "again: 2 guests");
		assert_guests(r, "ab");
		assert_int_equal(number_of(r, "a", "weight"), 1);
		honest_check(&r->honest);
	}
	honest_stop(&r->honest);
}

/* Nothing of a file with a mistake comes true, wherever that is. */
static void test_bad_file(void **state)
{
	struct reload *r = *state;
	struct stat st;

	write_config(r, "", "ab", "");
	start(r, NULL);
	honest_start(&r->honest, r->path[0]);
	write_config(r, "max-bytes = 0\n", "bc", "weight = 7\n");
	hang_up(r, "conf:3: [daemon] max-bytes '0'");
	assert_guests(r, "ab");
	write_config(r, "", "bcd", "weight = 7\nweight = 8\n");
	hang_up(r, "twice");
	assert_guests(r, "ab");
	write_config(r, "", "bc", "weight = 7\nlcore = 77\n");
	hang_up(r, "lcore 77");
	assert_guests(r, "ab");
	/* A path that is somebody else's. */
	write_file(r->path[3], "x", 1);
	write_config(r, "", "bcd", "weight = 7\n");
	hang_up(r, "d.sock exists and is not a socket");
	assert_guests(r, "ab");
	assert_int_equal(stat(r->path[3], &st), 0);
	assert_int_equal(number_of(r, "b", "weight"), 1);
	assert_false(socket_answers(r->path[2]));
	(void)unlink(r->config);
	hang_up(r, "conf: No such file");
	assert_guests(r, "ab");
	client_must_not(r->control, "bad-request", "conf", "{\"command\": \"reload\"}");
	honest_check(&r->honest);
	honest_stop(&r->honest);
}

/* Let it open one more file, and no more. @return the limit before */
static struct rlimit leave_one_fd(const struct daemon *d)
{
	struct rlimit before, limit;
	char path[64], target[64];

	assert_int_equal(prlimit(d->pid, RLIMIT_NOFILE, NULL, &before), 0);
	limit = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	do
		snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)d->pid,
			(unsigned)limit.rlim_cur++);
	while (readlink(path, target, sizeof(target)) > 0);
	assert_int_equal(prlimit(d->pid, RLIMIT_NOFILE, &limit, NULL), 0);
	return before;
}

/* Nor of one for which there are not descriptors enough; but who is to go can. */
static void test_no_descriptors(void **state)
{
	struct reload *r = *state;
	struct rlimit before;

	write_config(r, "", "abc", "");
	start(r, NULL);
	honest_start(&r->honest, r->path[0]);
	before = leave_one_fd(&r->daemon);
	write_config(r, "", "ab", "weight = 3\n");
	hang_up(r, "again: 2 guests");
	(void)leave_one_fd(&r->daemon);
	write_config(r, "", "acd", "weight = 7\n");
	hang_up(r, "nothing has changed: 2 new guests need 16 open files");
	assert_int_equal(prlimit(r->daemon.pid, RLIMIT_NOFILE, &before, NULL), 0);
	assert_guests(r, "ab");
	assert_int_equal(number_of(r, "a", "weight"), 3);
	hang_up(r, "again: 3 guests");
	assert_guests(r, "acd");
	assert_int_equal(number_of(r, "a", "weight"), 7);
	honest_check(&r->honest);
	honest_stop(&r->honest);
}

/* A file that is elsewhere, and a link to it, is read again, too. */
static void test_file_is_a_link(void **state)
{
	char elsewhere[] = "/tmp/vrng-e2e-else-XXXXXX", file[64];
	struct reload *r = *state;

	assert_non_null(mkdtemp(elsewhere));
	snprintf(file, sizeof(file), "%s/conf", elsewhere);
	assert_int_equal(symlink(file, r->config), 0);
	write_config(r, "", "a", "");
	start(r, NULL);
	daemon_wait_until_said(&r->daemon, "vhost-rng: serving");
	write_config(r, "", "ab", "");
	hang_up(r, "again: 2 guests");
	assert_guests(r, "ab");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(elsewhere), 0);
}

/* Who starts with few guests can open as many files as 1023 of them need, if that is allowed. */
static void test_room_to_grow(void **state)
{
	struct reload *r = *state;
	struct rlimit own, few, got;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &own), 0);
	few = (struct rlimit){.rlim_cur = 256, .rlim_max = own.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	write_config(r, "", "a", "");
	start(r, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &own), 0);
	assert_int_equal(prlimit(r->daemon.pid, RLIMIT_NOFILE, NULL, &got), 0);
	assert_true(got.rlim_cur >= 64 + 1023 * 14 || got.rlim_cur == got.rlim_max);
}

/* Nor of one that asks for what this process may not do. */
static void test_group_of_others(void **state)
{
	struct reload *r = *state;
	bool may;

	write_config(r, "", "ab", "");
	start(r, NULL);
	daemon_wait_until_said(&r->daemon, "sandbox: user");
	may = geteuid() == 0 && !daemon_said(&r->daemon, "no capabilities");
	write_config(r, "", "ac", "weight = 7\nsocket-group = 54321\n");
	hang_up(r, may ? "again: 2 guests"
		       : "nothing has changed: cannot give a socket to group 54321");
	assert_guests(r, may ? "ac" : "ab");
	assert_int_equal(number_of(r, "a", "weight"), may ? 7 : 1);
	/* Only of those that come. */
	write_config(r, "", "ab", "weight = 7\n");
	append_guest(r, 'c', "socket-group = 54321\n");
	hang_up(r, may ? "again: 3 guests"
		       : "nothing has changed: cannot give a socket to group 54321");
	assert_guests(r, may ? "abc" : "ab");
}

/* What cannot change is named, and the rest changes. */
static void test_what_stays(void **state)
{
	struct reload *r = *state;
	json_t *status;

	write_config(r, "period = 100\n", "a", "");
	start(r, NULL);
	write_config(r, "period = 200\nmax-bytes = 5\nlcores = 0\nidle = pause\n", "a", "");
	hang_up(r, "period, lcores, idle cannot change");
	status = client_must(r->control, "{\"command\": \"status\"}");
	assert_int_equal(client_number(status, "budget.period_ms"), 100);
	assert_int_equal(client_number(status, "budget.max-bytes"), 5);
	json_decref(status);
	write_config(r, "period = 100\n", "a", "");
	hang_up(r, "again: 1 guests");
	assert_false(daemon_said(&r->daemon, "cannot change"));
}

/* The rights of all sockets can change, and are not said to stay. */
static void test_socket_mode(void **state)
{
	struct reload *r = *state;
	struct stat st;

	write_config(r, "socket-mode = 0600\n", "a", "");
	start(r, NULL);
	write_config(r, "socket-mode = 0660\n", "a", "");
	hang_up(r, "again: 1 guests");
	assert_int_equal(stat(r->path[0], &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_false(daemon_said(&r->daemon, "cannot change"));
}

/* With a group alone the mode follows the group. */
static void test_socket_group(void **state)
{
	struct reload *r = *state;
	struct stat st;
	char line[64];

	snprintf(line, sizeof(line), "socket-group = %u\n", (unsigned)getegid());
	write_config(r, "", "a", "");
	start(r, NULL);
	assert_int_equal(stat(r->path[0], &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	write_config(r, line, "a", "");
	hang_up(r, "again: 1 guests");
	assert_int_equal(stat(r->path[0], &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	/* A socket that is added over the control socket has the same rights. */
	client_do(r->control, "{\"command\": \"add\", \"name\": \"b\", \"socket\": \"%s\"}",
		r->path[1]);
	assert_int_equal(stat(r->path[1], &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	write_config(r, "", "a", "");
	hang_up(r, "again: 2 guests");
	assert_int_equal(stat(r->path[0], &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* The command line wins, each time. */
static void test_command_line_wins(void **state)
{
	struct reload *r = *state;
	json_t *status;

	write_config(r, "max-bytes = 5\n", "a", "");
	start(r, (const char *[]){"--max-bytes", "7", NULL});
	write_config(r, "max-bytes = 9\n", "ab", "");
	hang_up(r, "again: 2 guests");
	status = client_must(r->control, "{\"command\": \"status\"}");
	assert_int_equal(client_number(status, "budget.max-bytes"), 7);
	json_decref(status);
}

/* Who came over the control socket is not of the file's business. */
static void test_guests_by_control(void **state)
{
	struct reload *r = *state;

	write_config(r, "", "a", "");
	start(r, NULL);
	client_do(r->control, "{\"command\": \"add\", \"name\": \"c\", \"socket\": \"%s\"}",
		r->path[2]);
	client_do(r->control, "{\"command\": \"set\", \"name\": \"a\", \"weight\": 5}");
	write_config(r, "", "ab", "");
	client_do(r->control, "{\"command\": \"reload\"}");
	assert_guests(r, "abc");
	/* What was changed by hand is as the file has it again. */
	assert_int_equal(number_of(r, "a", "weight"), 1);
	write_config(r, "", "abc", "");
	hang_up(r, "guest c");
	assert_guests(r, "abc");
	assert_true(daemon_said(&r->daemon, "nothing has changed"));
}

/* A guest that takes another's name or socket: the one goes, the other comes. */
static void test_renamed(void **state)
{
	struct reload *r = *state;
	char text[FILE_SIZE];
	int n;

	write_config(r, "", "ab", "");
	start(r, NULL);
	n = snprintf(text, sizeof(text),
		"[daemon]\ncontrol-socket = %s\n[guest a]\nsocket = %s\n[guest b]\nsocket = %s\n",
		r->control, r->path[1], r->path[0]);
	write_file(r->config, text, (size_t)n);
	hang_up(r, "again: 2 guests");
	assert_guests(r, "ab");
	for (unsigned i = 0; i < 2; i++) {
		guest_init(&r->guest, &(struct guest_cfg){0});
		guest_connect(&r->guest, r->path[i]);
		guest_assert_served(&r->guest);
		daemon_wait_until_said(&r->daemon, i == 0 ? "guest b: served" : "guest a: served");
		guest_fini(&r->guest);
	}
}

/* Who may not write to its directory any more cannot make a socket of the same path anew. */
static void test_closed_directory(void **state)
{
	struct reload *r = *state;
	const char *dir = r->daemon.dir;
	char text[FILE_SIZE];
	bool may;
	int n;

	write_config(r, "", "ab", "");
	start(r, NULL);
	daemon_wait_until_said(&r->daemon, "sandbox: user");
	may = geteuid() == 0 && !daemon_said(&r->daemon, "no capabilities");
	n = snprintf(text, sizeof(text),
		"[daemon]\ncontrol-socket = %s\n[guest a]\nsocket = %s\n[guest c]\nsocket = %s\n",
		r->control, r->path[0], r->path[1]);
	write_file(r->config, text, (size_t)n);
	assert_int_equal(chmod(dir, 0500), 0);
	hang_up(r, may ? "again: 2 guests" : "nothing has changed: directory");
	assert_guests(r, may ? "ac" : "ab");
	assert_true(socket_answers(r->path[1]));
	assert_int_equal(chmod(dir, 0700), 0);
	hang_up(r, "again: 2 guests");
	assert_guests(r, "ac");
	assert_true(socket_answers(r->path[1]));
}

/* As a front-end does. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* A guest whose socket changes sides: it is another one, and the others stay. */
static void test_sides(void **state)
{
	struct reload *r = *state;
	int fd;

	write_config(r, "", "ab", "");
	start(r, NULL);
	honest_start(&r->honest, r->path[0]);
	for (unsigned i = 0; i < 3; i++) {
		write_config(r, "", "a", "");
		append_guest(r, 'b', "mode = client\n");
		hang_up(r, "again: 2 guests");
		assert_guests(r, "ab");
		assert_false(socket_answers(r->path[1]));
		fd = listen_at(r->path[1]);
		/* It is the front-end's while that is there. */
		write_config(r, "", "ab", "");
		hang_up(r, "nothing has changed");
		close(fd);
		hang_up(r, "again: 2 guests");
		guest_init(&r->guest, &(struct guest_cfg){0});
		guest_connect(&r->guest, r->path[1]);
		guest_assert_served(&r->guest);
		guest_fini(&r->guest);
	}
	honest_check(&r->honest);
	honest_stop(&r->honest);
}

/* "--reload PID" ends with this status, and has said that. */
static void ask_reload(struct reload *r, struct daemon *d, pid_t pid, int status, const char *said)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", (int)pid);
	(void)unlink(d->log);
	daemon_run(d, (const char *[]){"--config", r->config, "--reload", number, NULL});
	assert_int_equal(daemon_wait(d, LIVENESS_MS), status);
	if (!daemon_said(d, said))
		fail_msg("it does not say '%s'", said);
}

/* --reload ends when the daemon has read its file again, with what came of that. */
static void test_reload_with_answer(void **state)
{
	struct reload *r = *state;
	struct daemon asker;
	pid_t pid;

	daemon_init(&asker);
	write_config(r, "", "a", "");
	start(r, NULL);
	pid = r->daemon.pid;
	write_config(r, "", "ab", "");
	ask_reload(r, &asker, pid, 0, "");
	assert_true(daemon_said(&r->daemon, "again: 2 guests"));
	assert_guests(r, "ab");
	/* What the file says is wrong. */
	write_config(r, "max-bytes = -1\n", "a", "");
	ask_reload(r, &asker, pid, 2, "[daemon] max-bytes '-1'");
	write_config(r, "", "a", "socket-group = no-such-group\n");
	ask_reload(r, &asker, pid, 2, "no-such-group");
	assert_guests(r, "ab");
	/* What only the daemon that runs can refuse: a check of the file finds nothing. */
	client_do(r->control, "{\"command\": \"add\", \"name\": \"c\", \"socket\": \"%s\"}",
		r->path[2]);
	write_config(r, "", "abc", "");
	daemon_run(&asker, (const char *[]){"--config", r->config, "--check-config", NULL});
	assert_int_equal(daemon_wait(&asker, LIVENESS_MS), 0);
	ask_reload(r, &asker, pid, 2, "was added over the control socket");
	daemon_fini(&asker);
}

/* Who does not answer, or is another process, has not reloaded. */
static void test_reload_without_answer(void **state)
{
	struct reload *r = *state;
	struct daemon asker;
	pid_t pid;

	daemon_init(&asker);
	write_config(r, "", "a", "");
	ask_reload(r, &asker, getpid(), 1, "no answer on --control-socket");
	start(r, NULL);
	pid = r->daemon.pid;
	ask_reload(r, &asker, getpid(), 2, "belongs to process");
	assert_int_equal(daemon_stop(&r->daemon, SIGTERM, NULL), 0);
	ask_reload(r, &asker, pid, 1, "no answer on --control-socket");
	daemon_run(&asker, (const char *[]){"-s", r->daemon.prefix, "--reload", "1", NULL});
	assert_int_equal(daemon_wait(&asker, LIVENESS_MS), 0);
	assert_true(daemon_said(&asker, "without --config"));
	daemon_fini(&asker);
}

/* A daemon that has no control socket gets a signal, and --reload says that this has no answer. */
static void test_reload_by_signal(void **state)
{
	struct reload *r = *state;
	struct daemon asker;
	char text[FILE_SIZE];

	daemon_init(&asker);
	snprintf(text, sizeof(text), "[guest a]\nsocket = %s\n", r->path[0]);
	write_file(r->config, text, strlen(text));
	daemon_run(&r->daemon, (const char *[]){"--config", r->config, NULL});
	daemon_wait_until_said(&r->daemon, "vhost-rng: serving");
	append_guest(r, 'b', "");
	ask_reload(r, &asker, r->daemon.pid, 0, "its log alone says");
	daemon_wait_until_said(&r->daemon, "again: 2 guests");
	/* No signal is sent when the file is known to be wrong. */
	append_guest(r, 'c', "socket-group = no-such-group\n");
	ask_reload(r, &asker, r->daemon.pid, 2, "no-such-group");
	assert_false(daemon_said(&r->daemon, "SIGHUP"));
	daemon_fini(&asker);
}

/* A file that became a FIFO does not block MAIN: the reload is refused at once, and guests served.
 */
static void test_file_becomes_a_fifo(void **state)
{
	struct reload *r = *state;

	write_config(r, "", "a", "");
	start(r, NULL);
	honest_start(&r->honest, r->path[0]);
	assert_int_equal(unlink(r->config), 0);
	assert_int_equal(mkfifo(r->config, 0600), 0);
	hang_up(r, "is a FIFO or pipe, which is not read again: put a regular file there");
	client_must_not(
		r->control, "bad-request", "is a FIFO or pipe", "{\"command\": \"reload\"}");
	honest_check(&r->honest);
	honest_stop(&r->honest);
	assert_int_equal(unlink(r->config), 0);
	write_config(r, "", "ab", "");
	hang_up(r, "again: 2 guests");
	assert_guests(r, "ab");
}

/* Without a file, a hang-up is what it always was. */
static void test_no_file(void **state)
{
	struct reload *r = *state;

	daemon_start(&r->daemon, 1, NULL);
	assert_int_equal(daemon_stop(&r->daemon, SIGHUP, NULL), 128 + SIGHUP);
}

/* --check-config prints what holds, which is the same when it is read; and touches nothing. */
static void test_check_config(void **state)
{
	struct reload *r = *state;
	struct daemon *d = &r->daemon;
	char *first, *second;

	write_config(r, "max-bytes = 1k\nperiod = 70\n", "ab", "weight = 3\n");
	daemon_run(d, (const char *[]){"--config", r->config, "--check-config", "-p", "80", NULL});
	assert_int_equal(daemon_wait(d, LIVENESS_MS), 0);
	first = read_text(d->out);
	assert_non_null(strstr(first, "\nmax-bytes = 1000\n"));
	assert_non_null(strstr(first, "\nperiod = 80\n"));
	assert_non_null(strstr(first, "\n[guest b]\n"));
	write_file(r->config, first, strlen(first));
	(void)unlink(d->out);
	daemon_run(d, (const char *[]){"--check-config", "--config", r->config, NULL});
	assert_int_equal(daemon_wait(d, LIVENESS_MS), 0);
	second = read_text(d->out);
	assert_string_equal(first, second);
	free(first);
	free(second);
	assert_false(socket_answers(r->control));
	/* Where it cannot be written. */
	(void)unlink(d->out);
	assert_int_equal(symlink("/dev/full", d->out), 0);
	daemon_run(d, (const char *[]){"--check-config", "--config", r->config, NULL});
	assert_int_equal(daemon_wait(d, LIVENESS_MS), 1);
	assert_true(daemon_said(d, "cannot write"));
	(void)unlink(d->out);
	write_config(r, "max-bytes = -1\n", "ab", "");
	daemon_run(d, (const char *[]){"--check-config", "--config", r->config, NULL});
	assert_int_equal(daemon_wait(d, LIVENESS_MS), 2);
	assert_true(daemon_said(d, "conf:3: [daemon] max-bytes '-1'"));
}

#define RELOAD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RELOAD_TEST(test_guests_of_a_file),
		RELOAD_TEST(test_good_file),
		RELOAD_TEST(test_bad_file),
		RELOAD_TEST(test_no_descriptors),
		RELOAD_TEST(test_file_is_a_link),
		RELOAD_TEST(test_file_becomes_a_fifo),
		RELOAD_TEST(test_room_to_grow),
		RELOAD_TEST(test_group_of_others),
		RELOAD_TEST(test_what_stays),
		RELOAD_TEST(test_socket_mode),
		RELOAD_TEST(test_socket_group),
		RELOAD_TEST(test_command_line_wins),
		RELOAD_TEST(test_guests_by_control),
		RELOAD_TEST(test_renamed),
		RELOAD_TEST(test_closed_directory),
		RELOAD_TEST(test_sides),
		RELOAD_TEST(test_reload_with_answer),
		RELOAD_TEST(test_reload_without_answer),
		RELOAD_TEST(test_reload_by_signal),
		RELOAD_TEST(test_no_file),
		RELOAD_TEST(test_check_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
