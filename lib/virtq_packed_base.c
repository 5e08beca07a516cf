/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where to go on in a packed ring whose front-end does not know it: see virtq.h.
 *
 * Whoever writes a descriptor last, driver or device, leaves the wrap counter of that lap in its
 * AVAIL bit. So one value of it stands before the place that the driver writes next, and the other
 * one from there on: the driver's position is in the ring, the counter with it. The device's is
 * before those that it has not used yet.
 *
 * That holds for requests of one descriptor each. Of a chain of several that was used all but the
 * first look as if they were yet to be used. A NEXT flag anywhere tells of them: the driver sets it
 * in chains that wait, and virtq_packed.c in those that were used.
 */
#include "virtq.h"

#define SCANS 3 /* the driver may be writing */

struct scan {
	uint16_t driver;    /* the position that the driver writes next */
	uint16_t waiting;   /* descriptors in a row before it that are not used */
	uint16_t others;    /* those that are not, anywhere else */
	uint16_t any_flags; /* that any descriptor has */
};

static uint16_t flags_at(const struct virtq_config *cfg, unsigned i)
{
	return le16toh(__atomic_load_n(&cfg->ring[i].flags, __ATOMIC_RELAXED));
}

/* Available in some lap, and not used in it (§2.8.1). */
static bool is_waiting(const struct virtq_config *cfg, unsigned i)
{
	uint16_t flags = flags_at(cfg, i);

	return !(flags & VIRTQ_DESC_F_AVAIL) != !(flags & VIRTQ_DESC_F_USED);
}

/* False: no driver that obeys leaves the ring like this. */
static bool scan_driver(const struct virtq_config *cfg, struct scan *s)
{
	uint16_t first = flags_at(cfg, 0) & VIRTQ_DESC_F_AVAIL, all = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < cfg->size; i++) {
		uint16_t flags = flags_at(cfg, i);

		if ((flags & VIRTQ_DESC_F_AVAIL) == first) {
			if (n < i)
				return false;
			n++;
		}
		all |= flags;
	}
	s->any_flags = all;
	if (n == cfg->size) /* a lap is full: the next one has the other counter */
		s->driver = first ? 0 : VIRTQ_WRAP;
	else
		s->driver = (uint16_t)(n | (first ? VIRTQ_WRAP : 0));
	return true;
}

static void scan_waiting(const struct virtq_config *cfg, struct scan *s)
{
	unsigned i = s->driver & ~VIRTQ_WRAP;
	bool in_row = true;

	s->waiting = s->others = 0;
	for (unsigned n = 0; n < cfg->size; n++) {
		i = (i > 0 ? i : cfg->size) - 1;
		if (!is_waiting(cfg, i))
			in_row = false;
		else if (in_row)
			s->waiting++;
		else
			s->others++;
	}
}

/* The position 'n' descriptors before 'pos', n <= size. */
static uint16_t pos_before(const struct virtq_config *cfg, uint16_t pos, uint16_t n)
{
	uint16_t index = pos & ~VIRTQ_WRAP;

	if (n <= index)
		return (uint16_t)(pos - n);
	return (uint16_t)((index + cfg->size - n) | (~pos & VIRTQ_WRAP));
}

/* All of the ring waits, or seems to: the first may be what is left of a chain. */
static bool can_be(const struct virtq_config *cfg, const struct scan *s, uint16_t pos)
{
	return s->waiting == cfg->size && pos == pos_before(cfg, s->driver, s->waiting - 1);
}

bool virtq_packed_find_base(struct virtq *vq)
{
	struct virtq_config *cfg = &vq->cfg;
	uint16_t base;
	struct scan s;
	unsigned n = 0;

	while (!scan_driver(cfg, &s)) {
		if (++n == SCANS)
			return false;
	}
	scan_waiting(cfg, &s);
	if (s.any_flags == 0 || (s.any_flags & VRING_DESC_F_NEXT) || s.others > 0)
		return false;
	base = pos_before(cfg, s.driver, s.waiting);
	if (base == cfg->last_avail || can_be(cfg, &s, cfg->last_avail))
		return false;
	cfg->last_avail = cfg->last_used = base;
	return true;
}
