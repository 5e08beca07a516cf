/* SPDX-License-Identifier: BSD-3-Clause */
#include "faults.h"

#include "util.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct faults *faults_create(const char *path)
{
	const char *library = getenv("VRNG_FAULTS");
	struct faults *f;
	int fd;

	if (library == NULL) {
		print_message("# nothing can be preloaded into this build\n");
		skip();
	}
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(*f)), 0);
	f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(f, MAP_FAILED);
	close(fd);
	setenv(FAULTS_ENV, path, 1);
	setenv("LD_PRELOAD", library, 1);
	return f;
}

void faults_destroy(struct faults *f)
{
	unsetenv("LD_PRELOAD");
	unsetenv(FAULTS_ENV);
	if (f != NULL)
		munmap(f, sizeof(*f));
}

void faults_arm(struct faults *f, uint64_t first, uint64_t last)
{
	f->first = first;
	f->last = last;
	f->nr_allocs = f->nr_failed = 0;
	__atomic_store_n(&f->armed, 1, __ATOMIC_RELEASE);
}

uint64_t faults_disarm(struct faults *f)
{
	__atomic_store_n(&f->armed, 0, __ATOMIC_RELEASE);
	return __atomic_load_n(&f->nr_allocs, __ATOMIC_ACQUIRE);
}
