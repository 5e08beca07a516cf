/* SPDX-License-Identifier: BSD-3-Clause */
#include "names.h"

#include "guest.h"
#include "idle.h"
#include "source/intake.h"

#include <errno.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *name;
	int level;
} log_levels[] = {{"error", 4}, {"warning", 5}, {"notice", 6}, {"info", 7}, {"debug", 8}};

const char *names_guest_state(unsigned state)
{
	static const char *const names[] = {
		[GUEST_ALONE] = "alone",
		[GUEST_CONNECTED] = "connected",
		[GUEST_SERVED] = "served",
	};

	return state < LENGTH(names) ? names[state] : "unknown";
}

const char *names_intake_state(uint64_t state)
{
	static const char *const names[] = {
		[INTAKE_OK] = "ok",
		[INTAKE_STARTING] = "starting",
		[INTAKE_NOT_YET] = "waiting",
		[INTAKE_ENDED] = "ended",
		[INTAKE_FAILED] = "failed",
		[INTAKE_UNWELL] = "unwell",
	};

	return state < LENGTH(names) ? names[state] : "unknown";
}

static const char *const idle_policies[] = {
	[IDLE_POLL] = "poll",
	[IDLE_PAUSE] = "pause",
	[IDLE_ADAPTIVE] = "adaptive",
};

const char *names_idle_policy(unsigned policy)
{
	return policy < LENGTH(idle_policies) ? idle_policies[policy] : "unknown";
}

int names_find_idle_policy(const char *name, unsigned *policy)
{
	for (unsigned i = 0; i < LENGTH(idle_policies); i++) {
		if (strcmp(name, idle_policies[i]) == 0) {
			*policy = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *names_log_level(int level)
{
	for (unsigned i = 0; i < LENGTH(log_levels); i++)
		if (log_levels[i].level == level)
			return log_levels[i].name;
	return "unknown";
}

int names_find_log_level(const char *name, int *level)
{
	for (unsigned i = 0; i < LENGTH(log_levels); i++) {
		if (strcmp(name, log_levels[i].name) == 0) {
			*level = log_levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}
