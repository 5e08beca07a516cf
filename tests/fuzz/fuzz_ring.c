/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue, split or packed, with a driver that is honest, rude or mad as the input has it,
 * against ring_model.c: each segment, each request, each byte of the guest's memory.
 */
#include "fuzz.h"
#include "ring_model.h"

#include "../unit/vm.h"

#include <errno.h>

#define TABLE_MAX  8
#define BUFS_MAX   12
#define MEMORY_MAX (16 * VM_PAGE)
#define N_SIZES	   6
#define OPS_MAX	   200
#define ROOM_GPA   (VM_DATA_GPA - 64) /* some of it is nowhere */
#define ROOM_LEN   (VM_DATA_LEN + 128)

static const unsigned sizes[2][N_SIZES] = {{1, 2, 4, 8, 16, 64}, {1, 2, 3, 7, 16, 61}};

/* A guest with a ring of some layout and size, and its memory as it was at first. */
struct room {
	struct vm vm;
	uint8_t *pristine;
};

static struct {
	bool made;
	struct room rooms[2][N_SIZES];

	/* Of this input */
	struct fuzz_input in;
	struct vm *vm;
	struct driver *drv;
	struct virtq vq;
	struct virtq_burst b;
	struct ring_model m;
	struct ring_expected e;

	/* A second memory: what the guest's must be like */
	struct guest_ram must;
	uint8_t must_bytes[MEMORY_MAX];

	/* With a dirty log: what the device told it, and the memory as it was before. */
	bool logging;
	uint8_t marked[MEMORY_MAX], was[MEMORY_MAX];
} fx;

static void copy_memory(uint8_t *to)
{
	for (unsigned i = 0; i < fx.vm->ram.nr_regions; i++) {
		const struct guest_ram_region *r = &fx.vm->ram.regions[i];

		memcpy(to, r->host, r->size_bytes);
		to += r->size_bytes;
	}
}

static void restore_memory(const uint8_t *from)
{
	for (unsigned i = 0; i < fx.vm->ram.nr_regions; i++) {
		struct guest_ram_region *r = &fx.vm->ram.regions[i];

		memcpy(r->host, from, r->size_bytes);
		from += r->size_bytes;
	}
}

static void check_memory(void)
{
	for (unsigned i = 0; i < fx.vm->ram.nr_regions; i++) {
		const struct guest_ram_region *r = &fx.vm->ram.regions[i];

		FUZZ_CHECK(memcmp(r->host, fx.must.regions[i].host, r->size_bytes) == 0);
	}
}

/* The device says that it wrote there. */
static void mark(void *arg, uint64_t gpa, uint64_t len)
{
	size_t at = 0;

	for (unsigned i = 0; i < fx.vm->ram.nr_regions; i++) {
		const struct guest_ram_region *r = &fx.vm->ram.regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size_bytes) {
			FUZZ_CHECK(len <= r->size_bytes - (gpa - r->gpa));
			memset(fx.marked + at + (gpa - r->gpa), 1, len);
			return;
		}
		at += r->size_bytes;
	}
	FUZZ_CHECK(!"a mark outside the guest's memory");
}

static const struct dirty_log log_of_all = {.mark = mark};

static void log_begin(void)
{
	if (!fx.logging)
		return;
	memset(fx.marked, 0, sizeof(fx.marked));
	copy_memory(fx.was);
}

#define PIECE 64

/* Whatever is not as it was must have been told. */
static void log_check(void)
{
	size_t at = 0;

	for (unsigned i = 0; fx.logging && i < fx.vm->ram.nr_regions; i++) {
		const struct guest_ram_region *r = &fx.vm->ram.regions[i];

		for (size_t n = 0; n < r->size_bytes; n += PIECE, at += PIECE) {
			if (memcmp(r->host + n, fx.was + at, PIECE) == 0)
				continue;
			for (unsigned k = 0; k < PIECE; k++)
				FUZZ_CHECK(r->host[n + k] == fx.was[at + k] || fx.marked[at + k]);
		}
	}
}

static void make_room(struct room *room, const struct driver_cfg *cfg)
{
	uint64_t bytes = 0;

	vm_layout = cfg->layout;
	vm_init(&room->vm, cfg);
	for (unsigned i = 0; i < room->vm.ram.nr_regions; i++)
		bytes += room->vm.ram.regions[i].size_bytes;
	FUZZ_CHECK(bytes <= sizeof(fx.must_bytes));
	room->pristine = malloc(bytes);
	FUZZ_CHECK(room->pristine != NULL);
	fx.vm = &room->vm;
	copy_memory(room->pristine);
}

static void make(void)
{
	for (unsigned layout = 0; layout < 2; layout++) {
		for (unsigned i = 0; i < N_SIZES; i++)
			make_room(&fx.rooms[layout][i],
				&(struct driver_cfg){.size = sizes[layout][i],
					.layout = layout ? DRIVER_PACKED : DRIVER_SPLIT,
					.table_entries = TABLE_MAX});
	}
	fx.made = true;
}

/* Take a guest, its memory as new. */
static void enter(struct room *room)
{
	uint8_t *to = fx.must_bytes;

	fx.vm = &room->vm;
	fx.drv = &room->vm.drv;
	restore_memory(room->pristine);
	fx.must = room->vm.ram;
	for (unsigned i = 0; i < fx.must.nr_regions; i++) {
		fx.must.regions[i].host = to;
		to += fx.must.regions[i].size_bytes;
	}
}

static bool is_in_a_region(uintptr_t start, uintptr_t len)
{
	for (unsigned i = 0; i < fx.vm->ram.nr_regions; i++) {
		const struct guest_ram_region *r = &fx.vm->ram.regions[i];
		uintptr_t host = (uintptr_t)r->host;

		if (start >= host && start + len <= host + r->size_bytes)
			return true;
	}
	return false;
}

/* A ring as a front-end might describe it. @return whether a device may start on it */
static bool describe_badly(struct virtq_config *cfg)
{
	size_t size = cfg->size = fuzz_u16(&fx.in);
	uintptr_t parts[3], lens[3], aligns[3] = {16, cfg->packed ? 4 : 2, 4};
	bool sound = size > 0 && size <= 32768 && (cfg->packed || (size & (size - 1)) == 0);

	lens[0] = 16 * size;
	lens[1] = cfg->packed ? 4 : 6 + 2 * size;
	lens[2] = cfg->packed ? 4 : 6 + 8 * size;
	for (unsigned i = 0; i < 3; i++) {
		const struct guest_ram_region *r = &fx.vm->ram.regions[fuzz_below(&fx.in, 2)];

		parts[i] = fuzz_below(&fx.in, 8) ? (uintptr_t)r->host + fuzz_u16(&fx.in) : 0;
		sound &= parts[i] % aligns[i] == 0 && is_in_a_region(parts[i], lens[i]);
	}
	cfg->desc = (struct vring_desc *)parts[0];
	cfg->avail = (struct vring_avail *)parts[1];
	cfg->used = (struct vring_used *)parts[2];
	if (fuzz_below(&fx.in, 4) == 0)
		cfg->last_avail = fuzz_u16(&fx.in);
	if (fuzz_below(&fx.in, 4) == 0)
		cfg->last_used = fuzz_u16(&fx.in);
	sound &= cfg->last_avail == cfg->last_used;
	return sound && (!cfg->packed || (cfg->last_avail & 0x7fff) < size);
}

static void start_badly(void)
{
	struct virtq_config cfg = vm_ring(fx.vm);
	bool sound = describe_badly(&cfg);
	const char *why;
	struct virtq vq;
	int err;

	copy_memory(fx.must_bytes);
	err = virtq_init(&vq, &cfg, &why);
	FUZZ_CHECK(err == (sound ? 0 : -EINVAL));
	FUZZ_CHECK((why == NULL) == sound);
	if (err != 0)
		check_memory();
	restore_memory(fx.must_bytes);
}

/* Begin anew: the guest reset its device. */
static void start(void)
{
	unsigned how = fuzz_u8(&fx.in);
	struct virtq_config cfg;
	const char *why;

	enter(&fx.rooms[how & 1][fuzz_below(&fx.in, N_SIZES)]);
	fx.drv->cfg.event_idx = fx.drv->event_idx = how & 2;
	fx.drv->cfg.start_idx = how & 4 ? fuzz_u16(&fx.in) : 65530;
	driver_reset(fx.drv);
	if (how & 8)
		start_badly();
	cfg = vm_ring(fx.vm);
	cfg.indirect = !(how & 16);
	fx.logging = how & 32;
	cfg.log = fx.logging ? &log_of_all : NULL;
	log_begin();
	FUZZ_CHECK(virtq_init(&fx.vq, &cfg, &why) == 0 && why == NULL);
	log_check();
	fx.m = (struct ring_model){.ram = &fx.vm->ram,
		.to = &fx.must,
		.packed = cfg.packed,
		.event_idx = cfg.event_idx,
		.indirect = cfg.indirect,
		.size = cfg.size,
		.desc_gpa = fx.drv->desc_gpa,
		.driver_gpa = fx.drv->driver_gpa,
		.device_gpa = fx.drv->device_gpa,
		.avail = cfg.last_avail,
		.used = cfg.last_used,
		.seen = cfg.last_avail};
}

/* The driver */

/* Mostly in the room, at times in the queue itself or nowhere. */
static uint64_t some_gpa(void)
{
	switch (fuzz_below(&fx.in, 16)) {
	case 0:
		return fuzz_u64(&fx.in);
	case 1:
		return fx.drv->desc_gpa + fuzz_u16(&fx.in) % 2048;
	case 2:
		return VM_DATA_GPA + VM_PAGE * (1 + fuzz_below(&fx.in, VM_NR_DATA)) -
		       fuzz_below(&fx.in, 64);
	default:
		return ROOM_GPA + fuzz_u16(&fx.in) % ROOM_LEN;
	}
}

static uint32_t some_len(void)
{
	switch (fuzz_below(&fx.in, 16)) {
	case 0:
		return fuzz_u32(&fx.in);
	case 1:
		return fuzz_u16(&fx.in);
	case 2:
		return 0;
	default:
		return fuzz_u8(&fx.in);
	}
}

static void offer_honestly(void)
{
	unsigned n = 1 + fuzz_below(&fx.in, BUFS_MAX), n_direct = fuzz_below(&fx.in, n + 1);
	struct driver_buf bufs[BUFS_MAX];
	uint16_t id;

	if (fx.drv->packed && n_direct > 0)
		n_direct = n;
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = fuzz_u16(&fx.in) % VM_DATA_LEN;
		uint16_t len = fuzz_u8(&fx.in);

		if (len > VM_DATA_LEN - at)
			len = (uint16_t)(VM_DATA_LEN - at);
		bufs[i] = (struct driver_buf){VM_DATA_GPA + at, len, fuzz_below(&fx.in, 8) != 0};
	}
	if (driver_build(fx.drv, bufs, n, n_direct, 0, &id) != 0)
		return;
	fx.drv->chains[id].once = true;
	driver_offer(fx.drv, id);
}

/* A descriptor that says anything, in the ring or in a table; often enough it makes sense. */
static void write_desc(void)
{
	unsigned i = fuzz_below(&fx.in, fx.drv->cfg.size), how = fuzz_u8(&fx.in);
	uint16_t words[2] = {how & 64 ? fuzz_u16(&fx.in) : how & 7,
		how & 128 ? fuzz_u16(&fx.in) : fuzz_below(&fx.in, fx.drv->cfg.size)};
	struct vring_desc d = {some_gpa(), some_len(), words[0], words[1]};
	uint8_t *to = (uint8_t *)&fx.drv->desc[i];

	if (d.flags & VRING_DESC_F_INDIRECT && how & 32) {
		d.addr = fx.drv->tables_gpa + i * TABLE_MAX * sizeof(d);
		d.len = (1 + fuzz_below(&fx.in, TABLE_MAX)) * 16;
	}
	if (how & 8)
		to = (uint8_t *)driver_rude_table(fx.drv, (uint16_t)i) +
		     16 * fuzz_below(&fx.in, TABLE_MAX);
	else if (fx.drv->packed)
		to = (uint8_t *)&fx.drv->ring[i];
	if (fx.drv->packed) {
		struct vring_packed_desc p = {d.addr, d.len, d.next, d.flags};

		if (how & 16) /* available here, or on the next lap */
			p.flags |= driver_packed_avail(how & 8 ? 0 : fx.m.avail);
		memcpy(to, &p, sizeof(p));
	} else {
		memcpy(to, &d, sizeof(d));
	}
}

/* A table that lies across the end of a region, or of all memory, and a chain with it. */
static void offer_table_at_end(void)
{
	unsigned n = 1 + fuzz_below(&fx.in, 6), inside = fuzz_below(&fx.in, n + 1);
	uint64_t end = VM_DATA_GPA + VM_PAGE * (1 + (uint64_t)fuzz_below(&fx.in, VM_NR_DATA));
	struct vring_desc d = {
		end - 16 * inside - fuzz_below(&fx.in, 16), 16 * n, VRING_DESC_F_INDIRECT, 0};
	struct vring_packed_desc p = {d.addr, d.len, 1, d.flags};

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc entry = {VM_DATA_GPA + fuzz_u8(&fx.in), fuzz_u8(&fx.in),
			VRING_DESC_F_WRITE | (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			(uint16_t)(i + 1)};

		if (fx.drv->packed) {
			entry.next = entry.flags;
			entry.flags = 0;
		}
		guest_ram_write(&fx.vm->ram, d.addr + 16 * i, &entry, sizeof(entry));
	}
	if (fx.drv->packed) {
		driver_rude_put(fx.drv, &p);
		return;
	}
	n = fuzz_below(&fx.in, fx.drv->cfg.size);
	fx.drv->desc[n] = d;
	driver_rude_push(fx.drv, (uint16_t)n);
}

static void offer_rudely(void)
{
	struct vring_packed_desc p;

	if (!fx.drv->packed) {
		driver_rude_push(fx.drv, fuzz_below(&fx.in, 8)
						 ? fuzz_below(&fx.in, fx.drv->cfg.size)
						 : fuzz_u16(&fx.in));
		return;
	}
	p = (struct vring_packed_desc){some_gpa(), some_len(), fuzz_u16(&fx.in),
		fuzz_below(&fx.in, 4) ? fuzz_below(&fx.in, 8) : fuzz_u16(&fx.in)};
	driver_rude_put(fx.drv, &p);
}

static void wish_for_calls(void)
{
	uint16_t a = fuzz_u16(&fx.in), b = fuzz_u16(&fx.in);

	if (fuzz_bool(&fx.in)) /* near to where the device is */
		a = (uint16_t)(fx.m.used + fuzz_below(&fx.in, 8) - 4);
	if (fx.drv->packed)
		driver_rude_packed_events(fx.drv, a, b);
	else
		driver_rude_events(fx.drv, b, a);
}

static void scribble(void)
{
	uint64_t gpa = some_gpa(), value = fuzz_u64(&fx.in);

	guest_ram_write(&fx.vm->ram, gpa, &value, 1 + fuzz_below(&fx.in, 8));
}

static void act_as_driver(unsigned what)
{
	switch (what) {
	case 0:
	case 1:
		offer_honestly();
		break;
	case 2:
		write_desc();
		break;
	case 3:
		offer_rudely();
		break;
	case 4:
		wish_for_calls();
		break;
	case 5:
		scribble();
		break;
	case 6:
		if (!fx.drv->packed)
			driver_rude_jump(fx.drv, fuzz_u16(&fx.in));
		break;
	default:
		offer_table_at_end();
		break;
	}
	if (what != 6 && fuzz_below(&fx.in, 4) != 0)
		driver_publish(fx.drv);
}

/* The device */

static void check_burst(enum virtq_result r)
{
	FUZZ_CHECK(r == fx.e.result);
	FUZZ_CHECK((r == VIRTQ_BROKEN) == (fx.vq.broken != NULL));
	FUZZ_CHECK(fx.b.bytes == fx.e.bytes);
	FUZZ_CHECK(fx.b.n_segs == fx.e.n_segs);
	for (unsigned i = 0; i < fx.e.n_segs; i++) {
		FUZZ_CHECK(seg_len(&fx.b, i) == fx.e.segs[i].len);
		FUZZ_CHECK(seg_hva(&fx.b, i) ==
			   guest_ram_at(&fx.vm->ram, fx.e.segs[i].gpa, fx.e.segs[i].len));
	}
}

static void check_reqs(void)
{
	FUZZ_CHECK(fx.b.n_reqs == fx.e.n_reqs);
	for (unsigned i = 0; i < fx.e.n_reqs; i++) {
		FUZZ_CHECK(fx.b.reqs[i].head == fx.e.reqs[i].head);
		FUZZ_CHECK(fx.b.reqs[i].written == fx.e.reqs[i].written);
		if (fx.m.packed)
			FUZZ_CHECK(fx.b.reqs[i].n_descs == fx.e.reqs[i].n_descs);
	}
	FUZZ_CHECK(fx.vq.broken != NULL || virtq_is_open(&fx.vq) == fx.m.open);
	FUZZ_CHECK(fx.vq.broken != NULL || fx.vq.cfg.last_avail == fx.m.avail);
}

/* Serve. The model says what memory must hold afterwards: all of it is compared. */
static void complete(void)
{
	bool free_choice, wants;

	log_begin();
	for (unsigned i = 0; i < fx.b.n_segs; i++) {
		int value = (int)(0x40 + i % 128);

		memset(seg_hva(&fx.b, i), value, seg_len(&fx.b, i));
		memset(guest_ram_at(&fx.must, fx.e.segs[i].gpa, fx.e.segs[i].len), value,
			fx.e.segs[i].len);
	}
	virtq_written(&fx.vq, &fx.b);
	ring_model_complete(&fx.m, &fx.e);
	virtq_complete(&fx.vq, &fx.b);
	check_memory();
	log_check();
	FUZZ_CHECK(fx.vq.cfg.last_used == fx.m.used);
	if (fuzz_bool(&fx.in)) {
		wants = ring_model_wants_call(&fx.m, &free_choice);
		FUZZ_CHECK(virtq_wants_call(&fx.vq) == wants || free_choice);
	}
}

static void gather(void)
{
	uint64_t max_bytes = fuzz_magnitude(&fx.in), max_reqs = fuzz_magnitude(&fx.in);
	unsigned how = fuzz_u8(&fx.in);
	struct virtq_watch watch;
	enum virtq_result r;
	bool work;

	max_bytes += max_bytes == 0;
	max_reqs += max_reqs == 0;
	if (how & 1 && fx.vq.broken == NULL) {
		virtq_watch(&fx.vq, &watch);
		work = virtq_has_work(&fx.vq);
		FUZZ_CHECK(work == ring_model_has_work(&fx.m));
		FUZZ_CHECK(!work || virtq_watch_fired(&watch) ||
			   (!fx.m.packed && fx.m.seen != fx.m.avail));
	}
	copy_memory(fx.must_bytes);
	ring_model_gather(&fx.m, max_bytes, max_reqs, &fx.e);
	r = virtq_gather(&fx.vq, max_bytes, max_reqs, &fx.b);
	check_burst(r);
	check_reqs();
	check_memory(); /* to gather is to read */
	if (how & 2 && how & 4 && fx.m.open && fx.vq.broken == NULL) {
		uint32_t cut = fuzz_u8(&fx.in);

		if (fx.e.n_segs > 0 && fx.e.segs[fx.e.n_segs - 1].len <= fx.m.written) {
			virtq_trim(&fx.vq, &fx.b, cut);
			ring_model_trim(&fx.m, &fx.e, cut);
		}
	}
	if (how & 2 && fx.vq.broken == NULL) {
		virtq_close_short(&fx.vq, &fx.b);
		ring_model_close_short(&fx.m, &fx.e);
		FUZZ_CHECK((fx.vq.broken != NULL) == fx.m.broken);
		check_reqs();
	}
	if (how & 8 && fx.vq.broken == NULL) {
		virtq_rewind(&fx.vq);
		ring_model_rewind(&fx.m);
		return;
	}
	if (fx.vq.broken == NULL || fx.b.n_reqs > 0)
		complete();
	if (how & 16 && fx.vq.broken == NULL) {
		virtq_rewind(&fx.vq);
		ring_model_rewind(&fx.m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!fx.made)
		make();
	fx.in = (struct fuzz_input){data, size};
	start();
	for (unsigned n = 0; n < OPS_MAX && fuzz_more(&fx.in); n++) {
		unsigned what = fuzz_below(&fx.in, 16);
		struct driver_used used;

		if (what < 8)
			act_as_driver(what);
		else if (what == 15)
			start();
		else
			gather();
		/* Honest chains come back to it; what it makes of answers to lies is its own
		 * matter.
		 */
		while (what == 14 && driver_take(fx.drv, &used) == DRIVER_OK)
			;
	}
	return 0;
}
