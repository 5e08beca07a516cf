/* SPDX-License-Identifier: BSD-3-Clause */
/* Each byte of a source once, from whatever kind of file, and never a wait. */
#include "source/source.h"

#include "directory.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/syscall.h>

static bool is_uninitialised; /* the kernel's generator */

/* In the place of the C library's. */
ssize_t getrandom(void *buf, size_t len_bytes, unsigned flags)
{
	if (!is_uninitialised)
		return syscall(SYS_getrandom, buf, len_bytes, flags);
	assert_int_equal(flags, GRND_NONBLOCK); /* else it would wait */
	errno = EAGAIN;
	return -1;
}

static void open_source(struct source *s, const char *path)
{
	assert_int_equal(source_open(s, path), 0);
	assert_string_equal(s->path, path);
	assert_true(fcntl(s->fd, F_GETFD) & FD_CLOEXEC);
}

/* One read must give just this text. */
static void expect(struct source *s, const char *text)
{
	char buf[64];
	size_t n;

	assert_int_equal(source_read(s, buf, sizeof(buf), &n), SOURCE_OK);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, n);
}

/* No byte, and this for a reason. Again and again. */
static void expect_none(struct source *s, enum source_state state)
{
	for (unsigned i = 0; i < 3; i++) {
		char buf[64];
		size_t n = 7;

		assert_int_equal(source_read(s, buf, sizeof(buf), &n), state);
		assert_int_equal(n, 0);
	}
}

static void test_file_is_read_once(void **state)
{
	struct source s;
	char buf[4];
	size_t n;

	append("f", "0123456789");
	open_source(&s, "f");
	assert_int_equal(s.type, S_IFREG);
	assert_false(s.pollable);
	assert_int_equal(source_read(&s, buf, 4, &n), SOURCE_OK);
	assert_int_equal(n, 4);
	assert_memory_equal(buf, "0123", 4);
	expect(&s, "456789");
	expect_none(&s, SOURCE_ENDED);
	append("f", "more"); /* goes on where it ended */
	expect(&s, "more");
	expect_none(&s, SOURCE_ENDED);
	source_close(&s);
	assert_int_equal(s.fd, -1);
	source_close(&s);
}

static void test_empty_file(void **state)
{
	struct source s;

	append("f", "");
	open_source(&s, "f");
	expect_none(&s, SOURCE_ENDED);
	append("f", "first");
	expect(&s, "first");
	source_close(&s);
}

/* What was cut off and written anew at the same place was given before, as far as we can tell. */
static void test_truncated_file_is_not_read_again(void **state)
{
	struct source s;

	append("f", "0123456789");
	open_source(&s, "f");
	expect(&s, "0123456789");
	assert_int_equal(truncate("f", 0), 0);
	append("f", "01234");
	assert_false(source_follow(&s, false));
	expect_none(&s, SOURCE_ENDED);
	append("f", "56789new");
	expect(&s, "new");
	source_close(&s);
}

static void test_replaced_file(void **state)
{
	struct source s;

	append("f", "old");
	append("g", "new");
	open_source(&s, "f");
	expect(&s, "old");
	assert_false(source_follow(&s, false)); /* the same, still */
	assert_int_equal(rename("g", "f"), 0);
	append("f", "er");
	expect_none(&s, SOURCE_ENDED); /* the open file is the old one */
	assert_true(source_follow(&s, false));
	assert_string_equal(s.path, "f");
	expect(&s, "newer");
	assert_false(source_follow(&s, false));
	source_close(&s);
}

/* Nothing, or nothing to read, at the path: the open file goes on. */
static void test_removed_file(void **state)
{
	struct source s;
	int fd = open("f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	open_source(&s, "f");
	assert_int_equal(unlink("f"), 0);
	assert_false(source_follow(&s, false));
	assert_false(source_follow(&s, true));
	assert_int_equal(write(fd, "late", 4), 4);
	expect(&s, "late");
	assert_int_equal(mkdir("f", 0700), 0);
	assert_false(source_follow(&s, false));
	assert_int_equal(s.follow_error, EISDIR);
	assert_int_equal(write(fd, "r", 1), 1);
	expect(&s, "r");
	close(fd);
	source_close(&s);
}

/* What could not be opened has gone, and the file is back: nothing is wrong any more. */
static void test_file_comes_back(void **state)
{
	struct source s;

	append("f", "once");
	open_source(&s, "f");
	assert_int_equal(rename("f", "away"), 0);
	assert_int_equal(mkdir("f", 0700), 0);
	assert_false(source_follow(&s, false));
	assert_int_equal(s.follow_error, EISDIR);
	assert_int_equal(rmdir("f"), 0);
	assert_int_equal(rename("away", "f"), 0);
	assert_false(source_follow(&s, false));
	assert_int_equal(s.follow_error, 0);
	source_close(&s);
}

/* A regular file is not opened again when it fails: it would start anew. */
static void test_failed_file_is_not_read_again(void **state)
{
	struct source s;

	append("f", "once");
	open_source(&s, "f");
	expect(&s, "once");
	assert_false(source_follow(&s, true));
	expect_none(&s, SOURCE_ENDED);
	source_close(&s);
}

static void test_fifo(void **state)
{
	struct source s;
	int fd;

	assert_int_equal(mkfifo("p", 0600), 0);
	open_source(&s, "p"); /* without a writer: does not wait for one */
	assert_int_equal(s.type, S_IFIFO);
	assert_true(s.pollable);
	expect_none(&s, SOURCE_ENDED);
	for (unsigned i = 0; i < 3; i++) { /* one writer after the other */
		fd = open("p", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		assert_true(fd >= 0);
		expect_none(&s, SOURCE_NOT_YET);
		assert_int_equal(write(fd, "abc", 3), 3);
		expect(&s, "abc");
		expect_none(&s, SOURCE_NOT_YET);
		assert_int_equal(write(fd, "def", 3), 3);
		close(fd);
		expect(&s, "def");
		expect_none(&s, SOURCE_ENDED);
		assert_false(source_follow(&s, false));
	}
	source_close(&s);
}

/* From one kind of file to another. */
static void test_replaced_by_another_kind(void **state)
{
	struct source s;

	assert_int_equal(mkfifo("p", 0600), 0);
	append("f", "plain");
	open_source(&s, "p");
	assert_int_equal(rename("f", "p"), 0);
	assert_true(source_follow(&s, false));
	assert_int_equal(s.type, S_IFREG);
	assert_false(s.pollable);
	expect(&s, "plain");
	assert_int_equal(mkfifo("q", 0600), 0);
	assert_int_equal(rename("q", "p"), 0);
	assert_true(source_follow(&s, false));
	assert_int_equal(s.type, S_IFIFO);
	assert_true(s.pollable);
	expect_none(&s, SOURCE_ENDED);
	source_close(&s);
}

static void test_urandom(void **state)
{
	struct source s;
	uint8_t a[256] = {0}, b[256] = {0};
	size_t n;

	open_source(&s, "/dev/urandom");
	assert_int_equal(s.type, S_IFCHR);
	assert_int_equal(source_read(&s, a, sizeof(a), &n), SOURCE_OK);
	assert_int_equal(n, sizeof(a));
	assert_int_equal(source_read(&s, b, sizeof(b), &n), SOURCE_OK);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_false(source_follow(&s, false));
	assert_true(source_follow(&s, true)); /* a device may come back */
	assert_int_equal(source_read(&s, a, sizeof(a), &n), SOURCE_OK);
	source_close(&s);
}

static void test_null_device(void **state)
{
	struct source s;

	open_source(&s, "/dev/null");
	expect_none(&s, SOURCE_ENDED);
	source_close(&s);
}

/* Address 0 of a process cannot be read: a file that opens, and fails. */
static void test_read_error(void **state)
{
	struct source s;

	open_source(&s, "/proc/self/mem");
	expect_none(&s, SOURCE_FAILED);
	assert_int_equal(s.error, EIO);
	source_close(&s);
}

static void test_open_refuses(void **state)
{
	struct source s;
	int before = dup(0), after;

	assert_int_equal(source_open(&s, "."), -EISDIR);
	assert_int_equal(source_open(&s, "/"), -EISDIR);
	assert_int_equal(source_open(&s, "none"), -ENOENT);
	assert_int_equal(source_open(&s, ""), -ENOENT);
	append("f", "");
	assert_int_equal(source_open(&s, "f/g"), -ENOTDIR);
	assert_int_equal(symlink("loop", "loop"), 0);
	assert_int_equal(source_open(&s, "loop"), -ELOOP);
	close(before);
	after = dup(0);
	assert_int_equal(after, before); /* no descriptor was left open */
	close(after);
}

/* The kernel's generator has nothing until it is initialised, however it is read. */
static void test_not_initialised(void **state)
{
	static const char *const paths[] = {"/dev/urandom", "/dev/random"};
	struct source s;
	char buf[64];
	size_t n;

	for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
		is_uninitialised = true;
		open_source(&s, paths[i]);
		assert_false(s.is_ready);
		expect_none(&s, SOURCE_NOT_YET);
		is_uninitialised = false;
		assert_int_equal(source_read(&s, buf, sizeof(buf), &n), SOURCE_OK);
		assert_int_equal(n, sizeof(buf));
		/* For good: it is not asked again. */
		is_uninitialised = true;
		assert_int_equal(source_read(&s, buf, sizeof(buf), &n), SOURCE_OK);
		is_uninitialised = false;
		source_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		directory_test(test_file_is_read_once),
		directory_test(test_empty_file),
		directory_test(test_truncated_file_is_not_read_again),
		directory_test(test_replaced_file),
		directory_test(test_removed_file),
		directory_test(test_file_comes_back),
		directory_test(test_failed_file_is_not_read_again),
		directory_test(test_fifo),
		directory_test(test_replaced_by_another_kind),
		directory_test(test_urandom),
		directory_test(test_null_device),
		directory_test(test_read_error),
		directory_test(test_open_refuses),
		directory_test(test_not_initialised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
