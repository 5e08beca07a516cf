/* SPDX-License-Identifier: BSD-3-Clause */
#include "ticks.h"

#if defined(__x86_64__)
#include <cpuid.h>

#define CALIBRATION_NS 20000000
#define INVARIANT_TSC  (1u << 8) /* CPUID 0x80000007, EDX */

/* Both clocks at one moment: the attempt that was interrupted least. */
static void read_both(uint64_t *tsc, uint64_t *ns)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t before = __rdtsc();
		uint64_t now_ns = clock_now_ns();
		uint64_t after = __rdtsc();

		if (after - before < least) {
			least = after - before;
			*tsc = before + (after - before) / 2;
			*ns = now_ns;
		}
	}
}

void ticks_init(struct ticks *t)
{
	uint64_t tsc_from = 0, ns_from = 0, tsc_to = 0, ns_to = 0;
	unsigned a, b, c, d;

	*t = (struct ticks){.ns_per_tick = 1};
	if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || (d & INVARIANT_TSC) == 0)
		return;
	read_both(&tsc_from, &ns_from);
	do {
		nanosleep(&(struct timespec){.tv_nsec = CALIBRATION_NS}, NULL);
		read_both(&tsc_to, &ns_to);
	} while (ns_to - ns_from < CALIBRATION_NS);
	t->tsc = true;
	t->ns_per_tick = (double)(ns_to - ns_from) / (double)(tsc_to - tsc_from);
}
#else
void ticks_init(struct ticks *t)
{
	*t = (struct ticks){.ns_per_tick = 1};
}
#endif
