/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/settings.h"

#include "health.h"
#include "log_level.h"
#include "parse.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Kinds of which there is one */

static int set_entropy(const struct setting *s, void *options, const char *value, struct why *why)
{
	uint64_t abits;

	if (parse_decimal(value, HEALTH_BIT_PLACES, &abits) != 0 || abits < HEALTH_BIT / 10 ||
		abits > HEALTH_ENTROPY_MAX)
		return why_set(why, -EINVAL,
			"'%s' is not a number of bits from 0.1 to 8 with at most %d digits after the "
			"point, such as 4 or 0.5",
			value, HEALTH_BIT_PLACES);
	((struct options *)options)->source_entropy_abits = abits;
	return 0;
}

static void print_entropy(const struct setting *s, const void *options, FILE *file)
{
	uint64_t abits = ((const struct options *)options)->source_entropy_abits;
	uint64_t fraction = abits % HEALTH_BIT;
	int places = HEALTH_BIT_PLACES;

	if (abits == 0) {
		setting_print_nothing(s, file);
		return;
	}
	fprintf(file, "%s = %" PRIu64, s->name, abits / HEALTH_BIT);
	for (; fraction > 0 && fraction % 10 == 0; fraction /= 10)
		places--;
	if (fraction > 0)
		fprintf(file, ".%0*" PRIu64, places, fraction);
	fputc('\n', file);
}

static int set_sandbox(const struct setting *s, void *options, const char *value, struct why *why)
{
	if (sandbox_parse(value, &((struct options *)options)->sandbox) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not on, off, require, no-namespaces, no-caps, no-landlock or "
			"no-seccomp, with commas between",
			value);
	return 0;
}

static void print_sandbox(const struct setting *s, const void *options, FILE *file)
{
	char words[SANDBOX_WORDS_SIZE];

	sandbox_words(&((const struct options *)options)->sandbox, words);
	fprintf(file, "%s = %s\n", s->name, words);
}

static int set_lcores(const struct setting *s, void *options, const char *value, struct why *why)
{
	struct options *opt = options;

	if (parse_list(value, opt->lcores, OPTIONS_LCORES_MAX, &opt->n_lcores) != 0)
		return why_set(why, -EINVAL,
			"'%s' is not a list of at most %d different CPUs, such as 2,4-6", value,
			OPTIONS_LCORES_MAX);
	return 0;
}

static void print_lcores(const struct setting *s, const void *options, FILE *file)
{
	const struct options *opt = options;
	char text[OPTIONS_LCORES_MAX * sizeof("4294967295-4294967295,")];
	size_t len = 0;

	if (opt->n_lcores == 0) {
		setting_print_nothing(s, file);
		return;
	}
	for (unsigned i = 0, last; i < opt->n_lcores; i = last + 1) {
		for (last = i; last + 1 < opt->n_lcores; last++)
			if (opt->lcores[last + 1] != opt->lcores[last] + 1)
				break;
		len += (size_t)sprintf(text + len, i > 0 ? ",%u" : "%u", opt->lcores[i]);
		if (last > i)
			len += (size_t)sprintf(text + len, "-%u", opt->lcores[last]);
	}
	setting_print_line(s, text, file);
}

static int set_eal_options(
	const struct setting *s, void *options, const char *value, struct why *why)
{
	const char *rest = value + strspn(value, " \t");
	unsigned n = 0;

	for (; *rest != '\0'; n++) {
		rest += strcspn(rest, " \t");
		rest += strspn(rest, " \t");
	}
	if (n > OPTIONS_EAL_WORDS_MAX)
		return why_set(why, -EINVAL, "has more than %d words", OPTIONS_EAL_WORDS_MAX);
	return setting_text(s, options, value, why);
}

static int set_log_level(const struct setting *s, void *options, const char *value, struct why *why)
{
	if (log_level_find(value, &((struct options *)options)->log_level) != 0)
		return why_set(
			why, -EINVAL, "'%s' is not error, warning, notice, info or debug", value);
	return 0;
}

static void print_log_level(const struct setting *s, const void *options, FILE *file)
{
	const struct options *opt = options;

	fprintf(file, "%s = %s\n", s->name, log_level_name(opt->log_level));
}

/* Options that mean something only with others */

static bool has_path(const void *options)
{
	return ((const struct options *)options)->socket_path != NULL;
}

static bool makes_sockets(const void *options)
{
	return !((const struct options *)options)->client;
}

static bool has_drbg(const void *options)
{
	return ((const struct options *)options)->drbg;
}

static bool can_idle(const void *options)
{
	return ((const struct options *)options)->idle.policy != IDLE_POLL;
}

static const struct setting_condition
	with_path = {has_path, "is for --socket-path: add that, or leave it out"},
	with_own_sockets = {makes_sockets,
		"is for sockets that this program makes, with --client the front-ends make them: leave one "
		"of the two out"},
	with_drbg = {has_drbg, "is for --source-mode drbg: add that, or leave it out"},
	with_idle = {can_idle, "is for --idle adaptive or pause: add that, or leave it out"};

#define OBJECT struct options

/* clang-format off */
static const struct setting rows[] = {
	{"socket-path", TEXT(socket_path), .what = "a path such as /run/rng.sock",
		.otherwise = "none", .live = true, .letter = 's', .takes = "PATH", .help =
		"socket to serve; guests connect to PATH0, PATH1, ...\n"
		"(required, unless there are --control-socket or --config)"},
	/* More than one process can serve is not a typing error: that is said later. */
	{"socket-count", NUMBER(socket_count, 1, UINT32_MAX),
		.limit = "511, or 1023 with --client", .only = &with_path, .live = true,
		.letter = 'c', .takes = "N", .help =
		"number of sockets, one guest each: 1 to 511, with\n"
		"--client 1 to 1023 (1)"},
	{"client", FLAG(client), .live = true, .help =
		"connect to sockets that the front-ends make (QEMU:\n"
		"server=on), again and again; guests of QEMU 7.2 then\n"
		"survive a restart of this program, and QEMU 9.0 and\n"
		"later abort"},
	{"socket-mode", MODE(socket_mode), .live = true, .only = &with_own_sockets,
		.takes = "MODE", .help =
		"access rights of the sockets, octal (0600, or 0660 with\n"
		"--socket-group)"},
	{"socket-group", TEXT(socket_group), .what = "a group's name or number",
		.otherwise = "the process's", .live = true, .only = &with_own_sockets,
		.takes = "GROUP", .help =
		"group of the sockets, name or number; its members may\n"
		"connect, unless --socket-mode forbids it"},
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
	{"guest", .set = settings_rule, .print = settings_print_rules, .several = true, .live = true,
		.only = &with_path, .takes = "N[-M],KEY=VALUE,...", .help =
		"other terms for these sockets, given as often as\n"
		"needed; keys: weight (1 to 1000, 1), cap (most bytes that\n"
		"come in a period), burst, burst-once"},
	{"turn-bytes", BYTES(turn_bytes, 64, 1 << 30), .takes = "BYTES", .help =
		"what one guest gets at most before the next one has its\n"
		"turn: 64 to 2^30 (256Ki); beside others 64Ki at most"},
	{"filename", TEXTS(sources, n_sources, OPTIONS_SOURCES_MAX), .alias = "rng-source",
		.what = "a file such as /dev/urandom", .letter = 'f', .takes = "FILE", .help =
		"where the random bytes come from (/dev/urandom); given\n"
		"again, up to 8 times: the next serves when one fails"},
	{"source-mode", WORDS(drbg, "passthrough", "drbg"), .takes = "MODE", .help =
		"passthrough: guests get the source's own bytes;\n"
		"drbg: it seeds an AES-256 CTR_DRBG on each lcore\n"
		"(passthrough)"},
	{"source-entropy", .set = set_entropy, .print = print_entropy,
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
	{"user", TEXT(sandbox.user), .what = "a user such as nobody or vrng:kvm",
		.otherwise = "who starts it", .takes = "USER[:GROUP]", .help =
		"become this user, when all is open"},
	{"sandbox", .set = set_sandbox, .print = print_sandbox, .takes = "WORDS", .help =
		"on, off, require (or do not start), or no-namespaces, no-caps,\n"
		"no-landlock, no-seccomp, with commas between (on)"},
	{"sandbox-dir", TEXTS(sandbox.dirs, sandbox.n_dirs, SANDBOX_DIRS_MAX),
		.what = "a directory", .takes = "DIR", .help =
		"sockets and sources may be here later, too; given again, up\n"
		"to 8 times"},
	{"core-dumps", FLAG(sandbox.core_dumps), .help =
		"allow core dumps, and debuggers without root"},
	{"lcores", .set = set_lcores, .print = print_lcores,
		.otherwise = "one, not the one that controls", .takes = "LIST", .help =
		"CPUs that poll, as 2,4-6; after -- : lcores of the EAL\n"
		"(one, not the one that controls)"},
	{"control-socket", TEXT(control_socket), .what = "a path such as /run/rng-control.sock",
		.otherwise = "none", .takes = "PATH", .help =
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
	{"config", TEXT(config), .what = "a file", .line_only = true,
		.takes = "FILE", .help =
		"options from a file, and guests by name; what the command\n"
		"line says wins; SIGHUP reads it again (none)"},
	{"check-config", FLAG(check_config), .line_only = true, .help =
		"check all that, print it as such a file, and end"},
	{"reload", NUMBER(reload_pid, 1, INT32_MAX), .what = "a process's ID", .line_only = true,
		.takes = "PID", .help =
		"let the daemon with this process ID, and these options,\n"
		"read --config again, and end"},
	{"eal-options", .set = set_eal_options, .print = setting_print_text, AT(eal_options),
		.what = "options such as -l 0,1 --in-memory",
		.otherwise = "worked out, or those before --"},
	{"log-level", .set = set_log_level, .print = print_log_level,
		.live = true, .takes = "LEVEL", .help =
		"error, warning, notice, info or debug (info)"},
	{"help", .line_only = true, .letter = 'h', .help = "this text"},
	{"version", .line_only = true, .help = "the version"},
};
/* clang-format on */

static_assert(LENGTH(rows) <= 64, "options.given needs more bits");
static_assert(sizeof(enum idle_policy) == sizeof(uint32_t), "words are kept as bool or uint32_t");

const struct setting_table settings_daemon = {
	.rows = rows,
	.n = LENGTH(rows),
	.unknown = "is no option of dpdk-vhost-rng",
};

int settings_set(struct options *opt, const struct setting *s, const char *value, struct why *why)
{
	opt->given |= setting_bit(&settings_daemon, s);
	return setting_set(s, opt, value, why);
}

int settings_check(const struct options *opt, struct why *why)
{
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		const struct setting *s = &rows[i];

		if ((opt->given & setting_bit(&settings_daemon, s)) != 0 && s->only != NULL &&
			!s->only->holds(opt))
			return why_set(why, -EINVAL, "--%s %s", s->name, s->only->otherwise);
	}
	return 0;
}

unsigned settings_name_fixed(
	const struct options *was, const struct options *is, char *names, size_t size)
{
	unsigned n = 0;
	size_t len = 0;

	names[0] = '\0';
	for (unsigned i = 0; i < LENGTH(rows); i++) {
		const struct setting *s = &rows[i];

		if (s->live || s->line_only || setting_is_same(s, was, is))
			continue;
		if (len < size)
			len += (size_t)snprintf(
				names + len, size - len, "%s%s", n > 0 ? ", " : "", s->name);
		n++;
	}
	return n;
}
