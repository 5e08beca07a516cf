/* SPDX-License-Identifier: BSD-3-Clause */
#include "args.h"

#include "bench_version.h"
#include "driver.h"
#include "periods.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE_LEAST 64 /* unless one is asked for */
#define SECONDS_MAX	 1e6

static const char usage[] =
	"Usage: dpdk-vhost-rng-bench --socket PATH [options]\n"
	"       dpdk-vhost-rng-bench --self [options]\n"
	"\n"
	"Plays the guests of a vhost-user-rng back-end, any one, and measures it.\n"
	"\n"
	"Whom to ask\n"
	"  -s, --socket PATH       the back-end's socket; with --guests PATH0, PATH1, ...\n"
	"  -n, --guests N          guests at once, 1 to 1024, in one thread, in turn\n"
	"      --self              an own back-end in memory, which answers at once and\n"
	"                          writes nothing: what the bench itself costs\n"
	"What to ask for\n"
	"      --size BYTES,...    of a request, 1 to 1Mi; guest i takes value i of the\n"
	"                          list, which goes round (64)\n"
	"      --depth N,...       requests outstanding; a list as --size (1)\n"
	"      --queue-size N      entries, a power of two unless --layout is packed (the\n"
	"                          least power of two with room, from 64)\n"
	"      --chain K           descriptors of a request (1)\n"
	"      --indirect          put them into indirect tables\n"
	"      --layout split|packed  of the queue (split)\n"
	"      --event-idx on|off  the event index, if the back-end has it (on)\n"
	"      --wait poll|block   see answers by polling, or sleep until called (poll)\n"
	"How long\n"
	"      --duration SECONDS  (5)\n"
	"      --count N           instead: N requests of each guest\n"
	"      --warm-up SECONDS   not measured (0.5; with --count 0)\n"
	"      --period MS         instead of --duration: count the bytes of each period\n"
	"                          of the back-end's budget, as guests see them\n"
	"      --periods N         so many of them, 1 to 1000 (10)\n"
	"      --rate N            requests a second of all guests, at fixed moments, and\n"
	"                          latency from those; otherwise the next request follows\n"
	"                          an answer\n"
	"      --timeout SECONDS   a back-end that is silent for so long has failed (5)\n"
	"      --pin CPU           where to run\n"
	"What to tell\n"
	"      --json              for programs\n"
	"      --pid PID           the back-end's: its CPU time and context switches\n"
	"      --limits            what this machine can do, and the shares reached of it\n"
	"      --limits-cpu CPU    where to find out (the last but the bench's own)\n"
	"      --source FILE       whose reading --limits measures (/dev/urandom)\n"
	"      --verify            judge every answer, see below\n"
	"      --output FILE       write the bytes there, - is stdout\n"
	"  -h, --help              this text\n"
	"      --version           the version\n"
	"\n"
	"BYTES takes k and M (powers of 1000) or Ki and Mi (powers of 1024).\n"
	"\n"
	"--verify poisons the buffers before each request. Eight bytes in a row that hold\n"
	"poison after an answer that claims them are an error, which chance explains once\n"
	"in 2^64 words; so are first or last bytes that do 8 answers in a row, bytes\n"
	"written outside the buffers, an answer of no bytes, and a block of 32 bytes that\n"
	"comes again (262144 blocks are remembered). Illegal ids and lengths always are.\n"
	"\n"
	"Exit status: 0 it ran, and all was well; 1 it could not, or the back-end died or\n"
	"hung; 2 an option was refused; 3 the back-end's answers were wrong.\n";

enum {
	OPT_SELF = 256,
	OPT_SIZE,
	OPT_DEPTH,
	OPT_QUEUE_SIZE,
	OPT_CHAIN,
	OPT_INDIRECT,
	OPT_LAYOUT,
	OPT_EVENT_IDX,
	OPT_WAIT,
	OPT_DURATION,
	OPT_COUNT,
	OPT_WARM_UP,
	OPT_PERIOD,
	OPT_PERIODS,
	OPT_RATE,
	OPT_TIMEOUT,
	OPT_PIN,
	OPT_JSON,
	OPT_PID,
	OPT_LIMITS,
	OPT_LIMITS_CPU,
	OPT_SOURCE,
	OPT_VERIFY,
	OPT_OUTPUT,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"guests", required_argument, NULL, 'n'},
	{"self", no_argument, NULL, OPT_SELF},
	{"size", required_argument, NULL, OPT_SIZE},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"queue-size", required_argument, NULL, OPT_QUEUE_SIZE},
	{"chain", required_argument, NULL, OPT_CHAIN},
	{"indirect", no_argument, NULL, OPT_INDIRECT},
	{"layout", required_argument, NULL, OPT_LAYOUT},
	{"event-idx", required_argument, NULL, OPT_EVENT_IDX},
	{"wait", required_argument, NULL, OPT_WAIT},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"count", required_argument, NULL, OPT_COUNT},
	{"warm-up", required_argument, NULL, OPT_WARM_UP},
	{"period", required_argument, NULL, OPT_PERIOD},
	{"periods", required_argument, NULL, OPT_PERIODS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"pin", required_argument, NULL, OPT_PIN},
	{"json", no_argument, NULL, OPT_JSON},
	{"pid", required_argument, NULL, OPT_PID},
	{"limits", no_argument, NULL, OPT_LIMITS},
	{"limits-cpu", required_argument, NULL, OPT_LIMITS_CPU},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

__attribute__((format(printf, 1, 2))) static enum args_result refuse(const char *format, ...)
{
	va_list ap;

	fputs("dpdk-vhost-rng-bench: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs("; see --help\n", stderr);
	return ARGS_REFUSED;
}

/* Decimal digits alone, and what of 'scaled' follows: k, M, Ki or Mi. */
static bool parse_prefix(const char *s, char **end, bool scaled, uint64_t *value)
{
	unsigned long long v;
	uint64_t unit = 1;

	if (!isdigit((unsigned char)s[0]))
		return false;
	errno = 0;
	v = strtoull(s, end, 10);
	if (errno != 0)
		return false;
	if (scaled && (**end == 'k' || **end == 'K' || **end == 'M')) {
		bool binary = (*end)[1] == 'i';

		unit = binary ? 1024 : 1000;
		if (**end == 'M')
			unit *= unit;
		*end += binary ? 2 : 1;
	}
	return !__builtin_mul_overflow(v, unit, value);
}

static bool parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	return parse_prefix(s, &end, false, value) && *end == '\0' && *value >= min &&
	       *value <= max;
}

/* "64,4Ki": up to ARGS_GUESTS_MAX values from 1 to 'max'. */
static bool parse_list(const char *s, bool scaled, uint32_t max, uint32_t *list, unsigned *n)
{
	for (*n = 0; *n < ARGS_GUESTS_MAX; s++) {
		uint64_t v;
		char *end;

		if (!parse_prefix(s, &end, scaled, &v) || v < 1 || v > max)
			return false;
		list[(*n)++] = (uint32_t)v;
		s = end;
		if (*s == '\0')
			return true;
		if (*s != ',')
			return false;
	}
	return false;
}

static bool parse_real(const char *s, double min, double max, double *value)
{
	char *end;

	if (!isdigit((unsigned char)s[0]) && s[0] != '.')
		return false;
	*value = strtod(s, &end);
	return end != s && *end == '\0' && isfinite(*value) && *value >= min && *value <= max;
}

/* @return 1 or 0 for 'yes' or 'no', else -1 */
static int parse_choice(const char *s, const char *yes, const char *no)
{
	if (strcmp(s, yes) == 0)
		return 1;
	return strcmp(s, no) == 0 ? 0 : -1;
}

static enum args_result parse_work(int c, const char *arg, struct args *args)
{
	uint64_t v;
	int choice;

	switch (c) {
	case 'n':
		if (!parse_range(arg, 1, ARGS_GUESTS_MAX, &v))
			return refuse("--guests '%s' is not a whole number from 1 to %d", arg,
				ARGS_GUESTS_MAX);
		args->nr_guests = (unsigned)v;
		args->numbered = true;
		break;
	case OPT_SIZE:
		if (!parse_list(arg, true, ARGS_SIZE_MAX, args->sizes, &args->nr_sizes))
			return refuse("--size '%s' is not a list of bytes from 1 to 1Mi, such as "
				      "64 or 64,4Ki",
				arg);
		break;
	case OPT_DEPTH:
		if (!parse_list(arg, false, DRIVER_SIZE_MAX, args->depths, &args->nr_depths))
			return refuse("--depth '%s' is not a list of numbers from 1 to %d, such as "
				      "16 or 1,16",
				arg, DRIVER_SIZE_MAX);
		break;
	case OPT_QUEUE_SIZE:
		if (!parse_range(arg, 1, DRIVER_SIZE_MAX, &v))
			return refuse("--queue-size '%s' is not a whole number from 1 to %d", arg,
				DRIVER_SIZE_MAX);
		args->queue_size = (unsigned)v;
		break;
	case OPT_CHAIN:
		if (!parse_range(arg, 1, 1024, &v))
			return refuse("--chain '%s' is not a whole number from 1 to 1024", arg);
		args->chain = (unsigned)v;
		break;
	case OPT_LAYOUT:
		choice = parse_choice(arg, "packed", "split");
		if (choice < 0)
			return refuse("--layout '%s' is neither split nor packed", arg);
		args->packed = choice;
		break;
	case OPT_EVENT_IDX:
		choice = parse_choice(arg, "on", "off");
		if (choice < 0)
			return refuse("--event-idx '%s' is neither on nor off", arg);
		args->event_idx = choice;
		break;
	case OPT_WAIT:
		choice = parse_choice(arg, "block", "poll");
		if (choice < 0)
			return refuse("--wait '%s' is neither poll nor block", arg);
		args->block = choice;
		break;
	}
	return ARGS_RUN;
}

static enum args_result parse_how(int c, const char *arg, struct args *args)
{
	uint64_t v;

	switch (c) {
	case OPT_DURATION:
		if (!parse_real(arg, 0.001, SECONDS_MAX, &args->duration_s))
			return refuse("--duration '%s' is not a number of seconds from 0.001", arg);
		break;
	case OPT_COUNT:
		if (!parse_range(arg, 1, UINT64_MAX / ARGS_SIZE_MAX, &args->count))
			return refuse("--count '%s' is not a number of requests from 1", arg);
		break;
	case OPT_WARM_UP:
		if (!parse_real(arg, 0, SECONDS_MAX, &args->warm_up_s))
			return refuse("--warm-up '%s' is not a number of seconds", arg);
		break;
	case OPT_PERIOD:
		if (!parse_real(arg, 0.1, 1e6, &args->period_ms))
			return refuse(
				"--period '%s' is not a number of milliseconds from 0.1", arg);
		break;
	case OPT_PERIODS:
		if (!parse_range(arg, 1, PERIODS_MAX, &v))
			return refuse(
				"--periods '%s' is not a number from 1 to %d", arg, PERIODS_MAX);
		args->nr_periods = (unsigned)v;
		break;
	case OPT_RATE:
		if (!parse_real(arg, 0.001, 1e9, &args->rate))
			return refuse(
				"--rate '%s' is not a number of requests a second up to 1e9", arg);
		break;
	case OPT_TIMEOUT:
		if (!parse_real(arg, 0.01, SECONDS_MAX, &args->timeout_s))
			return refuse("--timeout '%s' is not a number of seconds from 0.01", arg);
		break;
	case OPT_PIN:
	case OPT_LIMITS_CPU:
		if (!parse_range(arg, 0, 1023, &v))
			return refuse("%s '%s' is not the number of a CPU",
				c == OPT_PIN ? "--pin" : "--limits-cpu", arg);
		*(c == OPT_PIN ? &args->pin : &args->limits_cpu) = (int)v;
		break;
	case OPT_PID:
		if (!parse_range(arg, 1, INT32_MAX, &v))
			return refuse("--pid '%s' is not a process id", arg);
		args->pid = (pid_t)v;
		break;
	}
	return ARGS_RUN;
}

/* Those that take no value. @return false: it is none of them */
static bool set_flag(int c, struct args *args)
{
	switch (c) {
	case OPT_SELF:
		args->self = true;
		return true;
	case OPT_INDIRECT:
		args->indirect = true;
		return true;
	case OPT_JSON:
		args->json = true;
		return true;
	case OPT_LIMITS:
		args->limits = true;
		return true;
	case OPT_VERIFY:
		args->verify = true;
		return true;
	}
	return false;
}

static enum args_result parse_value(int c, const char *arg, struct args *args)
{
	if (arg[0] == '\0')
		return refuse("an option has an empty value");
	switch (c) {
	case 's':
		args->socket = arg;
		return ARGS_RUN;
	case OPT_SOURCE:
		args->source = arg;
		return ARGS_RUN;
	case OPT_OUTPUT:
		args->output = arg;
		return ARGS_RUN;
	case OPT_DURATION:
	case OPT_COUNT:
	case OPT_WARM_UP:
	case OPT_PERIOD:
	case OPT_PERIODS:
	case OPT_RATE:
	case OPT_TIMEOUT:
	case OPT_PIN:
	case OPT_LIMITS_CPU:
	case OPT_PID:
		return parse_how(c, arg, args);
	}
	return parse_work(c, arg, args);
}

unsigned args_queue_size(const struct args *args, unsigned i)
{
	unsigned size = QUEUE_SIZE_LEAST;

	if (args->queue_size != 0)
		return args->queue_size;
	while (size < args_depth(args, i) * args_direct(args))
		size *= 2;
	return size;
}

static enum args_result check_together(struct args *args)
{
	if ((args->socket == NULL) != args->self)
		return refuse(args->self ? "--self and --socket exclude each other"
					 : "--socket is missing: give a path such as "
					   "/run/rng.sock0");
	if (args->self && (args->verify || args->output != NULL || args->block))
		return refuse("--self writes no bytes and makes no calls: not with --verify, "
			      "--output or --wait block");
	if (!args->packed && (args->queue_size & (args->queue_size - 1)) != 0)
		return refuse("--queue-size %u is not a power of two, which a split queue needs",
			args->queue_size);
	for (unsigned i = 0; i < args->nr_sizes; i++)
		if (args->sizes[i] < args->chain)
			return refuse("--size %u has no byte for each of --chain %u descriptors",
				args->sizes[i], args->chain);
	for (unsigned i = 0; i < args->nr_depths; i++) {
		uint64_t need = (uint64_t)args->depths[i] * args_direct(args);
		unsigned room = args->queue_size != 0 ? args->queue_size : DRIVER_SIZE_MAX;

		if (need > room)
			return refuse("--depth %u needs %llu descriptors, the queue has %u",
				args->depths[i], (unsigned long long)need, room);
	}
	if (args->period_ms > 0) {
		/* The first begins within one; the last is over when the next has an answer. */
		args->duration_s = args->period_ms / 1e3 * (args->nr_periods + 2);
		args->timeout_s += 2 * args->period_ms / 1e3;
	}
	if (args->warm_up_s < 0)
		args->warm_up_s = args->count != 0 ? 0 : 0.5;
	if (args->json && args->output != NULL && strcmp(args->output, "-") == 0)
		return refuse("--json and --output - both want stdout");
	return ARGS_RUN;
}

enum args_result args_parse(int argc, char **argv, struct args *args)
{
	int c;

	*args = (struct args){
		.nr_guests = 1,
		.sizes = {64},
		.nr_sizes = 1,
		.depths = {1},
		.nr_depths = 1,
		.chain = 1,
		.event_idx = true,
		.nr_periods = 10,
		.duration_s = 5,
		.warm_up_s = -1,
		.timeout_s = 5,
		.pin = -1,
		.limits_cpu = -1,
		.source = "/dev/urandom",
	};
	optind = 0; /* start anew (GNU) */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:n:h", long_options, NULL)) != -1) {
		enum args_result r;

		switch (c) {
		case 'h':
			fputs(usage, stdout);
			return ARGS_EXIT;
		case OPT_VERSION:
			puts("dpdk-vhost-rng-bench " BENCH_VERSION);
			return ARGS_EXIT;
		case ':':
			return refuse("option '%s' needs a value", argv[optind - 1]);
		case '?':
			return refuse("option '%s' is not known, or has a value that it does not "
				      "take, or is short for several",
				argv[optind - 1]);
		}
		if (set_flag(c, args))
			continue;
		r = parse_value(c, optarg, args);
		if (r != ARGS_RUN)
			return r;
	}
	if (optind < argc)
		return refuse("'%s' is not an option", argv[optind]);
	return check_together(args);
}
