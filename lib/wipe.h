/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_WIPE_H
#define VRNG_WIPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** explicit_bzero() without a call, for a few bytes. */
static inline void wipe(void *mem, size_t len_bytes)
{
	memset(mem, 0, len_bytes);
	__asm__ volatile("" : : "r"(mem) : "memory");
}

/**
 * Move bytes that must not stay where they were: copy them, and set the source to 0.
 *
 * The source outlives the caller, who hands it to another thread or uses it again, so the wiping
 * is not a dead store. Short moves, a guest's usual 64 bytes above all, are done without a call.
 */
static inline void move_and_wipe(uint8_t *dst, uint8_t *src, size_t len_bytes)
{
	if (len_bytes <= 256) {
		for (; len_bytes >= 64; len_bytes -= 64, dst += 64, src += 64) {
			memcpy(dst, src, 64);
			memset(src, 0, 64);
		}
		if (len_bytes == 0)
			return;
	}
	memcpy(dst, src, len_bytes);
	memset(src, 0, len_bytes);
}

#endif
