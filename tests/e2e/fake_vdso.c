/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into the daemon: another getrandom() than the vDSO's, as FAKE_VDSO says: "absent"; a
 * number of bytes after which it gives zeros; or a file, while whose first byte is 1 it does. While
 * that byte is 2, also of "absent:FILE", the kernel's generator is not initialised: getrandom(2)
 * with GRND_NONBLOCK fails, and any other use of it, which would wait, aborts.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef __aarch64__
#define VERSION "GLIBC_2.17"
#else
#define VERSION "GLIBC_2.2.5"
#endif

static uint64_t given;
static const uint8_t *file;

/* Before main(), while files can be opened. */
__attribute__((constructor)) static void map_file(void)
{
	const char *path = strchr(getenv("FAKE_VDSO"), '/');
	void *mem;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	mem = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		abort();
	close(fd);
	file = mem;
}

enum file_byte { GOOD, ZEROS, UNINITIALISED };

static bool is_uninitialised(void)
{
	return file != NULL && __atomic_load_n(file, __ATOMIC_RELAXED) == UNINITIALISED;
}

ssize_t getrandom(void *buf, size_t len_bytes, unsigned flags)
{
	if (!is_uninitialised())
		return syscall(SYS_getrandom, buf, len_bytes, flags);
	if ((flags & GRND_NONBLOCK) == 0)
		abort();
	errno = EAGAIN;
	return -1;
}

/* How many bytes from the first one on are random. */
static uint64_t good_bytes(void)
{
	if (file == NULL)
		return strtoull(getenv("FAKE_VDSO"), NULL, 0);
	return __atomic_load_n(file, __ATOMIC_RELAXED) == ZEROS ? 0 : UINT64_MAX;
}

static ssize_t fake(void *buf, size_t len_bytes, unsigned flags, void *state, size_t state_bytes)
{
	uint64_t good = good_bytes(), at;
	uint32_t *params = state;

	if (buf == NULL && state_bytes == ~(size_t)0) {
		memset(params, 0, 16 * sizeof(params[0]));
		params[0] = 144;
		params[1] = PROT_READ | PROT_WRITE;
		params[2] = MAP_PRIVATE | MAP_ANONYMOUS;
		return 0;
	}
	at = __atomic_fetch_add(&given, len_bytes, __ATOMIC_RELAXED);
	memset(buf, 0, len_bytes);
	if (at < good && getrandom(buf, len_bytes < good - at ? len_bytes : good - at, flags) < 0)
		return -1;
	return (ssize_t)len_bytes;
}

void *dlsym(void *handle, const char *name)
{
	void *(*next)(void *, const char *);

	if (strstr(name, "_getrandom") != NULL)
		return strncmp(getenv("FAKE_VDSO"), "absent", 6) == 0 ? NULL : (void *)fake;
	*(void **)&next = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
	if (next == NULL)
		*(void **)&next = dlvsym(RTLD_NEXT, "dlsym", VERSION);
	return next != NULL ? next(handle, name) : NULL;
}
