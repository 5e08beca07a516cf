/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/bind_check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const char *bind_check_advice(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return "make room in its file system (df, df -i), or choose another directory";
	case EACCES:
	case EPERM:
	case EROFS:
		return "choose a directory that may be written to";
	case ENOENT:
	case ENOTDIR:
		return "create its directory, or choose another";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n, or LimitNOFILE in a systemd unit)";
	default:
		return "choose another path; the log may say more";
	}
}

/* @return 0 or -errno */
static int try(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, err = 0;
	mode_t mask;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		err = -errno;
	umask(mask);
	if (err == 0)
		unlink(path);
	close(fd);
	return err;
}

int bind_check(const char *path, struct why *why)
{
	int err = try(path);

	if (err == 0)
		return why_set(why, -EIO, "cannot listen on %s: rte_vhost refused it: %s", path,
			bind_check_advice(0));
	return why_set(why, err, "cannot listen on %s: %s; %s", path, strerror(-err),
		bind_check_advice(-err));
}
