/* SPDX-License-Identifier: BSD-3-Clause */
/* The proxy's listening sockets: their rights, and that no other file is touched. */
#include "directory.h"
#include "front_socket.h"
#include "proxy_fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void test_rights_and_connections(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0};
	gid_t gid = geteuid() == 0 ? 54321 : getegid();
	unsigned before = count_fds();
	struct front_socket s;
	struct why why;
	struct stat st;

	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		assert_int_equal(front_socket_open(&s, "s", modes[i], gid, &why), 0);
		assert_int_equal(lstat("s", &st), 0);
		assert_true(S_ISSOCK(st.st_mode));
		assert_int_equal(st.st_mode & 07777, modes[i]);
		assert_int_equal(st.st_gid, gid);
		front_socket_close(&s);
		assert_false(exists("s"));
	}
	assert_int_equal(front_socket_open(&s, "./s", 0600, (gid_t)-1, &why), 0);
	assert_int_equal(front_socket_accept(&s), -EAGAIN);
	for (unsigned i = 0; i < 3; i++) {
		int ends[2] = {connect_to("s"), -1};

		ends[1] = front_socket_accept(&s);
		assert_true(ends[0] >= 0 && ends[1] >= 0);
		close(ends[0]);
		close(ends[1]);
	}
	front_socket_close(&s);
	front_socket_close(&s);
	assert_int_equal(count_fds(), before);
}

/* Programs that look for sockets find it by its path (ss -xl, systemd-tmpfiles). */
static void test_kernel_knows_the_path(void **state)
{
	FILE *file = fopen("/proc/net/unix", "r");
	struct front_socket s;
	char path[64], line[256];
	bool found = false;
	struct why why;

	assert_non_null(file);
	snprintf(path, sizeof(path), "/tmp/vrng-front-%d", (int)getpid());
	assert_int_equal(front_socket_open(&s, path, 0600, (gid_t)-1, &why), 0);
	while (fgets(line, sizeof(line), file) != NULL)
		found |= strstr(line, path) != NULL;
	fclose(file);
	front_socket_close(&s);
	assert_true(found);
}

/* What is at the path stays: a file, a link, a socket in use, a stale socket. */
static void test_nothing_is_replaced(void **state)
{
	struct front_socket s, other;
	struct why why;

	make_file("file");
	assert_int_equal(symlink("elsewhere", "link"), 0);
	assert_int_equal(front_socket_open(&other, "used", 0600, (gid_t)-1, &why), 0);
	assert_int_equal(front_socket_open(&s, "file", 0600, (gid_t)-1, &why), -EADDRINUSE);
	assert_int_equal(front_socket_open(&s, "link", 0600, (gid_t)-1, &why), -EADDRINUSE);
	assert_int_equal(front_socket_open(&s, "used", 0600, (gid_t)-1, &why), -EADDRINUSE);
	assert_non_null(strstr(why.text, "used"));
	assert_true(exists("file") && exists("link") && !exists("elsewhere"));
	close(connect_to("used"));
	front_socket_close(&other);
}

/* At the end another file at the path stays, also a socket. */
static void test_foreign_inode_is_left(void **state)
{
	struct front_socket s, other;
	struct why why;

	assert_int_equal(front_socket_open(&s, "s", 0600, (gid_t)-1, &why), 0);
	assert_int_equal(unlink("s"), 0);
	make_file("s");
	front_socket_close(&s);
	assert_true(exists("s"));
	assert_int_equal(unlink("s"), 0);
	assert_int_equal(front_socket_open(&s, "s", 0600, (gid_t)-1, &why), 0);
	assert_int_equal(rename("s", "away"), 0);
	assert_int_equal(front_socket_open(&other, "s", 0600, (gid_t)-1, &why), 0);
	front_socket_close(&s);
	close(connect_to("s"));
	assert_true(exists("away"));
	front_socket_close(&other);
	assert_false(exists("s"));
}

static void test_impossible_paths(void **state)
{
	char path[120];
	struct front_socket s;
	struct why why;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(front_socket_open(&s, path, 0600, (gid_t)-1, &why), -ENAMETOOLONG);
	assert_int_equal(front_socket_open(&s, "none/s", 0600, (gid_t)-1, &why), -ENOENT);
	assert_non_null(strstr(why.text, "none/s"));
	make_file("file");
	assert_int_equal(front_socket_open(&s, "file/s", 0600, (gid_t)-1, &why), -ENOTDIR);
	if (geteuid() != 0) {
		assert_int_equal(front_socket_open(&s, "s", 0600, 0, &why), -EPERM);
		assert_false(exists("s"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		directory_test(test_rights_and_connections),
		directory_test(test_kernel_knows_the_path),
		directory_test(test_nothing_is_replaced),
		directory_test(test_foreign_inode_is_left),
		directory_test(test_impossible_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
