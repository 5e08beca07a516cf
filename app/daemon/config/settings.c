/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/settings.h"

#include "names.h"
#include "parse.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Above every letter. */
#define RESULT_BASE 256

/* Kinds of rows */

#define AT(field) \
	.at = offsetof(struct options, field), .size = sizeof(((struct options *)0)->field)

#define TEXT(field, example, nothing)                                                   \
	.set = setting_text, .print = setting_print_text, AT(field), .what = (example), \
	.otherwise = (nothing)

#define BYTES(field, least, most)                                                       \
	.set = setting_bytes, .print = setting_print_number, AT(field), .min = (least), \
	.max = (most)

#define NUMBER(field, least, most)                                                       \
	.set = setting_number, .print = setting_print_number, AT(field), .min = (least), \
	.max = (most)

#define WORDS(field, ...) \
	.set = setting_word, .print = setting_print_word, AT(field), .words = {__VA_ARGS__}

#define FLAG(field) WORDS(field, "no", "yes")

#define LIST(one) .set = settings_##one, .print = settings_print_##one##s

/* Kinds of which there is one */

static int set_socket_count(const struct setting *s, void *to, const char *value, struct why *why)
{
	uint64_t v;

	(void)s;
	/* More than one process can serve is not a typing error: that is said later. */
	if (parse_range(value, 1, UINT32_MAX, &v) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not a whole number from 1 to %d, or %d with --client", value,
			OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
	*(uint32_t *)to = (uint32_t)v;
	return 0;
}

static void print_socket_count(const struct setting *s, const void *from, FILE *file)
{
	if (*(const uint32_t *)from > 0)
		setting_print_number(s, from, file);
}

/* Digits, and perhaps a point and digits. */
static int set_entropy(const struct setting *s, void *to, const char *value, struct why *why)
{
	size_t whole = strspn(value, "0123456789"), fraction = 0;
	double bits = 0;

	(void)s;
	if (whole > 0 && value[whole] == '.')
		fraction = 1 + strspn(value + whole + 1, "0123456789");
	if (whole > 0 && fraction != 1 && value[whole + fraction] == '\0')
		bits = strtod(value, NULL);
	if (bits < 0.1 || bits > 8)
		return why_set(why, -EINVAL,
			"'%s' is not a number of bits from 0.1 to 8, such as 4 or 0.5", value);
	*(double *)to = bits;
	return 0;
}

static void print_entropy(const struct setting *s, const void *from, FILE *file)
{
	double bits = *(const double *)from;

	if (bits > 0)
		fprintf(file, "%s = %.17g\n", s->name, bits);
	else
		setting_print_nothing(s, file);
}

static int set_sandbox(const struct setting *s, void *to, const char *value, struct why *why)
{
	(void)s;
	if (sandbox_parse(value, to) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not on, off, require, no-namespaces, no-caps, no-landlock or "
			"no-seccomp, with commas between",
			value);
	return 0;
}

static void print_sandbox(const struct setting *s, const void *from, FILE *file)
{
	char words[SANDBOX_WORDS_SIZE];

	sandbox_words(from, words);
	fprintf(file, "%s = %s\n", s->name, words);
}

static int set_log_level(const struct setting *s, void *to, const char *value, struct why *why)
{
	(void)s;
	if (names_find_log_level(value, to) != 0)
		return why_set(
			why, -EINVAL, "'%s' is not error, warning, notice, info or debug", value);
	return 0;
}

static void print_log_level(const struct setting *s, const void *from, FILE *file)
{
	fprintf(file, "%s = %s\n", s->name, names_log_level(*(const int *)from));
}

/* Options that mean something only with others */

static bool makes_sockets(const struct options *opt)
{
	return !opt->client;
}

static bool has_drbg(const struct options *opt)
{
	return opt->drbg;
}

static bool can_idle(const struct options *opt)
{
	return opt->idle.policy != IDLE_POLL;
}

static const struct setting_condition
	with_own_sockets = {makes_sockets,
		"is for sockets that this program makes, with --client the front-ends make them: leave one "
		"of the two out"},
	with_drbg = {has_drbg, "is for --source-mode drbg: add that, or leave it out"},
	with_idle = {can_idle, "is for --idle adaptive or pause: add that, or leave it out"};

/* clang-format off */
static const struct setting settings[] = {
	{"socket-path", TEXT(socket_path, "a path such as /run/rng.sock", "none"), .live = true,
		.letter = 's', .takes = "PATH", .help =
		"socket to serve; guests connect to PATH0, PATH1, ...\n"
		"(required, unless there are --control-socket or --config)"},
	{"socket-count", .set = set_socket_count, .print = print_socket_count, AT(socket_count),
		.live = true, .letter = 'c', .takes = "N", .help =
		"number of sockets, one guest each: 1 to 511, with\n"
		"--client 1 to 1023 (1)"},
	{"client", FLAG(client), .live = true, .help =
		"connect to sockets that the front-ends make (QEMU:\n"
		"server=on), again and again; a restart of this program\n"
		"is then not noticed by the guests"},
	{"socket-mode", .set = setting_mode, .print = setting_print_mode, AT(socket_mode),
		.live = true, .only = &with_own_sockets, .takes = "MODE", .help =
		"access rights of the sockets, octal (0600)"},
	{"socket-group", TEXT(socket_group, "a group's name or number", "the process's"),
		.live = true, .only = &with_own_sockets, .takes = "GROUP", .help =
		"group of the sockets, name or number"},
	{"max-bytes", BYTES(max_bytes, 1, INT64_MAX), .otherwise = "no limit", .live = true,
		.letter = 'm', .takes = "BYTES", .help =
		"what all guests together may read in a period: 1 to\n"
		"2^63-1; each socket has an equal share (no limit)"},
	{"period", NUMBER(period_ms, 1, UINT32_MAX), .what = "milliseconds",
		.letter = 'p', .takes = "MS", .help =
		"length of that period in milliseconds: 1 to 2^32-1\n"
		"(65536)"},
	{"max-requests", NUMBER(max_requests, 1, INT64_MAX), .otherwise = "no limit",
		.live = true, .takes = "N", .help =
		"requests of all guests together in a period: 1 to 2^63-1\n"
		"(no limit)"},
	{"sharing", WORDS(fair, "strict", "fair"), .takes = "HOW", .help =
		"strict: a share that is not used is gone; fair: others\n"
		"that want more get it (strict)"},
	{"refill", WORDS(smooth, "period", "smooth"), .takes = "HOW", .help =
		"period: shares are there at its start; smooth: they come\n"
		"evenly (period)"},
	{"burst", BYTES(burst, 0, INT64_MAX), .live = true, .takes = "BYTES", .help =
		"what a guest may keep of its share for later periods (0)"},
	{"burst-once", BYTES(burst_once, 0, INT64_MAX), .live = true, .takes = "BYTES", .help =
		"what a guest may have beyond its share, one time (0)"},
	{"guest", LIST(rule), .several = true, .live = true,
		.takes = "N[-M],KEY=VALUE,...", .help =
		"other terms for these sockets, given as often as\n"
		"needed; keys: weight (1 to 1000, 1), cap (most bytes that\n"
		"come in a period), burst, burst-once"},
	{"turn-bytes", BYTES(turn_bytes, 64, 1 << 30), .takes = "BYTES", .help =
		"what one guest gets at most before the next one has its\n"
		"turn: 64 to 2^30 (256Ki); beside others 64Ki at most"},
	{"filename", LIST(source), .several = true, .letter = 'f', .takes = "FILE", .help =
		"where the random bytes come from (/dev/urandom); given"},
	{"rng-source", .set = settings_source, .several = true, .takes = "FILE", .help =
		"again, up to 8 times: the next serves when one fails"},
	{"source-mode", WORDS(drbg, "passthrough", "drbg"), .takes = "MODE", .help =
		"passthrough: guests get the source's own bytes;\n"
		"drbg: it seeds an AES-256 CTR_DRBG on each lcore\n"
		"(passthrough)"},
	{"source-entropy", .set = set_entropy, .print = print_entropy, AT(source_entropy),
		.otherwise = "by the kind of source", .takes = "BITS", .help =
		"min-entropy of a source's byte for the health tests, 0.1\n"
		"to 8 (8 for /dev/random and /dev/urandom, else 1)"},
	{"source-mix", FLAG(source_mix), .only = &with_drbg, .help =
		"drbg: seed from all sources that are well"},
	{"source-failure", WORDS(continue_unseeded, "stop", "continue"), .only = &with_drbg,
		.takes = "POLICY", .help =
		"drbg: stop or continue when a reseed is due and no\n"
		"source is well (stop)"},
	{"reseed-bytes", BYTES(reseed_bytes, 1, INT64_MAX), .only = &with_drbg,
		.takes = "BYTES", .help =
		"drbg: reseed after so many bytes of an lcore (1Gi)"},
	{"reseed-time", NUMBER(reseed_s, 1, UINT32_MAX), .what = "seconds", .live = true,
		.only = &with_drbg, .takes = "SECONDS", .help =
		"drbg: reseed at least so often (60)"},
	{"user", TEXT(sandbox.user, "a user such as nobody or vrng:kvm", "who starts it"),
		.takes = "USER[:GROUP]", .help =
		"become this user, when all is open"},
	{"sandbox", .set = set_sandbox, .print = print_sandbox, AT(sandbox), .takes = "WORDS",
		.help =
		"on, off, require (or do not start), or no-namespaces, no-caps,\n"
		"no-landlock, no-seccomp, with commas between (on)"},
	{"sandbox-dir", LIST(sandbox_dir), .several = true, .takes = "DIR", .help =
		"sockets and sources may be here later, too; given again, up\n"
		"to 8 times"},
	{"core-dumps", FLAG(sandbox.core_dumps), .help =
		"allow core dumps, and debuggers without root"},
	{"lcores", LIST(lcore), .otherwise = "one, not the one that controls",
		.takes = "LIST", .help =
		"CPUs that poll, as 2,4-6; after -- : lcores of the EAL\n"
		"(one, not the one that controls)"},
	{"control-socket", TEXT(control_socket, "a path such as /run/rng-control.sock", "none"),
		.takes = "PATH", .help =
		"where the daemon is told what to do while it runs, by\n"
		"dpdk-vhost-rng-ctl.py or in JSON (none)"},
	{"telemetry", FLAG(telemetry), .help =
		"DPDK's telemetry: counters for dpdk-telemetry.py (off)"},
	{"idle", WORDS(idle.policy, "poll", "pause", "adaptive"), .takes = "POLICY", .help =
		"what an lcore does without work: poll; pause, to save power;\n"
		"adaptive: sleep until a guest kicks, on shared hosts (poll)"},
	{"idle-spin-us", NUMBER(idle.spin_ns, 0, 1000000), .what = "microseconds", .scale = 1000,
		.only = &with_idle, .takes = "US", .help =
		"pause, adaptive: poll so long first, 0 to 1000000 (50)"},
	{"idle-max-sleep-us", NUMBER(idle.max_sleep_ns, 0, 10000), .what = "microseconds",
		.scale = 1000, .only = &with_idle, .takes = "US", .help =
		"adaptive: longest sleep on the way to waiting for kicks,\n"
		"0 to 10000 (50)"},
	{"config", TEXT(config, "a file", "none"), .line_only = true, .takes = "FILE", .help =
		"options from a file, and guests by name; what the command\n"
		"line says wins; SIGHUP reads it again (none)"},
	{"check-config", FLAG(check_config), .line_only = true, .help =
		"check all that, print it as such a file, and end"},
	{"eal-options", TEXT(eal_options, "options such as -l 0,1 --in-memory",
		"worked out, or those before --")},
	{"log-level", .set = set_log_level, .print = print_log_level, AT(log_level),
		.live = true, .takes = "LEVEL", .help =
		"error, warning, notice, info or debug (info)"},
	{"help", .line_only = true, .letter = 'h', .help = "this text"},
	{"version", .line_only = true, .help = "the version"},
};
/* clang-format on */

static_assert(LENGTH(settings) <= SETTINGS_MAX, "options.given needs more bits");
static_assert(sizeof(bool) != sizeof(unsigned) && sizeof(enum idle_policy) == sizeof(unsigned),
	"words are kept as bool or unsigned");

const struct setting *settings_find(const char *name)
{
	return setting_find(settings, LENGTH(settings), name);
}

/* The command line */

const struct setting *settings_of_result(int c)
{
	if (c >= RESULT_BASE && c < RESULT_BASE + (int)LENGTH(settings))
		return &settings[c - RESULT_BASE];
	for (unsigned i = 0; i < LENGTH(settings); i++)
		if (settings[i].letter == c && c != '\0')
			return &settings[i];
	return NULL;
}

void settings_getopt(char letters[SETTINGS_LETTERS_SIZE], struct option names[SETTINGS_MAX + 1])
{
	size_t len = 0, n = 0;

	letters[len++] = ':'; /* tell of missing values, and print nothing */
	for (unsigned i = 0; i < LENGTH(settings); i++) {
		const struct setting *s = &settings[i];

		if (s->help == NULL)
			continue;
		names[n++] =
			(struct option){s->name, s->takes != NULL ? required_argument : no_argument,
				NULL, RESULT_BASE + (int)i};
		if (s->letter == '\0')
			continue;
		assert(len + 3 <= SETTINGS_LETTERS_SIZE);
		letters[len++] = s->letter;
		if (s->takes != NULL)
			letters[len++] = ':';
	}
	letters[len] = '\0';
	names[n] = (struct option){0};
}

int settings_set(struct options *opt, const struct setting *s, const char *value, struct why *why)
{
	opt->given |= UINT64_C(1) << (s - settings);
	return s->set(s, (char *)opt + s->at, value, why);
}

int settings_check(const struct options *opt, struct why *why)
{
	for (unsigned i = 0; i < LENGTH(settings); i++) {
		const struct setting *s = &settings[i];

		if ((opt->given >> i & 1) != 0 && s->only != NULL && !s->only->holds(opt))
			return why_set(why, -EINVAL, "--%s %s", s->name, s->only->otherwise);
	}
	return 0;
}

/* For people and files */

static void print_help(const struct setting *s, FILE *file)
{
	const char *rest = s->help;
	char letter[] = "-x, ", head[64];

	letter[1] = s->letter;
	snprintf(head, sizeof(head), "  %s--%s%s%s", s->letter != '\0' ? letter : "    ", s->name,
		s->takes != NULL ? " " : "", s->takes != NULL ? s->takes : "");
	for (unsigned line = 0; *rest != '\0'; line++) {
		int len = (int)strcspn(rest, "\n");

		fprintf(file, "%-27s %.*s\n", line == 0 ? head : "", len, rest);
		rest += len + (rest[len] == '\n');
	}
}

void settings_help(FILE *file)
{
	for (unsigned i = 0; i < LENGTH(settings); i++)
		if (settings[i].help != NULL)
			print_help(&settings[i], file);
}

void settings_print(const struct options *opt, FILE *file)
{
	for (unsigned i = 0; i < LENGTH(settings); i++) {
		const struct setting *s = &settings[i];

		if (s->print != NULL && !s->line_only && (s->only == NULL || s->only->holds(opt)))
			s->print(s, (const char *)opt + s->at, file);
	}
}

unsigned settings_name_fixed(
	const struct options *was, const struct options *is, char *names, size_t size)
{
	unsigned n = 0;
	size_t len = 0;

	names[0] = '\0';
	for (unsigned i = 0; i < LENGTH(settings); i++) {
		const struct setting *s = &settings[i];

		if (s->live || s->line_only || setting_is_same(s, was, is))
			continue;
		if (len < size)
			len += (size_t)snprintf(
				names + len, size - len, "%s%s", n > 0 ? ", " : "", s->name);
		n++;
	}
	return n;
}
