/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_PENANCE_H
#define VRNG_PENANCE_H

/*
 * Keeps a front-end that holds up rte_vhost's thread from doing it over and over. A few strikes are
 * free; from then on each one closes the socket to new connections for a while, twice as long as
 * the one before. An hour without one makes up for one.
 *
 * Thread safety: none. Time is an argument.
 */

#include <stdbool.h>
#include <stdint.h>

#define PENANCE_FREE	 4
#define PENANCE_FIRST_NS UINT64_C(250000000)
#define PENANCE_MAX_NS	 UINT64_C(3600000000000)
#define PENANCE_CLEAR_NS UINT64_C(3600000000000)

/** All zero: a clean slate. */
struct penance {
	unsigned strikes;
	uint64_t since_ns; /* of the last strike */
	uint64_t until_ns;
};

static inline void penance_strike(struct penance *p, uint64_t now_ns)
{
	uint64_t hours = (now_ns - p->since_ns) / PENANCE_CLEAR_NS;
	uint64_t wait_ns = PENANCE_FIRST_NS;

	p->strikes = hours < p->strikes ? p->strikes - (unsigned)hours : 0;
	p->since_ns = now_ns;
	if (++p->strikes <= PENANCE_FREE)
		return;
	for (unsigned i = PENANCE_FREE + 1; i < p->strikes && wait_ns < PENANCE_MAX_NS; i++)
		wait_ns *= 2;
	p->until_ns = now_ns + (wait_ns < PENANCE_MAX_NS ? wait_ns : PENANCE_MAX_NS);
}

static inline bool penance_is_over(const struct penance *p, uint64_t now_ns)
{
	return now_ns >= p->until_ns;
}

#endif
