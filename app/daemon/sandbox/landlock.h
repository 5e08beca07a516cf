/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_LANDLOCK_H
#define VRNG_LANDLOCK_H

/*
 * Landlock: which files a thread may open from now on, and that it may not signal other processes.
 * Descriptors that it has, or is sent, are not concerned; nor are stat(2), chmod(2), readlink(2),
 * or connect(2) to a socket by its path.
 *
 * The system calls are made directly, with the numbers and constants of the kernel's ABI, because
 * libc has no functions for them and the headers of older distributions lack some. What a kernel
 * does not know is left out: all that concerns files and TCP is used, of ABI 1
 * (Linux 5.13) to 5, and the scope of signals, of ABI 6, where the kernel reports that threads of
 * one process can signal each other (Linux 6.15, and stable versions that have the fix). The scope
 * of abstract Unix sockets is not used: one of these may be the way to a supervisor.
 */

#include <stdint.h>

/** What may be done below a directory; READ also with one file. */
enum landlock_use {
	LANDLOCK_READ,	  /* read files and directories */
	LANDLOCK_SOCKETS, /* read the directory, make sockets, remove files */
	LANDLOCK_FILES,	  /* READ and SOCKETS, and make, write and truncate files */
};

/** A set of rules that is being made. */
struct landlock {
	int ruleset; /* a descriptor; -1: there is none */
	int err;     /* why the set is none, or not whole: 0 or a negative errno */
	uint64_t handled;
};

/**
 * Begin a set that allows nothing: of files, of TCP, and of signals to other processes.
 *
 * 'err' becomes -ENOSYS, or -EOPNOTSUPP, when the kernel has no Landlock, or it was not switched
 * on; or another negative errno. The other functions are fine all the same. Context: MAIN.
 */
void landlock_open(struct landlock *l);

/**
 * Allow this, too. A path that does not exist is left out.
 *
 * 'err' keeps the first error.
 * Context: MAIN.
 */
void landlock_allow(struct landlock *l, const char *path, enum landlock_use use);

/**
 * Put the calling thread, and those that it starts from now on, under the set that is 'ruleset'. It
 * has no_new_privs. There is no way back.
 *
 * @return  0 or a negative errno
 * Context: any, also a signal handler.
 */
int landlock_restrict(int ruleset);

/** Does not lift it. Context: MAIN. */
void landlock_close(struct landlock *l);

#endif
