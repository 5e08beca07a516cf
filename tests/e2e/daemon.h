/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * The program under test, as a child process with a directory of its own for sockets, source and
 * log. The environment variable VRNG_DAEMON names the program.
 *
 * Functions fail the running test when they can't do their work, with the daemon's log.
 */
#ifndef E2E_DAEMON_H
#define E2E_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#define DAEMON_MAX_SOCKETS 8

struct daemon {
	pid_t pid; /* 0: not running */
	char dir[64];
	char prefix[80];		     /* of the sockets: the argument of -s */
	char socket[DAEMON_MAX_SOCKETS][88]; /* the sockets' own paths */
	char log[80];			     /* what it wrote to stderr */
	char out[80];			     /* what it wrote to stdout */
	char source[80];		     /* a path in 'dir' that a test may make its source */
	bool may_be_refused;		     /* its sandbox is put to the test */
	int stderr_fd;			     /* if not 0: start it with this instead of 'log' */
	bool without_stdio;		     /* start it with descriptors 0 to 2 closed: no log */
	/* The test reads /proc/PID/fd, sets limits or traces threads of daemons that it starts from
	 * now on. Without root that takes --core-dumps, which is then added to their words. */
	bool inspected;
};

/** Make the directory and the paths. Nothing runs yet. */
void daemon_init(struct daemon *d);

/**
 * The state of a cmocka test: 'size' bytes of zeros that begin with a struct daemon, on which
 * daemon_init() was done. The test stays off the daemon's lcores.
 *
 * @return  *state
 */
void *daemon_fixture(void **state, size_t size);

/** A cmocka fixture, or the last act of one: daemon_fini() and free() that state. */
int daemon_fixture_end(void **state);

/**
 * Kill what runs, remove the directory and all that is in it. Leaves no process behind. Fails the
 * test when the daemon's sandbox refused it something that it wanted.
 */
void daemon_fini(struct daemon *d);

/**
 * Start with exactly these words (but see 'inspected') after the program's name (ends with NULL)
 * and return at once. The log goes on where it was. The child dies with this process.
 */
void daemon_run(struct daemon *d, const char *const *args);

/**
 * Start with "-s prefix -c nr_sockets" and the words of 'more' (NULL, or ends with NULL) and wait
 * until each socket takes connections.
 */
void daemon_start(struct daemon *d, unsigned nr_sockets, const char *const *more);

/**
 * Wait for its end.
 *
 * @return  its exit status; 128 + the signal that ended it; -1 when it still runs after 'limit_ms'
 */
int daemon_wait(struct daemon *d, int limit_ms);

/**
 * Send 'sig' and wait for the end.
 *
 * @param took_ms  may be NULL
 * @return         as daemon_wait() with LIVENESS_MS
 */
int daemon_stop(struct daemon *d, int sig, int *took_ms);

/** Whether it runs. */
bool daemon_is_alive(struct daemon *d);

/** Fail the test unless it runs. */
void daemon_assert_alive(struct daemon *d);

/** How many descriptors it has open, and two more. */
unsigned daemon_count_fds(const struct daemon *d);

/** Let it open descriptors with numbers below 'limit' alone. @return what the limit was */
rlim_t daemon_limit_fds(const struct daemon *d, rlim_t limit);

/**
 * Its memory in KiB, as a line of /proc/PID/status has it: VmRSS; RssAnon is the process's own,
 * RssShmem the EAL's heap and the guests'. -1: there is no such line.
 */
long daemon_memory_kb(const struct daemon *d, const char *line);

/** A text file's content ('log' or 'out'), 0-terminated; the caller frees it. "": no such file. */
char *read_text(const char *path);

/** Whether its log contains 'text'. */
bool daemon_said(const struct daemon *d, const char *text);

/** Wait until its log contains 'text'. "vhost-rng: serving" is what it says when it has started. */
void daemon_wait_until_said(struct daemon *d, const char *text);

/** Whether something takes connections at 'path'. */
bool socket_answers(const char *path);

#endif
