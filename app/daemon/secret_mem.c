/* SPDX-License-Identifier: BSD-3-Clause */
#include "secret_mem.h"

#include "log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_required; /* MAIN, before other threads */

void secret_require(void)
{
	is_required = true;
}

/* @param remedy  what to do about it */
static int report_unprotected(const char *what, const char *reason, const char *remedy)
{
	if (!is_required) {
		LOG(WARNING,
			"cannot lock memory for %s: %s; secrets may reach the swap or a core dump. %s",
			what, reason, remedy);
		return 0;
	}
	LOG(ERR, "cannot lock memory for %s: %s; not started, for --sandbox require. %s", what,
		reason, remedy);
	return -ENOMEM;
}

int secret_protect(void *mem, size_t len_bytes, const char *what)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from, to;

	if (mem == NULL)
		return report_unprotected(what, "the cipher's library has allocated it elsewhere",
			"Preload nothing that uses libcrypto");
	from = (uintptr_t)mem & ~(page - 1);
	to = ((uintptr_t)mem + len_bytes + page - 1) & ~(page - 1);
	if (madvise((void *)from, to - from, MADV_DONTDUMP) != 0 ||
		mlock((void *)from, to - from) != 0)
		return report_unprotected(
			what, strerror(errno), "Raise the memlock limit (ulimit -l)");
	return 0;
}

void *secret_alloc(size_t len_bytes, const char *what)
{
	void *mem =
		mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	if (secret_protect(mem, len_bytes, what) != 0) {
		munmap(mem, len_bytes);
		return NULL;
	}
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
