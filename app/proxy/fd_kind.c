/* SPDX-License-Identifier: BSD-3-Clause */
#include "fd_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read inode and device from the kernel's cache: the server of a FUSE file may not answer. */
static int identify(int fd, struct statx *id)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, id) == 0 ? 0 : -errno;
}

/* Is 'fd' on the inode that eventfds and other nameless kernel files share? */
static int check_anonymous(int fd)
{
	struct statx id, reference;
	int event, err;

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	event = eventfd(0, EFD_CLOEXEC);
	if (event < 0)
		return -errno;
	err = identify(event, &reference);
	close(event);
	if (err != 0)
		return err;
	if (identify(fd, &id) != 0 || id.stx_ino != reference.stx_ino ||
		id.stx_dev_major != reference.stx_dev_major ||
		id.stx_dev_minor != reference.stx_dev_minor)
		return -EINVAL;
	return 0;
}

int fd_check_eventfd(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM};
	int err = check_anonymous(fd);

	if (err != 0)
		return err;
	/* poll() of a nameless kernel file returns at once. */
	if (poll(&pfd, 1, 0) != 1)
		return -EINVAL;
	return (pfd.revents & (POLLOUT | POLLRDNORM | POLLWRNORM)) == POLLOUT ? 0 : -EINVAL;
}

int fd_check_memory(int fd, bool any_file)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!any_file && fcntl(fd, F_GET_SEALS) < 0)
		return -EINVAL;
	return (flags & O_ACCMODE) == O_RDWR ? 0 : -EACCES;
}
