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

#define THREAD_WAIT_MS 5000

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

static int own_proc = -1;

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

/* Before there are threads */

static int forbid_dumps(const struct sandbox_config *cfg)
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
static int leave_namespaces(const struct sandbox_config *cfg)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	int err;

	/* An abstract socket is in its network's namespace. */
	if (notify != NULL && notify[0] == '@')
		return -ENOTSUP;
	err = unshare(CLONE_NEWNET | CLONE_NEWIPC) == 0 ? 0 : -errno;
	return err == -EPERM && is_apart() ? 0 : err;
}

/* On every thread, in a handler */

static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* who may not, gets none of them anyway */
	return 0;
}

static int drop_own_capabilities(void)
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

static int forbid_own_privileges(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

static int enter_ruleset(void)
{
	return landlock_restrict(ruleset);
}

/* When all runs */

static int drop_capabilities(const struct sandbox_config *cfg)
{
	return every_thread(drop_own_capabilities, THREAD_WAIT_MS);
}

static int forbid_privileges(const struct sandbox_config *cfg)
{
	return every_thread(forbid_own_privileges, THREAD_WAIT_MS);
}

static int limit_files(const struct sandbox_config *cfg)
{
	int err;

	/* Held open: a part of /proc that nobody uses is made anew, and would not be what was
	 * allowed. */
	own_proc = open("/proc/self", O_PATH | O_CLOEXEC);
	/* Read only: with write access to mem, and to task/TID/mem, root could change code. */
	landlock_allow(cfg->files, "/proc/self", LANDLOCK_READ);
	if (cfg->files->err != 0)
		return cfg->files->err;
	ruleset = cfg->files->ruleset;
	err = every_thread(enter_ruleset, THREAD_WAIT_MS);
	ruleset = -1;
	return err;
}

/* The lcores last: no thread may have a filter of its own when all get theirs. */
static int filter_calls(const struct sandbox_config *cfg)
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
	if (err == 0 && cfg->confine_lcores != NULL)
		err = cfg->confine_lcores(cfg->lcores);
	return err;
}

int sandbox_enter_lcore(void)
{
	return lcore_filter == NULL ? 0 : syscall_filter_apply(lcore_filter);
}

/* The whole */

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

static bool is_wanted(const struct sandbox_options *so, enum sandbox_part part)
{
	return (so->off & BIT(part)) == 0 && !(part == SANDBOX_DUMPS && so->core_dumps);
}

static const char *reason(enum sandbox_part part, int err)
{
	if (is_instrumented())
		return "this is a build with sanitizers or coverage";
	if (part == SANDBOX_LANDLOCK && (err == -ENOSYS || err == -EOPNOTSUPP))
		return "this kernel has it not, or not switched on";
	if (part == SANDBOX_NAMESPACES && err == -EPERM)
		return "this takes the rights of root";
	if (part == SANDBOX_NAMESPACES && err == -ENOTSUP)
		return "NOTIFY_SOCKET is an abstract socket";
	return strerror(-err);
}

/* Give up one part, and note what has become of it. An error if it can't be had and is required. */
static int give_up(const struct sandbox_config *cfg, enum sandbox_part part,
	struct sandbox_report *report, struct why *why)
{
	static int (*const how[SANDBOX_PARTS])(const struct sandbox_config *) = {
		[SANDBOX_DUMPS] = forbid_dumps,
		[SANDBOX_NAMESPACES] = leave_namespaces,
		[SANDBOX_CAPS] = drop_capabilities,
		[SANDBOX_PRIVILEGES] = forbid_privileges,
		[SANDBOX_LANDLOCK] = limit_files,
		[SANDBOX_SECCOMP] = filter_calls,
	};
	const int err = is_instrumented() ? -ENOTSUP : how[part](cfg);
	char *why_not = report->parts[part].why_not;

	report->parts[part].wanted = true;
	report->parts[part].in_force = err == 0;
	if (err == 0)
		return 0;
	snprintf(why_not, sizeof(report->parts[part].why_not), "%s", reason(part, err));
	if (!cfg->options->require)
		return 0;
	return why_set(why, err,
		"--sandbox require: %s cannot be had: %s; go without it by adding no-%s",
		names[part], why_not, names[part]);
}

/* Those that are wanted, of 'from' to the one before 'end'. */
static int give_up_all(const struct sandbox_config *cfg, unsigned from, unsigned end,
	struct sandbox_report *report, struct why *why)
{
	int err = 0;

	for (unsigned part = from; part < end && err == 0; part++)
		if (is_wanted(cfg->options, part))
			err = give_up(cfg, part, report, why);
	return err;
}

int sandbox_begin(const struct sandbox_options *so, struct sandbox_report *report, struct why *why)
{
	const struct sandbox_config cfg = {.options = so};

	*report = (struct sandbox_report){0};
	return give_up_all(&cfg, 0, SANDBOX_CAPS, report, why);
}

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

int sandbox_enter(const struct sandbox_config *cfg, struct sandbox_report *report, struct why *why)
{
	void *frame;
	int err = 0;

	/* pthread_cancel(3), by which the EAL ends threads, loads a library, or aborts: so does
	 * this. */
	backtrace(&frame, 1);
	if (is_wanted(cfg->options, SANDBOX_CAPS) && !is_instrumented())
		every_thread(drop_bounding_set, THREAD_WAIT_MS);
	if (cfg->user != NULL)
		err = become(cfg, report, why);
	return err != 0 ? err : give_up_all(cfg, SANDBOX_CAPS, SANDBOX_PARTS, report, why);
}
