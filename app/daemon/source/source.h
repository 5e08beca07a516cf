/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_SOURCE_H
#define VRNG_SOURCE_H

/*
 * The file that random bytes come from: a device, a FIFO or a regular file.
 *
 * It is read once from where it stands to its end, and never from the start again, so that no byte
 * is given twice. At its end it is asked again from time to time: bytes that were appended, or a
 * new writer of a FIFO, go on. When its path comes to name another file, that one is read, from its
 * start.
 *
 * The kernel's generator is not read from its device where it has a faster door (kernel_rng.h), and
 * by neither way before it is initialised: until then it has nothing.
 *
 * Thread safety: none. Opened by MAIN, then used by one feeder.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

struct source {
	const char *path;
	int fd;
	mode_t type; /* S_IFMT bits */
	dev_t dev;
	ino_t ino;
	bool pollable;		 /* poll() on 'fd' tells when there is something to read */
	bool is_kernel;		 /* Linux's /dev/random or /dev/urandom */
	bool is_ready;		 /* false: the kernel's generator is not initialised */
	struct kernel_rng *door; /* a faster way to the same bytes; NULL: read(2) */
	int error;		 /* errno behind SOURCE_FAILED */
	int follow_error;	 /* errno: why another file at its path cannot be opened; or 0 */
};

enum source_state {
	SOURCE_OK,
	SOURCE_NOT_YET, /* it has nothing now: it would have blocked, or is not initialised */
	SOURCE_ENDED,	/* end of file, or a FIFO that nobody writes to */
	SOURCE_FAILED,	/* a read error: source.error */
};

/** Is it Linux's /dev/random or /dev/urandom? */
bool source_is_kernel(const struct stat *st);

/**
 * Check, without opening it, that a file can be a source: to open a FIFO or a device may change it,
 * or fail while another process has it open.
 *
 * @param is_kernel  set to what source_is_kernel() says
 * @return           0; as source_open()
 */
int source_check(const char *path, bool *is_kernel);

/**
 * @param path  kept by reference
 * @return      0; -EISDIR for a directory; -ENOTSUP for a socket; or what open(2) says
 */
int source_open(struct source *s, const char *path);

void source_close(struct source *s);

/**
 * Read without waiting.
 *
 * @param got_bytes  set to what was read: > 0 with SOURCE_OK, else 0
 */
enum source_state source_read(struct source *s, void *buf, size_t len_bytes, size_t *got_bytes);

/**
 * Open the path again if it names another file than the one that is open; or if 'failed', when that
 * one is not a regular file (a device may come back).
 *
 * @return  true when it was opened
 */
bool source_follow(struct source *s, bool failed);

#endif
