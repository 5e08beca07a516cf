/* SPDX-License-Identifier: BSD-3-Clause */
#include "util.h"

#include "clock.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static cpu_set_t all_cpus;

int64_t now_us(void)
{
	return (int64_t)(clock_now_ns() / 1000);
}

int64_t now_ms(void)
{
	return now_us() / 1000;
}

void sleep_ms(int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

void patience_begin(struct patience *p)
{
	*p = (struct patience){.looked_ms = now_ms()};
}

bool patience_is_over(struct patience *p)
{
	int64_t now = now_ms(), ms = now - p->looked_ms;

	p->looked_ms = now;
	p->waited_ms += ms < 1000 ? ms : 1000;
	return p->waited_ms > LIVENESS_MS;
}

void stay_off_lcores(void)
{
	cpu_set_t one;

	if (CPU_COUNT(&all_cpus) == 0)
		sched_getaffinity(0, sizeof(all_cpus), &all_cpus);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all_cpus))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

void use_all_cpus(void)
{
	if (CPU_COUNT(&all_cpus) != 0)
		sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
}

void write_file(const char *path, const void *data, size_t len_bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len_bytes), len_bytes);
	close(fd);
}

unsigned env_number(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s != NULL && *s != '\0' ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}
