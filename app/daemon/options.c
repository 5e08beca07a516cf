/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include "budget.h"
#include "names.h"
#include "parse.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: dpdk-vhost-rng [EAL options --] [options]\n"
	"\n"
	"Give virtual machines a virtio random number generator over vhost-user.\n"
	"\n"
	"  -s, --socket-path PATH    socket to serve; guests connect to PATH0, PATH1, ...\n"
	"                            (required, unless there is --control-socket)\n"
	"  -c, --socket-count N      number of sockets, one guest each: 1 to 511, with\n"
	"                            --client 1 to 1023 (1)\n"
	"      --client              connect to sockets that the front-ends make (QEMU:\n"
	"                            server=on), again and again; a restart of this program\n"
	"                            is then not noticed by the guests\n"
	"  -m, --max-bytes BYTES     what all guests together may read in a period: 1 to\n"
	"                            2^63-1; each socket has an equal share (no limit)\n"
	"  -p, --period MS           length of that period in milliseconds: 1 to 2^32-1\n"
	"                            (65536)\n"
	"      --max-requests N      requests of all guests together in a period: 1 to 2^63-1\n"
	"                            (no limit)\n"
	"      --sharing HOW         strict: a share that is not used is gone; fair: others\n"
	"                            that want more get it (strict)\n"
	"      --refill HOW          period: shares are there at its start; smooth: they come\n"
	"                            evenly (period)\n"
	"      --burst BYTES         what a guest may keep of its share for later periods (0)\n"
	"      --burst-once BYTES    what a guest may have beyond its share, one time (0)\n"
	"      --guest N[-M],KEY=VALUE,...  other terms for these sockets, given as often as\n"
	"                            needed; keys: weight (1 to 1000, 1), cap (most bytes that\n"
	"                            come in a period), burst, burst-once\n"
	"      --turn-bytes BYTES    what one guest gets at most before the next one has its\n"
	"                            turn: 64 to 2^30 (256Ki); beside others 64Ki at most\n"
	"  -f, --filename FILE       where the random bytes come from (/dev/urandom); given\n"
	"      --rng-source FILE     again, up to 8 times: the next serves when one fails\n"
	"      --source-mode MODE    passthrough: guests get the source's own bytes;\n"
	"                            drbg: it seeds an AES-256 CTR_DRBG on each lcore\n"
	"                            (passthrough)\n"
	"      --source-entropy BITS min-entropy of a source's byte for the health tests, 0.1\n"
	"                            to 8 (8 for /dev/random and /dev/urandom, else 1)\n"
	"      --source-mix          drbg: seed from all sources that are well\n"
	"      --source-failure POLICY  drbg: stop or continue when a reseed is due and no\n"
	"                            source is well (stop)\n"
	"      --reseed-bytes BYTES  drbg: reseed after so many bytes of an lcore (1Gi)\n"
	"      --reseed-time SECONDS drbg: reseed at least so often (60)\n"
	"      --socket-mode MODE    access rights of the sockets, octal (0600)\n"
	"      --socket-group GROUP  group of the sockets, name or number\n"
	"      --user USER[:GROUP]   become this user, when all is open\n"
	"      --sandbox WORDS       on, off, require (or do not start), or no-namespaces, no-caps,\n"
	"                            no-landlock, no-seccomp, with commas between (on)\n"
	"      --sandbox-dir DIR     sockets and sources may be here later, too; given again, up\n"
	"                            to 8 times\n"
	"      --core-dumps          allow core dumps, and debuggers without root\n"
	"      --lcores LIST         CPUs that poll, as 2,4-6; after -- : lcores of the EAL\n"
	"                            (one, not the one that controls)\n"
	"      --control-socket PATH where the daemon is told what to do while it runs, by\n"
	"                            dpdk-vhost-rng-ctl.py or in JSON (none)\n"
	"      --idle POLICY         what an lcore does without work: poll; pause, to save power;\n"
	"                            adaptive: sleep until a guest kicks, on shared hosts (poll)\n"
	"      --idle-spin-us US     pause, adaptive: poll so long first, 0 to 1000000 (50)\n"
	"      --idle-max-sleep-us US  adaptive: longest sleep on the way to waiting for kicks,\n"
	"                            0 to 10000 (50)\n"
	"      --log-level LEVEL     error, warning, notice, info or debug (info)\n"
	"  -h, --help                this text\n"
	"      --version             the version\n"
	"\n"
	"BYTES takes k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (powers of 1024).\n"
	"Without -- the EAL's options are worked out: no hugepages, one CPU\n"
	"for control. With -- the words before it go to the EAL as they are.\n";

enum {
	OPT_MAX_REQUESTS = 256,
	OPT_SHARING,
	OPT_REFILL,
	OPT_BURST,
	OPT_BURST_ONCE,
	OPT_GUEST,
	OPT_TURN_BYTES,
	OPT_SOURCE_MODE,
	OPT_SOURCE_ENTROPY,
	OPT_SOURCE_MIX,
	OPT_SOURCE_FAILURE,
	OPT_RESEED_BYTES,
	OPT_RESEED_TIME,
	OPT_CLIENT,
	OPT_SOCKET_MODE,
	OPT_SOCKET_GROUP,
	OPT_USER,
	OPT_SANDBOX,
	OPT_SANDBOX_DIR,
	OPT_CORE_DUMPS,
	OPT_LCORES,
	OPT_CONTROL_SOCKET,
	OPT_IDLE,
	OPT_IDLE_SPIN,
	OPT_IDLE_SLEEP,
	OPT_LOG_LEVEL,
	OPT_VERSION,
};

static const char short_options[] = ":s:c:m:p:f:h";

static const struct option long_options[] = {
	{"socket-path", required_argument, NULL, 's'},
	{"socket-count", required_argument, NULL, 'c'},
	{"max-bytes", required_argument, NULL, 'm'},
	{"period", required_argument, NULL, 'p'},
	{"max-requests", required_argument, NULL, OPT_MAX_REQUESTS},
	{"sharing", required_argument, NULL, OPT_SHARING},
	{"refill", required_argument, NULL, OPT_REFILL},
	{"burst", required_argument, NULL, OPT_BURST},
	{"burst-once", required_argument, NULL, OPT_BURST_ONCE},
	{"guest", required_argument, NULL, OPT_GUEST},
	{"turn-bytes", required_argument, NULL, OPT_TURN_BYTES},
	{"filename", required_argument, NULL, 'f'},
	{"rng-source", required_argument, NULL, 'f'},
	{"source-mode", required_argument, NULL, OPT_SOURCE_MODE},
	{"source-entropy", required_argument, NULL, OPT_SOURCE_ENTROPY},
	{"source-mix", no_argument, NULL, OPT_SOURCE_MIX},
	{"source-failure", required_argument, NULL, OPT_SOURCE_FAILURE},
	{"reseed-bytes", required_argument, NULL, OPT_RESEED_BYTES},
	{"reseed-time", required_argument, NULL, OPT_RESEED_TIME},
	{"client", no_argument, NULL, OPT_CLIENT},
	{"socket-mode", required_argument, NULL, OPT_SOCKET_MODE},
	{"socket-group", required_argument, NULL, OPT_SOCKET_GROUP},
	{"user", required_argument, NULL, OPT_USER},
	{"sandbox", required_argument, NULL, OPT_SANDBOX},
	{"sandbox-dir", required_argument, NULL, OPT_SANDBOX_DIR},
	{"core-dumps", no_argument, NULL, OPT_CORE_DUMPS},
	{"lcores", required_argument, NULL, OPT_LCORES},
	{"control-socket", required_argument, NULL, OPT_CONTROL_SOCKET},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"idle-spin-us", required_argument, NULL, OPT_IDLE_SPIN},
	{"idle-max-sleep-us", required_argument, NULL, OPT_IDLE_SLEEP},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

__attribute__((format(printf, 1, 2))) static enum options_result refuse(const char *format, ...)
{
	va_list ap;

	fputs("dpdk-vhost-rng: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs("; see --help\n", stderr);
	return OPTIONS_REFUSED;
}

static int parse_octal(const char *s, mode_t *mode)
{
	unsigned long v;
	char *end;

	if (s[0] < '0' || s[0] > '7')
		return -EINVAL;
	v = strtoul(s, &end, 8);
	if (*end != '\0' || v > 0777)
		return -EINVAL;
	*mode = (mode_t)v;
	return 0;
}

/* Digits, and perhaps a point and digits. */
static int parse_bits(const char *s, double *bits)
{
	size_t whole = strspn(s, "0123456789"), fraction = 0;

	if (whole > 0 && s[whole] == '.')
		fraction = 1 + strspn(s + whole + 1, "0123456789");
	if (whole == 0 || fraction == 1 || s[whole + fraction] != '\0')
		return -EINVAL;
	*bits = strtod(s, NULL);
	return *bits >= 0.1 && *bits <= 8 ? 0 : -ERANGE;
}

/* "KEY=VALUE" of a --guest option. */
static enum options_result parse_guest_key(
	const char *arg, const char *key, const char *value, struct options_rule *rule)
{
	const bool is_weight = strcmp(key, "weight") == 0;
	uint64_t v, *to;
	int err;

	if (strcmp(key, "cap") == 0)
		to = &rule->cap;
	else if (strcmp(key, "burst") == 0)
		to = &rule->burst;
	else if (strcmp(key, "burst-once") == 0)
		to = &rule->burst_once;
	else if (is_weight)
		to = &rule->weight;
	else
		return refuse("--guest '%s' has a key that is not weight, cap, burst or "
			      "burst-once: '%s'",
			arg, key);
	if (is_weight)
		err = parse_range(value, 1, OPTIONS_WEIGHT_MAX, &v);
	else
		err = parse_bytes(value, to == &rule->cap, INT64_MAX, &v);
	if (err != 0)
		return refuse("--guest '%s' has a bad value for %s: '%s'", arg, key, value);
	*to = v;
	return OPTIONS_RUN;
}

/* "N[-M],KEY=VALUE,...", into the next rule. */
static enum options_result parse_guest(const char *arg, struct options *opt)
{
	struct options_rule *rule = &opt->rules[opt->n_rules];
	char text[256], *rest = text, *key;

	if (opt->n_rules == OPTIONS_RULES_MAX)
		return refuse("--guest '%s' is one more than the %d there can be: use ranges", arg,
			OPTIONS_RULES_MAX);
	if ((size_t)snprintf(text, sizeof(text), "%s", arg) >= sizeof(text))
		return refuse("--guest '%s' is too long", arg);
	*rule = (struct options_rule){.cap = OPTIONS_AS_IT_WAS,
		.burst = OPTIONS_AS_IT_WAS,
		.burst_once = OPTIONS_AS_IT_WAS,
		.weight = OPTIONS_AS_IT_WAS};
	if (parse_span(strsep(&rest, ","), &rule->first, &rule->last) != 0 || rest == NULL)
		return refuse("--guest '%s' does not begin with the number of a socket, or two of "
			      "them, such as 0,weight=2 or 4-7,cap=1M",
			arg);
	while ((key = strsep(&rest, ",")) != NULL) {
		char *value = key;
		enum options_result r;

		key = strsep(&value, "=");
		r = parse_guest_key(arg, key, value != NULL ? value : "", rule);
		if (r != OPTIONS_RUN)
			return r;
	}
	opt->n_rules++;
	return OPTIONS_RUN;
}

/* One of two words. */
static enum options_result parse_choice(
	const char *name, const char *arg, const char *no, const char *yes, bool *value)
{
	if (strcmp(arg, no) != 0 && strcmp(arg, yes) != 0)
		return refuse("%s '%s' is not %s or %s", name, arg, no, yes);
	*value = strcmp(arg, yes) == 0;
	return OPTIONS_RUN;
}

static enum options_result parse_amount(const char *name, const char *arg, uint64_t min,
	uint64_t max, const char *range, uint64_t *value)
{
	if (parse_bytes(arg, min, max, value) != 0)
		return refuse("%s '%s' is not a number of bytes from %s, such as 512, 64k or 1Mi",
			name, arg, range);
	return OPTIONS_RUN;
}

/* What guests may have. */
static enum options_result parse_budget_option(int c, const char *arg, struct options *opt)
{
	uint64_t v;

	switch (c) {
	case 'm':
		return parse_amount(
			"--max-bytes", arg, 1, INT64_MAX, "1 to 2^63-1", &opt->max_bytes);
	case 'p':
		if (parse_range(arg, 1, UINT32_MAX, &v) != 0)
			return refuse(
				"--period '%s' is not a whole number of milliseconds from 1 to "
				"4294967295",
				arg);
		opt->period_ms = (uint32_t)v;
		return OPTIONS_RUN;
	case OPT_MAX_REQUESTS:
		if (parse_range(arg, 1, INT64_MAX, &opt->max_requests) != 0)
			return refuse(
				"--max-requests '%s' is not a whole number from 1 to 2^63-1", arg);
		return OPTIONS_RUN;
	case OPT_SHARING:
		return parse_choice("--sharing", arg, "strict", "fair", &opt->fair);
	case OPT_REFILL:
		return parse_choice("--refill", arg, "period", "smooth", &opt->smooth);
	case OPT_BURST:
		return parse_amount("--burst", arg, 0, INT64_MAX, "0 to 2^63-1", &opt->burst);
	case OPT_BURST_ONCE:
		return parse_amount(
			"--burst-once", arg, 0, INT64_MAX, "0 to 2^63-1", &opt->burst_once);
	case OPT_GUEST:
		return parse_guest(arg, opt);
	default: /* OPT_TURN_BYTES */
		return parse_amount(
			"--turn-bytes", arg, 64, 1 << 30, "64 to 2^30", &opt->turn_bytes);
	}
}

/* What is made of the source. */
static enum options_result parse_entropy_option(int c, const char *arg, struct options *opt)
{
	uint64_t v;

	switch (c) {
	case OPT_SOURCE_MODE:
		return parse_choice("--source-mode", arg, "passthrough", "drbg", &opt->drbg);
	case OPT_SOURCE_ENTROPY:
		if (parse_bits(arg, &opt->source_entropy) != 0)
			return refuse(
				"--source-entropy '%s' is not a number of bits from 0.1 to 8, "
				"such as 4 or 0.5",
				arg);
		return OPTIONS_RUN;
	case OPT_SOURCE_MIX:
		opt->source_mix = true;
		opt->drbg_only = "--source-mix";
		return OPTIONS_RUN;
	case OPT_SOURCE_FAILURE:
		opt->drbg_only = "--source-failure";
		return parse_choice(
			"--source-failure", arg, "stop", "continue", &opt->continue_unseeded);
	case OPT_RESEED_BYTES:
		opt->drbg_only = "--reseed-bytes";
		return parse_amount(
			"--reseed-bytes", arg, 1, INT64_MAX, "1 to 2^63-1", &opt->reseed_bytes);
	default: /* OPT_RESEED_TIME */
		if (parse_range(arg, 1, UINT32_MAX, &v) != 0)
			return refuse(
				"--reseed-time '%s' is not a whole number of seconds from 1 to "
				"4294967295",
				arg);
		opt->reseed_s = (uint32_t)v;
		opt->drbg_only = "--reseed-time";
		return OPTIONS_RUN;
	}
}

/* What lcores do without work. */
static enum options_result parse_idle_option(int c, const char *arg, struct options *opt)
{
	static const char *const policies[] = {
		[IDLE_POLL] = "poll", [IDLE_PAUSE] = "pause", [IDLE_ADAPTIVE] = "adaptive"};
	uint64_t max_us = c == OPT_IDLE_SPIN ? 1000000 : 10000, us;

	if (c == OPT_IDLE) {
		for (unsigned i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
			if (strcmp(arg, policies[i]) == 0) {
				opt->idle.policy = i;
				return OPTIONS_RUN;
			}
		}
		return refuse("--idle '%s' is not poll, pause or adaptive", arg);
	}
	if (parse_range(arg, 0, max_us, &us) != 0)
		return refuse("%s '%s' is not a whole number of microseconds from 0 to %" PRIu64,
			c == OPT_IDLE_SPIN ? "--idle-spin-us" : "--idle-max-sleep-us", arg, max_us);
	opt->idle_times_given = true;
	*(c == OPT_IDLE_SPIN ? &opt->idle.spin_ns : &opt->idle.max_sleep_ns) = us * 1000;
	return OPTIONS_RUN;
}

static enum options_result parse_sandbox_option(int c, const char *arg, struct sandbox_options *so)
{
	switch (c) {
	case OPT_USER:
		if (arg[0] == '\0')
			return refuse("--user is empty: give a user such as nobody or vrng:kvm");
		so->user = arg;
		break;
	case OPT_SANDBOX:
		if (sandbox_parse(arg, so) != 0)
			return refuse("--sandbox '%s' is not on, off, require, no-namespaces, "
				      "no-caps, no-landlock or no-seccomp, with commas between",
				arg);
		break;
	case OPT_SANDBOX_DIR:
		if (arg[0] == '\0')
			return refuse("--sandbox-dir is empty: give a directory");
		if (so->n_dirs == SANDBOX_DIRS_MAX)
			return refuse("--sandbox-dir '%s' is one more than the %d there can be",
				arg, SANDBOX_DIRS_MAX);
		so->dirs[so->n_dirs++] = arg;
		break;
	case OPT_CORE_DUMPS:
		so->core_dumps = true;
		break;
	}
	return OPTIONS_RUN;
}

static enum options_result parse_one(int c, const char *arg, struct options *opt)
{
	uint64_t v;

	switch (c) {
	case 's':
		if (arg[0] == '\0')
			return refuse("--socket-path is empty: give a path such as /run/rng.sock");
		opt->socket_path = arg;
		break;
	case 'c':
		/* More than one process can serve is not a typing error: main says so. */
		if (parse_range(arg, 1, UINT32_MAX, &v) != 0)
			return refuse("--socket-count '%s' is not a whole number from 1 to %d, or "
				      "%d with --client",
				arg, OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
		opt->socket_count = (uint32_t)v;
		break;
	case 'm':
	case 'p':
	case OPT_MAX_REQUESTS:
	case OPT_SHARING:
	case OPT_REFILL:
	case OPT_BURST:
	case OPT_BURST_ONCE:
	case OPT_GUEST:
	case OPT_TURN_BYTES:
		return parse_budget_option(c, arg, opt);
	case 'f':
		if (arg[0] == '\0')
			return refuse("--filename is empty: give a file such as /dev/urandom");
		if (opt->n_sources == OPTIONS_SOURCES_MAX)
			return refuse(
				"--filename '%s' is one more than the %d sources there can be", arg,
				OPTIONS_SOURCES_MAX);
		opt->sources[opt->n_sources++] = arg;
		break;
	case OPT_SOURCE_MODE:
	case OPT_SOURCE_ENTROPY:
	case OPT_SOURCE_MIX:
	case OPT_SOURCE_FAILURE:
	case OPT_RESEED_BYTES:
	case OPT_RESEED_TIME:
		return parse_entropy_option(c, arg, opt);
	case OPT_CLIENT:
		opt->client = true;
		break;
	case OPT_SOCKET_MODE:
		opt->server_only = "--socket-mode";
		if (parse_octal(arg, &opt->socket_mode) != 0)
			return refuse(
				"--socket-mode '%s' is not an octal mode from 0 to 0777, such as "
				"0660",
				arg);
		break;
	case OPT_SOCKET_GROUP:
		opt->server_only = "--socket-group";
		if (arg[0] == '\0')
			return refuse("--socket-group is empty: give a group's name or number");
		opt->socket_group = arg;
		break;
	case OPT_USER:
	case OPT_SANDBOX:
	case OPT_SANDBOX_DIR:
	case OPT_CORE_DUMPS:
		return parse_sandbox_option(c, arg, &opt->sandbox);
	case OPT_LCORES:
		if (parse_list(arg, opt->lcores, OPTIONS_LCORES_MAX, &opt->n_lcores) != 0)
			return refuse(
				"--lcores '%s' is not a list of at most %d different CPUs, such "
				"as 2,4-6",
				arg, OPTIONS_LCORES_MAX);
		break;
	case OPT_CONTROL_SOCKET:
		if (arg[0] == '\0')
			return refuse("--control-socket is empty: give a path such as "
				      "/run/rng-control.sock");
		opt->control_socket = arg;
		break;
	case OPT_IDLE:
	case OPT_IDLE_SPIN:
	case OPT_IDLE_SLEEP:
		return parse_idle_option(c, arg, opt);
	case OPT_LOG_LEVEL:
		if (names_find_log_level(arg, &opt->log_level) != 0)
			return refuse(
				"--log-level '%s' is not error, warning, notice, info or debug",
				arg);
		break;
	}
	return OPTIONS_RUN;
}

uint32_t options_sockets_max(const struct options *opt)
{
	return opt->client ? OPTIONS_SOCKETS_MAX_CLIENT : OPTIONS_SOCKETS_MAX;
}

int options_find_separator(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	return 0;
}

enum options_result options_parse(int argc, char **argv, struct options *opt)
{
	int c;

	*opt = (struct options){
		.period_ms = 65536,
		.max_bytes = BUDGET_UNLIMITED,
		.max_requests = BUDGET_UNLIMITED,
		.turn_bytes = 256 * 1024,
		.reseed_bytes = UINT64_C(1) << 30,
		.reseed_s = 60,
		.socket_mode = 0600,
		.idle = {.policy = IDLE_POLL, .spin_ns = 50000, .max_sleep_ns = 50000},
		.log_level = 7,
	};
	optind = 0; /* start anew (GNU) */
	opterr = 0;
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		enum options_result r;

		switch (c) {
		case 'h':
			fputs(usage, stdout);
			return OPTIONS_EXIT;
		case OPT_VERSION:
			puts("dpdk-vhost-rng " VRNG_VERSION);
			return OPTIONS_EXIT;
		case ':':
			return refuse("option '%s' needs a value", argv[optind - 1]);
		case '?':
			/* A letter that is known stands for its long name, with a value. */
			if (optopt > 0 && optopt < 256 && strchr(short_options, optopt) == NULL)
				return refuse("option '-%c' is not known", optopt);
			return refuse(
				"option '%s' is not known, or has a value that it does not take, "
				"or is short for several",
				argv[optind - 1]);
		}
		r = parse_one(c, optarg, opt);
		if (r != OPTIONS_RUN)
			return r;
	}
	if (optind < argc)
		return refuse("'%s' is not an option", argv[optind]);
	if (opt->socket_path == NULL && opt->control_socket == NULL)
		return refuse("--socket-path is missing: give a path such as /run/rng.sock");
	if (opt->socket_path == NULL && opt->socket_count > 0)
		return refuse("--socket-count is for --socket-path: add that, or leave it out");
	if (opt->socket_path != NULL && opt->socket_count == 0)
		opt->socket_count = 1;
	if (opt->drbg_only != NULL && !opt->drbg)
		return refuse(
			"%s is for --source-mode drbg: add that, or leave it out", opt->drbg_only);
	if (opt->idle_times_given && opt->idle.policy == IDLE_POLL)
		return refuse("--idle-spin-us and --idle-max-sleep-us are for --idle adaptive (and "
			      "pause): add that, or leave them out");
	if (opt->server_only != NULL && opt->client)
		return refuse("%s is for sockets that this program makes, with --client the "
			      "front-ends make them: leave one of the two out",
			opt->server_only);
	for (unsigned i = 0; i < opt->n_rules; i++)
		if (opt->rules[i].last >= opt->socket_count)
			return refuse("--guest names socket %" PRIu64
				      ", but --socket-count has only %" PRIu32,
				opt->rules[i].last, opt->socket_count);
	if (opt->n_sources == 0)
		opt->sources[opt->n_sources++] = "/dev/urandom";
	return OPTIONS_RUN;
}
