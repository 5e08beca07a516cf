/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest whose other CPU writes over the ring while the device reads it. There is no right answer,
 * only wrong ones: room that is not the guest's, a bound that does not hold, a fault. This finds
 * what looks twice at a word with some time in between; two loads in a row it seldom finds.
 */
#include "virtq.h"

#include "vm.h"

#include <pthread.h>

#define SIZE	 8
#define NR_TURNS 1000000
#define TABLE	 (VM_DATA_GPA + VM_PAGE - 40) /* over a border of regions */

struct fixture {
	struct vm vm;
	struct virtq vq;
	struct virtq_burst b;
	uint64_t seed;
	bool stop;
	uint64_t n_bytes, n_lies; /* to see that the test does something */
};

/* The good and the bad, so that a mixture of two descriptors is bad as often as not. */
static const uint64_t addrs[] = {VM_DATA_GPA, VM_DATA_GPA + VM_DATA_LEN - 16, TABLE, TABLE,
	TABLE - 80, VM_DATA_GPA + 5, VM_DATA_GPA - 1, UINT64_MAX - 7, 0};
static const uint32_t lens[] = {16, 32, 16, 32, 64, 0, 24, UINT32_MAX, 32769 * 16, 1};
static const uint16_t flags[] = {2, 2, 3, 3, 4, 4, 0, 1, 5, 7};
static const uint16_t nexts[] = {0, 1, 2, 3, SIZE, 0xffff};

static uint16_t random_flags(uint64_t *seed)
{
	uint16_t f = flags[random_below(seed, ARRAY_LEN(flags))];

	/* Of a packed ring: available in one lap or the other, as often as used. */
	if (random_once_in(seed, 2))
		f |= VIRTQ_DESC_F_AVAIL;
	if (random_once_in(seed, 2))
		f |= VIRTQ_DESC_F_USED;
	return f;
}

static void scribble_split(volatile struct vring_desc *d, uint64_t *seed)
{
	switch (random_below(seed, 4)) {
	case 0:
		d->addr = addrs[random_below(seed, ARRAY_LEN(addrs))];
		break;
	case 1:
		d->len = lens[random_below(seed, ARRAY_LEN(lens))];
		break;
	case 2:
		d->flags = flags[random_below(seed, ARRAY_LEN(flags))];
		break;
	default:
		d->next = nexts[random_below(seed, ARRAY_LEN(nexts))];
	}
}

static void scribble_packed(volatile struct vring_packed_desc *d, uint64_t *seed)
{
	switch (random_below(seed, 4)) {
	case 0:
		d->addr = addrs[random_below(seed, ARRAY_LEN(addrs))];
		break;
	case 1:
		d->len = lens[random_below(seed, ARRAY_LEN(lens))];
		break;
	default:
		d->flags = random_flags(seed);
	}
}

static void scribble_avail(volatile struct vring_avail *avail, uint64_t *seed)
{
	if (random_once_in(seed, 64))
		avail->idx += (uint16_t)random_below(seed, 20);
	avail->ring[random_below(seed, SIZE)] = nexts[random_below(seed, ARRAY_LEN(nexts))];
}

/* Asserts nothing: cmocka's assertions belong to the main thread. */
static void *scribble(void *arg)
{
	struct fixture *fx = arg;
	struct driver *drv = &fx->vm.drv;
	/* Of the table the first descriptors, up to the border. */
	void *table = guest_ram_at(&fx->vm.ram, TABLE, 32);
	uint64_t seed = fx->seed + 1;

	while (!__atomic_load_n(&fx->stop, __ATOMIC_RELAXED)) {
		uint64_t what = random_below(&seed, 8), i = random_below(&seed, SIZE);

		if (drv->packed) {
			struct vring_packed_desc *entries = table;

			scribble_packed(what < 2 ? &entries[i % 2] : &drv->ring[i], &seed);
		} else if (what < 2) {
			scribble_avail(drv->avail, &seed);
		} else {
			struct vring_desc *entries = table;

			scribble_split(what < 4 ? &entries[i % 2] : &drv->desc[i], &seed);
		}
	}
	return NULL;
}

/* There is something to do, as far as the device can tell. */
static void make_available(struct fixture *fx)
{
	struct driver *drv = &fx->vm.drv;
	uint16_t pos = fx->vq.cfg.last_avail;

	if (!drv->packed) {
		__atomic_store_n(&drv->avail->idx, (uint16_t)(pos + random_below(&fx->seed, SIZE)),
			__ATOMIC_RELAXED);
		return;
	}
	for (uint64_t n = random_below(&fx->seed, SIZE); n > 0; n--) {
		__atomic_store_n(&driver_packed_at(drv, pos)->flags,
			flags[random_below(&fx->seed, ARRAY_LEN(flags))] | driver_packed_avail(pos),
			__ATOMIC_RELAXED);
		pos = driver_packed_pos(drv, pos, 1);
	}
}

static void one_turn(struct fixture *fx)
{
	uint64_t max = 1 + random_magnitude(&fx->seed, 10);
	struct virtq_config cfg = vm_ring(&fx->vm);
	enum virtq_result r;
	const char *why;

	make_available(fx);
	(void)virtq_has_work(&fx->vq);
	r = virtq_gather(&fx->vq, max, VIRTQ_BURST_REQS, &fx->b);
	burst_check(&fx->b);
	assert_true(fx->b.bytes <= max);
	for (unsigned i = 0; i < fx->b.n_segs; i++)
		assert_true(guest_mem_has_hva(&fx->vm.mem, seg_hva(&fx->b, i), seg_len(&fx->b, i)));
	for (unsigned i = 0; i < fx->b.n_reqs; i++) {
		if (cfg.packed)
			assert_in_range(fx->b.reqs[i].n_descs, 1, SIZE);
		else
			assert_true(fx->b.reqs[i].head < SIZE);
	}
	if (random_once_in(&fx->seed, 4))
		virtq_close_short(&fx->vq, &fx->b);
	virtq_complete(&fx->vq, &fx->b);
	(void)virtq_wants_call(&fx->vq);
	fx->n_bytes += fx->b.bytes;
	if (cfg.packed) {
		assert_in_range(fx->vq.cfg.last_used & ~VIRTQ_WRAP, 0, SIZE - 1);
		assert_in_range(fx->vq.cfg.last_avail & ~VIRTQ_WRAP, 0, SIZE - 1);
	}
	if (fx->vq.broken == NULL) {
		assert_int_not_equal(r, VIRTQ_BROKEN);
		return;
	}
	fx->n_lies++;
	cfg.last_avail = cfg.last_used =
		cfg.packed ? fx->vq.cfg.last_used
			   : __atomic_load_n(&cfg.avail->idx, __ATOMIC_RELAXED);
	assert_int_equal(virtq_init(&fx->vq, &cfg, &why), 0);
}

static void test_scribbling_guest(void **state)
{
	struct driver_cfg cfg = {.size = SIZE, .event_idx = true};
	static struct fixture fx;
	pthread_t guest;

	memset(&fx, 0, sizeof(fx));
	fx.seed = random_seed("scribbling_guest");
	vm_init(&fx.vm, &cfg);
	vm_start(&fx.vm, &fx.vq);
	assert_int_equal(pthread_create(&guest, NULL, scribble, &fx), 0);
	for (unsigned i = 0; i < NR_TURNS; i++)
		one_turn(&fx);
	__atomic_store_n(&fx.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(guest, NULL), 0);
	print_message("# %llu bytes, %llu lies\n", (unsigned long long)fx.n_bytes,
		(unsigned long long)fx.n_lies);
	assert_true(fx.n_bytes > 0 && fx.n_lies > 0);
	vm_fini(&fx.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_scribbling_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
