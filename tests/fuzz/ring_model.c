/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring_model.h"

#include "fuzz.h"

enum {
	F_NEXT = 1,
	F_WRITE = 2,
	F_INDIRECT = 4,
	F_AVAIL = 1 << 7,
	F_USED = 1 << 15,
	WRAP = 1 << 15,
};

enum step { STEP_DONE, STEP_NONE, STEP_LIE };

/* A descriptor, in either layout: packed ones have an id where split ones have a next. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next, id;
};

static uint16_t load16(const struct ring_model *m, uint64_t gpa)
{
	uint16_t value;

	FUZZ_CHECK(guest_ram_read(m->ram, gpa, &value, sizeof(value)) == 0);
	return value;
}

static bool load_desc(const struct ring_model *m, uint64_t gpa, struct desc *d)
{
	uint16_t last[2];

	if (guest_ram_read(m->ram, gpa, &d->addr, 8) != 0 ||
		guest_ram_read(m->ram, gpa + 8, &d->len, 4) != 0 ||
		guest_ram_read(m->ram, gpa + 12, last, 4) != 0)
		return false;
	d->flags = last[m->packed];
	d->next = last[1];
	d->id = last[0];
	return true;
}

/* Packed: one position on, where the counter turns over at the ring's end (§2.8.1). */
static uint16_t pos_next(const struct ring_model *m, uint16_t pos)
{
	uint16_t wrap = pos & WRAP, index = (pos & (WRAP - 1)) + 1;

	return index == m->size ? wrap ^ WRAP : wrap | index;
}

static uint64_t ring_gpa(const struct ring_model *m, uint16_t pos)
{
	return m->desc_gpa + 16 * (uint64_t)(pos & (WRAP - 1));
}

/* §2.8.1: available when AVAIL is as the driver's wrap counter, and USED is not. */
static bool is_avail(uint16_t flags, uint16_t pos)
{
	bool wrap = pos & WRAP;

	return !!(flags & F_AVAIL) == wrap && !!(flags & F_USED) != wrap;
}

static uint16_t split_seen(struct ring_model *m)
{
	if (m->seen == m->avail)
		m->seen = load16(m, m->driver_gpa + 2);
	return m->seen;
}

bool ring_model_has_work(struct ring_model *m)
{
	if (m->open)
		return true;
	if (m->packed)
		return is_avail(load16(m, ring_gpa(m, m->avail) + 14), m->avail);
	return split_seen(m) != m->avail;
}

static enum step enter_table(struct ring_model *m, const struct desc *d)
{
	uint8_t byte;

	if (!m->indirect || d->len == 0 || d->len % 16 != 0 || d->len / 16 > 32768 ||
		guest_ram_read(m->ram, d->addr, &byte, 1) != 0)
		return STEP_LIE;
	m->in_table = m->goes_on = true;
	m->table_gpa = d->addr;
	m->table_size = d->len / 16;
	m->at = m->looked_at = 0;
	m->left = 0;
	return STEP_DONE;
}

static enum step take(struct ring_model *m, const struct desc *d)
{
	m->gpa = d->addr;
	m->left = d->flags & F_WRITE ? d->len : 0;
	return STEP_DONE;
}

static enum step split_next(struct ring_model *m)
{
	uint64_t table = m->in_table ? m->table_gpa : m->desc_gpa;
	uint32_t size = m->in_table ? m->table_size : m->size;
	struct desc d;

	if (m->looked_at == size || m->at >= size ||
		!load_desc(m, table + 16 * (uint64_t)m->at, &d))
		return STEP_LIE;
	m->looked_at++;
	if (d.flags & F_INDIRECT)
		return m->in_table || (d.flags & F_NEXT) ? STEP_LIE : enter_table(m, &d);
	m->goes_on = d.flags & F_NEXT;
	m->at = d.next;
	return take(m, &d);
}

static enum step packed_next(struct ring_model *m)
{
	struct desc d;

	if (m->in_table) {
		if (!load_desc(m, m->table_gpa + 16 * (uint64_t)m->at, &d))
			return STEP_LIE;
		m->goes_on = ++m->at < m->table_size;
		return take(m, &d);
	}
	if (m->took == m->size)
		return STEP_LIE;
	FUZZ_CHECK(load_desc(m, ring_gpa(m, m->avail), &d));
	if (d.flags & F_INDIRECT && (m->took > 0 || (d.flags & F_NEXT)))
		return STEP_LIE;
	m->took++;
	m->name = d.id; /* the last one's stays (§2.8.6) */
	m->avail = pos_next(m, m->avail);
	if (d.flags & F_INDIRECT)
		return enter_table(m, &d);
	m->goes_on = d.flags & F_NEXT;
	return take(m, &d);
}

static enum step next(struct ring_model *m)
{
	enum step step = m->packed ? packed_next(m) : split_next(m);

	if (step == STEP_LIE)
		m->broken = true;
	return step;
}

/* Begin the next chain. A packed one's first descriptor is looked at, a split one's only named. */
static enum step begin(struct ring_model *m)
{
	if (!ring_model_has_work(m))
		return STEP_NONE;
	if (!m->packed) {
		uint16_t slot = m->avail % m->size;

		if ((uint16_t)(m->seen - m->avail) > m->size) {
			m->broken = true;
			return STEP_LIE;
		}
		m->name = load16(m, m->driver_gpa + 4 + 2 * (uint64_t)slot);
		if (m->name >= m->size) {
			m->broken = true;
			return STEP_LIE;
		}
		m->at = m->name;
		m->avail++;
	}
	m->open = true;
	m->in_table = false;
	m->goes_on = true;
	m->looked_at = m->took = 0;
	m->left = m->written = 0;
	return m->packed ? next(m) : STEP_DONE;
}

static void finish(struct ring_model *m, struct ring_expected *e)
{
	e->reqs[e->n_reqs++] = (struct virtq_req){
		.head = m->name, .n_descs = m->took, .written = (uint32_t)m->written};
	m->open = false;
}

/* How much of a range lies in one region. */
static uint64_t contiguous(const struct ring_model *m, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->ram->nr_regions; i++) {
		const struct guest_ram_region *r = &m->ram->regions[i];
		uint64_t left = r->size_bytes - (gpa - r->gpa);

		if (gpa >= r->gpa && gpa - r->gpa < r->size_bytes)
			return len < left ? len : left;
	}
	return 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Go on with the open chain. @return false: the burst is at its end */
static bool go_on(struct ring_model *m, uint64_t max, struct ring_expected *e, unsigned *descs)
{
	for (;;) {
		while (m->left > 0) {
			uint64_t n;

			if (e->bytes == max || e->n_segs == VIRTQ_BURST_SEGS)
				return false;
			n = contiguous(m, m->gpa, least(m->left, max - e->bytes));
			if (n == 0) {
				m->broken = true;
				e->result = VIRTQ_BROKEN;
				return false;
			}
			e->segs[e->n_segs].gpa = m->gpa;
			e->segs[e->n_segs++].len = n;
			e->bytes += n;
			m->written += n;
			m->gpa += n;
			m->left -= n;
		}
		if (!m->goes_on)
			break;
		if (*descs == VIRTQ_BURST_DESCS)
			return false;
		++*descs;
		if (next(m) == STEP_LIE) {
			e->result = VIRTQ_BROKEN;
			return false;
		}
	}
	finish(m, e);
	return true;
}

void ring_model_gather(
	struct ring_model *m, uint64_t max_bytes, uint64_t max_reqs, struct ring_expected *e)
{
	unsigned descs = 0;

	e->bytes = e->n_segs = e->n_reqs = 0;
	e->result = m->broken ? VIRTQ_BROKEN : VIRTQ_OK;
	max_reqs = least(max_reqs, VIRTQ_BURST_REQS);
	while (!m->broken) {
		if (!m->open) {
			enum step step;

			if (e->n_reqs == max_reqs || e->bytes == max_bytes ||
				descs == VIRTQ_BURST_DESCS)
				return;
			step = begin(m);
			if (step != STEP_DONE) {
				e->result = step == STEP_NONE ? VIRTQ_EMPTY : VIRTQ_BROKEN;
				return;
			}
			descs += m->packed;
		}
		if (!go_on(m, max_bytes, e, &descs))
			return;
	}
}

void ring_model_close_short(struct ring_model *m, struct ring_expected *e)
{
	if (!m->open || m->written == 0 || m->broken)
		return;
	/* A packed chain has its name at its end, which is at most a small ring away here. */
	m->left = 0;
	while (m->packed && !m->in_table && m->goes_on)
		if (next(m) == STEP_LIE)
			return;
	finish(m, e);
}

void ring_model_trim(struct ring_model *m, struct ring_expected *e, uint32_t len_bytes)
{
	if (e->n_segs == 0 || e->segs[e->n_segs - 1].len <= len_bytes)
		return;
	e->segs[e->n_segs - 1].len -= len_bytes;
	e->bytes -= len_bytes;
	m->written -= len_bytes;
}

void ring_model_rewind(struct ring_model *m)
{
	m->open = false;
	m->avail = m->used;
}

static void store(const struct ring_model *m, uint64_t gpa, const void *value, size_t len)
{
	FUZZ_CHECK(guest_ram_write(m->to, gpa, value, len) == 0);
}

static void split_complete(struct ring_model *m, const struct ring_expected *e)
{
	for (unsigned i = 0; i < e->n_reqs; i++, m->used++) {
		uint32_t elem[2] = {e->reqs[i].head, e->reqs[i].written};

		store(m, m->device_gpa + 4 + 8 * (uint64_t)(m->used % m->size), elem, sizeof(elem));
	}
	store(m, m->device_gpa + 2, &m->used, sizeof(m->used));
}

/* §2.8.13: a used descriptor has length, id and flags; its address is left as it is. */
static void store_used(const struct ring_model *m, const struct virtq_req *req, uint16_t pos)
{
	uint64_t gpa = ring_gpa(m, pos);
	uint16_t flags = pos & WRAP ? F_AVAIL | F_USED : 0;

	if (req->written > 0)
		flags |= F_WRITE;
	if (req->n_descs > 1)
		flags |= F_NEXT; /* as virtq_packed_find_base() wants it */
	store(m, gpa + 8, &req->written, 4);
	store(m, gpa + 12, &req->head, 2);
	store(m, gpa + 14, &flags, 2);
}

/*
 * The first of them is what the driver waits for, so it comes last. That shows when a driver makes
 * more available than its ring holds, by chains that go over one another.
 */
static void packed_complete(struct ring_model *m, const struct ring_expected *e)
{
	uint16_t first = m->used;

	for (unsigned i = 0; i < e->n_reqs; i++) {
		store_used(m, &e->reqs[i], m->used);
		for (unsigned n = 0; n < e->reqs[i].n_descs; n++)
			m->used = pos_next(m, m->used);
		m->n_passed += e->reqs[i].n_descs;
	}
	if (e->n_reqs > 0)
		store_used(m, &e->reqs[0], first);
	if (m->n_passed > m->size)
		m->n_passed = m->size;
}

void ring_model_complete(struct ring_model *m, const struct ring_expected *e)
{
	if (m->packed)
		packed_complete(m, e);
	else
		split_complete(m, e);
}

/* §2.7.7.2: has the used index gone over the one that the driver named? */
static bool split_wants_call(struct ring_model *m)
{
	uint16_t event, from = m->used_then;
	bool asked = m->asked;

	if (!m->event_idx)
		return !(load16(m, m->driver_gpa) & 1);
	event = load16(m, m->driver_gpa + 4 + 2 * (uint64_t)m->size);
	m->used_then = m->used;
	m->asked = true;
	if (!asked)
		return true;
	while (from != m->used)
		if (from++ == event)
			return true;
	return false;
}

/* §2.8.10: is the descriptor that the driver named among those that were used? */
static bool packed_wants_call(struct ring_model *m, bool *free_choice)
{
	uint16_t named = load16(m, m->driver_gpa), flags = load16(m, m->driver_gpa + 2) & 3;
	unsigned passed = m->n_passed;
	bool asked = m->asked;
	uint16_t pos = named;

	m->n_passed = 0;
	m->asked = true;
	if (flags == 1)
		return false;
	if (flags != 2 || !m->event_idx || !asked)
		return true;
	if ((named & (WRAP - 1)) >= m->size) {
		*free_choice = true;
		return false;
	}
	for (unsigned n = 0; n < passed; n++) {
		pos = pos_next(m, pos);
		if (pos == m->used)
			return true;
	}
	return false;
}

bool ring_model_wants_call(struct ring_model *m, bool *free_choice)
{
	*free_choice = false;
	return m->packed ? packed_wants_call(m, free_choice) : split_wants_call(m);
}
