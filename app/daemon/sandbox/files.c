/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/files.h"

#include "log.h"
#include "source/source.h"

#include <rte_eal.h>

#include <libgen.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *directory_of(const char *path, char copy[PATH_MAX])
{
	snprintf(copy, PATH_MAX, "%s", path);
	return dirname(copy);
}

static void allow_socket(struct landlock *l, const char *path)
{
	char copy[PATH_MAX];

	landlock_allow(l, directory_of(path, copy), LANDLOCK_SOCKETS);
}

static bool is_root(const char *dir)
{
	struct stat st, root;

	return stat(dir, &st) == 0 && stat("/", &root) == 0 && st.st_dev == root.st_dev &&
	       st.st_ino == root.st_ino;
}

/* What is around a file: another one may take its place. */
static void allow_around(struct landlock *l, const char *path)
{
	char copy[PATH_MAX];
	const char *dir = directory_of(path, copy);

	landlock_allow(l, is_root(dir) ? path : dir, LANDLOCK_READ);
}

/* That device itself, no link to it, which may become one to something else. */
static bool is_kernel_rng(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && source_is_kernel(&st);
}

/* A file that is opened again by its path, which may be a link. */
static void allow_file(struct landlock *l, const char *path)
{
	char *real = realpath(path, NULL);

	if (!is_kernel_rng(path))
		allow_around(l, path);
	if (real != NULL && is_kernel_rng(real))
		landlock_allow(l, real, LANDLOCK_READ);
	else if (real != NULL)
		allow_around(l, real);
	free(real);
}

static void allow_hugepages(struct landlock *l)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *m;

	while (mounts != NULL && (m = getmntent(mounts)) != NULL)
		if (strcmp(m->mnt_type, "hugetlbfs") == 0)
			landlock_allow(l, m->mnt_dir, LANDLOCK_FILES);
	if (mounts != NULL)
		endmntent(mounts);
}

/* What getgrnam() reads. */
static void allow_groups(struct landlock *l, uid_t uid)
{
	if (uid != 0) {
		landlock_allow(l, "/etc", LANDLOCK_READ);
		return;
	}
	landlock_allow(l, "/etc/group", LANDLOCK_READ);
	landlock_allow(l, "/etc/passwd", LANDLOCK_READ);
	landlock_allow(l, "/etc/nsswitch.conf", LANDLOCK_READ);
}

void files_allow(struct landlock *l, const struct options *opt, const struct spec *specs,
	unsigned n_specs, uid_t uid)
{
	const char *runtime = rte_eal_get_runtime_dir();

	for (unsigned i = 0; i < n_specs; i++)
		if (!specs[i].client)
			allow_socket(l, specs[i].path);
	if (opt->control_socket != NULL)
		allow_socket(l, opt->control_socket);
	for (unsigned i = 0; i < opt->n_sources; i++)
		allow_file(l, opt->sources[i]);
	if (opt->config != NULL)
		allow_file(l, opt->config);
	/* What a link that is a source may always come to name. */
	landlock_allow(l, "/dev/urandom", LANDLOCK_READ);
	landlock_allow(l, "/dev/random", LANDLOCK_READ);
	for (unsigned i = 0; i < opt->sandbox.n_dirs; i++) {
		landlock_allow(l, opt->sandbox.dirs[i], LANDLOCK_SOCKETS);
		landlock_allow(l, opt->sandbox.dirs[i], LANDLOCK_READ);
	}
	if (runtime != NULL && runtime[0] == '/')
		landlock_allow(l, runtime, LANDLOCK_FILES);
	allow_hugepages(l);
	allow_groups(l, uid);
}

void files_warn(const struct options *opt, const struct spec *specs, unsigned n_specs)
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
