/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_VIRTQ_FIXTURE_H
#define UNIT_VIRTQ_FIXTURE_H

/* A guest, the device's side of its ring, and a burst, for the tests of honest drivers. */

#include "virtq.h"
#include "vm.h"

#define FILL 0x5a

struct fixture {
	struct vm vm;
	struct virtq vq;
	struct virtq_burst b;
};

static inline void fixture_init(struct fixture *fx, const struct driver_cfg *cfg)
{
	vm_init(&fx->vm, cfg);
	vm_start(&fx->vm, &fx->vq);
}

static inline void fixture_fini(struct fixture *fx)
{
	vm_fini(&fx->vm);
}

/** Publish, gather without a bound of bytes. All must fit into one burst. */
static inline void gather_all(struct fixture *fx)
{
	driver_publish(&fx->vm.drv);
	assert_int_equal(virtq_gather(&fx->vq, UINT64_MAX, VIRTQ_BURST_REQS, &fx->b), VIRTQ_EMPTY);
	burst_check(&fx->b);
}

static inline void complete(struct fixture *fx)
{
	burst_fill(&fx->b, FILL);
	virtq_complete(&fx->vq, &fx->b);
}

static inline void assert_seg(const struct fixture *fx, unsigned i, uint64_t gpa, uint32_t len)
{
	assert_true(i < fx->b.n_segs);
	assert_ptr_equal(seg_hva(&fx->b, i), guest_ram_at(&fx->vm.ram, gpa, len));
	assert_int_equal(seg_len(&fx->b, i), len);
}

/** Ask for n bytes, one each, and have them. */
static inline void serve(struct fixture *fx, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		vm_offer(&fx->vm, VM_DATA_GPA, 1);
	gather_all(fx);
	complete(fx);
	for (unsigned i = 0; i < n; i++)
		vm_take(&fx->vm, 1);
}

#endif
