/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line, what stands at the sockets' paths before, and how it ends.
 */
#include "daemon.h"
#include "guest.h"
#include "honest.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define END_LIMIT_MS 3000 /* it promises 1 s; the rest is for a loaded machine */

struct fixture {
	struct daemon daemon, second;
	struct guest guest;
	struct honest honest[2];
};

static int setup(void **state)
{
	daemon_fixture(state, sizeof(struct fixture));
	return 0;
}

/* Undo what run_and_watch_mode() does for itself. */
static void be_ordinary(void)
{
	struct sched_param usual = {0};

	(void)sched_setscheduler(0, SCHED_OTHER, &usual);
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	be_ordinary();
	honest_fini(&fx->honest[0]);
	honest_fini(&fx->honest[1]);
	guest_fini(&fx->guest);
	daemon_fini(&fx->daemon);
	if (fx->second.dir[0] != '\0')
		daemon_fini(&fx->second);
	free(fx);
	return 0;
}

static void assert_served(struct fixture *fx, const char *path)
{
	guest_fini(&fx->guest);
	guest_init(&fx->guest, &(struct guest_cfg){0});
	guest_connect(&fx->guest, path);
	guest_assert_served(&fx->guest);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A socket file that nobody answers any more. */
static void make_stale_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
}

static void test_help_and_version(void **state)
{
	static const char *const words[] = {"--help", "-h", "--version"};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		char *out, *log;

		(void)unlink(fx->daemon.out);
		daemon_run(&fx->daemon, (const char *[]){words[i], NULL});
		assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 0);
		out = read_text(fx->daemon.out);
		log = read_text(fx->daemon.log);
		assert_non_null(strstr(out, i < 2 ? "--socket-path" : "dpdk-vhost-rng "));
		assert_string_equal(log, "");
		free(out);
		free(log);
	}
}

/* Refused options: exit 2, the message has the value, nothing is touched. */
static void test_refused_options(void **state)
{
	static const struct {
		const char *args[4];
		const char *mentions;
		bool without_path;
	} table[] = {
		{{"-p", "0"}, "'0'", false},
		{{"-p", "4294967296"}, "4294967296", false},
		{{"-p", "-1"}, "-1", false},
		{{"--period=1s"}, "1s", false},
		{{"-p", ""}, "--period", false},
		{{"-m", "0"}, "'0'", false},
		{{"-m", "9223372036854775808"}, "9223372036854775808", false},
		{{"-m", "18446744073709551616"}, "18446744073709551616", false},
		{{"-m", "-5"}, "-5", false},
		{{"--max-bytes", "4q"}, "4q", false},
		{{"-m", "9999999T"}, "9999999T", false},
		{{"-m", "0x10"}, "0x10", false},
		{{"-c", "0"}, "'0'", false},
		{{"-c", "x"}, "'x'", false},
		{{"-c", "1.5"}, "1.5", false},
		{{"-c", " 1"}, "' 1'", false},
		{{"--source-mode", "magic"}, "magic", false},
		{{"--socket-mode", "999"}, "999", false},
		{{"--lcores", "1,,2"}, "1,,2", false},
		{{"--log-level", "loud"}, "loud", false},
		{{"--no-such-option"}, "--no-such-option", false},
		{{"-z"}, "-z", false},
		{{"stray"}, "stray", false},
		{{"-c"}, "-c", false},
		{{"-c", "1"}, "--socket-path", true},
		{{"-s", ""}, "--socket-path", true},
		{{"-s", "/a\nb"}, "--socket-path has the control character \\x0a", true},
		{{"-f", "/dev/\x1b[2J"}, "--filename has the control character \\x1b", false},
	};
	struct fixture *fx = *state;

	make_stale_socket(fx->daemon.socket[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		const char *args[8] = {"-s", fx->daemon.prefix};
		unsigned n = table[i].without_path ? 0 : 2;

		for (unsigned j = 0; table[i].args[j] != NULL; j++)
			args[n++] = table[i].args[j];
		args[n] = NULL;
		(void)unlink(fx->daemon.log);
		daemon_run(&fx->daemon, args);
		print_message("# %s\n", table[i].mentions);
		assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
		assert_true(daemon_said(&fx->daemon, table[i].mentions));
		assert_true(daemon_said(&fx->daemon, "dpdk-vhost-rng: "));
		assert_true(daemon_said(&fx->daemon, "; see --help\n"));
		assert_false(daemon_said(&fx->daemon, "\x1b"));
		assert_true(exists(fx->daemon.socket[0]));
		assert_false(exists(fx->daemon.socket[1]));
	}
}

/* Paths that cannot be: exit 2, and the message names it. */
static void test_impossible_paths(void **state)
{
	struct fixture *fx = *state;
	char missing[128], at_limit[128], long_path[128];
	const struct {
		const char *args[5];
		const char *mentions;
	} table[] = {
		{{"-s", missing}, missing}, {{"-s", long_path}, "107"},
		{{"-s", fx->daemon.prefix, "-c", "512"}, "512"},
		{{"-s", at_limit, "-c", "11"}, "107"}, /* the 11th has one digit more */
	};

	snprintf(missing, sizeof(missing), "%s/no/dir/rng.sock", fx->daemon.dir);
	memset(long_path, 'x', sizeof(long_path));
	memcpy(long_path, fx->daemon.dir, strlen(fx->daemon.dir));
	long_path[strlen(fx->daemon.dir)] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	memcpy(at_limit, long_path, sizeof(at_limit));
	at_limit[106] = '\0'; /* and one digit and the end are 108 */
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		(void)unlink(fx->daemon.log);
		daemon_run(&fx->daemon, table[i].args);
		assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
		assert_true(daemon_said(&fx->daemon, table[i].mentions));
		assert_false(exists(fx->daemon.socket[0]));
	}
	daemon_run(&fx->daemon, (const char *[]){"-s", at_limit, "-c", "1", NULL});
	at_limit[106] = '0';
	at_limit[107] = '\0';
	for (unsigned i = 0; !socket_answers(at_limit); i++) {
		daemon_assert_alive(&fx->daemon);
		assert_true(i < LIVENESS_MS / 10);
		sleep_ms(10);
	}
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

/* Largest and suffixed values mean what they say: seen by what one request gets. */
static void test_values(void **state)
{
	static const struct {
		const char *max_bytes, *period;
		uint32_t gets;
	} table[] = {
		{"9223372036854775807", "4294967295", 65536},
		{"4k", "100000", 4000},
		{"4Ki", "100000", 4096},
	};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct driver_used used;
		uint64_t gpa;

		daemon_start(&fx->daemon, 1,
			(const char *[]){"-m", table[i].max_bytes, "-p", table[i].period, NULL});
		guest_init(&fx->guest, &(struct guest_cfg){0});
		gpa = guest_alloc(&fx->guest, 0, 65536);
		guest_connect(&fx->guest, fx->daemon.socket[0]);
		guest_request(&fx->guest, gpa, 65536, 0);
		guest_must_take(&fx->guest, &used);
		assert_int_equal(used.len_bytes, table[i].gets);
		guest_fini(&fx->guest);
		assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	}
}

/*
 * Start the daemon and look at its first socket's mode each time something happens to it. This
 * thread sleeps until then, shares its CPU with the daemon's main thread, and goes before it if it
 * may (as root): so it is woken within the daemon's bind() and looks before what comes after.
 *
 * @return  all mode bits the socket ever had
 */
static mode_t run_and_watch_mode(struct daemon *d, const char *const *args)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	struct sched_param before_all = {.sched_priority = 1};
	mode_t seen = 0;
	char events[4096];
	struct stat st;

	assert_true(inotify_add_watch(fd, d->dir, IN_CREATE | IN_ATTRIB | IN_MOVED_TO) >= 0);
	(void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &before_all);
	daemon_run(d, args);
	do {
		while (poll(&pfd, 1, 20) > 0) {
			if (stat(d->socket[0], &st) == 0)
				seen |= st.st_mode & 07777;
			while (read(fd, events, sizeof(events)) > 0)
				;
		}
		daemon_assert_alive(d);
		assert_true(now_ms() < deadline_ms);
	} while (!socket_answers(d->socket[0]));
	be_ordinary();
	close(fd);
	return seen;
}

static void test_socket_mode(void **state)
{
	struct fixture *fx = *state;
	char group[16];
	struct stat st;
	const char *const defaults[] = {"-s", fx->daemon.prefix, NULL};
	const char *const for_group[] = {"-s", fx->daemon.prefix, "--socket-group", group, NULL};
	const char *const for_owner[] = {
		"-s", fx->daemon.prefix, "--socket-group", group, "--socket-mode", "0600", NULL};
	mode_t umask_before = umask(0); /* nothing is narrowed by chance */

	assert_int_equal(run_and_watch_mode(&fx->daemon, defaults), 0600);
	assert_int_equal(stat(fx->daemon.socket[0], &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);

	snprintf(group, sizeof(group), "%u", geteuid() == 0 ? 12345 : (unsigned)getegid());
	assert_int_equal(run_and_watch_mode(&fx->daemon, for_group) & ~0660, 0);
	for (unsigned i = 0; i < LIVENESS_MS / 10; i++) { /* after it has begun to listen */
		assert_int_equal(stat(fx->daemon.socket[0], &st), 0);
		if ((st.st_mode & 07777) == 0660)
			break;
		sleep_ms(10);
	}
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, strtoul(group, NULL, 10));
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);

	assert_int_equal(run_and_watch_mode(&fx->daemon, for_owner), 0600);
	(void)umask(umask_before);
}

static void test_stale_sockets_are_replaced(void **state)
{
	struct fixture *fx = *state;

	make_stale_socket(fx->daemon.socket[0]);
	make_stale_socket(fx->daemon.socket[1]);
	daemon_start(&fx->daemon, 2, NULL);
	assert_served(fx, fx->daemon.socket[0]);
	assert_served(fx, fx->daemon.socket[1]);
	/* Its own, after a violent end: the guest goes on where it was. */
	assert_int_equal(daemon_stop(&fx->daemon, SIGKILL, NULL), 128 + SIGKILL);
	guest_request(&fx->guest, fx->guest.scratch_gpa, 64, 7);
	daemon_start(&fx->daemon, 2, NULL);
	guest_die(&fx->guest);
	guest_connect(&fx->guest, fx->daemon.socket[1]);
	{
		struct driver_used used;

		guest_must_take(&fx->guest, &used);
		assert_int_equal(used.cookie, 7);
	}
}

/* A second daemon on the same path gives up; the first, and what else is there, stay as they are.
 */
static void test_live_socket_is_left_alone(void **state)
{
	struct fixture *fx = *state;

	daemon_start(&fx->daemon, 1, NULL);
	honest_start(&fx->honest[0], fx->daemon.socket[0]);
	daemon_init(&fx->second);
	daemon_run(&fx->second, (const char *[]){"-s", fx->daemon.prefix, NULL});
	assert_int_equal(daemon_wait(&fx->second, LIVENESS_MS), 1);
	assert_true(daemon_said(&fx->second, fx->daemon.socket[0]));
	honest_check(&fx->honest[0]);
	honest_stop(&fx->honest[0]);
	guest_die(&fx->honest[0].guest);
	assert_served(fx, fx->daemon.socket[0]);
	guest_die(&fx->guest);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

/* One of three paths is taken by somebody else: the other two are not touched. */
static void test_foreign_socket_is_left_alone(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fixture *fx = *state;
	struct stat before, after;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", fx->daemon.socket[2]);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	make_stale_socket(fx->daemon.socket[0]);
	assert_int_equal(stat(fx->daemon.socket[0], &before), 0);
	daemon_run(&fx->daemon, (const char *[]){"-s", fx->daemon.prefix, "-c", "3", NULL});
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 1);
	assert_true(daemon_said(&fx->daemon, fx->daemon.socket[2]));
	assert_int_equal(stat(fx->daemon.socket[0], &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_false(exists(fx->daemon.socket[1]));
	assert_true(socket_answers(fx->daemon.socket[2]));
	close(fd);
}

static void test_other_files_are_left_alone(void **state)
{
	struct fixture *fx = *state;
	const char *path = fx->daemon.socket[0];

	for (unsigned kind = 0; kind < 4; kind++) {
		write_file(fx->daemon.source, "precious", 8);
		if (kind == 0)
			assert_int_equal(rename(fx->daemon.source, path), 0);
		else if (kind == 1)
			assert_int_equal(symlink(fx->daemon.source, path), 0);
		else if (kind == 2)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			assert_int_equal(mkfifo(path, 0600), 0);
		daemon_run(&fx->daemon, (const char *[]){"-s", fx->daemon.prefix, NULL});
		assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
		assert_true(daemon_said(&fx->daemon, path));
		assert_true(exists(path));
		if (kind < 2) {
			char *text = read_text(path);

			assert_string_equal(text, "precious");
			free(text);
		}
		assert_int_equal(kind == 2 ? rmdir(path) : unlink(path), 0);
	}
}

/* Two guests at full speed: a signal ends it cleanly. */
static void end_under_load(struct fixture *fx, int sig)
{
	int took_ms;

	daemon_start(&fx->daemon, 2, NULL);
	honest_start(&fx->honest[0], fx->daemon.socket[0]);
	honest_start(&fx->honest[1], fx->daemon.socket[1]);
	honest_check(&fx->honest[0]);
	honest_check(&fx->honest[1]);
	assert_int_equal(daemon_stop(&fx->daemon, sig, &took_ms), 0);
	print_message("# ended in %d ms\n", took_ms);
	assert_true(took_ms < END_LIMIT_MS);
	assert_false(exists(fx->daemon.socket[0]));
	assert_false(exists(fx->daemon.socket[1]));
	/* Whatever they got, up to the end, was legal. */
	assert_null(fx->honest[0].complaint);
	assert_null(fx->honest[1].complaint);
}

static void test_sigterm_under_load(void **state)
{
	end_under_load(*state, SIGTERM);
}

static void test_sigint_under_load(void **state)
{
	end_under_load(*state, SIGINT);
}

/* The signals that are blocked in the daemon's first thread: bit N - 1 for signal N. */
static unsigned long long blocked_signals(const struct daemon *d)
{
	unsigned long long blocked = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)d->pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "SigBlk: %llx", &blocked);
	fclose(file);
	return blocked;
}

static bool is_blocked(unsigned long long blocked, int sig)
{
	return blocked >> (sig - 1) & 1;
}

/* Whether MAIN has blocked that signal. (In fork(), for a moment, all are.) */
static bool blocks_signal(const struct daemon *d, int sig)
{
	unsigned long long blocked = blocked_signals(d);

	return is_blocked(blocked, sig) && !is_blocked(blocked, SIGCHLD);
}

/* SIGHUP and SIGUSR1 do not kill a daemon that still reads its configuration, here from a FIFO. */
static void test_signals_while_the_configuration_is_read(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	char config[128];
	int fd;

	snprintf(config, sizeof(config), "%s/config", d->dir);
	assert_int_equal(mkfifo(config, 0600), 0);
	daemon_run(d, (const char *[]){"--config", config, NULL});
	while (!blocks_signal(d, SIGUSR1)) {
		daemon_assert_alive(d);
		assert_true(now_ms() < deadline_ms);
	}
	assert_true(is_blocked(blocked_signals(d), SIGHUP));
	kill(d->pid, SIGHUP);
	kill(d->pid, SIGUSR1);
	fd = open(config, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	dprintf(fd, "[daemon]\nsocket-path = %s\n", d->prefix);
	close(fd);
	daemon_wait_until_said(d, "vhost-rng: serving");
	/* The reload does not wait for a second writer. */
	daemon_wait_until_said(d, "SIGHUP: nothing has changed");
	assert_true(daemon_said(d, "is a FIFO or pipe, which is not read again"));
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
}

/* Ctrl-C and SIGTERM end a daemon that waits for its configuration. */
static void test_end_while_the_configuration_is_read(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM};
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	char config[128];

	snprintf(config, sizeof(config), "%s/config", d->dir);
	assert_int_equal(mkfifo(config, 0600), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		int64_t deadline_ms = now_ms() + LIVENESS_MS;
		int took_ms;

		daemon_run(d, (const char *[]){"--config", config, NULL});
		while (!blocks_signal(d, SIGUSR1))
			assert_true(now_ms() < deadline_ms);
		assert_int_equal(daemon_stop(d, signals[i], &took_ms), 128 + signals[i]);
		assert_true(took_ms < END_LIMIT_MS);
	}
}

/* Descriptors 0 to 2 are /dev/null, and no socket, source or connection. */
static void test_closed_standard_descriptors(void **state)
{
	struct fixture *fx = *state;
	char path[64], target[64];

	fx->daemon.inspected = true;
	fx->daemon.without_stdio = true;
	daemon_start(&fx->daemon, 1, (const char *[]){"--rng-source", "/dev/random", NULL});
	assert_served(fx, fx->daemon.socket[0]);
	for (unsigned fd = 0; fd <= 2; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)fx->daemon.pid, fd);
		n = readlink(path, target, sizeof(target) - 1);
		assert_true(n > 0);
		target[n] = '\0';
		assert_string_equal(target, "/dev/null");
	}
	guest_die(&fx->guest);
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
}

/* A signal while it still starts is not lost and not mistaken. */
static void test_signal_at_start(void **state)
{
	struct fixture *fx = *state;

	for (int ms = -40; ms < 200; ms += 40) {
		int64_t deadline_ms = now_ms() + LIVENESS_MS;
		int status, took_ms;

		daemon_run(&fx->daemon, (const char *[]){"-s", fx->daemon.prefix, NULL});
		while (ms >= 0 && !blocks_signal(&fx->daemon, SIGTERM)) {
			daemon_assert_alive(&fx->daemon);
			assert_true(now_ms() < deadline_ms);
		}
		if (ms > 0)
			sleep_ms(ms);
		status = daemon_stop(&fx->daemon, SIGTERM, &took_ms);
		assert_true(took_ms < END_LIMIT_MS);
		/* Before main() the signal ends it; from then on it ends itself. */
		assert_true(status == 0 || (status == 128 + SIGTERM && ms < 0));
		assert_false(exists(fx->daemon.socket[0]));
	}
}

/* The original's example, and the long names. */
static void test_command_lines(void **state)
{
	struct fixture *fx = *state;
	char path[128], file[128];

	snprintf(path, sizeof(path), "--socket-path=%s", fx->daemon.prefix);
	snprintf(file, sizeof(file), "--rng-source=%s", "/dev/urandom");
	const char *const lines[][8] = {
		{path, "-c", "1", "-m", "512", "-p", "1000"},
		{path, "--socket-count=1", "--max-bytes=4096", "--period=1000", file},
		{"--filename", "/dev/urandom", "--source-mode=passthrough", path},
		{"--no-huge", "--no-shconf", "-m", "16", "--no-pci", "--", path},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		int64_t deadline_ms = now_ms() + LIVENESS_MS;

		daemon_run(&fx->daemon, lines[i]);
		while (!socket_answers(fx->daemon.socket[0])) {
			daemon_assert_alive(&fx->daemon);
			assert_true(now_ms() < deadline_ms);
			sleep_ms(5);
		}
		assert_served(fx, fx->daemon.socket[0]);
		guest_die(&fx->guest);
		assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	}
}

/* Say, as a service manager does, that the daemon's stderr is a stream of the journal. */
static void announce_journal(const struct daemon *d)
{
	int fd = open(d->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

/* A front-end whose last message rte_vhost refuses, and logs. */
static void send_refused_message(struct fixture *fx)
{
	struct vhost_user_header header = {
		.request = VHOST_USER_SET_VRING_NUM,
		.flags = VHOST_USER_VERSION,
		.size_bytes = sizeof(struct vhost_user_vring_state),
	};
	struct vhost_user_vring_state state = {.num = 1 << 20};

	assert_served(fx, fx->daemon.socket[0]);
	assert_int_equal(
		frontend_send_raw(fx->guest.fe, &header, &state, sizeof(state), NULL, 0), 0);
	daemon_wait_until_said(&fx->daemon, "front-end left");
}

/* In the journal each line has its priority: ours and the libraries', the reason of an end too. */
static void test_priorities_in_the_journal(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	char *log, *rest = NULL;

	announce_journal(d);
	daemon_start(d, 1, NULL);
	send_refused_message(fx);
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	daemon_run(d, (const char *[]){"-s", "/none/rng.sock", NULL});
	assert_int_not_equal(daemon_wait(d, LIVENESS_MS), 0);
	unsetenv("JOURNAL_STREAM");
	log = read_text(d->log);
	assert_ptr_equal(strstr(log, "<5>vhost-rng: dpdk-vhost-rng "), log);
	assert_non_null(strstr(log, ", DPDK 2"));
	assert_non_null(strstr(log, "\n<6>vhost-rng: guest 0: served"));
	assert_non_null(strstr(log, "\n<3>VHOST_CONFIG: "));
	assert_non_null(strstr(log, "\n<3>dpdk-vhost-rng: directory /none "));
	for (char *line = strtok_r(log, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest))
		assert_true(line[0] == '<' && line[1] >= '3' && line[1] <= '6' && line[2] == '>');
	free(log);
}

/* Elsewhere no line has one: the variable may name the stream that stderr was before. */
static void test_no_priorities_outside_the_journal(void **state)
{
	struct fixture *fx = *state;
	char *log;

	assert_int_equal(setenv("JOURNAL_STREAM", "1:1", 1), 0);
	daemon_start(&fx->daemon, 1, NULL);
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, NULL), 0);
	log = read_text(fx->daemon.log);
	assert_ptr_equal(strstr(log, "vhost-rng: dpdk-vhost-rng "), log);
	assert_null(strchr(log, '<'));
	free(log);
}

/* A pipe without room, as a terminal that is stopped or a reader of the log that hangs. */
static void make_full_pipe(int ends[2])
{
	char byte = '\n';

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], &byte, 1) == 1)
		;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
}

/* Read from 'fd' until 'text' came. */
static void read_until(int fd, const char *text)
{
	char got[65536] = "";
	size_t n = 0;

	while (strstr(got, text) == NULL) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t len;

		assert_int_equal(poll(&wait, 1, LIVENESS_MS), 1);
		len = read(fd, got + n, sizeof(got) - 1 - n);
		assert_true(len > 0);
		n += (size_t)len;
	}
}

/* A log that nobody reads holds nobody up; when it is read again, it has the number of lost lines.
 */
static void test_log_is_not_read(void **state)
{
	struct fixture *fx = *state;
	struct daemon *d = &fx->daemon;
	int ends[2];

	make_full_pipe(ends);
	d->stderr_fd = ends[1];
	daemon_start(d, 1, NULL);
	for (unsigned i = 0; i < 20; i++) {
		assert_served(fx, d->socket[0]);
		guest_die(&fx->guest);
	}
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	daemon_start(d, 1, NULL);
	assert_served(fx, d->socket[0]);
	read_until(ends[0], "\n");
	guest_die(&fx->guest);
	read_until(ends[0], " lines were left out: the reader of standard error has stopped");
	assert_int_equal(daemon_stop(d, SIGTERM, NULL), 0);
	close(ends[0]);
	close(ends[1]);
}

/* It did not start, said why, and made no socket. */
static void assert_not_started(struct fixture *fx, int status, const char *why)
{
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), status);
	assert_true(daemon_said(&fx->daemon, why));
	assert_false(exists(fx->daemon.socket[0]));
}

/* An EAL that cannot start ends it, also where DPDK gives no reason: there is no first process. */
static void test_no_eal(void **state)
{
	struct fixture *fx = *state;

	daemon_run(&fx->daemon,
		(const char *[]){"--no-huge", "--no-pci", "--proc-type=secondary",
			"--file-prefix=vrng-e2e-none", "--", "-s", fx->daemon.prefix, NULL});
	assert_not_started(fx, 1, "dpdk-vhost-rng: the EAL did not start: ");
}

/* Options of the EAL's that it refuses are refused options. */
static void test_refused_eal_options(void **state)
{
	struct fixture *fx = *state;

	daemon_run(&fx->daemon, (const char *[]){"--no-huge", "--no-such-option", "--", "-s",
					fx->daemon.prefix, NULL});
	assert_not_started(fx, 2, "dpdk-vhost-rng: the EAL did not start: ");
	(void)unlink(fx->daemon.log);
	daemon_run(&fx->daemon, (const char *[]){"-l", "0", "--no-huge", "--no-shconf", "-m", "16",
					"--no-pci", "--", "-s", fx->daemon.prefix, NULL});
	assert_not_started(fx, 2, "dpdk-vhost-rng: the EAL options leave no lcore to poll");
}

/* What the EAL leaves of its words was meant to be something. */
static void test_stray_eal_word(void **state)
{
	struct fixture *fx = *state;

	daemon_run(&fx->daemon, (const char *[]){"--no-huge", "--no-pci", "stray", "-m", "16",
					"--no-shconf", "--", "-s", fx->daemon.prefix, NULL});
	assert_not_started(fx, 2, "dpdk-vhost-rng: 'stray' among the EAL options");
}

/* A CPU that there is not, or not for this process, is named. */
static void test_no_cpu(void **state)
{
	struct fixture *fx = *state;

	if (sysconf(_SC_NPROCESSORS_CONF) > 127) {
		print_message("# there is a CPU 127 here\n");
		skip();
	}
	daemon_run(
		&fx->daemon, (const char *[]){"-s", fx->daemon.prefix, "--lcores", "0,127", NULL});
	assert_not_started(fx, 2, "dpdk-vhost-rng: CPU 127 of --lcores");
}

/*
 * What the options name is not on this host: --check-config and a start say the same, exit 2, and
 * touch nothing.
 */
static void assert_refused_by_both(
	struct fixture *fx, const char *const *args, unsigned n_args, const char *says)
{
	char *said[2];

	for (unsigned i = 0; i < 2; i++) {
		const char *words[20] = {NULL};

		memcpy(words, args, n_args * sizeof(args[0]));
		if (i == 0)
			words[n_args] = "--check-config";
		write_file(fx->daemon.log, "", 0);
		daemon_run(&fx->daemon, words);
		assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 2);
		said[i] = read_text(fx->daemon.log);
	}
	print_message("# %s", said[0]);
	/* A start logs the versions first. */
	assert_ptr_equal(strstr(said[1], "vhost-rng: dpdk-vhost-rng "), said[1]);
	assert_string_equal(said[0], strchr(said[1], '\n') + 1);
	assert_non_null(strstr(said[0], says));
	assert_true(exists(fx->daemon.socket[0]));
	assert_false(exists(fx->daemon.socket[1]));
	free(said[0]);
	free(said[1]);
}

static void test_refused_by_the_host(void **state)
{
	struct fixture *fx = *state;
	const char *prefix = fx->daemon.prefix, *file = fx->daemon.source;
	char missing[128], config[128], lcores[32], text[256];
	const struct {
		const char *args[12];
		const char *says;
	} table[] = {
		{{"--socket-group", "no-such-group"}, "'no-such-group' is no group"},
		{{"--config", config}, "'no-such-group' is no group"},
		{{"--user", "no-such-user"}, "'no-such-user' is no user"},
		{{"--user", "root:no-such-group"}, "'no-such-group' is no group"},
		{{"-f", missing}, missing},
		{{"-f", "/dev/urandom", "-f", missing}, missing},
		{{"-f", fx->daemon.dir}, "directory"},
		{{"-f", fx->daemon.socket[0]}, fx->daemon.socket[0]},
		{{"--source-mode", "drbg", "-f", file, "-f", file, "-f", file, "--source-mix",
			 "--source-entropy", "0.1"},
			"claim more --source-entropy"},
		{{"-s", missing}, missing},
		{{"--control-socket", missing}, missing},
		{{"--control-socket", file}, "is not a socket"},
		{{"--sandbox-dir", missing}, missing},
		{{"--sandbox-dir", file}, "Not a directory"},
		{{"--lcores", lcores}, "--lcores"},
	};

	snprintf(missing, sizeof(missing), "%s/not/there", fx->daemon.dir);
	snprintf(config, sizeof(config), "%s/conf", fx->daemon.dir);
	snprintf(lcores, sizeof(lcores), "%ld", sysconf(_SC_NPROCESSORS_CONF));
	snprintf(text, sizeof(text), "[guest a]\nsocket = %s/a\nsocket-group = no-such-group\n",
		fx->daemon.dir);
	write_file(config, text, strlen(text));
	write_file(file, "x", 1);
	make_stale_socket(fx->daemon.socket[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		const char *args[16] = {"-s", prefix};
		unsigned n = 2;

		for (unsigned j = 0; j < ARRAY_SIZE(table[i].args) && table[i].args[j] != NULL; j++)
			args[n++] = table[i].args[j];
		assert_refused_by_both(fx, args, n, table[i].says);
	}
	snprintf(text, sizeof(text), "[guest a]\nsocket = %s/a\nlcore = 127\n", fx->daemon.dir);
	write_file(config, text, strlen(text));
	assert_refused_by_both(
		fx, (const char *[]){"--config", config}, 2, "lcore 127 does not poll");
}

/* Files and groups that others may use, but not this user. */
static void test_refused_for_the_user(void **state)
{
	struct fixture *fx = *state;
	const char *dir = fx->daemon.dir, *file = fx->daemon.source;

	if (geteuid() == 0) {
		print_message("# not tried: root may do everything\n");
		return;
	}
	make_stale_socket(fx->daemon.socket[0]);
	write_file(file, "x", 1);
	assert_int_equal(chmod(file, 0), 0);
	assert_refused_by_both(fx, (const char *[]){"-s", fx->daemon.prefix, "-f", file}, 4, file);
	assert_refused_by_both(
		fx, (const char *[]){"-s", fx->daemon.prefix, "--socket-group", "0"}, 4, "group 0");
	assert_refused_by_both(fx, (const char *[]){"-s", "/rng.sock"}, 2, "directory /");
	assert_refused_by_both(
		fx, (const char *[]){"-s", fx->daemon.prefix, "--user", "root"}, 4, "only root");
	assert_int_equal(chmod(dir, 0500), 0);
	assert_refused_by_both(fx, (const char *[]){"-s", fx->daemon.prefix}, 2, dir);
	assert_int_equal(chmod(dir, 0700), 0);
}

/* --check-config looks at a source without opening it, which a writer of a FIFO would notice. */
static void test_check_opens_no_source(void **state)
{
	struct fixture *fx = *state;
	int fd;

	assert_int_equal(mkfifo(fx->daemon.source, 0600), 0);
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	assert_true(inotify_add_watch(fd, fx->daemon.source, IN_OPEN) >= 0);
	daemon_run(&fx->daemon, (const char *[]){"-s", fx->daemon.prefix, "-f", fx->daemon.source,
					"--check-config", NULL});
	assert_int_equal(daemon_wait(&fx->daemon, LIVENESS_MS), 0);
	assert_int_equal(read(fd, (char[256]){0}, 256), -1);
	close(fd);
	assert_false(exists(fx->daemon.socket[0]));
}

/* The configuration of a daemon that runs is found well: its sockets are in use by itself. */
static void test_check_beside_a_daemon(void **state)
{
	struct fixture *fx = *state;

	daemon_start(&fx->daemon, 1, NULL);
	daemon_init(&fx->second);
	daemon_run(&fx->second, (const char *[]){"-s", fx->daemon.prefix, "--check-config", NULL});
	assert_int_equal(daemon_wait(&fx->second, LIVENESS_MS), 0);
	assert_served(fx, fx->daemon.socket[0]);
}

/* Leave the EAL's multi-process channel on, as the EAL does without --no-shconf and --in-memory. */
#define EAL_WITH_CHANNEL "-l", "0,1", "--no-huge", "--no-pci", "--file-prefix=vrng-e2e-mp"

static void need_two_cpus(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("# the EAL options name CPUs 0 and 1\n");
		skip();
	}
}

static void assert_ends_in_time(struct fixture *fx, const char *const *line)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	int took_ms;

	daemon_run(&fx->daemon, line);
	while (!socket_answers(fx->daemon.socket[0])) {
		daemon_assert_alive(&fx->daemon);
		assert_true(now_ms() < deadline_ms);
		sleep_ms(5);
	}
	assert_int_equal(daemon_stop(&fx->daemon, SIGTERM, &took_ms), 0);
	assert_true(took_ms < END_LIMIT_MS);
}

/* rte_eal_cleanup() joins the channel's thread, which sits in recvmsg(). */
static void test_eal_channel_ends(void **state)
{
	struct fixture *fx = *state;
	char config[128];
	FILE *file;

	need_two_cpus();
	assert_ends_in_time(
		fx, (const char *[]){EAL_WITH_CHANNEL, "--", "-s", fx->daemon.prefix, NULL});
	assert_ends_in_time(fx, (const char *[]){EAL_WITH_CHANNEL, "--no-telemetry", "--", "-s",
					fx->daemon.prefix, NULL});
	snprintf(config, sizeof(config), "%s/config", fx->daemon.dir);
	file = fopen(config, "w");
	assert_non_null(file);
	fprintf(file,
		"[daemon]\nsocket-path = %s\n"
		"eal-options = -l 0,1 --no-huge --no-pci --file-prefix=vrng-e2e-mp\n",
		fx->daemon.prefix);
	fclose(file);
	assert_ends_in_time(fx, (const char *[]){"--config", config, NULL});
}

/* A start that is refused when the EAL is up ends as fast. */
static void test_eal_channel_ends_after_a_refusal(void **state)
{
	struct fixture *fx = *state;
	int status;

	need_two_cpus();
	daemon_run(&fx->daemon, (const char *[]){EAL_WITH_CHANNEL, "--", "-s", fx->daemon.prefix,
					"--lcores", "9", NULL});
	status = daemon_wait(&fx->daemon, LIVENESS_MS);
	assert_true(status > 0 && status < 128);
	assert_true(daemon_said(&fx->daemon, "--lcores names 9"));
	assert_false(exists(fx->daemon.socket[0]));
}

#define CLI_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(test_help_and_version),
		CLI_TEST(test_refused_options),
		CLI_TEST(test_impossible_paths),
		CLI_TEST(test_values),
		CLI_TEST(test_command_lines),
		CLI_TEST(test_no_eal),
		CLI_TEST(test_refused_eal_options),
		CLI_TEST(test_stray_eal_word),
		CLI_TEST(test_refused_by_the_host),
		CLI_TEST(test_refused_for_the_user),
		CLI_TEST(test_check_opens_no_source),
		CLI_TEST(test_check_beside_a_daemon),
		CLI_TEST(test_no_cpu),
		CLI_TEST(test_eal_channel_ends),
		CLI_TEST(test_eal_channel_ends_after_a_refusal),
		CLI_TEST(test_socket_mode),
		CLI_TEST(test_stale_sockets_are_replaced),
		CLI_TEST(test_live_socket_is_left_alone),
		CLI_TEST(test_foreign_socket_is_left_alone),
		CLI_TEST(test_other_files_are_left_alone),
		CLI_TEST(test_sigterm_under_load),
		CLI_TEST(test_sigint_under_load),
		CLI_TEST(test_signal_at_start),
		CLI_TEST(test_signals_while_the_configuration_is_read),
		CLI_TEST(test_end_while_the_configuration_is_read),
		CLI_TEST(test_closed_standard_descriptors),
		CLI_TEST(test_log_is_not_read),
		CLI_TEST(test_priorities_in_the_journal),
		CLI_TEST(test_no_priorities_outside_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
