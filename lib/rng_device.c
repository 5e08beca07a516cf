/* SPDX-License-Identifier: BSD-3-Clause */
#include "rng_device.h"

/* A part that is not worth dividing further: a usual request. */
#define SHARE_BYTES_MIN 64

/*
 * Linux (6.1) asks for 64 bytes, and stops asking when it gets 33 to 63. So a request of 64 is
 * never ended with that: it gets half, or waits for the rest, or is given back.
 */
#define LINUX_BYTES 64

int rng_device_start(struct rng_device *dev, const struct virtq_config *ring, const char **why)
{
	struct virtq_config cfg = *ring;

	cfg.mem = &dev->mem;
	dev->call_owed = false;
	dev->waits_for = WAITING_FOR_NOTHING;
	return virtq_init(&dev->vq, &cfg, why);
}

/* It asks for nothing more: what it has may be lent. */
static void content(struct rng_device *dev)
{
	budget_content(&dev->bytes);
	budget_content(&dev->requests);
}

/*
 * There is work, but no bytes or no allowance to do it with. Count when that begins, not how often
 * we look.
 */
static enum rng_result wait_for(struct rng_device *dev, enum waiting_for what)
{
	uint64_t *count = what == WAITING_FOR_BYTES ? &dev->stats.starved : &dev->stats.throttled;

	if (dev->waits_for == WAITING_FOR_NOTHING)
		stats_add(count, 1);
	dev->waits_for = what;
	return RNG_WAIT;
}

/* The ring was found to lie, by whichever look at it. */
static enum rng_result give_up(struct rng_device *dev)
{
	content(dev);
	stats_add(&dev->stats.broken, 1);
	return RNG_BROKEN;
}

static bool would_stop_linux(const struct virtq *vq)
{
	uint32_t len = virtq_open_bytes(vq), room = virtq_open_room(vq);

	return virtq_is_open(vq) && room > 0 && len > LINUX_BYTES / 2 && len + room == LINUX_BYTES;
}

bool rng_device_can_end(const struct rng_device *dev)
{
	const struct virtq *vq = &dev->vq;

	return virtq_is_open(vq) && virtq_open_bytes(vq) > 0 && !would_stop_linux(vq);
}

/* End the open chain with what it has, if it has anything and that can be. */
static void close_short(struct rng_device *dev, struct virtq_burst *burst)
{
	unsigned before = burst->n_reqs;

	if (rng_device_can_end(dev))
		virtq_close_short(&dev->vq, burst);
	stats_add(&dev->stats.short_reqs, burst->n_reqs - before);
}

/* Complete what the burst has, and charge for the requests. */
static void deliver(struct rng_device *dev, struct rng_supply *supply)
{
	const unsigned n_reqs = supply->burst.n_reqs;

	budget_charge(supply->requests, &dev->requests, n_reqs);
	dev->waits_for = WAITING_FOR_NOTHING;
	if (n_reqs == 0)
		return;
	virtq_complete(&dev->vq, &supply->burst);
	stats_add(&dev->stats.requests, n_reqs);
	if (virtq_wants_call(&dev->vq))
		dev->call_owed = true;
}

/* No byte can be given now. A request that can be ended is not kept waiting for the rest. */
static enum rng_result give_nothing(
	struct rng_device *dev, struct rng_supply *supply, enum waiting_for what)
{
	virtq_burst_clear(&supply->burst);
	if (what == WAITING_FOR_BYTES ? entropy_is_dry(supply->entropy)
				      : budget_is_final(supply->bytes))
		close_short(dev, &supply->burst);
	if (dev->vq.broken != NULL)
		return give_up(dev);
	if (supply->burst.n_reqs == 0)
		return wait_for(dev, what);
	deliver(dev, supply);
	return RNG_SERVED;
}

/*
 * What one guest may take of the bytes at hand. When there are fewer than it would like, and others
 * were left without, it leaves them their part: one that asks for megabytes does not drain the
 * source from under one that asks for 64 bytes.
 */
static uint64_t fair_share(const struct rng_supply *supply, uint64_t at_hand, uint64_t want)
{
	uint64_t share;

	if (at_hand > want)
		return want;
	share = supply->sharers > 1 ? at_hand / supply->sharers : at_hand;
	if (share < SHARE_BYTES_MIN)
		share = SHARE_BYTES_MIN;
	return share < at_hand ? share : at_hand;
}

/* What a guest gets at most in a turn. */
static uint64_t turn_bytes(const struct rng_supply *supply)
{
	if (supply->busy > 1 && supply->turn_bytes > RNG_TURN_BESIDE_BYTES)
		return RNG_TURN_BESIDE_BYTES;
	return supply->turn_bytes;
}

/* The allowance of this period ends in this burst: so must the open request, if need be with half.
 */
static void end_of_allowance(struct rng_device *dev, struct virtq_burst *burst)
{
	if (would_stop_linux(&dev->vq))
		virtq_trim(&dev->vq, burst, virtq_open_bytes(&dev->vq) - LINUX_BYTES / 2);
}

enum rng_result rng_device_poll(struct rng_device *dev, struct rng_supply *supply)
{
	struct virtq_burst *burst = &supply->burst;
	uint64_t allowance, max_bytes, max_reqs;
	enum virtq_result r;
	bool last;
	int err;

	if (!virtq_has_work(&dev->vq))
		return RNG_IDLE;
	if (__builtin_expect(dev->vq.kicks_on, 0))
		virtq_disable_kicks(&dev->vq); /* who has turns is looked at */

	max_reqs = budget_allowance(supply->requests, &dev->requests);
	if (max_reqs == 0)
		return wait_for(dev, WAITING_FOR_TOKENS);
	allowance = budget_allowance(supply->bytes, &dev->bytes);
	if (allowance == 0)
		return give_nothing(dev, supply, WAITING_FOR_TOKENS);
	max_bytes = turn_bytes(supply);
	if (allowance < max_bytes)
		max_bytes = allowance;
	max_bytes = fair_share(supply, entropy_avail(supply->entropy, max_bytes), max_bytes);
	if (max_bytes == 0)
		return give_nothing(dev, supply, WAITING_FOR_BYTES);

	r = virtq_gather(&dev->vq, max_bytes, max_reqs, burst);
	last = burst->bytes == allowance && burst->n_reqs < max_reqs && r != VIRTQ_BROKEN &&
	       budget_is_final(supply->bytes);
	if (last)
		end_of_allowance(dev, burst);
	err = entropy_fill(supply->entropy, burst->segs, burst->n_segs, burst->bytes);
	virtq_written(&dev->vq, burst);
	if (err != 0) {
		virtq_rewind(&dev->vq);
		return wait_for(dev, WAITING_FOR_BYTES);
	}
	budget_charge(supply->bytes, &dev->bytes, burst->bytes);
	stats_add(&dev->stats.bytes, burst->bytes);
	if (last)
		close_short(dev, burst);
	deliver(dev, supply);
	if (r != VIRTQ_OK || !virtq_has_work(&dev->vq))
		content(dev);
	return dev->vq.broken != NULL ? give_up(dev) : RNG_SERVED;
}

void rng_device_stop(struct rng_device *dev, struct rng_supply *supply)
{
	if (dev->vq.broken == NULL) {
		virtq_burst_clear(&supply->burst);
		close_short(dev, &supply->burst);
		deliver(dev, supply);
		if (dev->vq.broken != NULL)
			give_up(dev);
	}
	virtq_rewind(&dev->vq);
	content(dev);
}
