/* SPDX-License-Identifier: BSD-3-Clause */
#include "limits.h"

#include "clock.h"
#include "histogram.h"
#include "keystream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS      200000000 /* of CPU time, for each of the five */
#define TRIES_MIN     16
#define COPY_FROM     (512u << 10) /* as much as a back-end may read ahead */
#define WORK_BYTES    (4u << 20)   /* at most, of the guest's buffers */
#define WAKES	      200
#define WAKE_PAUSE_NS 5000000

struct job {
	uint32_t size_bytes;
	unsigned depth;
	struct limits *limits;

	uint8_t *from, *to;
	uint32_t to_bytes;
	uint64_t at; /* running offset */
	int source_fd, event_fd;
	struct keystream *keystream;
};

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The next buffer of 'len' bytes, as a ring of requests would name them. */
static uint8_t *next_to(struct job *job, uint32_t len)
{
	if (job->at + len > job->to_bytes)
		job->at = 0;
	job->at += len;
	return job->to + job->at - len;
}

static bool do_read(struct job *job)
{
	return read(job->source_fd, next_to(job, job->size_bytes), job->size_bytes) ==
	       (ssize_t)job->size_bytes;
}

static bool do_read_bulk(struct job *job)
{
	return read(job->source_fd, job->from, LIMITS_BULK_BYTES) == LIMITS_BULK_BYTES;
}

static bool do_keystream(struct job *job)
{
	static const uint8_t start[KEYSTREAM_BLOCK_BYTES];
	uint32_t len = job->limits->keystream_call_bytes;
	const struct iovec to = {next_to(job, len), len};

	return keystream_generate(job->keystream, start, &to, 1) == 0;
}

static bool do_copy(struct job *job)
{
	uint32_t from = (uint32_t)(job->at % COPY_FROM);
	uint8_t *to = next_to(job, job->size_bytes);

	memcpy(to, job->from + from, job->size_bytes);
	__asm__ volatile("" ::"r"(to) : "memory");
	return true;
}

static bool do_call(struct job *job)
{
	return eventfd_write(job->event_fd, 1) == 0;
}

/* How often 'once' can be done in a second of CPU time; 0 when it fails. */
static double rate_of(struct job *job, bool (*once)(struct job *))
{
	uint64_t from, took = 0, n = 0, batch = TRIES_MIN;

	job->at = 0;
	if (!once(job))
		return 0;
	from = cpu_ns();
	while (took < SLICE_NS) {
		for (uint64_t i = 0; i < batch; i++)
			if (!once(job))
				return 0;
		n += batch;
		took = cpu_ns() - from;
		if (took < SLICE_NS / 100)
			batch *= 2;
	}
	return (double)n * 1e9 / (double)took;
}

static void measure_source(struct job *job)
{
	struct limits *lim = job->limits;
	struct stat st;

	if (stat(lim->source, &st) == 0 && !S_ISCHR(st.st_mode) && !S_ISREG(st.st_mode)) {
		snprintf(lim->source_error, sizeof(lim->source_error),
			"neither a device nor a regular file");
		return;
	}
	job->source_fd = open(lim->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (job->source_fd < 0) {
		snprintf(lim->source_error, sizeof(lim->source_error), "%s", strerror(errno));
		return;
	}
	lim->source_mbps = rate_of(job, do_read) * job->size_bytes / 1e6;
	lim->source_bulk_mbps = rate_of(job, do_read_bulk) * LIMITS_BULK_BYTES / 1e6;
	if (lim->source_mbps == 0)
		snprintf(lim->source_error, sizeof(lim->source_error),
			"it gave less than was asked for");
	close(job->source_fd);
}

static void *measure(void *arg)
{
	static const uint8_t key[KEYSTREAM_KEY_BYTES] = {1};
	struct job *job = arg;
	struct limits *lim = job->limits;

	measure_source(job);
	if (keystream_create(KEYSTREAM_AUTO, &job->keystream) == 0) {
		snprintf(lim->cipher, sizeof(lim->cipher), "%s", keystream_name(job->keystream));
		if (keystream_set_key(job->keystream, key) == 0)
			lim->keystream_mbps =
				rate_of(job, do_keystream) * lim->keystream_call_bytes / 1e6;
		keystream_destroy(job->keystream);
	}
	lim->copy_mbps = rate_of(job, do_copy) * job->size_bytes / 1e6;
	job->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->event_fd >= 0) {
		lim->calls_per_s = rate_of(job, do_call);
		close(job->event_fd);
	}
	return NULL;
}

/* Waking */

struct sleeper {
	int fd;
	uint32_t awake; /* how often it was: the thread: rw, who wakes it: ro */
};

static void *sleep_and_wake(void *arg)
{
	struct sleeper *s = arg;
	eventfd_t value;

	for (uint32_t n = 1; n <= WAKES; n++) {
		while (eventfd_read(s->fd, &value) != 0 && errno == EINTR)
			;
		__atomic_store_n(&s->awake, n, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Again and again, some time after it went to sleep, so that its CPU sleeps, too. */
static void wake_all(struct sleeper *s, struct histogram *h)
{
	const struct timespec pause = {.tv_nsec = WAKE_PAUSE_NS};

	for (uint32_t n = 1; n <= WAKES; n++) {
		uint64_t from;

		nanosleep(&pause, NULL);
		from = clock_now_ns();
		eventfd_write(s->fd, 1);
		while (__atomic_load_n(&s->awake, __ATOMIC_ACQUIRE) != n)
			;
		histogram_record(h, clock_now_ns() - from, 1);
	}
}

static int start_on(int cpu, void *(*run)(void *arg), void *arg, pthread_t *thread)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int err = pthread_attr_init(&attr);

	if (err != 0)
		return -err;
	CPU_ZERO(&cpus);
	CPU_SET((unsigned)cpu, &cpus);
	err = pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	if (err == 0)
		err = pthread_create(thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

static int measure_waking(struct limits *limits)
{
	struct sleeper s = {.fd = eventfd(0, EFD_CLOEXEC)};
	struct histogram *h = calloc(1, sizeof(*h));
	pthread_t thread = 0;
	int err = s.fd < 0 ? -errno : h == NULL ? -ENOMEM : 0;

	if (err == 0)
		err = start_on(limits->cpu, sleep_and_wake, &s, &thread);
	if (err == 0) {
		wake_all(&s, h);
		pthread_join(thread, NULL);
		limits->wake_p50_ns = histogram_percentile(h, 50);
		limits->wake_p99_ns = histogram_percentile(h, 99);
	}
	free(h);
	if (s.fd >= 0)
		close(s.fd);
	return err;
}

int limits_measure(
	int cpu, const char *source, uint32_t size_bytes, unsigned depth, struct limits *limits)
{
	uint64_t work = (uint64_t)size_bytes * depth;
	struct job job = {.size_bytes = size_bytes, .depth = depth, .limits = limits};
	pthread_t thread = 0;
	int err;

	*limits = (struct limits){.cpu = cpu, .source = source};
	limits->keystream_call_bytes =
		(uint32_t)(work < LIMITS_KEYSTREAM_MAX ? work : LIMITS_KEYSTREAM_MAX);
	job.to_bytes = (uint32_t)(work < WORK_BYTES ? work : WORK_BYTES);
	job.from = malloc(COPY_FROM + size_bytes);
	job.to = malloc(job.to_bytes);
	if (job.from == NULL || job.to == NULL) {
		err = -ENOMEM;
	} else {
		memset(job.from, 1, COPY_FROM + size_bytes);
		memset(job.to, 1, job.to_bytes);
		err = start_on(cpu, measure, &job, &thread);
		if (err == 0) {
			pthread_join(thread, NULL);
			err = measure_waking(limits);
		}
	}
	free(job.from);
	free(job.to);
	return err;
}

int limits_choose_cpu(int not_this)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return not_this;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
		if (CPU_ISSET((unsigned)cpu, &cpus) && cpu != not_this)
			return cpu;
	return not_this;
}
