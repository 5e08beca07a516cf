/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VIRTQ_LIES_H
#define UNIT_VIRTQ_LIES_H

/* What the tests of lies have in common: how a lie must end. */

#include "virtq.h"
#include "vm.h"

#include <errno.h>

#define SIZE	8
#define FILL	0x5a
#define W	VRING_DESC_F_WRITE
#define NEXT	VRING_DESC_F_NEXT
#define IND	VRING_DESC_F_INDIRECT
#define DATA	VM_DATA_GPA
#define END	(VM_DATA_GPA + VM_DATA_LEN)
#define NOWHERE 0x7000000000000000 /* no memory is there */

struct fixture {
	struct vm vm;
	struct virtq vq;
	struct virtq_burst b;
};

#define PARTS	  "an indirect table that does not hold whole descriptors"
#define TOO_MANY  "an indirect table of more than 32768 descriptors"
#define NO_TABLE  "an indirect table outside the guest's memory"
#define NO_BUFFER "a buffer outside the guest's memory"
#define NO_ENTRIES        \
	0, 0,             \
	{                 \
		{         \
			0 \
		}         \
	}
#define TABLE (DATA + 2 * VM_PAGE + 3)

static inline void assert_refused(struct vm *vm, const struct virtq_config *cfg, const char *reason)
{
	uint8_t *copy = vm_copy(vm);
	const char *why = NULL;
	struct virtq vq;

	assert_int_equal(virtq_init(&vq, cfg, &why), -EINVAL);
	assert_non_null(why);
	assert_string_equal(why, reason);
	vm_assert_untouched(vm, copy);
}

static inline void assert_taken(const struct virtq_config *cfg)
{
	const char *why = "left over";
	struct virtq vq;

	assert_int_equal(virtq_init(&vq, cfg, &why), 0);
	assert_null(why);
}

/* A part of the ring: where a ring's configuration has its address, which is a multiple of this. */
struct part {
	size_t offset;
	unsigned align;
};

static inline void set_part(struct virtq_config *cfg, struct part p, void *address)
{
	memcpy((uint8_t *)cfg + p.offset, &address, sizeof(address));
}

/* Each part has an address, and one that is aligned. */
static inline void check_addresses(const struct part parts[3])
{
	struct driver_cfg dcfg = {.size = SIZE};
	struct virtq_config good, cfg;
	struct vm vm;

	vm_init(&vm, &dcfg);
	good = vm_ring(&vm);
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *address;

		memcpy(&address, (uint8_t *)&good + parts[i].offset, sizeof(address));
		cfg = good;
		set_part(&cfg, parts[i], NULL);
		assert_refused(&vm, &cfg, "a part of the ring has no address");
		for (unsigned off = 1; off <= 16; off++) {
			set_part(&cfg, parts[i], address + off);
			if (off % parts[i].align != 0)
				assert_refused(&vm, &cfg, "a part of the ring is misaligned");
			else
				assert_taken(&cfg);
		}
	}
	vm_fini(&vm);
}

/* Two honest requests, and behind them room for a lie. */
static inline void fixture_init(struct fixture *fx)
{
	struct driver_cfg cfg = {.size = SIZE, .table_entries = 4, .start_idx = 65534};

	vm_init(&fx->vm, &cfg);
	vm_start(&fx->vm, &fx->vq);
	vm_offer(&fx->vm, DATA + VM_PAGE, 10);
	vm_offer(&fx->vm, DATA + VM_PAGE + 10, 20);
}

static inline void fixture_fini(struct fixture *fx)
{
	vm_fini(&fx->vm);
}

/* All room of the burst must be in the data regions. */
static inline void fill(struct fixture *fx)
{
	burst_check(&fx->b);
	for (unsigned i = 0; i < fx->b.n_segs; i++)
		assert_true(guest_mem_has_hva(&fx->vm.mem, seg_hva(&fx->b, i), seg_len(&fx->b, i)));
	burst_fill(&fx->b, FILL);
}

/* Once a lie was found the ring is not looked at again, however honest it is by then. */
static inline void assert_left_alone(struct fixture *fx)
{
	const char *reason = fx->vq.broken;
	uint8_t *copy;

	vm_offer(&fx->vm, DATA, 1);
	driver_publish(&fx->vm.drv);
	copy = vm_copy(&fx->vm);
	mprotect(fx->vm.ram.regions[0].host, fx->vm.ram.regions[0].size_bytes, PROT_NONE);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(
			virtq_gather(&fx->vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx->b), VIRTQ_BROKEN);
		assert_int_equal(fx->b.n_segs + fx->b.n_reqs, 0);
		assert_int_equal(fx->b.bytes, 0);
		assert_ptr_equal(fx->vq.broken, reason);
		virtq_rewind(&fx->vq);
	}
	mprotect(fx->vm.ram.regions[0].host, fx->vm.ram.regions[0].size_bytes,
		PROT_READ | PROT_WRITE);
	vm_assert_untouched(&fx->vm, copy);
	vm_take_none(&fx->vm);
}

/* The lie shows in a burst of 'max_bytes', or in a later one. */
static inline void assert_caught(struct fixture *fx, uint64_t max_bytes, const char *reason,
	unsigned n_honest, uint64_t bytes_of_lie)
{
	static const uint32_t lens[] = {10, 20};
	uint64_t bytes = 0;
	enum virtq_result r;
	unsigned n = 0;

	do {
		r = virtq_gather(&fx->vq, max_bytes, VIRTQ_BURST_REQS, &fx->b);
		fill(fx);
		bytes += fx->b.bytes;
		virtq_complete(&fx->vq, &fx->b);
		for (unsigned i = 0; i < fx->b.n_reqs; i++) {
			assert_true(n < ARRAY_LEN(lens));
			vm_take(&fx->vm, lens[n++]);
		}
		vm_take_none(&fx->vm);
		assert_int_not_equal(r, VIRTQ_EMPTY);
	} while (r == VIRTQ_OK);
	assert_int_equal(n, n_honest);
	assert_int_equal(bytes, (n_honest > 0 ? 30 : 0) + bytes_of_lie);
	assert_string_equal(fx->vq.broken, reason);
	assert_left_alone(fx);
}

#endif
