/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A proxy for one guest as a program: proxy FRONT BACK. Listens at FRONT, relays to what listens at
 * BACK, and logs to stderr. SIGTERM ends it.
 */
#include "proxy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct proxy *proxy;

static void log_line(void *arg, enum proxy_log_level level, const char *text)
{
	fprintf(stderr, "<%d>%s\n", (int)level, text);
}

static void handle_sigterm(int sig)
{
	proxy_stop(proxy);
}

int main(int argc, char **argv)
{
	const struct proxy_config config = {.log = log_line};
	struct why why;
	int err;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FRONT BACK\n", argv[0]);
		return 2;
	}
	if (proxy_create(&config, &proxy) != 0)
		return EXIT_FAILURE;
	err = proxy_add_guest(proxy,
		&(struct proxy_guest_config){.name = "0",
			.path = argv[1],
			.mode = 0600,
			.gid = (gid_t)-1,
			.back_path = argv[2]},
		&why);
	if (err != 0) {
		fprintf(stderr, "%s\n", why.text);
	} else {
		signal(SIGTERM, handle_sigterm);
		err = proxy_run(proxy);
	}
	proxy_destroy(proxy);
	return err == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
