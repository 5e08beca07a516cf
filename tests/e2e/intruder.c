/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into the daemon: code that somebody has brought into it. On SIGRTMAX, on whatever
 * thread that comes to, it attempts a call that nobody may make: a socket of the Internet.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

static void attempt(int sig)
{
	int saved = errno;

	socket(AF_INET, SOCK_STREAM, 0);
	errno = saved;
}

__attribute__((constructor)) static void begin(void)
{
	struct sigaction action = {.sa_handler = attempt, .sa_flags = SA_RESTART};

	sigaction(SIGRTMAX, &action, NULL);
}
