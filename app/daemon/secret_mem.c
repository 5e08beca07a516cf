/* SPDX-License-Identifier: BSD-3-Clause */
#include "secret_mem.h"

#include "log.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void secret_protect(void *mem, size_t len_bytes, const char *what)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;

	if (mem == NULL)
		return;
	from = (uintptr_t)mem & ~(page - 1);
	to = ((uintptr_t)mem + len_bytes + page - 1) & ~(page - 1);
	if (mlock((void *)from, to - from) != 0)
		LOG(WARNING,
			"cannot lock %zu bytes of memory for %s: %s; secrets may reach the swap. "
			"Raise the memlock limit (ulimit -l)",
			(size_t)(to - from), what, strerror(errno));
	madvise((void *)from, to - from, MADV_DONTDUMP);
}

void *secret_alloc(size_t len_bytes, const char *what)
{
	void *mem =
		mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	secret_protect(mem, len_bytes, what);
	madvise(mem, len_bytes, MADV_DONTFORK);
	return mem;
}

void secret_free(void *mem, size_t len_bytes)
{
	if (mem == NULL)
		return;
	explicit_bzero(mem, len_bytes);
	munmap(mem, len_bytes);
}
