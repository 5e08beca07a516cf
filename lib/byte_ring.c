/* SPDX-License-Identifier: BSD-3-Clause */
#include "byte_ring.h"

#include <errno.h>

int byte_ring_init(struct byte_ring *r, uint8_t *data, size_t capacity)
{
	if (capacity == 0 || (capacity & (capacity - 1)) != 0)
		return -EINVAL;
	memset(r, 0, sizeof(*r));
	r->data = data;
	r->capacity = capacity;
	return 0;
}

size_t byte_ring_fill(const struct byte_ring *r)
{
	return r->head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

uint8_t *byte_ring_room(struct byte_ring *r, size_t skip_bytes, size_t *room_bytes)
{
	size_t at = (r->head + skip_bytes) & (r->capacity - 1);
	size_t room = r->capacity - byte_ring_fill(r) - skip_bytes;

	*room_bytes = room < r->capacity - at ? room : r->capacity - at;
	return r->data + at;
}

void byte_ring_produce(struct byte_ring *r, size_t len_bytes)
{
	__atomic_store_n(&r->head, r->head + len_bytes, __ATOMIC_RELEASE);
}

void byte_ring_set_dry(struct byte_ring *r, bool dry)
{
	/* Both sides poll this line; write it only on a change. */
	if (r->dry != dry)
		__atomic_store_n(&r->dry, dry, __ATOMIC_RELEASE);
}
