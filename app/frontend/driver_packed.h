/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The driver's half of a packed virtqueue (virtio 1.3 §2.8). driver.h includes this and has the
 * words for callers.
 *
 * A position is an index into the ring with the wrap counter in bit 15. Chains are laid out in
 * drv->desc, as those of a split queue, and copied to the ring each time they are offered. Of the
 * first descriptor that is not yet published all but the address is held back: so the device, which
 * goes from one to the next, sees none of those behind it either.
 */
#ifndef FRONTEND_DRIVER_PACKED_H
#define FRONTEND_DRIVER_PACKED_H

#include "driver.h"
#include "prefetch.h"

#define DRIVER_WRAP	    (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define DRIVER_DESC_F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define DRIVER_DESC_F_USED  (1u << VRING_PACKED_DESC_F_USED)

/** The position 'n' further on, n <= size. */
static inline uint16_t driver_packed_pos(const struct driver *drv, uint16_t pos, unsigned n)
{
	unsigned index = (pos & ~DRIVER_WRAP) + n;

	if (index < drv->cfg.size)
		return (uint16_t)((pos & DRIVER_WRAP) | index);
	return (uint16_t)(((pos & DRIVER_WRAP) ^ DRIVER_WRAP) | (index - drv->cfg.size));
}

static inline struct vring_packed_desc *driver_packed_at(const struct driver *drv, uint16_t pos)
{
	return &drv->ring[pos & ~DRIVER_WRAP];
}

/** The flags that make a descriptor at 'pos' available, and used (§2.8.1). */
static inline uint16_t driver_packed_avail(uint16_t pos)
{
	return pos & DRIVER_WRAP ? DRIVER_DESC_F_AVAIL : DRIVER_DESC_F_USED;
}

static inline uint16_t driver_packed_used(uint16_t pos)
{
	return pos & DRIVER_WRAP ? DRIVER_DESC_F_AVAIL | DRIVER_DESC_F_USED : 0;
}

/** The second half of a descriptor, to be loaded or stored at once: length, id, flags. */
static inline uint64_t *driver_packed_word(struct vring_packed_desc *d)
{
	return (uint64_t *)(void *)&d->len;
}

/**
 * Put a descriptor on the ring. Without published ones before it, it is held back.
 *
 * @param next  drv->avail_next, or a copy that becomes it
 */
static inline void driver_packed_put(struct driver *drv, uint16_t *next, uint64_t addr,
	uint32_t len_bytes, uint16_t id, uint16_t flags)
{
	uint16_t pos = *next;
	struct vring_packed_desc *to = driver_packed_at(drv, pos);
	uint64_t word =
		len_bytes | (uint64_t)id << 32 | (uint64_t)(flags | driver_packed_avail(pos)) << 48;

	to->addr = addr;
	if (pos == drv->avail_shown)
		drv->held = word;
	else
		__atomic_store_n(driver_packed_word(to), word, __ATOMIC_RELAXED);
	*next = driver_packed_pos(drv, pos, 1);
}

static inline void driver_packed_offer(struct driver *drv, uint16_t *next, uint16_t id)
{
	unsigned n = drv->chains[id].nr_desc;

	for (uint16_t at = id; n > 0; n--, at = drv->next[at]) {
		const struct vring_desc *from = &drv->desc[at];

		driver_packed_put(drv, next, from->addr, from->len, id, from->flags);
	}
}

/**
 * Offer chains of one descriptor, to the end of the lap, behind others that are held back: what is
 * the same for all is worked out once.
 *
 * @return  how many: the next one is not of that kind
 */
static inline unsigned driver_packed_offer_plain(
	struct driver *drv, uint16_t *next, const uint16_t *ids, unsigned n)
{
	uint16_t flags = driver_packed_avail(*next);
	unsigned index = *next & ~DRIVER_WRAP, i = 0;
	struct vring_packed_desc *to = &drv->ring[index];

	if (*next == drv->avail_shown)
		return 0;
	n = n < drv->cfg.size - index ? n : drv->cfg.size - index;
	for (; i < n; i++, to++) {
		const struct vring_desc *from = &drv->desc[ids[i]];
		struct driver_chain *chain = &drv->chains[ids[i]];

		if (chain->nr_desc != 1)
			break;
		assert(chain->state == DRIVER_CHAIN_BUILT);
		chain->state = DRIVER_CHAIN_OFFERED;
		to->addr = from->addr;
		__atomic_store_n(driver_packed_word(to),
			from->len | (uint64_t)ids[i] << 32 | (uint64_t)(from->flags | flags) << 48,
			__ATOMIC_RELAXED);
	}
	*next = driver_packed_pos(drv, *next, i);
	return i;
}

static inline void driver_packed_publish(struct driver *drv)
{
	if (drv->avail_shown == drv->avail_next)
		return;
	__atomic_store_n(driver_packed_word(driver_packed_at(drv, drv->avail_shown)), drv->held,
		__ATOMIC_RELEASE);
	drv->avail_shown = drv->avail_next;
}

/** How far 'to' is behind 'from', less than a lap: 1..size when they are different. */
static inline int driver_packed_distance(const struct driver *drv, uint16_t from, uint16_t to)
{
	int n = (int)(to & ~DRIVER_WRAP) - (int)(from & ~DRIVER_WRAP);

	return (from ^ to) & DRIVER_WRAP ? n + (int)drv->cfg.size : n;
}

/** @param from  what was published after this position is what it is about */
static inline bool driver_packed_kick_needed(const struct driver *drv, uint16_t from)
{
	const struct vring_packed_desc_event *event = drv->device_event;
	uint16_t flags = __atomic_load_n(&event->flags, __ATOMIC_ACQUIRE);
	int n = driver_packed_distance(drv, from, drv->avail_next), back;

	if (n == 0 || flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !drv->event_idx)
		return true;
	back = driver_packed_distance(
		drv, __atomic_load_n(&event->off_wrap, __ATOMIC_RELAXED), drv->avail_next);
	return back >= 1 && back <= n;
}

/** The next answer, at 'next', which is not taken by this. */
static inline enum driver_result driver_packed_look(
	const struct driver *drv, uint16_t next, uint32_t *id, uint32_t *len_bytes)
{
	struct vring_packed_desc *d = driver_packed_at(drv, next);
	uint64_t word = __atomic_load_n(driver_packed_word(d), __ATOMIC_ACQUIRE);
	uint16_t flags = (uint16_t)(word >> 48);

	if ((flags & (DRIVER_DESC_F_AVAIL | DRIVER_DESC_F_USED)) != driver_packed_used(next))
		return DRIVER_EMPTY;
	if (drv->nr_offered == 0)
		return DRIVER_BAD_PROGRESS;
	*id = (uint16_t)(word >> 32);
	/* Without WRITE the length says nothing (§2.8.4). */
	*len_bytes = flags & VRING_DESC_F_WRITE ? (uint32_t)word : 0;
	return DRIVER_OK;
}

/**
 * Take answers to chains of one descriptor, to the end of the lap, as driver_packed_offer_plain().
 *
 * @return  how many: the next one is not there, or not of that kind, or wrong
 */
static inline unsigned driver_packed_take_plain(
	struct driver *drv, uint16_t *next, struct driver_used *used, unsigned max)
{
	uint16_t flags = driver_packed_used(*next) | VRING_DESC_F_WRITE;
	unsigned index = *next & ~DRIVER_WRAP, n = 0;
	struct vring_packed_desc *d = &drv->ring[index];

	max = max < drv->cfg.size - index ? max : drv->cfg.size - index;
	max = max < drv->nr_offered ? max : drv->nr_offered;
	for (; n < max; n++, d++) {
		uint64_t word = __atomic_load_n(driver_packed_word(d), __ATOMIC_ACQUIRE);
		uint16_t id = (uint16_t)(word >> 32);
		struct driver_chain *chain = &drv->chains[id];

		if (word >> 48 != flags || id >= drv->cfg.size ||
			chain->state != DRIVER_CHAIN_OFFERED || chain->nr_desc != 1 ||
			chain->once || (uint32_t)word > chain->room_bytes)
			break;
		chain->state = DRIVER_CHAIN_BUILT;
		used[n] = (struct driver_used){chain->cookie, id, (uint32_t)word};
		prefetch_packed(d, index + n);
	}
	drv->nr_offered -= (uint16_t)n;
	*next = driver_packed_pos(drv, *next, n);
	return n;
}

/* The rest of driver.c's functions, for a packed ring. */
void driver_packed_reset(struct driver *drv);
uint16_t driver_packed_resume_base(const struct driver *drv);
void driver_packed_write_table(
	struct vring_packed_desc *table, const struct driver_buf *bufs, unsigned nr_bufs);
bool driver_packed_calls_on(struct driver *drv);
void driver_packed_calls_off(struct driver *drv);

#endif
