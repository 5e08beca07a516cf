/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/confine.h"

#include "lcore/worker.h"
#include "log.h"
#include "sandbox/files.h"
#include "sandbox/refused.h"
#include "vhost/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct user user; /* of --user */

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

/* An explicit --user root is a decision: no warning. */
static void warn_root(const struct sandbox_options *so)
{
	if (geteuid() == 0 && so->user == NULL)
		LOG(WARNING,
			"sandbox: running as root: no --user; an intruder gets root's access to "
			"files; set --user USER, or start the daemon as an unprivileged user");
}

/* The whole */

/* Landlock takes directories that are there. */
static int check_dir(const char *dir, struct why *why)
{
	struct stat st;
	int err = stat(dir, &st) == 0 ? 0 : -errno;

	if (err == 0 && !S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	if (err == 0)
		return 0;
	return why_set(why, err, "--sandbox-dir %s: %s; create it, or choose another", dir,
		strerror(-err));
}

int confine_check(const struct daemon *d, struct why *why)
{
	const struct sandbox_options *so = &d->opt.sandbox;
	int err = 0;

	for (unsigned i = 0; i < so->n_dirs && err == 0; i++)
		err = check_dir(so->dirs[i], why);
	if (err == 0 && so->user != NULL)
		err = user_find(so->user, d->specs.otherwise.gid, &user, why);
	return err;
}

int confine_begin(struct daemon *d, struct why *why)
{
	return sandbox_begin(&d->opt.sandbox, &d->sandbox, why);
}

/* So that it may change their rights later, as it may with those that it makes itself. */
static int give_socket(const char *path, gid_t gid, struct why *why)
{
	int fd = sockets_open(path, why), err = 0;

	if (fd < 0)
		return fd;
	if (fchownat(fd, "", user.uid, gid, AT_EMPTY_PATH) != 0)
		err = why_set(why, -errno, "cannot give socket %s to user %u: %s", path,
			(unsigned)user.uid, strerror(errno));
	close(fd);
	return err;
}

static int give_sockets(const struct daemon *d, struct why *why)
{
	int err = 0;

	for (unsigned i = 0; i < d->specs.n && err == 0; i++) {
		const struct spec *spec = &d->specs.all[i];

		if (!spec->client)
			err = give_socket(
				spec->path, spec->gid != (gid_t)-1 ? (gid_t)-1 : user.gid, why);
	}
	if (err == 0 && d->opt.control_socket != NULL)
		err = give_socket(d->opt.control_socket, user.gid, why);
	return err;
}

static int confine_lcores(void *service)
{
	const struct workers *workers = service_workers(service);
	int err = 0;

	for (unsigned i = 0; i < workers->n; i++) {
		int e = worker_confine(workers->all[i]);

		err = err != 0 ? err : e;
	}
	return err;
}

int confine(struct daemon *d, struct why *why)
{
	const bool changes = d->opt.sandbox.user != NULL && !user_is_self(&user);
	struct landlock files;
	const struct sandbox_config cfg = {
		.options = &d->opt.sandbox,
		.user = d->opt.sandbox.user != NULL ? &user : NULL,
		.files = &files,
		.confine_lcores = confine_lcores,
		.lcores = d->service,
	};
	int err = changes ? give_sockets(d, why) : 0;

	landlock_open(&files);
	files_allow(&files, &d->opt, d->specs.all, d->specs.n, changes ? user.uid : geteuid());
	if (err == 0)
		err = sandbox_enter(&cfg, &d->sandbox, why);
	landlock_close(&files);
	if (err != 0)
		return err;
	say(&d->sandbox);
	warn_root(&d->opt.sandbox);
	files_warn(&d->opt, d->specs.all, d->specs.n);
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
