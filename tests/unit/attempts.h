/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef UNIT_ATTEMPTS_H
#define UNIT_ATTEMPTS_H

/*
 * What somebody would try who has taken the process over. Each attempt gives 0, or the errno with
 * which it was refused.
 */

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* No errno: it did not come as far as the attempt. */
#define BROKEN 127

typedef int attempt_fn(void);

static inline int answer(long rc)
{
	return rc >= 0 ? 0 : errno;
}

static inline int open_source(void)
{
	return answer(open("sources/one", O_RDONLY));
}

static inline int open_other(void)
{
	return answer(open("other/one", O_RDONLY));
}

static inline int open_passwd(void)
{
	return answer(open("/etc/passwd", O_RDONLY));
}

static inline int write_source(void)
{
	return answer(open("sources/one", O_WRONLY));
}

static inline int write_memory(void)
{
	return answer(open("/proc/self/mem", O_RDWR));
}

static inline int write_memory_of_thread(void)
{
	return answer(open("/proc/thread-self/mem", O_WRONLY));
}

static inline int write_thread_name(void)
{
	return answer(open("/proc/thread-self/comm", O_WRONLY));
}

static inline int make_file(void)
{
	return answer(open("sockets/new", O_WRONLY | O_CREAT, 0600));
}

static inline int remove_source(void)
{
	return answer(unlink("sources/one"));
}

static inline int bind_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	return fd < 0 ? errno : answer(bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
}

static inline int make_and_remove_socket(void)
{
	int err = bind_at("sockets/s");

	return err != 0 ? err : answer(unlink("sockets/s"));
}

static inline int make_socket_elsewhere(void)
{
	return bind_at("other/s");
}

static inline int connect_tcp(void)
{
	return answer(socket(AF_INET, SOCK_STREAM, 0));
}

/* Any port, of this machine alone. */
static inline int listen_tcp(void)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? errno : answer(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)));
}

static inline int connect_netlink(void)
{
	return answer(socket(AF_NETLINK, SOCK_RAW, 0));
}

static inline int make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return answer(pid);
}

static inline int run_program(void)
{
	return answer(execl("/bin/true", "true", NULL));
}

static inline int run_file_of_fd(void)
{
	char *const none[] = {NULL};

	return answer(syscall(SYS_execveat, STDIN_FILENO, "", none, none, AT_EMPTY_PATH));
}

static inline int trace_parent(void)
{
	return answer(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static inline int use_io_uring(void)
{
	char params[256] = {0};

	return answer(syscall(SYS_io_uring_setup, 1, params));
}

static inline int signal_parent(void)
{
	return answer(kill(getppid(), 0));
}

static inline int signal_parents_thread(void)
{
	return answer(tgkill(getppid(), getppid(), 0));
}

/* A pipe's end: the kernel can be told to signal a process when there is something to read. */
static inline int make_pipe(void)
{
	int fds[2];

	return pipe2(fds, O_NONBLOCK) == 0 ? fds[0] : -1;
}

static inline int set_owner(void)
{
	return answer(fcntl(make_pipe(), F_SETOWN, getppid()));
}

static inline int set_owner_ex(void)
{
	const struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = getppid()};

	return answer(fcntl(make_pipe(), F_SETOWN_EX, &owner));
}

static inline int set_signal(void)
{
	return answer(fcntl(make_pipe(), F_SETSIG, SIGKILL));
}

static inline int set_async(void)
{
	return answer(fcntl(make_pipe(), F_SETFL, O_NONBLOCK | O_ASYNC));
}

/* Signals by way of a change in a directory. */
static inline int watch_directory(void)
{
	return answer(fcntl(open("sources", O_RDONLY), F_NOTIFY, DN_CREATE));
}

static attempt_fn *const file_signals[] = {
	set_owner, set_owner_ex, set_signal, set_async, watch_directory};

static inline int set_nonblocking(void)
{
	int fd = make_pipe(), flags = fcntl(fd, F_GETFL);

	return flags < 0 ? errno : answer(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

static inline int change_mode(void)
{
	return answer(chmod("sockets", 0750));
}

static inline int set_user_id_bit(void)
{
	return answer(chmod("sources/one", 04755));
}

static inline int set_group_id_bit(void)
{
	return answer(fchmodat(AT_FDCWD, "sources/one", 02755, 0));
}

static inline int set_id_bits_of_fd(void)
{
	return answer(fchmod(open("sources/one", O_RDONLY), 06755));
}

/* fchmodat2(2), Linux 6.6: the number is the same on all architectures. */
static inline int set_id_bits_at(void)
{
	return answer(syscall(452, AT_FDCWD, "sources/one", 06755, AT_SYMLINK_NOFOLLOW));
}

static inline int create_set_id_file(void)
{
	return answer(open("other/new", O_WRONLY | O_CREAT, 04755));
}

static inline int create_unnamed_set_id_file(void)
{
	return answer(open("other", O_WRONLY | O_TMPFILE, 02755));
}

static inline int create_file(void)
{
	return answer(open("other/new", O_WRONLY | O_CREAT, 0755));
}

/* A mode that has no meaning, as open() in assembly may leave one. */
static inline int open_with_stray_mode(void)
{
	return answer(syscall(SYS_openat, AT_FDCWD, "sources/one", O_RDONLY, 07777));
}

static inline int limit_parent(void)
{
	struct rlimit limit;

	return answer(prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit));
}

/* Any other than those few that are of use. */
static inline int make_ioctl(void)
{
	return answer(ioctl(STDIN_FILENO, FIONCLEX));
}

static inline int become_root(void)
{
	return answer(setresuid(0, 0, 0));
}

static inline int become_root_directly(void)
{
	return answer(syscall(SYS_setresuid, 0, 0, 0));
}

static inline int change_host_name(void)
{
	return answer(sethostname("x", 1));
}

static inline int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return BROKEN;
	return answer(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static inline int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? errno
		       : 0;
}

static inline int allow_dumps_again(void)
{
	return answer(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static inline int raise_dump_limit(void)
{
	const struct rlimit limit = {4096, 4096};

	return answer(setrlimit(RLIMIT_CORE, &limit));
}

static inline int dumps_allowed(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != 0 ||
	       prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
}

static inline int die(void)
{
	abort();
}

#endif
