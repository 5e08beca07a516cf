/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGS 32

void daemon_init(struct daemon *d)
{
	*d = (struct daemon){0};
	snprintf(d->dir, sizeof(d->dir), "/tmp/vrng-e2e-XXXXXX");
	if (mkdtemp(d->dir) == NULL)
		fail_msg("mkdtemp %s: %s", d->dir, strerror(errno));
	snprintf(d->prefix, sizeof(d->prefix), "%s/rng.sock", d->dir);
	for (unsigned i = 0; i < DAEMON_MAX_SOCKETS; i++)
		snprintf(d->socket[i], sizeof(d->socket[i]), "%s%u", d->prefix, i);
	snprintf(d->log, sizeof(d->log), "%s/log", d->dir);
	snprintf(d->out, sizeof(d->out), "%s/out", d->dir);
	snprintf(d->source, sizeof(d->source), "%s/source", d->dir);
}

void *daemon_fixture(void **state, size_t size)
{
	struct daemon *d = calloc(1, size);

	assert_non_null(d);
	stay_off_lcores();
	daemon_init(d);
	*state = d;
	return d;
}

void daemon_fini(struct daemon *d)
{
	struct dirent *entry;
	bool refused;
	char *log;
	DIR *dir;

	if (d->pid != 0) {
		kill(d->pid, SIGKILL);
		daemon_wait(d, LIVENESS_MS);
	}
	log = read_text(d->log);
	refused = !d->may_be_refused && strstr(log, "sandbox: refused") != NULL;
	if (refused)
		print_error("the daemon's log:\n%s\n", log);
	free(log);
	dir = opendir(d->dir);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(d->dir);
	if (refused)
		fail_msg("the sandbox refused what the daemon wanted");
}

int daemon_fixture_end(void **state)
{
	daemon_fini(*state);
	free(*state);
	return 0;
}

static void become_daemon(const struct daemon *d, const char *program, const char *const *args)
{
	const char *argv[MAX_ARGS] = {program};
	unsigned n = 1;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGHUP, SIG_DFL); /* nohup(1) may have had the tests */
	use_all_cpus();
	for (unsigned i = 0; args[i] != NULL; i++)
		argv[n++] = args[i];
	if (d->inspected && geteuid() != 0)
		argv[n++] = "--core-dumps";
	fd = open(d->out, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDOUT_FILENO);
	fd = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(d->stderr_fd > 0 ? d->stderr_fd : fd, STDERR_FILENO);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, STDIN_FILENO);
	for (fd = STDIN_FILENO; d->without_stdio && fd <= STDERR_FILENO; fd++)
		close(fd);
	execv(program, (char *const *)argv);
	dprintf(STDERR_FILENO, "exec %s: %s\n", program, strerror(errno));
	_exit(127);
}

void daemon_run(struct daemon *d, const char *const *args)
{
	const char *program = getenv("VRNG_DAEMON");
	unsigned n = 0;

	assert_int_equal(d->pid, 0);
	if (program == NULL)
		fail_msg("VRNG_DAEMON does not name the program to test");
	while (args[n] != NULL)
		assert_true(++n + 2 < MAX_ARGS);
	d->pid = fork();
	if (d->pid == 0)
		become_daemon(d, program, args);
	if (d->pid < 0) {
		d->pid = 0;
		fail_msg("fork: %s", strerror(errno));
	}
}

bool socket_answers(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	answers = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
	close(fd);
	return answers;
}

static void fail_with_log(struct daemon *d, const char *what)
{
	char *log = read_text(d->log);

	print_error("the daemon's log:\n%s\n", log);
	free(log);
	fail_msg("%s", what);
}

void daemon_start(struct daemon *d, unsigned nr_sockets, const char *const *more)
{
	const char *args[MAX_ARGS] = {"-s", d->prefix, "-c"};
	int64_t deadline_ms = now_ms() + LIVENESS_MS;
	char count[16];
	unsigned n = 3;

	assert_true(nr_sockets <= DAEMON_MAX_SOCKETS);
	snprintf(count, sizeof(count), "%u", nr_sockets);
	args[n++] = count;
	if (getenv("VRNG_IDLE") != NULL) {
		args[n++] = "--idle";
		args[n++] = getenv("VRNG_IDLE");
	}
	for (; more != NULL && *more != NULL; more++) {
		assert_true(n + 2 < MAX_ARGS);
		args[n++] = *more;
	}
	daemon_run(d, args);
	for (unsigned i = 0; i < nr_sockets; i++) {
		while (!socket_answers(d->socket[i])) {
			daemon_assert_alive(d);
			if (now_ms() > deadline_ms)
				fail_with_log(d, "no connection could be made");
			sleep_ms(5);
		}
	}
}

static int collect(struct daemon *d, int status)
{
	d->pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int daemon_wait(struct daemon *d, int limit_ms)
{
	int64_t deadline_ms = now_ms() + limit_ms;
	int status;

	assert_true(d->pid > 0);
	while (waitpid(d->pid, &status, WNOHANG) == 0) {
		if (now_ms() > deadline_ms)
			return -1;
		sleep_ms(2);
	}
	return collect(d, status);
}

int daemon_stop(struct daemon *d, int sig, int *took_ms)
{
	int64_t from_ms = now_ms();
	int status;

	assert_true(d->pid > 0);
	kill(d->pid, sig);
	status = daemon_wait(d, LIVENESS_MS);
	if (took_ms != NULL)
		*took_ms = (int)(now_ms() - from_ms);
	return status;
}

/* @return -1 while it runs, else as daemon_wait(), or 0 if it was not started */
static int look_for_end(struct daemon *d)
{
	int status;

	if (d->pid == 0)
		return 0;
	return waitpid(d->pid, &status, WNOHANG) == 0 ? -1 : collect(d, status);
}

bool daemon_is_alive(struct daemon *d)
{
	return look_for_end(d) == -1;
}

void daemon_assert_alive(struct daemon *d)
{
	int end = look_for_end(d);
	char what[64];

	if (end == -1)
		return;
	snprintf(what, sizeof(what), "the daemon has ended with %d", end);
	fail_with_log(d, what);
}

char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	ssize_t n = 0;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		text = calloc(1, (size_t)st.st_size + 1);
		n = text != NULL ? read(fd, text, (size_t)st.st_size) : -1;
	}
	if (fd >= 0)
		close(fd);
	if (text == NULL || n < 0) {
		free(text);
		return strdup("");
	}
	return text;
}

bool daemon_said(const struct daemon *d, const char *text)
{
	char *log = read_text(d->log);
	bool said = strstr(log, text) != NULL;

	free(log);
	return said;
}

unsigned daemon_count_fds(const struct daemon *d)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)d->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

rlim_t daemon_limit_fds(const struct daemon *d, rlim_t limit)
{
	struct rlimit old, new;

	assert_int_equal(prlimit(d->pid, RLIMIT_NOFILE, NULL, &old), 0);
	new = (struct rlimit){limit, old.rlim_max};
	assert_int_equal(prlimit(d->pid, RLIMIT_NOFILE, &new, NULL), 0);
	return old.rlim_cur;
}

long daemon_memory_kb(const struct daemon *d, const char *line)
{
	char path[64], text[128];
	size_t len = strlen(line);
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)d->pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(text, sizeof(text), f) != NULL)
		if (strncmp(text, line, len) == 0 && text[len] == ':')
			kb = strtol(text + len + 1, NULL, 10);
	fclose(f);
	return kb;
}

void daemon_wait_until_said(struct daemon *d, const char *text)
{
	int64_t deadline_ms = now_ms() + LIVENESS_MS;

	while (!daemon_said(d, text)) {
		daemon_assert_alive(d);
		if (now_ms() > deadline_ms)
			fail_with_log(d, text);
		sleep_ms(5);
	}
}
