/* SPDX-License-Identifier: BSD-3-Clause */
#include "budget.h"

#include <errno.h>
#include <string.h>

void budget_init(struct budget *b, uint64_t bytes_per_period, uint64_t period_ns,
	uint32_t total_weight, struct budget_slot *slots, unsigned max_slots)
{
	memset(b, 0, sizeof(*b));
	b->bytes_per_period = bytes_per_period;
	b->period_ns = period_ns;
	b->total_weight = total_weight;
	b->slots = slots;
	b->max_slots = max_slots;
}

int budget_add(struct budget *b, uint32_t weight_lo, uint32_t weight_hi, unsigned *slot)
{
	if (weight_lo >= weight_hi || weight_hi > b->total_weight)
		return -EINVAL;
	if (b->n_slots == b->max_slots)
		return -ENOSPC;
	*slot = b->n_slots++;
	b->slots[*slot] = (struct budget_slot){.weight_lo = weight_lo, .weight_hi = weight_hi};
	return 0;
}

uint64_t budget_share(
	const struct budget *b, uint32_t weight_lo, uint32_t weight_hi, uint64_t period)
{
	unsigned __int128 bytes = b->bytes_per_period;
	uint32_t w = b->total_weight;
	uint32_t phase = period % w;

	/* The quotients fit 64 bits: weight <= w, so each is at most B. */
	return (uint64_t)((weight_hi * bytes + phase) / w) -
	       (uint64_t)((weight_lo * bytes + phase) / w);
}

void budget_refill(struct budget *b, uint64_t now_ns)
{
	uint64_t start_ns, period = now_ns / b->period_ns;

	if (b->refill_ns != 0 && period == b->period)
		return; /* the last period that the clock can count */
	b->period = period;
	start_ns = b->period * b->period_ns; /* <= now_ns */
	b->refill_ns = start_ns > UINT64_MAX - b->period_ns ? UINT64_MAX : start_ns + b->period_ns;
	b->tokens = 0;
	for (unsigned i = 0; i < b->n_slots; i++) {
		struct budget_slot *s = &b->slots[i];

		s->tokens = budget_share(b, s->weight_lo, s->weight_hi, b->period);
		b->tokens += s->tokens;
	}
}
