/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/bell.h"

#include <errno.h>
#include <unistd.h>

int bell_init(struct bell *b)
{
	b->armed = 0;
	b->rung_ns = 0;
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b->fd < 0 ? -errno : 0;
}

void bell_fini(struct bell *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}
