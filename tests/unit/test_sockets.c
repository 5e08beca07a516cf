/* SPDX-License-Identifier: BSD-3-Clause */
/* What may stand where a socket is to be, and what must be left alone. */
#include "vhost/sockets.h"

#include "directory.h"

#include <errno.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define NOBODY 65534

static void path_of(char *path, const char *name)
{
	assert_true(snprintf(path, 2 * SOCKETS_PATH_SIZE, "%s/%s", directory, name) > 0);
}

static int bind_socket(const char *name, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, name);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* A socket that somebody answers. */
static int make_live(const char *name)
{
	int fd = bind_socket(name, SOCK_STREAM);

	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* One that nobody does. */
static void make_stale(const char *name)
{
	close(make_live(name));
}

/* sockets_prepare() of 'directory'/name0, name1, ..., and what it says. */
static int prepare_saying(const char *name, unsigned count, struct why *why)
{
	static char paths[511][2 * SOCKETS_PATH_SIZE + 16];
	const char *list[ARRAY_LEN(paths)];
	char path[2 * SOCKETS_PATH_SIZE];
	struct sockets_lock lock = {.n = 7};
	int err;

	path_of(path, name);
	for (unsigned i = 0; i < count; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s%u", path, i);
		list[i] = paths[i];
	}
	why->text[0] = '\0';
	err = sockets_prepare(list, count, 5, &lock, why);
	if (err != 0)
		assert_int_equal(lock.n, 0);
	sockets_unlock(&lock);
	return err;
}

/* It must be refused with this error, and a sentence that names 'named'. */
static void assert_refused(const char *name, unsigned count, int expected, const char *named)
{
	struct why why;

	assert_int_equal(prepare_saying(name, count, &why), expected);
	assert_non_null(strstr(why.text, named));
}

static void assert_prepared(const char *name, unsigned count)
{
	struct why why;

	assert_int_equal(prepare_saying(name, count, &why), 0);
	assert_string_equal(why.text, "");
}

static void test_paths(void **state)
{
	char path[SOCKETS_PATH_SIZE], prefix[SOCKETS_PATH_SIZE];

	assert_true(sockets_path("/run/rng.sock", 0, path));
	assert_string_equal(path, "/run/rng.sock0");
	assert_true(sockets_path("/run/rng.sock", 510, path));
	assert_string_equal(path, "/run/rng.sock510");
	memset(prefix, 'x', sizeof(prefix));
	prefix[SOCKETS_PATH_SIZE - 2] = '\0';
	assert_true(sockets_path(prefix, 9, path));
	assert_false(sockets_path(prefix, 10, path));
}

static void test_nothing_is_there(void **state)
{
	assert_prepared("s", 1);
	assert_prepared("s", 511);
	assert_false(exists("s0"));
}

/* Only those that are to be served are looked at. */
static void test_stale_sockets_are_removed(void **state)
{
	static const char *const names[] = {"s0", "s1", "s2", "s3", "t0", "s"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		make_stale(names[i]);
	assert_prepared("s", 3);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(exists(names[i]), i >= 3);
}

static void test_live_sockets_stay(void **state)
{
	int fd;

	make_stale("s0");
	fd = make_live("s1");
	assert_refused("s", 2, -EADDRINUSE, "s1");
	assert_true(exists("s0")); /* nothing is removed when something is wrong */
	assert_true(exists("s1"));
	close(fd);
	assert_prepared("s", 2);
	assert_false(exists("s0"));
	assert_false(exists("s1"));
}

/* Somebody who does not take connections fast enough is somebody, too. */
static void test_busy_sockets_stay(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "s0"};
	int server = bind_socket("s0", SOCK_STREAM), clients[8];
	unsigned n = 0;

	assert_int_equal(listen(server, 0), 0);
	for (; n < ARRAY_LEN(clients); n++) {
		clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(clients[n], (const struct sockaddr *)&addr, sizeof(addr)) != 0)
			break;
	}
	assert_true(n < ARRAY_LEN(clients));
	assert_refused("s", 1, -EADDRINUSE, "s0");
	assert_true(exists("s0"));
	for (unsigned i = 0; i <= n; i++)
		close(clients[i]);
	close(server);
}

/* A socket of another kind, as of syslog, answers in another way. */
static void test_datagram_sockets_stay(void **state)
{
	int fd = bind_socket("s0", SOCK_DGRAM);

	assert_refused("s", 1, -EADDRINUSE, "s0");
	assert_true(exists("s0"));
	close(fd);
}

static void test_other_files_stay(void **state)
{
	append("f0", "precious");
	assert_int_equal(mkdir("d0", 0700), 0);
	assert_int_equal(mkfifo("p0", 0600), 0);
	assert_int_equal(symlink("nowhere", "l0"), 0);
	make_stale("target");
	assert_int_equal(symlink("target", "m0"), 0);
	assert_refused("f", 1, -EEXIST, "f0");
	assert_refused("d", 1, -EEXIST, "d0");
	assert_refused("p", 1, -EEXIST, "p0");
	assert_refused("l", 1, -EEXIST, "l0");
	assert_refused("m", 1, -EEXIST, "m0");
	for (const char *p = "fdplm"; *p != '\0'; p++)
		assert_true(exists((char[]){*p, '0', '\0'}));
	assert_true(exists("target"));
}

static void test_nothing_is_removed_before_all_are_checked(void **state)
{
	make_stale("s0");
	append("s5", "");
	assert_refused("s", 6, -EEXIST, "s5");
	assert_true(exists("s0"));
	assert_prepared("s", 5);
	assert_false(exists("s0"));
}

/* The limit is that of the longest of the paths. */
static void test_long_paths(void **state)
{
	char name[2 * SOCKETS_PATH_SIZE];
	size_t dir = strlen(directory) + 1;

	memset(name, 'x', sizeof(name));
	name[SOCKETS_PATH_SIZE - 2 - dir] = '\0'; /* 107 bytes with the digit */
	assert_prepared(name, 1);
	assert_prepared(name, 10);
	assert_refused(name, 11, -ENAMETOOLONG, "107");
	assert_refused(name, 11, -ENAMETOOLONG, name);
	name[SOCKETS_PATH_SIZE - 2 - dir] = 'x';
	name[SOCKETS_PATH_SIZE - 1 - dir] = '\0';
	assert_refused(name, 1, -ENAMETOOLONG, name);
	memset(name, 'x', sizeof(name) - dir - 2);
	name[sizeof(name) - dir - 3] = '\0';
	assert_refused(name, 1, -ENAMETOOLONG, name);
}

static void test_directory_is_missing(void **state)
{
	assert_refused("none/s", 1, -ENOENT, "/none");
	append("file", "");
	assert_refused("file/s", 1, -ENOTDIR, "/file");
	assert_int_equal(symlink("nowhere", "link"), 0);
	assert_refused("link/s", 1, -ENOENT, "/link");
}

/* A path that ends in a slash: the sockets are DIR/0, DIR/1, ..., and DIR must be there. */
static void test_prefix_is_a_directory(void **state)
{
	assert_int_equal(mkdir("dir", 0700), 0);
	make_stale("dir/0");
	assert_prepared("dir/", 2);
	assert_false(exists("dir/0"));
	assert_refused("none/", 1, -ENOENT, "/none");
}

/* Relative paths are as good. */
static void test_relative_paths(void **state)
{
	const char *path = "s0";
	struct sockets_lock lock;
	struct why why;

	make_stale("s0");
	assert_int_equal(sockets_prepare(&path, 1, 5, &lock, &why), 0);
	sockets_unlock(&lock);
	assert_false(exists("s0"));
}

static void test_directory_is_not_writable(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(mkdir("dir", 0555), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) { /* root may write anywhere */
		struct why why;

		if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0)
			_exit(77);
		if (prepare_saying("dir/s", 1, &why) != -EACCES)
			_exit(1);
		_exit(strstr(why.text, "/dir") == NULL ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("# root, and cannot be anybody else\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define LOCK_NAME ".dpdk-vhost-rng.lock"

static int open_lock(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* Another holder's flock() on the file that is at 'path' now. */
static void assert_locked(const char *path)
{
	struct stat st;
	int fd = open_lock(path);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(fd);
}

/* From prepare to unlock each directory has one lock file; afterwards none. */
static void test_lock(void **state)
{
	static const char *const paths[] = {"./s0", "dir/s0", "s1", "dir/../s2", "dir/s1"};
	struct sockets_lock lock;
	struct why why;

	assert_int_equal(mkdir("dir", 0700), 0);
	assert_int_equal(sockets_prepare(paths, ARRAY_LEN(paths), 5, &lock, &why), 0);
	assert_int_equal(lock.n, 2);
	assert_locked(LOCK_NAME);
	assert_locked("dir/" LOCK_NAME);
	sockets_unlock(&lock);
	assert_false(exists(LOCK_NAME));
	assert_false(exists("dir/" LOCK_NAME));
	sockets_unlock(&lock);
}

/* A lock file that a killed daemon left is taken over. */
static void test_lock_file_is_left(void **state)
{
	append(LOCK_NAME, "");
	assert_prepared("s", 1);
	assert_false(exists(LOCK_NAME));
}

/* One of several that stays locked is named, and the others are let go. */
static void test_locked_by_another(void **state)
{
	static const char *const paths[] = {"a/s0", "b/s0"};
	struct sockets_lock lock;
	struct why why;
	int b;

	assert_int_equal(mkdir("a", 0700), 0);
	assert_int_equal(mkdir("b", 0700), 0);
	b = open_lock("b/" LOCK_NAME);
	assert_int_equal(flock(b, LOCK_EX), 0);
	assert_int_equal(sockets_prepare(paths, 2, 0, &lock, &why), -EBUSY);
	assert_non_null(strstr(why.text, "b/s0"));
	assert_non_null(strstr(why.text, LOCK_NAME));
	assert_false(exists("a/" LOCK_NAME));
	assert_true(exists("b/" LOCK_NAME));
	close(b);
}

/* A user who can only read the directory can lock it, but holds up no start. */
static void test_locked_directory(void **state)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_prepared("s", 1);
	close(fd);
}

/* The same for one who can write to it, with a file of the lock's name, or something else. */
static void test_lock_file_of_another_user(void **state)
{
	int fd = open_lock(LOCK_NAME);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, NOBODY, NOBODY), 0);
		assert_prepared("s", 1);
	} else {
		print_message("# only root can make a file of another user\n");
	}
	close(fd);
	assert_int_equal(unlink(LOCK_NAME), 0);
	assert_int_equal(symlink("elsewhere", LOCK_NAME), 0);
	assert_prepared("s", 1);
	assert_false(exists("elsewhere"));
	assert_int_equal(unlink(LOCK_NAME), 0);
	assert_int_equal(mkfifo(LOCK_NAME, 0666), 0);
	assert_prepared("s", 1);
	assert_int_equal(unlink(LOCK_NAME), 0);
}

/* Without a descriptor there would be no lock, and two daemons could take the same sockets. */
static void test_no_descriptor_for_the_lock(void **state)
{
	struct rlimit limit, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_refused("s", 1, -EMFILE, "LimitNOFILE");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_prepared("s", 1);
}

/* A refusal does not keep the lock. */
static void test_no_lock_after_a_refusal(void **state)
{
	append("s0", "");
	assert_refused("s", 1, -EEXIST, "s0");
	assert_false(exists(LOCK_NAME));
}

static void test_mode_and_group(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0, 0777, 0640};
	gid_t gid = geteuid() == 0 ? 54321 : getegid();
	struct stat st, before;
	int fd = make_live("s0");
	struct why why;

	assert_int_equal(stat("s0", &before), 0);
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		assert_int_equal(sockets_set_rights("s0", modes[i], (gid_t)-1, &why), 0);
		assert_int_equal(stat("s0", &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
		assert_int_equal(st.st_gid, before.st_gid);
	}
	assert_int_equal(sockets_set_rights("s0", 0660, gid, &why), 0);
	assert_int_equal(stat("s0", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_uid, before.st_uid);
	close(fd);
}

static void test_rights_of_nothing(void **state)
{
	struct why why;

	assert_int_equal(sockets_set_rights("none", 0600, (gid_t)-1, &why), -ENOENT);
	assert_int_equal(sockets_set_rights("none", 0600, getegid(), &why), -ENOENT);
}

static void assert_rights(const char *path, mode_t mode, gid_t gid)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_gid, gid);
}

/* What the directory's owner put in a socket's place keeps its rights. */
static void test_rights_of_something_else(void **state)
{
	gid_t gid = geteuid() == 0 ? 54321 : getegid();
	struct why why;
	struct stat st;
	int fd = make_live("other");

	append("file", "");
	assert_int_equal(chmod("file", 0600), 0);
	assert_int_equal(chmod("other", 0600), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(symlink("file", "to-file"), 0);
	assert_int_equal(symlink("other", "to-socket"), 0);
	assert_int_equal(sockets_set_rights("to-file", 0666, gid, &why), -EEXIST);
	assert_int_equal(sockets_set_rights("to-socket", 0666, gid, &why), -EEXIST);
	assert_int_equal(sockets_set_rights("file", 0666, gid, &why), -EEXIST);
	assert_int_equal(link("other", "hard-link"), 0);
	assert_int_equal(sockets_set_rights("hard-link", 0666, gid, &why), -EEXIST);
	assert_non_null(strstr(why.text, "hard-link"));
	assert_rights("file", 0600, st.st_gid);
	assert_rights("other", 0600, st.st_gid);
	close(fd);
}

static void test_groups(void **state)
{
	static const char *const none[] = {"no-such-group", "", "-1", "12x", "4294967295",
		"4294967296", "18446744073709551617", "0x10"};
	gid_t gid = 7;

	assert_int_equal(sockets_find_group("root", &gid), 0);
	assert_int_equal(gid, 0);
	assert_int_equal(sockets_find_group("54321", &gid), 0);
	assert_int_equal(gid, 54321);
	assert_int_equal(sockets_find_group("4294967294", &gid), 0);
	assert_int_equal(gid, 4294967294);
	for (unsigned i = 0; i < ARRAY_LEN(none); i++)
		assert_int_equal(sockets_find_group(none[i], &gid), -ENOENT);
}

/* The front-ends' sockets: nothing is touched, and only what can never be is refused. */
static void test_check(void **state)
{
	char long_path[SOCKETS_PATH_SIZE + 1] = "";
	struct why why = {0};
	int live = make_live("live");

	make_stale("stale");
	append("file", "x");
	assert_int_equal(sockets_check("live", &why), 0);
	assert_int_equal(sockets_check("stale", &why), 0);
	assert_int_equal(sockets_check("nothing", &why), 0);
	assert_int_equal(sockets_check("/no/such/directory/s", &why), 0);
	assert_string_equal(why.text, "");
	assert_true(exists("live") && exists("stale"));
	/* Nobody was connected to. */
	assert_int_equal(accept(live, NULL, NULL), -1);
	close(live);
	assert_int_equal(sockets_check("file", &why), -EEXIST);
	assert_non_null(strstr(why.text, "file exists and is not a socket"));
	memset(long_path, 'x', SOCKETS_PATH_SIZE);
	assert_int_equal(sockets_check(long_path, &why), -ENAMETOOLONG);
}

static void test_why_absent(void **state)
{
	append("file", "x");
	make_stale("stale");
	assert_string_equal(sockets_why_absent("nothing"), strerror(ENOENT));
	assert_string_equal(sockets_why_absent("no/directory"), strerror(ENOENT));
	assert_string_equal(sockets_why_absent("file"), "it is not a socket");
	assert_string_equal(sockets_why_absent("stale"), "nobody listens there");
	if (geteuid() == 0) {
		assert_int_equal(chmod("stale", 0600), 0);
		assert_int_equal(seteuid(NOBODY), 0);
		assert_string_equal(sockets_why_absent("stale"), strerror(EACCES));
		assert_int_equal(seteuid(0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		directory_test(test_paths),
		directory_test(test_nothing_is_there),
		directory_test(test_stale_sockets_are_removed),
		directory_test(test_live_sockets_stay),
		directory_test(test_busy_sockets_stay),
		directory_test(test_datagram_sockets_stay),
		directory_test(test_other_files_stay),
		directory_test(test_nothing_is_removed_before_all_are_checked),
		directory_test(test_long_paths),
		directory_test(test_directory_is_missing),
		directory_test(test_prefix_is_a_directory),
		directory_test(test_relative_paths),
		directory_test(test_directory_is_not_writable),
		directory_test(test_lock),
		directory_test(test_locked_by_another),
		directory_test(test_lock_file_is_left),
		directory_test(test_locked_directory),
		directory_test(test_lock_file_of_another_user),
		directory_test(test_no_descriptor_for_the_lock),
		directory_test(test_no_lock_after_a_refusal),
		directory_test(test_mode_and_group),
		directory_test(test_rights_of_nothing),
		directory_test(test_rights_of_something_else),
		directory_test(test_groups),
		directory_test(test_check),
		directory_test(test_why_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
