/* SPDX-License-Identifier: BSD-3-Clause */
#include "source/kernel_rng.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* vgetrandom() and what it says of its state when asked with this length: getrandom(2), vdso(7). */
typedef ssize_t vgetrandom(
	void *buf, size_t len_bytes, unsigned flags, void *state, size_t state_bytes);

#define ASK_FOR_PARAMS (~(size_t)0)

struct params {
	uint32_t state_bytes, mmap_prot, mmap_flags, reserved[13];
};

#ifdef __aarch64__
#define VGETRANDOM "__kernel_getrandom"
#else
#define VGETRANDOM "__vdso_getrandom"
#endif

struct kernel_rng {
	vgetrandom *call;
	void *state;
	size_t state_bytes, map_bytes;
};

static vgetrandom *find(void)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
	vgetrandom *call;

	if (vdso == NULL)
		return NULL;
	*(void **)&call = dlsym(vdso, VGETRANDOM);
	dlclose(vdso);
	return call;
}

static int map_state(struct kernel_rng *rng)
{
	struct params params;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *state;

	if (rng->call(NULL, 0, 0, &params, ASK_FOR_PARAMS) != 0 || params.state_bytes > page)
		return -ENOTSUP;
	state = mmap(NULL, page, (int)params.mmap_prot, (int)params.mmap_flags, -1, 0);
	if (state == MAP_FAILED)
		return -errno;
	rng->state = state;
	rng->state_bytes = params.state_bytes;
	rng->map_bytes = page;
	return 0;
}

bool kernel_rng_is_ready(void)
{
	uint8_t probe;

	return getrandom(&probe, sizeof(probe), GRND_NONBLOCK) >= 0 || errno != EAGAIN;
}

int kernel_rng_open(struct kernel_rng **rng)
{
	struct kernel_rng *r = calloc(1, sizeof(*r));
	uint8_t probe;
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->call = find();
	err = r->call != NULL ? map_state(r) : -ENOTSUP;
	/* Before it is initialised the vDSO would wait. */
	if (err == 0 && kernel_rng_is_ready())
		err = kernel_rng_read(r, &probe, 1);
	if (err != 0) {
		kernel_rng_close(r);
		return err;
	}
	*rng = r;
	return 0;
}

void kernel_rng_close(struct kernel_rng *rng)
{
	if (rng == NULL)
		return;
	if (rng->state != NULL)
		munmap(rng->state, rng->map_bytes);
	free(rng);
}

int kernel_rng_read(struct kernel_rng *rng, void *buf, size_t len_bytes)
{
	ssize_t n = rng->call(buf, len_bytes, 0, rng->state, rng->state_bytes);

	/* It is never interrupted half-way: the state is in no signal handler's hands. */
	if (n == (ssize_t)len_bytes)
		return 0;
	return n < 0 ? (int)n : -EIO;
}
