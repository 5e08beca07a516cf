/* SPDX-License-Identifier: BSD-3-Clause */
#include "lcore/caller.h"

#include "lcore/eventfd_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int caller_init(struct caller *c)
{
	*c = (struct caller){.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	if (c->null_fd < 0 || syscall(SYS_io_setup, 2 * CALLER_BATCH, &c->ctx) != 0)
		c->flaw = -errno;
	c->read.aio_fildes = (uint32_t)c->null_fd;
	c->read.aio_lio_opcode = IOCB_CMD_PREAD;
	c->read.aio_flags = IOCB_FLAG_RESFD;
	return c->flaw;
}

void caller_fini(struct caller *c)
{
	if (c->flaw == 0)
		syscall(SYS_io_destroy, c->ctx);
	if (c->null_fd >= 0)
		close(c->null_fd);
}

static int write_to(int fd)
{
	const uint64_t one = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
		return -errno;
	/* One that is full needs no more. */
	return write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -errno;
}

/* Make room for more completions; nobody wants to know what they say. */
static void fetch(struct caller *c)
{
	struct io_event events[CALLER_BATCH];
	struct timespec now = {0};

	syscall(SYS_io_getevents, c->ctx, 0, CALLER_BATCH, events, &now);
	c->n_completed = 0;
}

int caller_call(struct caller *c, int fd)
{
	struct iocb *submit[] = {&c->read};

	if (c->flaw != 0)
		return write_to(fd);
	c->read.aio_resfd = (uint32_t)fd;
	if (c->n_completed == CALLER_BATCH)
		fetch(c);
	if (syscall(SYS_io_submit, c->ctx, 1, submit) != 1) {
		if (errno == EAGAIN)
			c->n_completed = CALLER_BATCH; /* fetch before the next attempt */
		return -errno;
	}
	c->n_completed++;
	return 0;
}

bool caller_can_call(int fd)
{
	return eventfd_check(fd) != -EINVAL;
}
