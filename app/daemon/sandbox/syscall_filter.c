/* SPDX-License-Identifier: BSD-3-Clause */
#include "sandbox/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_VMA /* Linux 5.17 */
#define PR_SET_VMA 0x53564d41
#endif

/* Twice what a filter takes while it is made. */
#define FILTER_BLOCKS	   16
#define FILTER_BLOCK_BYTES 32768

struct syscall_filter {
	enum syscall_filter_kind kind;
	struct sock_fprog prog;
};

/* Names, since which of them there are depends on the architecture and on libseccomp's age. */

static const char *const process_calls[] = {
	/* descriptors; fcntl() is below */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "close", "lseek", "dup",
	"eventfd2", "pipe", "pipe2", "memfd_create", "signalfd4", "timerfd_create",
	"timerfd_settime", "epoll_create1", "epoll_create", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "ftruncate",
	"fallocate", "flock", "fsync",
	/* files; open(), openat() and those of chmod() are below */
	"stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
	"faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "unlink", "unlinkat",
	"chown", "lchown", "fchown", "fchownat", "umask",
	/* Unix sockets; socket() itself is below */
	"bind", "listen", "accept", "accept4", "connect", "shutdown", "sendto", "recvfrom",
	"sendmsg", "recvmsg", "getsockopt", "setsockopt", "getsockname", "getpeername",
	/* memory; mmap() and mprotect() are below */
	"munmap", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "msync", "mincore",
	"get_mempolicy", "set_mempolicy", "mbind",
	/* threads; clone() and tgkill() are below */
	"futex", "set_robust_list", "get_robust_list", "rseq", "gettid", "getpid", "getppid",
	"sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getscheduler",
	"sched_setscheduler", "sched_getparam", "sched_get_priority_min", "sched_get_priority_max",
	"getcpu", "membarrier", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "restart_syscall",
	/* callers, of which lcores get the rest */
	"io_setup", "io_destroy", "io_submit", "io_getevents", "io_pgetevents",
	/* time, and what there is to know */
	"clock_gettime", "clock_getres", "gettimeofday", "time", "times", "nanosleep",
	"clock_nanosleep", "getrandom", "uname", "sysinfo", "getrusage", "getrlimit", "setrlimit",
	"getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget",
	/* lcores add their filter: less, never more */
	"seccomp"};

static const char *const lcore_calls[] = {
	/* to notify drivers; fcntl() is below */
	"io_submit", "io_getevents", "io_pgetevents", "write",
	/* to be stopped by the EAL, and to wait */
	"read", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "futex",
	"sched_yield", "nanosleep", "clock_nanosleep", "restart_syscall", "exit", "exit_group",
	/* where the vDSO cannot say */
	"clock_gettime", "getrandom", "getcpu",
	/* handlers of signals; mmap() is below */
	"rt_sigreturn", "shutdown", "munmap",
	/* a thread's end, in which libc blocks all signals, SIGSYS too */
	"madvise", "rseq", "set_robust_list",
	/* assert() and abort(), and a signal that is raised again */
	"writev", "rt_sigaction", "rt_sigprocmask", "gettid", "getpid"};

/* glibc falls back to clone(), whose flags a filter can see. */
static const char *const absent_calls[] = {"clone3"};

static const char *const fatal_calls[] = {"execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
	"io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module",
	"kexec_load", "kexec_file_load", "mount", "umount2", "move_mount", "open_tree", "fsopen",
	"fsmount", "pivot_root", "chroot", "setns", "unshare", "add_key", "request_key", "keyctl",
	"open_by_handle_at", "reboot", "swapon", "swapoff", "acct", "iopl", "ioperm", "modify_ldt"};

/* Calls that are allowed when the bits 'mask' of an argument are these. */
struct argument {
	const char *name;
	unsigned arg;
	uint32_t mask, bits;
};

#define AN_INT	 UINT32_MAX /* all that the kernel takes of it: what is above means nothing */
#define A_THREAD (CLONE_THREAD | CLONE_VM | CLONE_SIGHAND)
#define SET_IDS	 (S_ISUID | S_ISGID)
#define CREATES	 (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))

/* Memory, but none to run: there is no code in it that was not there at start. */
static const struct argument memory_arguments[] = {
	{"mmap", 2, PROT_EXEC, 0}, {"mprotect", 2, PROT_EXEC, 0}};

static const struct argument process_arguments[] = {
	/* No process: a pid of its own, or memory of its own, is what it must not have. */
	{"clone", 0, A_THREAD, A_THREAD},
	/* its own limits */
	{"prlimit64", 0, AN_INT, 0},
	/* no network */
	{"socket", 0, AN_INT, AF_UNIX}, {"socketpair", 0, AN_INT, AF_UNIX},
	/* a name for a thread, or for memory (glibc does both), and no way back to dumps */
	{"prctl", 0, AN_INT, PR_SET_NAME}, {"prctl", 0, AN_INT, PR_GET_NAME},
	{"prctl", 0, AN_INT, PR_SET_VMA}, {"prctl", 0, AN_INT, PR_GET_DUMPABLE},
	/* No set-user-ID or set-group-ID file. open() has a mode only if it creates a file. */
	{"chmod", 1, SET_IDS, 0}, {"fchmod", 1, SET_IDS, 0}, {"fchmodat", 2, SET_IDS, 0},
	{"fchmodat2", 2, SET_IDS, 0}, {"open", 1, CREATES, 0}, {"open", 2, SET_IDS, 0},
	{"openat", 2, CREATES, 0}, {"openat", 3, SET_IDS, 0},
	/*
	 * Descriptors. Not F_SETOWN, F_SETOWN_EX and F_SETSIG: with O_ASYNC the kernel sends
	 * signals to any process of the user. F_GETFD and F_SETFD: NSS modules, below getgrnam(3).
	 */
	{"fcntl", 1, AN_INT, F_DUPFD_CLOEXEC}, {"fcntl", 1, AN_INT, F_GETFD},
	{"fcntl", 1, AN_INT, F_SETFD}, {"fcntl", 1, AN_INT, F_ADD_SEALS},
	{"ioctl", 1, AN_INT, TCGETS}, {"ioctl", 1, AN_INT, FIONREAD}, {"ioctl", 1, AN_INT, FIONBIO},
	{"ioctl", 1, AN_INT, FIOCLEX}};

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* A call that this libseccomp or this architecture does not have needs no rule. */
static int add(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n_args,
	const struct scmp_arg_cmp *args)
{
	int call = seccomp_syscall_resolve_name(name);

	return call < 0 ? 0 : seccomp_rule_add_array(ctx, action, call, n_args, args);
}

static int add_all(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++)
		err = add(ctx, action, names[i], 0, NULL);
	return err;
}

static int add_arguments(scmp_filter_ctx ctx, const struct argument *arguments, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++) {
		const struct argument *a = &arguments[i];
		const struct scmp_arg_cmp is =
			SCMP_CMP(a->arg, SCMP_CMP_MASKED_EQ, a->mask, a->bits);

		err = add(ctx, SCMP_ACT_ALLOW, a->name, 1, &is);
	}
	return err;
}

/* Read and set the flags of an open file, except O_ASYNC, which makes the kernel send signals. */
static int add_file_flags(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp get = SCMP_A1(SCMP_CMP_MASKED_EQ, AN_INT, F_GETFL);
	const struct scmp_arg_cmp set[] = {SCMP_A1(SCMP_CMP_MASKED_EQ, AN_INT, F_SETFL),
		SCMP_A2(SCMP_CMP_MASKED_EQ, O_ASYNC, 0)};
	int err = add(ctx, SCMP_ACT_ALLOW, "fcntl", 1, &get);

	return err != 0 ? err : add(ctx, SCMP_ACT_ALLOW, "fcntl", N(set), set);
}

/* Memory, the flags of open files, and signals to threads of this process, for both kinds. */
static int add_common(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
	int err = add_arguments(ctx, memory_arguments, N(memory_arguments));

	if (err == 0)
		err = add_file_flags(ctx);
	return err != 0 ? err : add(ctx, SCMP_ACT_ALLOW, "tgkill", 1, &self);
}

/* No process. libc blocks all signals meanwhile, so that a SIGSYS would end this one. */
static int add_fork(scmp_filter_ctx ctx)
{
	static const char *const calls[] = {"fork", "vfork"};
	const struct scmp_arg_cmp process = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	int err = add(ctx, SCMP_ACT_ERRNO(EPERM), "clone", 1, &process);

	return err != 0 ? err : add_all(ctx, SCMP_ACT_ERRNO(EPERM), calls, N(calls));
}

static int add_process(scmp_filter_ctx ctx, bool seen)
{
	int err = add_all(ctx, SCMP_ACT_ALLOW, process_calls, N(process_calls));

	if (err == 0)
		err = add_arguments(ctx, process_arguments, N(process_arguments));
	if (err == 0 && seen)
		err = add_fork(ctx);
	if (err == 0)
		err = add_all(ctx, SCMP_ACT_ERRNO(ENOSYS), absent_calls, N(absent_calls));
	if (err == 0)
		err = add_all(ctx, SCMP_ACT_KILL_PROCESS, fatal_calls, N(fatal_calls));
	return err;
}

static int add_lcore(scmp_filter_ctx ctx)
{
	return add_all(ctx, SCMP_ACT_ALLOW, lcore_calls, N(lcore_calls));
}

/* The program that libseccomp makes of it: that is to be had by a file alone. */
static int export_program(scmp_filter_ctx ctx, struct sock_fprog *prog)
{
	int fd = memfd_create("vrng-filter", MFD_CLOEXEC), err;
	off_t size;

	if (fd < 0)
		return -errno;
	err = seccomp_export_bpf(ctx, fd);
	size = lseek(fd, 0, SEEK_END);
	if (err == 0 && size > 0) {
		prog->len = (unsigned short)((size_t)size / sizeof(prog->filter[0]));
		prog->filter = malloc((size_t)size);
		err = prog->filter == NULL ? -ENOMEM : 0;
	}
	if (err == 0 && pread(fd, prog->filter, (size_t)size, 0) != (ssize_t)size)
		err = -EIO;
	close(fd);
	return err;
}

/*
 * libseccomp (2.5.4) does not bear it when memory runs out while it makes the program: it may never
 * return, or leave rules out. So it begins when there is enough.
 */
static bool is_there_memory(void)
{
	void *block[FILTER_BLOCKS];
	unsigned n = 0;

	while (n < FILTER_BLOCKS && (block[n] = malloc(FILTER_BLOCK_BYTES)) != NULL)
		n++;
	for (unsigned i = 0; i < n; i++)
		free(block[i]);
	return n == FILTER_BLOCKS;
}

int syscall_filter_create(enum syscall_filter_kind kind, bool seen, struct syscall_filter **filter)
{
	struct syscall_filter *f = calloc(1, sizeof(*f));
	scmp_filter_ctx ctx = seccomp_init(seen ? SCMP_ACT_TRAP : SCMP_ACT_ERRNO(EPERM));
	int err = f == NULL || ctx == NULL || !is_there_memory() ? -ENOMEM : 0;

	if (err == 0)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (err == 0) /* a binary tree: a hundred comparisons would cost each call */
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (err == 0)
		err = add_common(ctx);
	if (err == 0)
		err = kind == SYSCALL_FILTER_PROCESS ? add_process(ctx, seen) : add_lcore(ctx);
	if (err == 0) {
		f->kind = kind;
		err = export_program(ctx, &f->prog);
	}
	if (ctx != NULL)
		seccomp_release(ctx);
	if (err == 0)
		*filter = f;
	else
		syscall_filter_destroy(f);
	return err;
}

void syscall_filter_destroy(struct syscall_filter *filter)
{
	if (filter != NULL)
		free(filter->prog.filter);
	free(filter);
}

int syscall_filter_apply(const struct syscall_filter *filter)
{
	unsigned long flags = SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	long rc;

	if (filter->kind == SYSCALL_FILTER_PROCESS)
		flags |= SECCOMP_FILTER_FLAG_TSYNC;
	rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter->prog);
	if (rc > 0)
		return -ECANCELED; /* the thread that cannot have it */
	return rc == 0 ? 0 : -errno;
}
