/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_RING_MODEL_H
#define FUZZ_RING_MODEL_H

/*
 * What a device must make of a ring, whatever the driver wrote into it: a reading of virtio 1.3
 * §2.7 and §2.8 and of lib/virtq.h that shares no code with lib/, for both layouts. It looks at
 * the guest's memory at the same moments as the device (when the device is told to gather), so
 * the driver may change anything between them.
 */

#include "guest_ram.h"
#include "virtq.h"

#include <stdbool.h>
#include <stdint.h>

struct ring_model {
	const struct guest_ram *ram; /* the guest's, which is only read */
	const struct guest_ram *to;  /* another one of its shape, which is written */
	bool packed, event_idx, indirect;
	unsigned size;
	uint64_t desc_gpa, driver_gpa, device_gpa;

	uint16_t avail, used; /* as virtq_config has them */
	uint16_t seen;	      /* split: the driver's index when last looked at */
	bool broken;

	/* The open chain */
	bool open;
	bool in_table, goes_on;
	uint64_t table_gpa;
	uint32_t table_size, at;
	uint32_t looked_at; /* descriptors of its table or row */
	uint16_t name, took;
	uint64_t gpa, left; /* of its current buffer */
	uint64_t written;

	/* Since the last question about a call */
	bool asked;
	unsigned n_passed; /* packed: descriptors that were used, at most a lap */
	uint16_t used_then;
};

struct ring_expected {
	enum virtq_result result;
	uint64_t bytes;
	unsigned n_segs, n_reqs;
	struct {
		uint64_t gpa;
		uint64_t len;
	} segs[VIRTQ_BURST_SEGS];
	struct virtq_req reqs[VIRTQ_BURST_REQS + 1];
};

/** What virtq_has_work() must say. */
bool ring_model_has_work(struct ring_model *m);

/** What virtq_gather() must yield. */
void ring_model_gather(
	struct ring_model *m, uint64_t max_bytes, uint64_t max_reqs, struct ring_expected *e);

/** What virtq_close_short() must add. */
void ring_model_close_short(struct ring_model *m, struct ring_expected *e);

/** virtq_trim() */
void ring_model_trim(struct ring_model *m, struct ring_expected *e, uint32_t len_bytes);

/** virtq_rewind() */
void ring_model_rewind(struct ring_model *m);

/** Write to 'm->to' what virtq_complete() must write. */
void ring_model_complete(struct ring_model *m, const struct ring_expected *e);

/** @param free_choice  set when the driver's wish makes no sense, so that both answers are right */
bool ring_model_wants_call(struct ring_model *m, bool *free_choice);

#endif
