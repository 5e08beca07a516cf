/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/confine.h"

#include "lcore/worker.h"
#include "log.h"
#include "sandbox/refused.h"

#include <rte_eal.h>

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct user user; /* of --user */

/* Which files */

struct rule_list {
	struct landlock_rule *rules;
	unsigned n, room;
	int err;
};

static void add(struct rule_list *l, const char *path, enum landlock_use use)
{
	struct landlock_rule *rules = l->rules;

	for (unsigned i = 0; i < l->n; i++)
		if (rules[i].use == use && strcmp(rules[i].path, path) == 0)
			return;
	if (l->n == l->room) {
		l->room = l->room * 2 + 16;
		rules = realloc(rules, l->room * sizeof(rules[0]));
		if (rules != NULL)
			l->rules = rules;
	}
	path = rules != NULL ? strdup(path) : NULL;
	if (path == NULL)
		l->err = -ENOMEM;
	else
		l->rules[l->n++] = (struct landlock_rule){path, use};
}

static void free_list(struct rule_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free((char *)l->rules[i].path);
	free(l->rules);
}

static const char *directory_of(const char *path, char copy[PATH_MAX])
{
	snprintf(copy, PATH_MAX, "%s", path);
	return dirname(copy);
}

static void add_socket(struct rule_list *l, const char *path)
{
	char copy[PATH_MAX];

	add(l, directory_of(path, copy), LANDLOCK_SOCKETS);
}

/* A file that is read again when its path names another one. */
static void add_file(struct rule_list *l, const char *path)
{
	char copy[PATH_MAX];
	const char *dir = directory_of(path, copy);

	add(l, strcmp(dir, "/") == 0 ? path : dir, LANDLOCK_READ);
}

/* That device itself, no link to it, which may become one to something else. */
static bool is_kernel_rng(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 1 &&
	       (minor(st.st_rdev) == 8 || minor(st.st_rdev) == 9);
}

static void add_source(struct rule_list *l, const char *path)
{
	char *real = realpath(path, NULL);

	if (!is_kernel_rng(path))
		add_file(l, path);
	if (real != NULL && is_kernel_rng(real))
		add(l, real, LANDLOCK_READ);
	else if (real != NULL)
		add_file(l, real);
	free(real);
}

static void add_hugepages(struct rule_list *l)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m;

	while (mounts != NULL && (m = getmntent(mounts)) != NULL)
		if (strcmp(m->mnt_type, "hugetlbfs") == 0)
			add(l, m->mnt_dir, LANDLOCK_FILES);
	if (mounts != NULL)
		endmntent(mounts);
}

/* What getgrnam() reads. */
static void add_groups(struct rule_list *l, uid_t uid)
{
	if (uid != 0) {
		add(l, "/etc", LANDLOCK_READ);
		return;
	}
	add(l, "/etc/group", LANDLOCK_READ);
	add(l, "/etc/passwd", LANDLOCK_READ);
	add(l, "/etc/nsswitch.conf", LANDLOCK_READ);
}

static void make_rules(struct rule_list *l, const struct options *opt, const struct spec *specs,
	unsigned n_specs, uid_t uid)
{
	const char *runtime = rte_eal_get_runtime_dir();

	for (unsigned i = 0; i < n_specs; i++)
		if (!specs[i].client)
			add_socket(l, specs[i].path);
	if (opt->control_socket != NULL)
		add_socket(l, opt->control_socket);
	for (unsigned i = 0; i < opt->n_sources; i++)
		add_source(l, opt->sources[i]);
	if (opt->config != NULL)
		add_file(l, opt->config);
	/* What a link that is a source may always come to name. */
	add(l, "/dev/urandom", LANDLOCK_READ);
	add(l, "/dev/random", LANDLOCK_READ);
	for (unsigned i = 0; i < opt->sandbox.n_dirs; i++) {
		add(l, opt->sandbox.dirs[i], LANDLOCK_SOCKETS);
		add(l, opt->sandbox.dirs[i], LANDLOCK_READ);
	}
	if (runtime != NULL && runtime[0] == '/')
		add(l, runtime, LANDLOCK_FILES);
	add_hugepages(l);
	add_groups(l, uid);
}

/* What the log says */

static const char *const in_force[SANDBOX_PARTS] = {
	[SANDBOX_DUMPS] = "no core dumps",
	[SANDBOX_NAMESPACES] = "no network",
	[SANDBOX_CAPS] = "no capabilities",
	[SANDBOX_PRIVILEGES] = "no new privileges",
	[SANDBOX_LANDLOCK] = "files limited by Landlock",
	[SANDBOX_SECCOMP] = "system calls filtered",
};

static void say(const struct sandbox_report *report)
{
	char have[256] = "", off[128] = "";
	size_t n_have = 0, n_off = 0;

	for (unsigned i = 0; i < SANDBOX_PARTS; i++) {
		if (report->parts[i].in_force)
			n_have += (size_t)snprintf(
				have + n_have, sizeof(have) - n_have, ", %s", in_force[i]);
		else if (!report->parts[i].wanted)
			n_off += (size_t)snprintf(off + n_off, sizeof(off) - n_off, "%s%s",
				n_off > 0 ? ", " : "; turned off: ",
				sandbox_part_name((enum sandbox_part)i));
	}
	LOG(NOTICE, "sandbox: user %u, group %u%s%s", (unsigned)geteuid(), (unsigned)getegid(),
		have, off);
	for (unsigned i = 0; i < SANDBOX_PARTS; i++)
		if (report->parts[i].wanted && !report->parts[i].in_force)
			rte_log(i == SANDBOX_NAMESPACES ? RTE_LOG_NOTICE : RTE_LOG_WARNING,
				(uint32_t)log_type, "vhost-rng: sandbox: without %s: %s\n",
				sandbox_part_name((enum sandbox_part)i), report->parts[i].why_not);
}

/* What this user may not do later, as far as that can be seen now. */
static void say_what_will_fail(
	const struct options *opt, const struct spec *specs, unsigned n_specs)
{
	char copy[PATH_MAX];

	for (unsigned i = 0; i < opt->n_sources; i++)
		if (access(opt->sources[i], F_OK) == 0 && access(opt->sources[i], R_OK) != 0)
			LOG(WARNING,
				"source %s is read on, but cannot be opened again: user %u may not "
				"read it",
				opt->sources[i], (unsigned)getuid());
	/* Those of one daemon are in one directory, mostly: it is said once. */
	if (n_specs > 0 && !specs[0].client && access(directory_of(specs[0].path, copy), W_OK) != 0)
		LOG(WARNING,
			"sockets stay in %s at the end, until the next start, and none can be "
			"added there: user %u may not write to it",
			directory_of(specs[0].path, copy), (unsigned)getuid());
}

/* The whole */

int confine_begin(
	const struct options *opt, gid_t socket_gid, struct sandbox_report *report, struct why *why)
{
	int err = 0;

	if (opt->sandbox.user != NULL)
		err = user_find(opt->sandbox.user, socket_gid, &user, why);
	return err != 0 ? err : sandbox_begin(&opt->sandbox, report, why);
}

/* So that it may change their rights later, as it may with those that it makes itself. */
static int give_socket(const char *path, gid_t gid, struct why *why)
{
	if (lchown(path, user.uid, gid) == 0)
		return 0;
	return why_set(why, -errno, "cannot give socket %s to user %u: %s", path,
		(unsigned)user.uid, strerror(errno));
}

static int give_sockets(
	const struct options *opt, const struct spec *specs, unsigned n_specs, struct why *why)
{
	int err = 0;

	for (unsigned i = 0; i < n_specs && err == 0; i++)
		if (!specs[i].client)
			err = give_socket(specs[i].path,
				specs[i].gid != (gid_t)-1 ? (gid_t)-1 : user.gid, why);
	if (err == 0 && opt->control_socket != NULL)
		err = give_socket(opt->control_socket, user.gid, why);
	return err;
}

static int confine_workers(struct worker *const *workers, unsigned n_workers)
{
	int err = 0;

	for (unsigned i = 0; i < n_workers; i++) {
		int e = worker_confine(workers[i]);

		err = err != 0 ? err : e;
	}
	return err;
}

int confine(const struct options *opt, const struct spec *specs, unsigned n_specs,
	struct worker *const *workers, unsigned n_workers, struct sandbox_report *report,
	struct why *why)
{
	const bool changes = opt->sandbox.user != NULL && !user_is_self(&user);
	struct rule_list list = {0};
	int err = changes ? give_sockets(opt, specs, n_specs, why) : 0;

	make_rules(&list, opt, specs, n_specs, changes ? user.uid : geteuid());
	if (err == 0 && list.err != 0)
		err = why_set(why, list.err, "no memory for the sandbox's rules");
	if (err == 0) {
		const struct sandbox_config cfg = {
			.options = &opt->sandbox,
			.user = opt->sandbox.user != NULL ? &user : NULL,
			.rules = list.rules,
			.n_rules = list.n,
		};
		err = sandbox_enter(&cfg, report, why);
	}
	free_list(&list);
	if (err == 0 && report->parts[SANDBOX_SECCOMP].in_force) {
		err = confine_workers(workers, n_workers);
		if (err != 0)
			err = sandbox_lcore_failed(&opt->sandbox, report, err, why);
	}
	if (err != 0)
		return err;
	say(report);
	say_what_will_fail(opt, specs, n_specs);
	return 0;
}

void confine_tick(void)
{
	static struct log_limit limit;
	static uint64_t said;
	uint64_t count = refused_count();
	char text[96];

	if (count == said)
		return;
	refused_describe(text, sizeof(text));
	LOG_LIMITED(&limit, ERR,
		"sandbox: refused %" PRIu64 " system call%s, the last one %s: a library needs what "
		"nobody thought of (report it), or somebody has broken in",
		count - said, count - said != 1 ? "s" : "", text);
	said = count;
}
