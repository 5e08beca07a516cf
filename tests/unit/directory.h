/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_DIRECTORY_H
#define UNIT_DIRECTORY_H

/*
 * A directory of its own for each test of what works on files: the set-up makes it and goes there,
 * the tear-down removes it with all that is in it.
 */

#include "unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[32]; /* where we are */

static int directory_make(void **state)
{
	strcpy(directory, "/tmp/vrng-unit-XXXXXX"); /* short: sockets have 107 bytes for it all */
	if (mkdtemp(directory) == NULL || chmod(directory, 0755) != 0)
		return -1;
	return chdir(directory);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int directory_remove(void **state)
{
	if (chdir("/") != 0)
		return -1;
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#define directory_test(f) cmocka_unit_test_setup_teardown(f, directory_make, directory_remove)

/** Put text at the end of a file, which is made when it is not there. */
static inline void append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

#endif
