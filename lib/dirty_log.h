/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_DIRTY_LOG_H
#define VRNG_DIRTY_LOG_H

/*
 * Who migrates a guest wants to know which of its memory the device has written (VHOST_F_LOG_ALL).
 * The device tells a dirty_log, when it has one: of every byte of a buffer and of the ring, after
 * it was written. Without one it costs a test of a pointer.
 *
 * Thread safety: none. The lcore that owns the device calls.
 */

#include "guest_mem.h"

#include <stdint.h>

struct dirty_log {
	/**
	 * The guest-physical range [gpa, gpa + len_bytes) was written. It is inside one region of
	 * the guest's memory. Context: LCORE. No locks, no system calls.
	 */
	void (*mark)(void *arg, uint64_t gpa, uint64_t len_bytes);
	void *arg;
};

/** Mark what lies at [hva, hva + len_bytes) here, inside one region. */
static inline void dirty_log_mark(const struct dirty_log *log, const struct guest_mem *mem,
	const void *hva, uint64_t len_bytes)
{
	uint64_t gpa;

	if (len_bytes > 0 && guest_mem_gpa(mem, hva, &gpa))
		log->mark(log->arg, gpa, len_bytes);
}

#endif
