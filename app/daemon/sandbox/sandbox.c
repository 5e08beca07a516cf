/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/sandbox.h"

#include "sandbox/every_thread.h"
#include "sandbox/refused.h"
#include "sandbox/syscall_filter.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(part) (1u << (part))

static const char *const names[SANDBOX_PARTS] = {
	[SANDBOX_DUMPS] = "dumps",
	[SANDBOX_NAMESPACES] = "namespaces",
	[SANDBOX_CAPS] = "caps",
	[SANDBOX_PRIVILEGES] = "privileges",
	[SANDBOX_LANDLOCK] = "landlock",
	[SANDBOX_SECCOMP] = "seccomp",
};

/* Read by every thread, when MAIN has set it */
static int ruleset = -1;
static struct syscall_filter *lcore_filter;

/* Held open: a part of /proc that nobody uses is made anew, and would not be what was allowed. */
static int own_proc = -1, own_tasks = -1;

/* Words */

/*
 * One that can be named: the others rest on no_new_privs, which is on unless all is off, and dumps
 * have an option of their own.
 */
static int find_part(const char *name)
{
	for (int part = 0; part < SANDBOX_PARTS; part++)
		if (part != SANDBOX_PRIVILEGES && part != SANDBOX_DUMPS &&
			strcmp(name, names[part]) == 0)
			return part;
	return -1;
}

int sandbox_parse(const char *words, struct sandbox_options *so)
{
	char copy[256], *rest = copy, *word;
	unsigned off = 0;
	bool require = false;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", words) >= sizeof(copy))
		return -EINVAL;
	while ((word = strsep(&rest, ",")) != NULL) {
		int part = strncmp(word, "no-", 3) == 0 ? find_part(word + 3) : -1;

		if (part >= 0)
			off |= BIT(part);
		else if (strcmp(word, "off") == 0)
			off = BIT(SANDBOX_PARTS) - 1;
		else if (strcmp(word, "require") == 0)
			require = true;
		else if (strcmp(word, "on") != 0)
			return -EINVAL;
	}
	so->off = off;
	so->require = require;
	return 0;
}

void sandbox_words(const struct sandbox_options *so, char words[SANDBOX_WORDS_SIZE])
{
	size_t len = (size_t)snprintf(words, SANDBOX_WORDS_SIZE, "%s%s",
		so->off == BIT(SANDBOX_PARTS) - 1 ? "off" : "on", so->require ? ",require" : "");

	for (unsigned part = 0; part < SANDBOX_PARTS; part++)
		if (so->off != BIT(SANDBOX_PARTS) - 1 && (so->off & BIT(part)) != 0)
			len += (size_t)snprintf(
				words + len, SANDBOX_WORDS_SIZE - len, ",no-%s", names[part]);
}

const char *sandbox_part_name(enum sandbox_part part)
{
	return names[part];
}

/* What is said of it */

static bool is_wanted(const struct sandbox_options *so, enum sandbox_part part)
{
	return (so->off & BIT(part)) == 0 && !(part == SANDBOX_DUMPS && so->core_dumps);
}

/* Note what has become of a part. An error if it is required. */
static int note(const struct sandbox_options *so, struct sandbox_report *report,
	enum sandbox_part part, int err, struct why *why)
{
	char *text = report->parts[part].why_not;
	const size_t size = sizeof(report->parts[part].why_not);

	report->parts[part].wanted = true;
	report->parts[part].in_force = err == 0;
	if (err == 0)
		return 0;
	if (part == SANDBOX_LANDLOCK && (err == -ENOSYS || err == -EOPNOTSUPP))
		snprintf(text, size, "this kernel has it not, or not switched on");
	else if (part == SANDBOX_NAMESPACES && err == -EPERM)
		snprintf(text, size, "this takes the rights of root");
	else if (part == SANDBOX_NAMESPACES && err == -EADDRINUSE)
		snprintf(text, size, "NOTIFY_SOCKET is an abstract socket");
	else
		snprintf(text, size, "%s", strerror(-err));
	if (!so->require)
		return 0;
	return why_set(why, err,
		"--sandbox require: %s cannot be had: %s; go without it by adding no-%s",
		names[part], text, names[part]);
}

/*
 * Sanitizers and coverage read /proc, write files and trace the process when it ends: nothing of it
 * works in a sandbox.
 */
extern char __llvm_profile_runtime[] __attribute__((weak));
void __gcov_init(void *) __attribute__((weak));
void __asan_init(void) __attribute__((weak));
void __tsan_init(void) __attribute__((weak));

static bool is_instrumented(void)
{
	return __gcov_init != NULL || __llvm_profile_runtime != NULL || __asan_init != NULL ||
	       __tsan_init != NULL;
}

/* Before there are threads */

static int forbid_dumps(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return -errno;
	return 0;
}

/* Somebody has done that already, such as systemd: there is a loopback alone, and the queues are
 * not those that the kernel began with, whose number is always the same (PROC_IPC_INIT_INO). */
static bool is_apart(void)
{
	FILE *devices = fopen("/proc/self/net/dev", "re");
	char line[256], ipc[32] = "";
	bool alone = devices != NULL;

	while (alone && fgets(line, sizeof(line), devices) != NULL)
		alone = strchr(line, '|') != NULL || strstr(line, " lo:") != NULL;
	if (devices != NULL)
		fclose(devices);
	return alone && readlink("/proc/self/ns/ipc", ipc, sizeof(ipc) - 1) > 0 &&
	       strcmp(ipc, "ipc:[4026531839]") != 0;
}

/* No network, and none of the System V and POSIX queues of others. */
static int leave_namespaces(void)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	int err;

	/* An abstract socket is in its network's namespace. */
	if (notify != NULL && notify[0] == '@')
		return -EADDRINUSE;
	err = unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0 ? 0 : -errno;
	return err == -EPERM && is_apart() ? 0 : err;
}

int sandbox_begin(const struct sandbox_options *so, struct sandbox_report *report, struct why *why)
{
	int err = 0;

	*report = (struct sandbox_report){0};
	if (is_instrumented()) {
		for (int part = 0; part < SANDBOX_PARTS && err == 0; part++)
			if (is_wanted(so, (enum sandbox_part)part)) {
				err = note(so, report, (enum sandbox_part)part, -ENOTSUP, why);
				snprintf(report->parts[part].why_not,
					sizeof(report->parts[part].why_not),
					"this is a build with sanitizers or coverage");
			}
		return err;
	}
	if (is_wanted(so, SANDBOX_DUMPS))
		err = note(so, report, SANDBOX_DUMPS, forbid_dumps(), why);
	if (err == 0 && is_wanted(so, SANDBOX_NAMESPACES))
		err = note(so, report, SANDBOX_NAMESPACES, leave_namespaces(), why);
	return err;
}

/* On every thread, in a handler */

static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* who may not, gets none of them anyway */
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3];
	int err;

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) == 0)
		return 0;
	err = -errno;
	/* Supervisors forbid that; they may have done it themselves. */
	if (syscall(SYS_capget, &header, left) == 0 && memcmp(left, none, sizeof(none)) == 0)
		return 0;
	return err;
}

static int forbid_privileges(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

static int enter_ruleset(void)
{
	return landlock_restrict(ruleset);
}

/* When all runs */

static int become(
	const struct sandbox_config *cfg, const struct sandbox_report *report, struct why *why)
{
	int err = user_become(cfg->user);

	if (err != 0)
		return why_set(why, err, "--user %s: cannot become that user: %s",
			cfg->options->user, strerror(-err));
	/* The kernel decides anew, by fs.suid_dumpable, when the user changes. */
	prctl(PR_SET_DUMPABLE, report->parts[SANDBOX_DUMPS].in_force ? 0 : 1, 0, 0, 0);
	return 0;
}

/* @return how many there are now */
static unsigned add_own_rules(const struct sandbox_config *cfg, struct landlock_rule *rules)
{
	unsigned n = 0;

	for (; n < cfg->n_rules; n++)
		rules[n] = cfg->rules[n];
	own_proc = open("/proc/self", O_PATH | O_CLOEXEC);
	own_tasks = open("/proc/self/task", O_PATH | O_CLOEXEC);
	rules[n++] = (struct landlock_rule){"/proc/self", LANDLOCK_READ};
	/* Threads are given names. */
	rules[n++] = (struct landlock_rule){"/proc/self/task", LANDLOCK_WRITE};
	return n;
}

static int limit_files(const struct sandbox_config *cfg, struct sandbox_report *report)
{
	struct landlock_rule *rules = calloc(cfg->n_rules + 2, sizeof(rules[0]));
	int err;

	if (rules == NULL)
		return -ENOMEM;
	ruleset = landlock_open(rules, add_own_rules(cfg, rules), &report->landlock_abi);
	free(rules);
	if (ruleset < 0)
		return ruleset;
	err = every_thread(enter_ruleset);
	close(ruleset);
	ruleset = -1;
	return err;
}

static int filter_calls(void)
{
	struct syscall_filter *process = NULL;
	bool seen = refused_install() == 0;
	int err;

	err = syscall_filter_create(SYSCALL_FILTER_LCORE, seen, &lcore_filter);
	if (err == 0)
		err = syscall_filter_create(SYSCALL_FILTER_PROCESS, seen, &process);
	if (err == 0)
		err = syscall_filter_apply(process);
	syscall_filter_destroy(process);
	return err;
}

int sandbox_enter(const struct sandbox_config *cfg, struct sandbox_report *report, struct why *why)
{
	const struct sandbox_options *so = cfg->options;
	const bool possible = !is_instrumented();
	void *frame;
	int err = 0;

	/* pthread_cancel(3), by which the EAL ends threads, loads a library, or aborts: so does
	 * this. */
	backtrace(&frame, 1);
	if (possible && is_wanted(so, SANDBOX_CAPS))
		every_thread(drop_bounding_set);
	if (cfg->user != NULL)
		err = become(cfg, report, why);
	if (err != 0 || !possible)
		return err;
	if (is_wanted(so, SANDBOX_PRIVILEGES))
		err = note(so, report, SANDBOX_PRIVILEGES, every_thread(forbid_privileges), why);
	if (err == 0 && is_wanted(so, SANDBOX_LANDLOCK))
		err = note(so, report, SANDBOX_LANDLOCK, limit_files(cfg, report), why);
	if (err == 0 && is_wanted(so, SANDBOX_CAPS))
		err = note(so, report, SANDBOX_CAPS, every_thread(drop_capabilities), why);
	if (err == 0 && is_wanted(so, SANDBOX_SECCOMP))
		err = note(so, report, SANDBOX_SECCOMP, filter_calls(), why);
	return err;
}

int sandbox_enter_lcore(void)
{
	return lcore_filter == NULL ? 0 : syscall_filter_apply(lcore_filter);
}

int sandbox_lcore_failed(
	const struct sandbox_options *so, struct sandbox_report *report, int err, struct why *why)
{
	return note(so, report, SANDBOX_SECCOMP, err, why);
}
