/* SPDX-License-Identifier: BSD-3-Clause */
#include "shortage.h"

#include "fd_limit.h"
#include "log.h"

#include <stdbool.h>
#include <stdint.h>

void shortage_tick(void)
{
	static bool said;
	bool reached = fd_limit_is_reached();

	if (reached && !said)
		LOG(ERR,
			"the limit of open files, %ju, is reached: no front-end can connect, those "
			"that are served go on; raise it (prlimit, or LimitNOFILE in a systemd unit)",
			(uintmax_t)fd_limit_raise(0));
	else if (!reached && said)
		LOG(NOTICE, "there are open files to be had again: front-ends can connect");
	said = reached;
}
