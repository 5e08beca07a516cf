/* SPDX-License-Identifier: BSD-3-Clause */
#include "args.h"

#include "bench_version.h"
#include "driver.h"
#include "parse.h"
#include "periods.h"

#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
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

/* An option: how its value gets into a field of struct args. */
struct row {
	const char *name;
	int letter;
	bool (*set)(const struct row *row, void *to, const char *value); /* NULL: it takes none */
	size_t at, size;
	double min, max;
	const char *words[2]; /* for false and for true */
	const char *is;	      /* a value that is refused */
};

static bool set_text(const struct row *row, void *to, const char *value)
{
	*(const char **)to = value;
	return true;
}

static bool set_whole(const struct row *row, void *to, const char *value)
{
	uint64_t v;

	if (parse_range(value, (uint64_t)row->min, (uint64_t)row->max, &v) != 0)
		return false;
	if (row->size == sizeof(uint64_t))
		*(uint64_t *)to = v;
	else
		*(uint32_t *)to = (uint32_t)v;
	return true;
}

static bool set_real(const struct row *row, void *to, const char *value)
{
	double *real = to;
	char *end;

	if (!isdigit((unsigned char)value[0]) && value[0] != '.')
		return false;
	*real = strtod(value, &end);
	return end != value && *end == '\0' && isfinite(*real) && *real >= row->min &&
	       *real <= row->max;
}

static bool set_word(const struct row *row, void *to, const char *value)
{
	bool yes = strcmp(value, row->words[1]) == 0;

	*(bool *)to = yes;
	return yes || strcmp(value, row->words[0]) == 0;
}

/* "64,4Ki" */
static bool set_list(struct args_list *list, const char *value, uint64_t max,
	int (*parse)(const char *s, uint64_t min, uint64_t max, uint64_t *v))
{
	for (list->n = 0; list->n < ARGS_GUESTS_MAX;) {
		size_t len = strcspn(value, ",");
		char one[32];
		uint64_t v;

		if (len >= sizeof(one))
			return false;
		memcpy(one, value, len);
		one[len] = '\0';
		if (parse(one, 1, max, &v) != 0)
			return false;
		list->values[list->n++] = (uint32_t)v;
		if (value[len] == '\0')
			return true;
		value += len + 1;
	}
	return false;
}

static bool set_sizes(const struct row *row, void *to, const char *value)
{
	return set_list(to, value, ARGS_SIZE_MAX, parse_bytes);
}

static bool set_depths(const struct row *row, void *to, const char *value)
{
	return set_list(to, value, DRIVER_SIZE_MAX, parse_range);
}

#define AT(field)		  .at = offsetof(struct args, field), .size = sizeof(((struct args *)0)->field)
#define FLAG(field)		  AT(field)
#define TEXT(field)		  .set = set_text, AT(field)
#define WHOLE(field, least, most) .set = set_whole, AT(field), .min = (least), .max = (most)
#define REAL(field, least, most)  .set = set_real, AT(field), .min = (least), .max = (most)
#define WORDS(field, no, yes)	  .set = set_word, AT(field), .words = {no, yes}

/* clang-format off */
static const struct row rows[] = {
	{"socket", 's', TEXT(socket)},
	{"guests", 'n', WHOLE(nr_guests, 1, ARGS_GUESTS_MAX),
		.is = "not a whole number from 1 to 1024"},
	{"self", FLAG(self)},
	{"size", .set = set_sizes, AT(sizes),
		.is = "not a list of bytes from 1 to 1Mi, such as 64 or 64,4Ki"},
	{"depth", .set = set_depths, AT(depths),
		.is = "not a list of numbers from 1 to 32768, such as 16 or 1,16"},
	{"queue-size", WHOLE(queue_size, 1, DRIVER_SIZE_MAX),
		.is = "not a whole number from 1 to 32768"},
	{"chain", WHOLE(chain, 1, 1024), .is = "not a whole number from 1 to 1024"},
	{"indirect", FLAG(indirect)},
	{"layout", WORDS(packed, "split", "packed"), .is = "neither split nor packed"},
	{"event-idx", WORDS(event_idx, "off", "on"), .is = "neither on nor off"},
	{"wait", WORDS(block, "poll", "block"), .is = "neither poll nor block"},
	{"duration", REAL(duration_s, 0.001, SECONDS_MAX),
		.is = "not a number of seconds from 0.001"},
	{"count", WHOLE(count, 1, UINT64_MAX / ARGS_SIZE_MAX), .is = "not a number of requests from 1"},
	{"warm-up", REAL(warm_up_s, 0, SECONDS_MAX), .is = "not a number of seconds"},
	{"period", REAL(period_ms, 0.1, 1e6), .is = "not a number of milliseconds from 0.1"},
	{"periods", WHOLE(nr_periods, 1, PERIODS_MAX), .is = "not a number from 1 to 1000"},
	{"rate", REAL(rate, 0.001, 1e9), .is = "not a number of requests a second up to 1e9"},
	{"timeout", REAL(timeout_s, 0.01, SECONDS_MAX),
		.is = "not a number of seconds from 0.01"},
	{"pin", WHOLE(pin, 0, 1023), .is = "not the number of a CPU"},
	{"json", FLAG(json)},
	{"pid", WHOLE(pid, 1, INT32_MAX), .is = "not a process id"},
	{"limits", FLAG(limits)},
	{"limits-cpu", WHOLE(limits_cpu, 0, 1023), .is = "not the number of a CPU"},
	{"source", TEXT(source)},
	{"verify", FLAG(verify)},
	{"output", TEXT(output)},
};
/* clang-format on */

#define NR_ROWS	    (sizeof(rows) / sizeof(rows[0]))
#define ROW_BASE    256 /* of getopt_long()'s results: above every letter */
#define OPT_VERSION (ROW_BASE + (int)NR_ROWS)

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
	for (unsigned i = 0; i < args->sizes.n; i++)
		if (args->sizes.values[i] < args->chain)
			return refuse("--size %u has no byte for each of --chain %u descriptors",
				args->sizes.values[i], args->chain);
	for (unsigned i = 0; i < args->depths.n; i++) {
		uint64_t need = (uint64_t)args->depths.values[i] * args_direct(args);
		unsigned room = args->queue_size != 0 ? args->queue_size : DRIVER_SIZE_MAX;

		if (need > room)
			return refuse("--depth %u needs %llu descriptors, the queue has %u",
				args->depths.values[i], (unsigned long long)need, room);
	}
	if (args->period_ms > 0) {
		/* The first begins within one; the last is over when the next has an answer. */
		args->duration_s = args->period_ms / 1e3 * (args->nr_periods + 2);
		args->timeout_s += 2 * args->period_ms / 1e3;
	}
	args->numbered = args->nr_guests > 0;
	if (!args->numbered)
		args->nr_guests = 1;
	if (args->warm_up_s < 0)
		args->warm_up_s = args->count != 0 ? 0 : 0.5;
	if (args->json && args->output != NULL && strcmp(args->output, "-") == 0)
		return refuse("--json and --output - both want stdout");
	return ARGS_RUN;
}

/* What getopt_long(3) wants to know. */
static void list_options(struct option options[NR_ROWS + 3])
{
	unsigned n = 0;

	for (; n < NR_ROWS; n++)
		options[n] = (struct option){
			.name = rows[n].name,
			.has_arg = rows[n].set != NULL ? required_argument : no_argument,
			.val = ROW_BASE + (int)n,
		};
	options[n++] = (struct option){.name = "help", .val = 'h'};
	options[n++] = (struct option){.name = "version", .val = OPT_VERSION};
	options[n] = (struct option){0};
}

static const struct row *row_of(int c)
{
	unsigned i = 0;

	while (c != ROW_BASE + (int)i && c != rows[i].letter)
		i++;
	return &rows[i];
}

static enum args_result set(struct args *args, const struct row *row, const char *value)
{
	void *to = (char *)args + row->at;

	if (row->set == NULL) {
		*(bool *)to = true;
		return ARGS_RUN;
	}
	if (value[0] == '\0')
		return refuse("an option has an empty value");
	if (!row->set(row, to, value))
		return refuse("--%s '%s' is %s", row->name, value, row->is);
	return ARGS_RUN;
}

enum args_result args_parse(int argc, char **argv, struct args *args)
{
	struct option options[NR_ROWS + 3];
	int c;

	*args = (struct args){
		.sizes = {.values = {64}, .n = 1},
		.depths = {.values = {1}, .n = 1},
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
	list_options(options);
	optind = 0; /* start anew (GNU) */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:n:h", options, NULL)) != -1) {
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
		if (set(args, row_of(c), optarg) != ARGS_RUN)
			return ARGS_REFUSED;
	}
	if (optind < argc)
		return refuse("'%s' is not an option", argv[optind]);
	return check_together(args);
}
