/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into the daemon: another getrandom() than the vDSO's, as FAKE_VDSO says: "absent", or a
 * number of bytes after which it gives zeros.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/types.h>

#ifdef __aarch64__
#define VERSION "GLIBC_2.17"
#else
#define VERSION "GLIBC_2.2.5"
#endif

static uint64_t given;

static ssize_t fake(void *buf, size_t len_bytes, unsigned flags, void *state, size_t state_bytes)
{
	uint64_t good = strtoull(getenv("FAKE_VDSO"), NULL, 0), at;
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
		return strcmp(getenv("FAKE_VDSO"), "absent") == 0 ? NULL : (void *)fake;
	*(void **)&next = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
	if (next == NULL)
		*(void **)&next = dlvsym(RTLD_NEXT, "dlsym", VERSION);
	return next != NULL ? next(handle, name) : NULL;
}
