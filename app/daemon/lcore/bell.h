/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BELL_H
#define VRNG_BELL_H

/*
 * Wakes a thread that may be asleep, and costs no system call while it is awake.
 *
 * The one that sleeps:			The one that wakes:
 *	bell_arm()				change what the sleeper looks at
 *	look once more; something: disarm	bell_ring()
 *	wait for 'fd' to become readable
 *	bell_disarm()
 *
 * Each side first writes, then reads the other's, with a full fence in between: so either the
 * sleeper sees the change, or the other one sees that it may be asleep.
 */

#include "clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>

/** What a sleeper is to be woken for: a set of these. */
#define BELL_CALL  1u /* somebody wants something of it */
#define BELL_BYTES 2u /* there are bytes, or there is room for them */

struct bell {
	int fd; /* an eventfd */

	/* The sleeper, and those who ring: rw. What it waits for; 0: it is awake, or was woken. */
	uint32_t armed;

	uint64_t rung_ns; /* whoever woke it: wo, the sleeper: ro. When that was */
};

/** @return 0 or a negative errno */
int bell_init(struct bell *b);

/** One that is zeroed is not fine. */
void bell_fini(struct bell *b);

/** Wake the sleeper if it waits for one of 'reasons'. NULL is fine: it never sleeps. */
static inline void bell_ring(struct bell *b, uint32_t reasons)
{
	if (b == NULL)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((__atomic_load_n(&b->armed, __ATOMIC_RELAXED) & reasons) == 0)
		return;
	/* Of several who ring at once, one is enough. */
	if (__atomic_exchange_n(&b->armed, 0, __ATOMIC_RELAXED) == 0)
		return;
	__atomic_store_n(&b->rung_ns, clock_now_ns(), __ATOMIC_RELAXED);
	eventfd_write(b->fd, 1);
}

/** When it was woken last. Context: the sleeper, when 'fd' is readable. */
static inline uint64_t bell_rung_ns(const struct bell *b)
{
	return __atomic_load_n(&b->rung_ns, __ATOMIC_RELAXED);
}

/** Does the sleeper wait, as far as can be seen? Context: any. */
static inline bool bell_is_armed(const struct bell *b)
{
	return __atomic_load_n(&b->armed, __ATOMIC_RELAXED) != 0;
}

/** Be woken for these from now on: then look once more. Context: the sleeper. */
static inline void bell_arm(struct bell *b, uint32_t reasons)
{
	__atomic_store_n(&b->armed, reasons, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/** Awake. @param is_readable  what poll(2) said of 'fd'. Context: the sleeper. */
static inline void bell_disarm(struct bell *b, bool is_readable)
{
	eventfd_t n;

	__atomic_store_n(&b->armed, 0, __ATOMIC_RELAXED);
	if (is_readable)
		eventfd_read(b->fd, &n); /* one that is still on its way wakes once more */
}

#endif
