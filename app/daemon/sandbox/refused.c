/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/refused.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_SECCOMP /* si_code; not in every libc */
#define SYS_SECCOMP 1
#endif

/* The handler, on any thread: rw; others: ro */
static uint64_t count;
static int last_call, last_tid;

/* Let the call that was refused fail with this. False: not known how on this architecture. */
static bool answer(ucontext_t *context, long err)
{
#if defined(__x86_64__)
	context->uc_mcontext.gregs[REG_RAX] = err;
#elif defined(__aarch64__)
	context->uc_mcontext.regs[0] = (unsigned long long)err;
#else
	return false;
#endif
	return true;
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (info->si_code != SYS_SECCOMP) { /* somebody sent it */
		signal(sig, SIG_DFL);
		raise(sig);
	} else {
		__atomic_store_n(&last_call, info->si_syscall, __ATOMIC_RELAXED);
		__atomic_store_n(&last_tid, gettid(), __ATOMIC_RELAXED);
		__atomic_fetch_add(&count, 1, __ATOMIC_RELEASE);
		answer(context, -EPERM);
	}
	errno = saved;
}

int refused_install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
	ucontext_t none;

	if (!answer(&none, 0))
		return -ENOTSUP;
	return sigaction(SIGSYS, &action, NULL) == 0 ? 0 : -errno;
}

uint64_t refused_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
}

/* Of a thread that may have ended: "" then. */
static void name_of(int tid, char *name, size_t size)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, size - 1);
		close(fd);
	}
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

void refused_describe(char *text, size_t size)
{
	int call = __atomic_load_n(&last_call, __ATOMIC_RELAXED);
	int tid = __atomic_load_n(&last_tid, __ATOMIC_RELAXED);
	char *known = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
	char name[32];

	name_of(tid, name, sizeof(name));
	snprintf(text, size, "%s (%d) of thread %d%s%s", known != NULL ? known : "unknown", call,
		tid, name[0] != '\0' ? ", " : "", name);
	free(known);
}
