/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_SEQUENCE_H
#define RELAY_SEQUENCE_H

/*
 * Random sequences of what a front-end sends, together with what it must get, for
 * test_relay_random.c.
 *
 * The model of the back-end is asked while the sequence is made: for the replies, which the relay
 * changes in the ways that relay.h tells, and for what a replay cannot reproduce, which is left out
 * here:
 * - SET_VRING_KICK without memory or addresses: its replay is orderly (session_record.h);
 * - a change of features of a ring that ran and was then disabled, or whose memory table was
 * refused: rte_vhost refuses it as long as the ring is called running;
 * - a packed ring made of a split one, or the other way round, without a new size and base.
 */

#include "backend_model.h"

#define STEPS_MAX  60
#define STREAM_MAX 4096

enum step_kind {
	STEP_MSG,
	STEP_USED,     /* the guest's memory has this used index */
	STEP_PROGRESS, /* the device serves so many requests, if the ring runs */
	STEP_LEAVE,    /* the front-end closes; value: it waits for no datapath */
};

struct step {
	enum step_kind kind;
	struct proxy_msg msg; /* its descriptors are borrowed */
	uint32_t len_bytes;   /* of the payload that is sent, whatever the header says */
	size_t cut;	      /* > 0: sent in two pieces, cut here */
	bool pump_between;    /* and the relay works between them */
	bool sync;	      /* all work is done before the next step */
	bool unsettled; /* size and base of the ring do not fit its layout, or its memory, yet */
	uint16_t value;
};

struct sequence {
	unsigned n_steps;
	struct step steps[STEPS_MAX];
	struct model model;	       /* the state at the end */
	struct model after[STEPS_MAX]; /* and after each step */
	uint16_t used;
	bool ends;		    /* the front-end's connection ends with the last step */
	bool leaves;		    /* because the front-end closes it */
	uint8_t stream[STREAM_MAX]; /* the replies */
	size_t stream_bytes;
	uint64_t *seed;
	bool unsettled;
};

/** Open and close the files that sequences send. */
void sequence_open_files(void);
void sequence_close_files(void);

/** Make a sequence. */
void sequence_make(struct sequence *seq, uint64_t *seed);

#endif
