/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_HOST_H
#define UNIT_HOST_H

/*
 * What an lcore has, for the tests of the device: a budget, a ring of bytes whose every byte can be
 * told from its neighbours, and guests.
 */

#include "rng_device.h"
#include "vm.h"

#define HOST_RING_BYTES (256u * 1024)
#define HOST_MAX_GUESTS 4
#define HOST_PERIOD_NS	1000u

struct host {
	struct budget bytes, requests;
	struct budget_account *accounts[2][HOST_MAX_GUESTS];
	struct budget_terms terms; /* of a guest's bytes, but for its place on the line */
	struct byte_ring ring;
	uint8_t *data;
	struct entropy entropy;
	struct rng_supply supply;
	uint64_t made;	/* how far the stream was put into the ring */
	uint64_t taken; /* and out of it, as host_expect() has seen */
};

struct guest {
	struct vm vm;
	struct rng_device dev;
};

/** Byte i of the stream; none is 0. */
static inline uint8_t stream_at(uint64_t i)
{
	return (uint8_t)(1 + (i * 0x9e3779b97f4a7c15 >> 32) % 255);
}

static inline void host_init(struct host *h, uint64_t bytes_per_period, uint32_t total_weight)
{
	memset(h, 0, sizeof(*h));
	h->data = calloc(1, HOST_RING_BYTES);
	assert_non_null(h->data);
	assert_int_equal(byte_ring_init(&h->ring, h->data, HOST_RING_BYTES), 0);
	h->terms = (struct budget_terms){.per_period = bytes_per_period,
		.weight_total = total_weight,
		.cap = BUDGET_UNLIMITED};
	budget_init(&h->bytes,
		&(struct budget_config){
			.period_ns = HOST_PERIOD_NS, .crumb = 64, .accounts = h->accounts[0]});
	budget_init(&h->requests,
		&(struct budget_config){
			.period_ns = HOST_PERIOD_NS, .crumb = 1, .accounts = h->accounts[1]});
	h->supply.bytes = &h->bytes;
	h->supply.requests = &h->requests;
	assert_int_equal(entropy_init(&h->entropy, &(struct entropy_config){.ring = &h->ring}), 0);
	h->supply.entropy = &h->entropy;
	h->supply.turn_bytes = UINT64_MAX;
}

static inline void host_fini(struct host *h)
{
	free(h->data);
}

/** What a feeder does. */
static inline void host_feed(struct host *h, size_t len)
{
	while (len > 0) {
		size_t room;
		uint8_t *to = byte_ring_room(&h->ring, 0, &room);

		assert_int_not_equal(room, 0);
		assert_true(is_filled(to, room, 0)); /* what was given out is wiped */
		room = room < len ? room : len;
		for (size_t i = 0; i < room; i++)
			to[i] = stream_at(h->made++);
		byte_ring_produce(&h->ring, room);
		len -= room;
	}
}

/** The range holds the next bytes of the stream, which nobody else had. */
static inline void host_expect(struct host *h, const struct vm *vm, uint64_t gpa, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++) {
		uint8_t byte;

		assert_int_equal(guest_ram_read(&vm->ram, gpa + i, &byte, 1), 0);
		assert_int_equal(byte, stream_at(h->taken++));
	}
}

/** Hand the guest's ring to the device, as at the start, or from where the device stopped. */
static inline void guest_start(struct guest *g, uint16_t base)
{
	struct virtq_config cfg = vm_ring(&g->vm);
	const char *why;

	cfg.mem = NULL; /* the device has its own */
	cfg.last_avail = cfg.last_used = base;
	g->dev.mem = g->vm.mem;
	assert_int_equal(rng_device_start(&g->dev, &cfg, &why), 0);
}

/** A turn at this time. */
static inline enum rng_result host_poll(struct host *h, struct guest *g, uint64_t now_ns)
{
	budget_advance(&h->bytes, now_ns);
	budget_advance(&h->requests, now_ns);
	return rng_device_poll(&g->dev, &h->supply);
}

/** A guest at [weight, weight + 1) of the line. */
static inline void guest_init(
	struct guest *g, struct host *h, const struct driver_cfg *cfg, uint32_t weight)
{
	struct budget_terms requests = {
		.per_period = BUDGET_UNLIMITED, .weight_total = 1, .cap = BUDGET_UNLIMITED};

	memset(g, 0, sizeof(*g));
	vm_init(&g->vm, cfg);
	h->terms.weight_lo = weight;
	h->terms.weight_hi = weight + 1;
	budget_open(&g->dev.bytes, &h->terms, 0);
	budget_join(&h->bytes, &g->dev.bytes);
	budget_open(&g->dev.requests, &requests, 0);
	budget_join(&h->requests, &g->dev.requests);
	guest_start(g, driver_start_base(&g->vm.drv));
}

static inline void guest_fini(struct guest *g)
{
	vm_fini(&g->vm);
}

#endif
