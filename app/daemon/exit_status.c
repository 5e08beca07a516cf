/* SPDX-License-Identifier: BSD-3-Clause */
#include "exit_status.h"

#include <errno.h>

int exit_status(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -EINVAL:	    /* a value is refused */
	case -E2BIG:	    /* more than one process can serve */
	case -ENAMETOOLONG: /* a path is too long */
	case -ENOENT:	    /* a file, directory, group or user is missing */
	case -ENOTDIR:	    /* a path leads through a file */
	case -EISDIR:	    /* a directory stands for a file */
	case -ELOOP:	    /* symbolic links form a loop */
	case -EEXIST:	    /* two guests are the same, or another file is at a socket's path */
	case -EACCES:	    /* the user may not read or write a file */
	case -EPERM:	    /* only another user may use that group or user */
	case -EROFS:	    /* a file system cannot be written to */
	case -ENOTSUP:	    /* a type of file, or part of the sandbox */
	case -ENOSYS:	    /* the kernel lacks a part of the sandbox */
		return EXIT_STATUS_REFUSED;
	default:
		return EXIT_STATUS_FAILED;
	}
}
