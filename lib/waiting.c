/* SPDX-License-Identifier: BSD-3-Clause */
#include "waiting.h"

#include "stats.h"

void waiting_set(struct waiting *w, enum waiting_for kind, uint64_t now_ns)
{
	__atomic_store_n(&w->sequence, w->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (now_ns > w->since_ns)
		stats_add(&w->ns[w->kind], now_ns - w->since_ns);
	__atomic_store_n(&w->kind, (uint32_t)kind, __ATOMIC_RELAXED);
	__atomic_store_n(&w->since_ns, now_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&w->sequence, w->sequence + 1, __ATOMIC_RELEASE);
}

enum waiting_for waiting_read(const struct waiting *w, uint64_t now_ns, uint64_t ns[WAITING_KINDS])
{
	uint32_t before, after, kind;
	uint64_t since_ns;

	do {
		before = __atomic_load_n(&w->sequence, __ATOMIC_ACQUIRE);
		kind = __atomic_load_n(&w->kind, __ATOMIC_RELAXED);
		since_ns = stats_read(&w->since_ns);
		for (unsigned i = 0; i < WAITING_KINDS; i++)
			ns[i] = stats_read(&w->ns[i]);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(&w->sequence, __ATOMIC_RELAXED);
	} while (before != after || (before & 1) != 0);
	if (now_ns > since_ns)
		ns[kind] += now_ns - since_ns;
	return (enum waiting_for)kind;
}
