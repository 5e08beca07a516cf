/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_ONE_GUEST_H
#define UNIT_ONE_GUEST_H

/* A host with one guest, for the tests of the device: short words for what they do most. */

#include "host.h"

#define DATA VM_DATA_GPA

struct fixture {
	struct host host;
	struct guest g;
};

static inline void fixture_init(struct fixture *fx, uint64_t bytes_per_period)
{
	struct driver_cfg cfg = {.size = 256, .table_entries = 4, .start_idx = 65535};

	host_init(&fx->host, bytes_per_period, 1);
	guest_init(&fx->g, &fx->host, &cfg, 0);
}

static inline void fixture_fini(struct fixture *fx)
{
	guest_fini(&fx->g);
	host_fini(&fx->host);
}

static inline void offer(struct fixture *fx, uint64_t offset, uint32_t len)
{
	vm_offer(&fx->g.vm, DATA + offset, len);
	driver_publish(&fx->g.vm.drv);
}

static inline enum rng_result poll_at(struct fixture *fx, uint64_t now_ns)
{
	return host_poll(&fx->host, &fx->g, now_ns);
}

static inline void take(struct fixture *fx, uint32_t len)
{
	vm_take(&fx->g.vm, len);
}

static inline void expect(struct fixture *fx, uint64_t offset, uint64_t len)
{
	host_expect(&fx->host, &fx->g.vm, DATA + offset, len);
}

static inline void expect_poison(struct fixture *fx, uint64_t offset, uint64_t len)
{
	assert_int_equal(guest_ram_check(&fx->g.vm.ram, DATA + offset, len, VM_POISON, NULL), 0);
}

/* Turns that find work and can do nothing leave every byte of the guest's memory as it was. */
static inline void assert_waits(struct fixture *fx, uint64_t now_ns)
{
	uint8_t *copy = vm_copy(&fx->g.vm);
	uint64_t bytes = fx->g.dev.stats.bytes, requests = fx->g.dev.stats.requests;
	size_t fill = byte_ring_fill(&fx->host.ring);

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(poll_at(fx, now_ns), RNG_WAIT);
		assert_int_not_equal(fx->g.dev.waits_for, WAITING_FOR_NOTHING);
	}
	vm_assert_untouched(&fx->g.vm, copy);
	vm_take_none(&fx->g.vm);
	assert_int_equal(fx->g.dev.stats.bytes, bytes);
	assert_int_equal(fx->g.dev.stats.requests, requests);
	assert_int_equal(byte_ring_fill(&fx->host.ring), fill);
}

#endif
