/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that are truncated under a mapping, with and without the guard. Each case is a process of
 * its own: some must die.
 */
#include "unit.h"
#include "vhost/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	 4096u
#define PAGES	 16u
#define SIZE	 (PAGES * PAGE)
#define HUGE	 (2u << 20)
#define SURVIVED 0

#define ROUNDS	   300
#define N_THREADS  4
#define PATTERN	   0x5a
#define MAX_GUARDS 8

struct shared {
	uint8_t *bytes;
	size_t size;
	int fd;
};

/* In the children a failure is an exit status, which names the line. */
#define REQUIRE(ok)                               \
	do {                                      \
		if (!(ok))                        \
			_exit(__LINE__ % 97 + 2); \
	} while (0)

static struct shared map_file(size_t size, unsigned flags)
{
	struct shared s = {.size = size, .fd = memfd_create("guarded", MFD_CLOEXEC | flags)};

	REQUIRE(s.fd >= 0 && ftruncate(s.fd, (off_t)size) == 0);
	s.bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0);
	REQUIRE(s.bytes != MAP_FAILED);
	memset(s.bytes, PATTERN, size);
	return s;
}

static void cut(const struct shared *s, size_t size)
{
	REQUIRE(ftruncate(s->fd, (off_t)size) == 0);
}

static void cover(struct guard *g, const struct shared *s)
{
	struct guard_area area = {(uintptr_t)s->bytes, s->size};

	guard_cover(g, &area, 1);
}

/* A store and a load that the compiler can't leave out. */
static void touch(uint8_t *byte)
{
	volatile uint8_t *b = byte;

	*b = 1;
	REQUIRE(*b == 1);
}

/* @return the status of a child that runs 'body', or 128 + the signal that ended it */
static int run(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGBUS, SIG_DFL); /* a sanitizer has its own */
		body();
		_exit(SURVIVED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void body_covered(void)
{
	struct shared s = map_file(SIZE, 0), other = map_file(SIZE, 0);
	struct guard *g, *h;
	uint32_t hits = guard_hits();
	char byte;
	int fds[2];

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	g = guard_open(fds[0]);
	h = guard_open(-1);
	cover(g, &s);
	cover(h, &other);
	cut(&s, 5 * PAGE);
	touch(s.bytes + 4 * PAGE);
	REQUIRE(!guard_is_hit(g) && guard_hits() == hits);
	touch(s.bytes + 7 * PAGE + 123);
	REQUIRE(guard_is_hit(g) && !guard_is_hit(h) && guard_hits() == hits + 1);
	/* What the file still has is untouched, what follows the page is there, too. */
	REQUIRE(is_filled(s.bytes, 4 * PAGE, PATTERN));
	REQUIRE(is_filled(s.bytes + 8 * PAGE, 8 * PAGE, 0));
	REQUIRE(guard_hits() == hits + 1);
	touch(s.bytes + 5 * PAGE); /* and before it, there is another fault */
	REQUIRE(guard_hits() == hits + 2);
	REQUIRE(is_filled(other.bytes, SIZE, PATTERN));
	REQUIRE(read(fds[1], &byte, 1) == 0); /* it was hung up on */
	guard_close(g);
	g = guard_open(-1);
	REQUIRE(!guard_is_hit(g));
}

static void test_covered(void **state)
{
	assert_int_equal(run(body_covered), SURVIVED);
}

static void body_not_covered(void)
{
	struct shared s = map_file(SIZE, 0), other = map_file(SIZE, 0);

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	cover(guard_open(-1), &s);
	cut(&other, 0);
	touch(other.bytes);
}

static void body_closed(void)
{
	struct shared s = map_file(SIZE, 0);
	struct guard *g;

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	g = guard_open(-1);
	cover(g, &s);
	guard_close(g);
	cut(&s, 0);
	touch(s.bytes);
}

/* Another mapping is where this one's was. */
static void body_evicted(void)
{
	struct shared s = map_file(SIZE, 0);
	struct guard *g, *h;

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	g = guard_open(-1);
	h = guard_open(-1);
	cover(g, &s);
	guard_cover(h, &(struct guard_area){(uintptr_t)s.bytes + PAGE, PAGE}, 1);
	cut(&s, 0);
	touch(s.bytes + PAGE);
	REQUIRE(guard_is_hit(h) && !guard_is_hit(g));
	touch(s.bytes + 3 * PAGE); /* belongs to nobody any more */
}

/* A signal that is sent is no fault. */
static void body_sent(void)
{
	struct shared s = map_file(SIZE, 0);

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	cover(guard_open(-1), &s);
	raise(SIGBUS);
}

static void test_others_still_crash(void **state)
{
	assert_int_equal(run(body_not_covered), 128 + SIGBUS);
	assert_int_equal(run(body_closed), 128 + SIGBUS);
	assert_int_equal(run(body_evicted), 128 + SIGBUS);
	assert_int_equal(run(body_sent), 128 + SIGBUS);
}

static void body_expected(void)
{
	struct shared s = map_file(SIZE, 0);
	struct guard *g;

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	g = guard_open(-1);
	guard_expect(g);
	cut(&s, PAGE);
	touch(s.bytes + 2 * PAGE);
	REQUIRE(guard_is_hit(g));
	REQUIRE(is_filled(s.bytes, PAGE, PATTERN));
}

/* When no descriptor is left, too. */
static void body_expected_without_descriptors(void)
{
	struct shared s = map_file(SIZE, 0);
	const struct rlimit none = {0, 0};
	struct guard *g;

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	g = guard_open(-1);
	guard_expect(g);
	cut(&s, PAGE);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
	touch(s.bytes + 2 * PAGE);
	REQUIRE(guard_is_hit(g));
}

static void body_no_more_expected(void)
{
	struct shared s = map_file(SIZE, 0);

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	guard_expect(guard_open(-1));
	guard_expect(NULL);
	cut(&s, PAGE);
	touch(s.bytes + 2 * PAGE);
}

/* A private mapping of a file is never a guest's. */
static void body_expected_elsewhere(void)
{
	struct shared s = map_file(SIZE, 0);
	uint8_t *mine = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, s.fd, 0);

	REQUIRE(mine != MAP_FAILED && guard_install(MAX_GUARDS) == 0);
	guard_expect(guard_open(-1));
	cut(&s, PAGE);
	touch(mine + 2 * PAGE);
}

static void *touch_in_thread(void *byte)
{
	touch(byte);
	return NULL;
}

/* What one thread expects is nothing to another one. */
static void body_expected_by_another(void)
{
	struct shared s = map_file(SIZE, 0);
	pthread_t thread;

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	guard_expect(guard_open(-1));
	cut(&s, PAGE);
	pthread_create(&thread, NULL, touch_in_thread, s.bytes + 2 * PAGE);
	pthread_join(thread, NULL);
}

static void test_expected(void **state)
{
	assert_int_equal(run(body_expected), SURVIVED);
	assert_int_equal(run(body_expected_without_descriptors), SURVIVED);
	assert_int_equal(run(body_no_more_expected), 128 + SIGBUS);
	assert_int_equal(run(body_expected_elsewhere), 128 + SIGBUS);
	assert_int_equal(run(body_expected_by_another), 128 + SIGBUS);
}

/* Guests lose their memory on several threads while others come and go. */
static void *lose_memory(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct shared s = map_file(SIZE, 0);
		struct guard *g = guard_open(-1);

		REQUIRE(g != NULL);
		cover(g, &s);
		cut(&s, (i % PAGES) * PAGE);
		for (unsigned page = 0; page < PAGES; page++)
			touch(s.bytes + (size_t)page * PAGE);
		REQUIRE(guard_is_hit(g));
		if (i % 2 == 0)
			guard_cover(g, NULL, 0);
		guard_close(g);
		munmap(s.bytes, s.size);
		close(s.fd);
	}
	return arg;
}

static void body_threads(void)
{
	pthread_t threads[N_THREADS];

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	for (unsigned i = 0; i < N_THREADS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, lose_memory, NULL) == 0);
	for (unsigned i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	REQUIRE(guard_hits() >= N_THREADS * ROUNDS);
}

static void test_threads(void **state)
{
	assert_int_equal(run(body_threads), SURVIVED);
}

static void body_full(void)
{
	REQUIRE(guard_install(2) == 0);
	REQUIRE(guard_open(-1) != NULL);
	REQUIRE(guard_open(-1) != NULL);
	REQUIRE(guard_open(-1) == NULL);
	guard_close(NULL);
	REQUIRE(!guard_is_hit(NULL));
}

static void test_full(void **state)
{
	assert_int_equal(run(body_full), SURVIVED);
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f != NULL && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f != NULL)
		fclose(f);
	return n;
}

static int write_number(const char *path, long n)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		return -errno;
	fprintf(f, "%ld\n", n);
	return fclose(f) == 0 ? 0 : -errno;
}

static void body_huge(void)
{
	struct shared s = map_file(3 * (size_t)HUGE, MFD_HUGETLB);
	struct guard *g;

	REQUIRE(guard_install(MAX_GUARDS) == 0);
	g = guard_open(-1);
	cover(g, &s);
	cut(&s, HUGE);
	touch(s.bytes + 2 * (size_t)HUGE + 12345);
	touch(s.bytes + HUGE + 12345);
	REQUIRE(guard_is_hit(g) && is_filled(s.bytes, HUGE, PATTERN));
	REQUIRE(munmap(s.bytes, s.size) == 0);
}

static void test_huge_pages(void **state)
{
	static const char pool[] = "/proc/sys/vm/nr_hugepages";
	long before = read_number(pool);
	int fd = memfd_create("probe", MFD_CLOEXEC | MFD_HUGETLB), status;
	void *probe;

	if (before >= 0)
		write_number(pool, before + 4);
	probe = fd < 0 ? MAP_FAILED
		       : mmap(NULL, 3 * (size_t)HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (probe == MAP_FAILED) {
		if (before >= 0)
			write_number(pool, before);
		print_message("# three hugepages of 2 MiB are not to be had (vm.nr_hugepages)\n");
		skip();
	}
	munmap(probe, 3 * (size_t)HUGE);
	close(fd);
	status = run(body_huge);
	write_number(pool, before);
	assert_int_equal(status, SURVIVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_covered),
		cmocka_unit_test(test_others_still_crash),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
