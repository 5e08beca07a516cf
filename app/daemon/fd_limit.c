/* SPDX-License-Identifier: BSD-3-Clause */
#include "fd_limit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

rlim_t fd_limit_raise(rlim_t need)
{
	struct rlimit limit, wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
		return limit.rlim_cur;
	wanted = (struct rlimit){
		.rlim_cur = need,
		.rlim_max = limit.rlim_max > need ? limit.rlim_max : need,
	};
	/* Above the hard limit only with CAP_SYS_RESOURCE, and never above fs.nr_open. */
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return need;
	wanted = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return wanted.rlim_cur;
	return limit.rlim_cur;
}

int fd_reserve(unsigned n, struct fd_reserve *r)
{
	*r = (struct fd_reserve){.fds = calloc(n + 1, sizeof(r->fds[0]))};
	if (r->fds == NULL)
		return -ENOMEM;
	while (r->n < n) {
		int fd = eventfd(0, EFD_CLOEXEC), err = -errno;

		if (fd < 0) {
			fd_release(r);
			return err;
		}
		r->fds[r->n++] = fd;
	}
	return 0;
}

void fd_release(struct fd_reserve *r)
{
	for (unsigned i = 0; i < r->n; i++)
		close(r->fds[i]);
	free(r->fds);
	*r = (struct fd_reserve){0};
}

bool fd_limit_is_reached(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE;
	close(fd);
	return false;
}
