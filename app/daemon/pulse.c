/* SPDX-License-Identifier: BSD-3-Clause */
#include "pulse.h"

#include "lcore/worker.h"
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* A CPU that others use too may be had late; this is worth a line. */
#define SILENT_NS UINT64_C(5000000000)

struct beat {
	uint64_t poked_ns;
	uint64_t answered_ns; /* when it was last seen to have answered */
	bool silent;	      /* and the log says so */
};

struct pulse {
	const struct workers *workers;
	uint64_t wake_ns;
	struct beat beats[];
};

int pulse_create(const struct workers *workers, uint64_t wake_ns, struct pulse **pulse)
{
	struct pulse *p = calloc(1, sizeof(*p) + workers->n * sizeof(p->beats[0]));

	if (p == NULL)
		return -ENOMEM;
	p->workers = workers;
	p->wake_ns = wake_ns;
	*pulse = p;
	return 0;
}

void pulse_destroy(struct pulse *p)
{
	free(p);
}

static void note(struct beat *beat, const struct worker *w, uint64_t now_ns, bool answered)
{
	uint64_t silent_ns = now_ns - beat->answered_ns;

	if (answered) {
		if (beat->silent)
			LOG(NOTICE, "lcore %u goes on", worker_lcore(w));
		beat->silent = false;
		beat->answered_ns = now_ns;
	} else if (!beat->silent && silent_ns >= SILENT_NS) {
		LOG(ERR,
			"lcore %u has made no progress for %" PRIu64
			" s: it is stuck, or others use its CPU; its guests wait",
			worker_lcore(w), silent_ns / 1000000000u);
		beat->silent = true;
	}
}

bool pulse_beats(struct pulse *p, uint64_t now_ns)
{
	bool all = true;

	for (unsigned i = 0; i < p->workers->n; i++) {
		struct worker *w = p->workers->all[i];
		struct beat *beat = &p->beats[i];
		bool leave = now_ns - beat->poked_ns < p->wake_ns && worker_sleeps(w);
		bool answered = leave || worker_poke(w);

		if (!leave && answered)
			beat->poked_ns = now_ns;
		note(beat, w, now_ns, answered);
		all &= answered;
	}
	return all;
}
