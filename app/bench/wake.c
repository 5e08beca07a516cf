/* SPDX-License-Identifier: BSD-3-Clause */
#include "wake.h"

#include "histogram.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAKES	 200
#define PAUSE_NS 5000000

struct sleeper {
	int fd;
	uint32_t awake; /* how often it was: the thread: rw, who wakes it: ro */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

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

static void wake_all(struct sleeper *s, struct histogram *h)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	for (uint32_t n = 1; n <= WAKES; n++) {
		uint64_t from;

		nanosleep(&pause, NULL);
		from = now_ns();
		eventfd_write(s->fd, 1);
		while (__atomic_load_n(&s->awake, __ATOMIC_ACQUIRE) != n)
			;
		histogram_record(h, now_ns() - from, 1);
	}
}

int wake_measure(int cpu, struct wake_times *times)
{
	struct sleeper s = {.fd = eventfd(0, EFD_CLOEXEC)};
	struct histogram *h = calloc(1, sizeof(*h));
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t cpus;
	int err = s.fd < 0 ? errno : h == NULL ? ENOMEM : pthread_attr_init(&attr);

	if (err == 0) {
		CPU_ZERO(&cpus);
		CPU_SET((unsigned)cpu, &cpus);
		err = pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
		if (err == 0)
			err = pthread_create(&thread, &attr, sleep_and_wake, &s);
		pthread_attr_destroy(&attr);
	}
	if (err == 0) {
		wake_all(&s, h);
		pthread_join(thread, NULL);
		times->p50_ns = histogram_percentile(h, 50);
		times->p99_ns = histogram_percentile(h, 99);
	}
	free(h);
	if (s.fd >= 0)
		close(s.fd);
	return -err;
}
