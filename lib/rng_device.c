/* SPDX-License-Identifier: BSD-3-Clause */
#include "rng_device.h"

/* A part that is not worth dividing further: a usual request. */
#define SHARE_BYTES_MIN 64

int rng_device_start(struct rng_device *dev, const struct virtq_config *ring, const char **why)
{
	struct virtq_config cfg = *ring;

	cfg.mem = &dev->mem;
	dev->call_owed = false;
	dev->waiting = dev->starved = false;
	return virtq_init(&dev->vq, &cfg, why);
}

static void complete(struct rng_device *dev, const struct virtq_burst *burst)
{
	if (burst->n_reqs == 0)
		return;
	virtq_complete(&dev->vq, burst);
	stats_add(&dev->stats.requests, burst->n_reqs);
	if (virtq_wants_call(&dev->vq))
		dev->call_owed = true;
}

/* There is work, but nothing to do it with. Count when that begins, not how often we look. */
static enum rng_result wait_for(struct rng_device *dev, uint64_t *counter)
{
	if (!dev->waiting)
		stats_add(counter, 1);
	dev->waiting = true;
	dev->starved = counter == &dev->stats.starved;
	return RNG_WAIT;
}

/* End the open chain with what it has, if it has anything. */
static void close_short(struct rng_device *dev, struct virtq_burst *burst)
{
	unsigned before = burst->n_reqs;

	virtq_close_short(&dev->vq, burst);
	stats_add(&dev->stats.short_reqs, burst->n_reqs - before);
}

/* No byte can be given now. A request that has some is not kept waiting for the rest. */
static enum rng_result give_nothing(
	struct rng_device *dev, struct rng_supply *supply, uint64_t allowance)
{
	struct virtq_burst *burst = &supply->burst;

	virtq_burst_clear(burst);
	if (allowance == 0 || entropy_is_dry(supply->entropy))
		close_short(dev, burst);
	if (burst->n_reqs > 0) {
		complete(dev, burst);
		dev->waiting = dev->starved = false;
		return RNG_SERVED;
	}
	return wait_for(dev, allowance == 0 ? &dev->stats.throttled : &dev->stats.starved);
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

enum rng_result rng_device_poll(struct rng_device *dev, struct rng_supply *supply, uint64_t now_ns)
{
	struct virtq_burst *burst = &supply->burst;
	uint64_t allowance, max_bytes;
	enum virtq_result r;

	if (!virtq_has_work(&dev->vq))
		return RNG_IDLE;

	allowance = budget_allowance(supply->budget, dev->budget_slot, now_ns);
	max_bytes = allowance < supply->turn_bytes ? allowance : supply->turn_bytes;
	if (max_bytes > 0) {
		size_t at_hand = entropy_avail(supply->entropy, max_bytes);

		max_bytes = fair_share(supply, at_hand, max_bytes);
	}
	if (max_bytes == 0)
		return give_nothing(dev, supply, allowance);

	r = virtq_gather(&dev->vq, max_bytes, burst);
	if (entropy_fill(supply->entropy, burst->segs, burst->n_segs, burst->bytes) != 0) {
		virtq_abandon(&dev->vq, burst);
		return wait_for(dev, &dev->stats.starved);
	}
	budget_charge(supply->budget, dev->budget_slot, burst->bytes);
	stats_add(&dev->stats.bytes, burst->bytes);
	if (r != VIRTQ_BROKEN && burst->bytes == allowance)
		close_short(dev, burst);
	complete(dev, burst);
	dev->waiting = dev->starved = false;
	if (r == VIRTQ_BROKEN) {
		stats_add(&dev->stats.broken, 1);
		return RNG_BROKEN;
	}
	return RNG_SERVED;
}

void rng_device_stop(struct rng_device *dev, struct rng_supply *supply)
{
	if (dev->vq.broken == NULL) {
		virtq_burst_clear(&supply->burst);
		close_short(dev, &supply->burst);
		complete(dev, &supply->burst);
	}
	virtq_rewind(&dev->vq);
}
