/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into the daemon: does what faults.h orders. What the C library allocates for itself, as
 * for opendir(), comes through here, too; its threads' stacks do not.
 */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The real ones, which glibc has under these names as well. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);

typedef int main_fn(int argc, char **argv, char **env);
/* In glibc's start code, and in no header. */
int __libc_start_main(main_fn *f, int argc, char **argv, void (*init)(void), void (*fini)(void),
	void (*ld_fini)(void), void *stack_end);

typedef int start_fn(main_fn *f, int argc, char **argv, void (*init)(void), void (*fini)(void),
	void (*ld_fini)(void), void *stack_end);

static struct faults none, *orders = &none;
static main_fn *real_main;
static int (*real_clock_gettime)(clockid_t clock, struct timespec *ts);

/* Where libseccomp's code is. It does not bear what is done here, see syscall_filter.c. */
static uintptr_t exempt_begin, exempt_end;

static int find_exempt(struct dl_phdr_info *info, size_t size, void *arg)
{
	if (strstr(info->dlpi_name, "/libseccomp.so") == NULL)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		exempt_begin = info->dlpi_addr + segment->p_vaddr;
		exempt_end = exempt_begin + segment->p_memsz;
	}
	return 1;
}

static bool fails(const void *caller)
{
	uint64_t n;

	if (!__atomic_load_n(&orders->armed, __ATOMIC_ACQUIRE) ||
		((uintptr_t)caller >= exempt_begin && (uintptr_t)caller < exempt_end))
		return false;
	n = __atomic_add_fetch(&orders->nr_allocs, 1, __ATOMIC_ACQ_REL);
	if (n < orders->first || n > orders->last)
		return false;
	__atomic_fetch_add(&orders->nr_failed, 1, __ATOMIC_ACQ_REL);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(align, size);
}

int posix_memalign(void **mem, size_t align, size_t size)
{
	void *got = fails(__builtin_return_address(0)) ? NULL : __libc_memalign(align, size);

	if (got == NULL)
		return ENOMEM;
	*mem = got;
	return 0;
}

/* glibc has it under two names, and which one is meant here depends on _FILE_OFFSET_BITS. */
void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset) __asm__("mmap");
void *map64(void *addr, size_t len, int prot, int flags, int fd, off_t offset) __asm__("mmap64");

void *map(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	/* guard.c replaces a page with it in a signal handler: that is no allocation. */
	if (!(flags & MAP_FIXED) && fails(__builtin_return_address(0)))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

void *map64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return map(addr, len, prot, flags, fd, offset);
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	if (addr->sa_family == AF_UNIX && orders->bind_errno != 0) {
		errno = orders->bind_errno;
		return -1;
	}
	return (int)syscall(SYS_bind, fd, addr, len);
}

int mlock(const void *mem, size_t len)
{
	if (orders->mlock_errno != 0) {
		errno = orders->mlock_errno;
		return -1;
	}
	return (int)syscall(SYS_mlock, mem, len);
}

static void shift(struct timespec *ts, int64_t ns)
{
	int64_t at = ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec + ns;

	ts->tv_sec = at / 1000000000;
	ts->tv_nsec = at % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc;

	if (real_clock_gettime == NULL)
		*(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	rc = real_clock_gettime(clock, ts);
	if (rc != 0)
		return rc;
	if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
		shift(ts, __atomic_load_n(&orders->monotonic_ns, __ATOMIC_RELAXED));
	else if (clock == CLOCK_REALTIME)
		shift(ts, __atomic_load_n(&orders->realtime_ns, __ATOMIC_RELAXED));
	return 0;
}

static int with_orders(int argc, char **argv, char **env)
{
	int fd = open(getenv(FAULTS_ENV), O_RDWR | O_CLOEXEC);
	void *mem = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		abort();
	close(fd);
	dl_iterate_phdr(find_exempt, NULL);
	orders = mem;
	return real_main(argc, argv, env);
}

/* What comes before main() is the dynamic linker's and constructors of libraries. */
int __libc_start_main(main_fn *f, int argc, char **argv, void (*init)(void), void (*fini)(void),
	void (*ld_fini)(void), void *stack_end)
{
	start_fn *next;

	real_main = f;
	*(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
	return next(with_orders, argc, argv, init, fini, ld_fini, stack_end);
}
