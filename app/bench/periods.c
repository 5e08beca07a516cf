/* SPDX-License-Identifier: BSD-3-Clause */
#include "periods.h"

void periods_count(struct periods *p, uint64_t now, uint64_t bytes)
{
	uint64_t silence = now - p->last_answer, index;
	bool first = p->last_answer == 0;

	p->last_answer = now;
	if (!p->begun) {
		if (first || silence < p->length / 8)
			return;
		p->begun = true;
		p->start = now;
	}
	index = (now - p->start + p->length / 4) / p->length;
	p->last = index;
	if (index < p->n)
		p->bytes[index] += bytes;
}

unsigned periods_seen(const struct periods *p)
{
	return p->last < p->n ? (unsigned)p->last : p->n;
}

void periods_summary(const struct periods *p, uint64_t *least, uint64_t *most, uint64_t *sum)
{
	*least = UINT64_MAX;
	*most = *sum = 0;
	for (unsigned i = 0; i < periods_seen(p); i++) {
		*sum += p->bytes[i];
		if (p->bytes[i] < *least)
			*least = p->bytes[i];
		if (p->bytes[i] > *most)
			*most = p->bytes[i];
	}
}
