/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random chains, bounds, short closes and rewinds, against a model that is simple enough to be
 * believed: it walks the room byte by byte and knows nothing of rings.
 */
#include "virtq.h"

#include "vm.h"

#define NR_CASES     30000
#define TABLE_MAX    32 /* descriptors in an indirect table */
#define CHAIN_DIRECT 8
#define BUFS_MAX     (CHAIN_DIRECT + TABLE_MAX)
#define QUEUE_MAX    64
#define ROOM_LEN     (2 * VM_PAGE) /* buffers are in the first two data regions */
#define TABLES_GPA   (VM_DATA_GPA + ROOM_LEN)
#define TABLES_MAX   14 /* moved to there; one of them lies across the border of two regions */

/* What the driver asked for, in words of its own. */
struct wish {
	unsigned n_bufs, n_descs; /* descs: with the one that names a table */
	unsigned table_at;	  /* the number of buffers before that one; n_bufs: none */
	struct driver_buf bufs[BUFS_MAX];
};

struct model {
	struct wish wishes[QUEUE_MAX]; /* outstanding, oldest first */
	unsigned first, n;	       /* first: counts on; n: with the one that is open */
	bool open;
	unsigned n_descs, n_bufs; /* of the open one, begun so far */
	uint64_t gpa, left;	  /* what is left of the current buffer */
	uint64_t written;
	uint8_t shadow[ROOM_LEN]; /* what the guest's room must hold */
};

/* What a burst must hold. */
struct expected {
	enum virtq_result result;
	uint64_t bytes;
	unsigned n_segs, n_reqs;
	struct {
		uint64_t gpa;
		uint32_t len;
	} segs[VIRTQ_BURST_SEGS];
	uint64_t lens[VIRTQ_BURST_REQS + 1];
};

struct fixture {
	struct vm vm;
	struct driver drvs[7]; /* of sizes from 1 to 64, all in one memory */
	struct virtq vq;
	struct virtq_burst b;
	struct model m;
	struct expected e;
	uint64_t seed;
	uint64_t n_reqs, n_bytes; /* to see that the test does something */
};

static uint64_t below(struct fixture *fx, uint64_t n)
{
	return random_below(&fx->seed, n);
}

/* The model */

static void model_close(struct model *m, struct expected *e)
{
	e->lens[e->n_reqs++] = m->written;
	m->open = false;
	m->first++;
	m->n--;
}

/* One byte of room; a piece ends where a region, a buffer or a burst does. */
static void model_byte(struct expected *e, uint64_t gpa, bool goes_on)
{
	if (goes_on && gpa % VM_PAGE != 0) {
		e->segs[e->n_segs - 1].len++;
	} else {
		e->segs[e->n_segs].gpa = gpa;
		e->segs[e->n_segs++].len = 1;
	}
	e->bytes++;
}

/* Go on with the open wish. @return whether it was finished */
static bool model_wish(struct model *m, uint64_t max, struct expected *e, unsigned *descs_left)
{
	const struct wish *w = &m->wishes[m->first % QUEUE_MAX];
	bool goes_on = false;

	for (;;) {
		for (; m->left > 0; m->left--, m->gpa++, m->written++) {
			bool new_seg = !goes_on || m->gpa % VM_PAGE == 0;

			if (e->bytes == max || (new_seg && e->n_segs == VIRTQ_BURST_SEGS))
				return false;
			model_byte(e, m->gpa, goes_on);
			goes_on = true;
		}
		goes_on = false;
		if (m->n_descs == w->n_descs)
			return true;
		if (*descs_left == 0)
			return false;
		--*descs_left;
		if (m->n_descs++ != w->table_at) { /* else it is the one that names the table */
			const struct driver_buf *buf = &w->bufs[m->n_bufs++];

			m->gpa = buf->gpa;
			m->left = buf->writable ? buf->len_bytes : 0;
		}
	}
}

static void model_gather(struct model *m, uint64_t max, struct expected *e)
{
	unsigned descs_left = VIRTQ_BURST_DESCS;

	e->bytes = e->n_segs = e->n_reqs = 0;
	e->result = VIRTQ_OK;
	for (;;) {
		if (!m->open) {
			if (e->bytes == max || e->n_reqs == VIRTQ_BURST_REQS || descs_left == 0)
				return;
			if (m->n == 0) {
				e->result = VIRTQ_EMPTY;
				return;
			}
			m->open = true;
			m->n_descs = m->n_bufs = 0;
			m->left = m->written = 0;
		}
		if (!model_wish(m, max, e, &descs_left))
			return;
		model_close(m, e);
	}
}

/* The driver */

static struct driver_buf random_buf(struct fixture *fx)
{
	uint64_t len = below(fx, 32) != 0 ? below(fx, 40) : below(fx, 600);
	uint64_t gpa = VM_DATA_GPA + below(fx, ROOM_LEN - len + 1);

	if (below(fx, 4) == 0) /* at the border */
		gpa = VM_DATA_GPA + VM_PAGE - below(fx, len + 1);
	return (struct driver_buf){gpa, (uint32_t)len, below(fx, 6) != 0};
}

/* Put the table that the chain of 'id' has into other regions, across a border at times. */
static void move_table(struct fixture *fx, struct driver *drv, uint16_t id, unsigned n, unsigned i)
{
	void *table = driver_rude_table(drv, id);
	uint64_t bytes = n * sizeof(struct vring_desc);
	uint64_t gpa = TABLES_GPA + i * (TABLE_MAX * 16 + 16) + below(fx, 16);

	while (!(drv->desc[id].flags & VRING_DESC_F_INDIRECT))
		id = drv->desc[id].next;
	assert_int_equal(guest_ram_write(&fx->vm.ram, gpa, table, bytes), 0);
	drv->desc[id].addr = gpa;
	memset(table, 0xee, bytes);
}

static void offer(struct fixture *fx, struct driver *drv)
{
	struct model *m = &fx->m;
	struct wish *w = &m->wishes[(m->first + m->n) % QUEUE_MAX];
	unsigned n_direct = (unsigned)below(fx, CHAIN_DIRECT + 1);
	unsigned n_table = below(fx, 2) ? 0 : 1 + (unsigned)below(fx, TABLE_MAX);
	uint16_t id;

	if (m->n == QUEUE_MAX)
		return;
	if (n_table > 0 && !vm_can_mix(n_direct + n_table, n_direct))
		n_direct = 0;
	if (n_direct + n_table == 0)
		n_direct = 1;
	*w = (struct wish){.n_bufs = n_direct + n_table, .table_at = n_direct};
	w->n_descs = w->n_bufs + (n_table > 0 ? 1 : 0);
	if (n_table == 0)
		w->table_at = UINT32_MAX;
	for (unsigned i = 0; i < w->n_bufs; i++)
		w->bufs[i] = random_buf(fx);
	if (driver_build(drv, w->bufs, w->n_bufs, n_direct, 0, &id) != 0)
		return; /* no descriptors are left */
	drv->chains[id].once = true;
	if (n_table > 0 && m->n < TABLES_MAX && below(fx, 2))
		move_table(fx, drv, id, n_table, (m->first + m->n) % TABLES_MAX);
	driver_offer(drv, id);
	m->n++;
}

/* The two of them */

static void compare_burst(struct fixture *fx, enum virtq_result r)
{
	const struct expected *e = &fx->e;
	const struct virtq_burst *b = &fx->b;

	assert_int_equal(r, e->result);
	assert_int_equal(b->bytes, e->bytes);
	assert_int_equal(b->n_segs, e->n_segs);
	assert_int_equal(b->n_reqs, e->n_reqs);
	assert_int_equal(virtq_is_open(&fx->vq), fx->m.open);
	for (unsigned i = 0; i < b->n_segs; i++) {
		assert_ptr_equal(
			seg_hva(b, i), guest_ram_at(&fx->vm.ram, e->segs[i].gpa, e->segs[i].len));
		assert_int_equal(seg_len(b, i), e->segs[i].len);
	}
}

static void fill_both(struct fixture *fx)
{
	for (unsigned i = 0; i < fx->b.n_segs; i++) {
		uint8_t value = (uint8_t)random_next(&fx->seed);

		memset(seg_hva(&fx->b, i), value, seg_len(&fx->b, i));
		memset(fx->m.shadow + (fx->e.segs[i].gpa - VM_DATA_GPA), value, fx->e.segs[i].len);
	}
}

static void close_both(struct fixture *fx)
{
	virtq_close_short(&fx->vq, &fx->b);
	if (fx->m.open && fx->m.written > 0)
		model_close(&fx->m, &fx->e);
}

static void complete(struct fixture *fx, struct driver *drv)
{
	struct driver_used used = {0};

	assert_int_equal(fx->b.n_reqs, fx->e.n_reqs);
	virtq_complete(&fx->vq, &fx->b);
	for (unsigned i = 0; i < fx->e.n_reqs; i++) {
		assert_int_equal(driver_take(drv, &used), DRIVER_OK);
		assert_int_equal(used.len_bytes, fx->e.lens[i]);
		assert_int_equal(fx->b.reqs[i].head, used.id);
	}
	assert_int_equal(driver_take(drv, &used), DRIVER_EMPTY);
	fx->n_reqs += fx->e.n_reqs;
	fx->n_bytes += fx->e.bytes;
}

static void one_case(struct fixture *fx)
{
	struct driver *drv = &fx->drvs[below(fx, ARRAY_LEN(fx->drvs))];
	unsigned bits = 1 + (unsigned)below(fx, 14);

	drv->cfg.start_idx = (uint16_t)(below(fx, 2) ? -below(fx, 70) : random_next(&fx->seed));
	drv->cfg.event_idx = drv->event_idx = below(fx, 2);
	driver_reset(drv);
	fx->vm.drv = *drv; /* a copy, for its addresses */
	vm_start(&fx->vm, &fx->vq);
	fx->m.first = fx->m.n = 0;
	fx->m.open = false;
	for (unsigned i = 0; i < 6; i++) {
		uint64_t max = below(fx, 8) ? 1 + random_magnitude(&fx->seed, bits) : UINT64_MAX;

		for (unsigned n = (unsigned)below(fx, drv->cfg.size + 1); n > 0; n--)
			offer(fx, drv);
		driver_publish(drv);
		assert_int_equal(virtq_has_work(&fx->vq), fx->m.n > 0);
		model_gather(&fx->m, max, &fx->e);
		compare_burst(fx, virtq_gather(&fx->vq, max, VIRTQ_BURST_REQS, &fx->b));
		fill_both(fx);
		if (below(fx, 6) == 0)
			close_both(fx);
		complete(fx, drv);
		if (below(fx, 8) == 0) {
			virtq_rewind(&fx->vq);
			fx->m.open = false;
		}
		assert_int_equal(fx->vq.cfg.last_used, drv->used_next);
		/* What was popped and not answered is the open chain, and only that one. */
		if (!fx->m.open)
			assert_int_equal(fx->vq.cfg.last_avail, fx->vq.cfg.last_used);
		else if (!drv->packed)
			assert_int_equal(
				fx->vq.cfg.last_avail, (uint16_t)(fx->vq.cfg.last_used + 1));
	}
	for (unsigned i = 0; i < 2; i++)
		assert_memory_equal(
			fx->vm.ram.regions[1 + i].host, fx->m.shadow + i * VM_PAGE, VM_PAGE);
}

static void test_against_the_model(void **state)
{
	static const unsigned packed_sizes[ARRAY_LEN(((struct fixture *)NULL)->drvs)] = {
		1, 2, 3, 5, 16, 31, 63};
	static struct fixture fx;

	memset(&fx, 0, sizeof(fx));
	fx.seed = random_seed("against_the_model");
	vm_init_memory(&fx.vm, 512 * VM_PAGE);
	memset(fx.m.shadow, VM_POISON, sizeof(fx.m.shadow));
	for (unsigned i = 0; i < ARRAY_LEN(fx.drvs); i++)
		assert_int_equal(driver_init(&fx.drvs[i], &fx.vm.ram,
					 &(struct driver_cfg){.size = vm_layout == DRIVER_PACKED
									      ? packed_sizes[i]
									      : 1u << i,
						 .layout = vm_layout,
						 .table_entries = TABLE_MAX}),
			0);
	for (unsigned i = 0; i < NR_CASES; i++)
		one_case(&fx);
	print_message("# %u cases, %llu requests, %llu bytes\n", NR_CASES,
		(unsigned long long)fx.n_reqs, (unsigned long long)fx.n_bytes);
	assert_true(fx.n_reqs > NR_CASES);
	for (unsigned i = 0; i < ARRAY_LEN(fx.drvs); i++)
		driver_fini(&fx.drvs[i]);
	memset(&fx.vm.drv, 0, sizeof(fx.vm.drv));
	vm_fini(&fx.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_against_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
