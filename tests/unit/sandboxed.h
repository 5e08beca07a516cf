/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_SANDBOXED_H
#define UNIT_SANDBOXED_H

/*
 * Attempts in the sandbox: each is made by a child of the test that has gone there, and ends with
 * the errno of its attempt, or by a signal.
 */

#include "sandbox/sandbox.h"

#include "attempts.h"
#include "directory.h"

#include <sys/wait.h>

#define BY_SIGNAL 128

/* Go into the sandbox, with what it allows: "sockets" and "sources". */
static inline int enter(const char *words, const struct user *user, struct sandbox_report *report)
{
	struct sandbox_options so = {.user = user != NULL ? "nobody" : NULL};
	struct landlock files;
	const struct sandbox_config cfg = {.options = &so, .user = user, .files = &files};
	struct why why;
	int err = sandbox_parse(words, &so);

	landlock_open(&files);
	landlock_allow(&files, "sockets", LANDLOCK_SOCKETS);
	landlock_allow(&files, "sources", LANDLOCK_READ);
	landlock_allow(&files, "nothing", LANDLOCK_READ);
	if (err == 0)
		err = sandbox_begin(&so, report, &why);
	if (err == 0)
		err = sandbox_enter(&cfg, report, &why);
	landlock_close(&files);
	return err;
}

static inline int wait_for(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		assert_false(WCOREDUMP(status));
	return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int attempt_as(const char *words, const struct user *user, attempt_fn *attempt)
{
	struct sandbox_report report;
	pid_t pid = fork();

	if (pid == 0)
		_exit(enter(words, user, &report) == 0 ? attempt() : BROKEN);
	return wait_for(pid);
}

static inline int attempt_in(const char *words, attempt_fn *attempt)
{
	return attempt_as(words, NULL, attempt);
}

/* A test of a part that this system lets nobody have says so, and is skipped. */
static inline void need(enum sandbox_part part)
{
	struct sandbox_report *report = mmap(
		NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool in_force;
	pid_t pid;

	assert_true(report != MAP_FAILED);
	pid = fork();
	if (pid == 0)
		_exit(enter("on", NULL, report) == 0 ? 0 : BROKEN);
	assert_int_equal(wait_for(pid), 0);
	in_force = report->parts[part].in_force;
	if (!in_force)
		print_message("# skipped: %s is not to be had here: %s\n", sandbox_part_name(part),
			report->parts[part].why_not);
	munmap(report, sizeof(*report));
	if (!in_force)
		skip();
}

static inline int make_files(void **state)
{
	if (directory_make(state) != 0 || mkdir("sockets", 0755) != 0 ||
		mkdir("sources", 0755) != 0 || mkdir("other", 0755) != 0)
		return -1;
	append("sources/one", "bytes");
	append("other/one", "bytes");
	return 0;
}

static inline int has_capabilities(void)
{
	char text[4096] = "", *line;
	int fd = open("/proc/thread-self/status", O_RDONLY);
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return BROKEN;
	for (unsigned i = 0; i < ARRAY_LEN(sets); i++) {
		/* What it could get by a program is root's to give away; it runs no program. */
		if (geteuid() != 0 && strcmp(sets[i], "CapBnd:") == 0)
			continue;
		line = strstr(text, sets[i]);
		if (line == NULL || strtoull(line + strlen(sets[i]), NULL, 16) != 0)
			return 1;
	}
	return strstr(text, "NoNewPrivs:\t1") == NULL;
}

/* A build with sanitizers has no sandbox. */
static inline bool is_possible(void)
{
	struct sandbox_report report;
	pid_t pid = fork();

	if (pid == 0)
		_exit(enter("on", NULL, &report) == 0 && report.parts[SANDBOX_PRIVILEGES].in_force);
	return wait_for(pid) == 1;
}

/* A test in a directory with files, all but "other" of which the sandbox allows. */
#define sandbox_test(f) cmocka_unit_test_setup_teardown(f, make_files, directory_remove)

#endif
