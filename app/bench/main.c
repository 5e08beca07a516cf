/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dpdk-vhost-rng-bench: a vhost-user front-end that measures a vhost-user-rng back-end.
 */
#include "args.h"
#include "limits.h"
#include "load.h"
#include "procstat.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OUTPUT_BUFFER_BYTES (1u << 20)

enum exit_status {
	EXIT_OK = 0,
	EXIT_BROKEN = 1,
	EXIT_REFUSED = 2,
	EXIT_WRONG = 3,
};

struct run {
	struct args args;
	struct load load;
	struct limits limits;
	struct procstat before, after;
	FILE *output;
};

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "dpdk-vhost-rng-bench: %s: %s\n", what, why);
	return EXIT_BROKEN;
}

static void on_signal(int sig)
{
	load_interrupt();
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	/* The first one ends the measurement, a second one the program. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Guests take four descriptors each. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int pin_to(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((unsigned)cpu, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) == 0 ? 0 : -errno;
}

static void show_progress(struct load *l, uint64_t elapsed_ns)
{
	static struct {
		uint64_t elapsed_ns, requests, bytes;
	} last;
	uint64_t requests = 0, bytes = 0;
	double s;

	for (unsigned i = 0; i < l->nr_players; i++) {
		requests += l->players[i].total.requests;
		bytes += l->players[i].total.bytes;
	}
	if (elapsed_ns < last.elapsed_ns)
		last.elapsed_ns = 0;
	s = (double)(elapsed_ns - last.elapsed_ns) / 1e9;
	fprintf(stderr, "\r%s %6.1f s %14.0f requests/s %12.2f MB/s ",
		l->recording ? "measure" : "warm up", (double)elapsed_ns / 1e9,
		(double)(requests - last.requests) / s, (double)(bytes - last.bytes) / s / 1e6);
	last.elapsed_ns = elapsed_ns;
	last.requests = requests;
	last.bytes = bytes;
}

static int open_output(struct run *run)
{
	const char *path = run->args.output;

	if (path == NULL)
		return EXIT_OK;
	run->output = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	if (run->output == NULL)
		return complain(path, strerror(errno));
	setvbuf(run->output, NULL, _IOFBF, OUTPUT_BUFFER_BYTES);
	return EXIT_OK;
}

static int close_output(struct run *run)
{
	int err = 0;

	if (run->output == NULL)
		return EXIT_OK;
	if (fflush(run->output) != 0)
		err = errno;
	if (run->output != stdout && fclose(run->output) != 0 && err == 0)
		err = errno;
	run->output = NULL;
	return err == 0 ? EXIT_OK : complain(run->args.output, strerror(err));
}

static enum load_status play(struct run *run)
{
	struct load *l = &run->load;
	enum load_status status = load_warm_up(l, (uint64_t)(run->args.warm_up_s * 1e9));

	if (status != LOAD_OK)
		return status;
	if (run->args.pid != 0 && procstat_read(run->args.pid, &run->before) != 0) {
		return why_set(&l->why, LOAD_BROKEN, "there is no process %d", (int)run->args.pid);
	}
	status = load_measure(l);
	if (run->args.pid != 0 && procstat_read(run->args.pid, &run->after) == 0)
		procstat_subtract(&run->after, &run->before);
	if (status == LOAD_OK)
		status = load_finish(l);
	if (l->progress != NULL)
		fprintf(stderr, "\r%70s\r", "");
	return status;
}

static int report(struct run *run, int argc, char **argv, enum load_status status)
{
	struct procstat *own = calloc(1, sizeof(*own));
	struct report_sum sum = {0};
	struct procstat_thread own_sum = {0};
	struct report r = {
		.args = &run->args,
		.argc = argc,
		.argv = argv,
		.load = &run->load,
		.limits = run->args.limits ? &run->limits : NULL,
		.backend = run->args.pid != 0 ? &run->after : NULL,
		.own = &own_sum,
		.verdict = status == LOAD_OK ? "ok" : run->load.why.text,
	};
	bool to_stderr = run->args.output != NULL && strcmp(run->args.output, "-") == 0;

	if (own == NULL || report_sum(&run->load, &sum) != 0) {
		free(own);
		return complain("report", "out of memory");
	}
	if (procstat_read(getpid(), own) == 0)
		own_sum = procstat_sum(own);
	if (run->args.json && report_json(&r, &sum, stdout) != 0)
		complain("report", "out of memory");
	if (!run->args.json)
		report_table(&r, &sum, to_stderr ? stderr : stdout);
	free(own);
	free(sum.latency);
	if (status != LOAD_OK)
		complain(status == LOAD_WRONG ? "wrong answer" : "failed", run->load.why.text);
	return status == LOAD_OK ? EXIT_OK : status == LOAD_WRONG ? EXIT_WRONG : EXIT_BROKEN;
}

static int measure_limits(struct run *run)
{
	struct args *args = &run->args;
	int err;

	if (!args->limits)
		return EXIT_OK;
	if (args->limits_cpu < 0)
		args->limits_cpu = limits_choose_cpu(args->pin >= 0 ? args->pin : 0);
	err = limits_measure(args->limits_cpu, args->source, args_size(args, 0),
		args_depth(args, 0), &run->limits);
	return err == 0 ? EXIT_OK : complain("--limits-cpu", strerror(-err));
}

static int run_all(struct run *run, int argc, char **argv)
{
	enum load_status status;
	int exit_status = measure_limits(run), output_status;

	if (exit_status == EXIT_OK && run->args.pin >= 0 && pin_to(run->args.pin) != 0)
		exit_status = complain("--pin", strerror(errno));
	if (exit_status == EXIT_OK)
		exit_status = open_output(run);
	if (exit_status != EXIT_OK)
		return exit_status;
	status = load_init(&run->load, &run->args, run->output);
	if (status != LOAD_OK) {
		exit_status = complain("cannot start", run->load.why.text);
	} else {
		if (isatty(STDERR_FILENO) && !run->args.json)
			run->load.progress = show_progress;
		status = play(run);
		exit_status = report(run, argc, argv, status);
	}
	output_status = close_output(run);
	load_fini(&run->load);
	return exit_status != EXIT_OK ? exit_status : output_status;
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	int status = EXIT_BROKEN;

	if (run == NULL)
		return complain("start", "out of memory");
	switch (args_parse(argc, argv, &run->args)) {
	case ARGS_EXIT:
		status = EXIT_OK;
		break;
	case ARGS_REFUSED:
		status = EXIT_REFUSED;
		break;
	case ARGS_RUN:
		catch_signals();
		raise_descriptors();
		status = run_all(run, argc, argv);
		break;
	}
	free(run);
	if (fflush(stdout) != 0 && status == EXIT_OK)
		status = complain("stdout", strerror(errno));
	return status;
}
