/* SPDX-License-Identifier: BSD-3-Clause */
/* Every option, its bounds, and what a person is told who misses them. */
#include "config/config.h"

#include "budget.h"
#include "health.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS_MAX 12

struct outcome {
	enum options_result result;
	struct options opt;
	char out[8192];
	struct why why;
};

/* What a function writes to stdout, from redirect() to restore(). */
struct redirection {
	int fd, saved;
};

static struct redirection redirect(void)
{
	struct redirection r = {memfd_create("stdout", 0), -1};

	fflush(stdout);
	r.saved = dup(STDOUT_FILENO);
	assert_true(r.fd >= 0 && r.saved >= 0);
	assert_true(dup2(r.fd, STDOUT_FILENO) >= 0);
	return r;
}

static void restore(struct redirection *r, char *text, size_t size)
{
	ssize_t n;

	fflush(stdout);
	dup2(r->saved, STDOUT_FILENO);
	close(r->saved);
	n = pread(r->fd, text, size - 1, 0);
	close(r->fd);
	assert_true(n >= 0);
	text[n] = '\0';
}

/* Parse the words up to the first NULL. */
static struct outcome parse_words(const char *const *words)
{
	struct redirection out = redirect();
	char *argv[WORDS_MAX + 2] = {(char *)"dpdk-vhost-rng"};
	struct outcome o = {.why = {0}};
	int argc = 1;

	for (; words[argc - 1] != NULL; argc++)
		argv[argc] = (char *)words[argc - 1];
	o.result = config_load(argc, argv, 0, &o.opt, &o.why);
	restore(&out, o.out, sizeof(o.out));
	return o;
}

#define PARSE(...) parse_words((const char *const[WORDS_MAX + 1]){__VA_ARGS__})

/* Refused, with one line that contains both of these. */
static void assert_refusal(const struct outcome *o, const char *option, const char *value)
{
	assert_int_equal(o->result, OPTIONS_REFUSED);
	assert_string_equal(o->out, "");
	assert_null(strchr(o->why.text, '\n'));
	if (strstr(o->why.text, option) == NULL || strstr(o->why.text, value) == NULL)
		fail_msg("%s does not name %s and %s", o->why.text, option, value);
}

static void assert_silent(const struct outcome *o)
{
	assert_string_equal(o->why.text, "");
	assert_string_equal(o->out, "");
}

static void test_defaults(void **state)
{
	struct outcome o = PARSE("-s", "/run/rng.sock");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_silent(&o);
	assert_string_equal(o.opt.socket_path, "/run/rng.sock");
	assert_int_equal(o.opt.socket_count, 1);
	assert_int_equal(o.opt.period_ms, 65536);
	assert_true(o.opt.max_bytes == BUDGET_UNLIMITED);
	assert_string_equal(o.opt.sources[0], "/dev/urandom");
	assert_int_equal(o.opt.socket_mode, 0600);
	assert_null(o.opt.socket_group);
	assert_int_equal(o.opt.n_lcores, 0);
	assert_int_equal(o.opt.idle.policy, IDLE_POLL);
	assert_int_equal(o.opt.log_level, 7);
}

static void test_short_options(void **state)
{
	struct outcome o = PARSE("-s/tmp/s", "-c", "3", "-m64Ki", "-p", "250", "-f", "/dev/hwrng");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_silent(&o);
	assert_string_equal(o.opt.socket_path, "/tmp/s");
	assert_int_equal(o.opt.socket_count, 3);
	assert_int_equal(o.opt.max_bytes, 65536);
	assert_int_equal(o.opt.period_ms, 250);
	assert_string_equal(o.opt.sources[0], "/dev/hwrng");
}

static void test_long_options(void **state)
{
	struct outcome o = PARSE("--socket-path=/tmp/s", "--socket-count", "511",
		"--max-bytes=9223372036854775807", "--period=4294967295", "--filename", "/a");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_silent(&o);
	assert_string_equal(o.opt.socket_path, "/tmp/s");
	assert_int_equal(o.opt.socket_count, 511);
	assert_true(o.opt.max_bytes == INT64_MAX);
	assert_int_equal(o.opt.period_ms, UINT32_MAX);
	assert_string_equal(o.opt.sources[0], "/a");

	o = PARSE("--socket-path=/tmp/s", "--rng-source=/b", "--source-mode=passthrough",
		"--socket-mode=0660", "--socket-group=kvm", "--lcores=2,4-6", "--log-level=debug");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_silent(&o);
	assert_string_equal(o.opt.sources[0], "/b");
	assert_int_equal(o.opt.socket_mode, 0660);
	assert_string_equal(o.opt.socket_group, "kvm");
	assert_int_equal(o.opt.n_lcores, 4);
	assert_int_equal(o.opt.log_level, 8);
}

/* A group without a mode: the group may connect. A mode that is given wins, in any order. */
static void test_mode_of_group(void **state)
{
	struct outcome o = PARSE("-s", "/a", "--socket-group=kvm");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.socket_mode, 0660);
	o = PARSE("-s", "/a", "--socket-group=kvm", "--socket-mode=0600");
	assert_int_equal(o.opt.socket_mode, 0600);
	o = PARSE("-s", "/a", "--socket-mode=0", "--socket-group=kvm");
	assert_int_equal(o.opt.socket_mode, 0);
	o = PARSE("-s", "/a", "--socket-mode=0640");
	assert_int_equal(o.opt.socket_mode, 0640);
}

/* The last word counts, but sources add up; nothing of an earlier parse or word stays. */
static void test_repeated_options(void **state)
{
	struct outcome o = PARSE(
		"-s", "/a", "-f/x", "--rng-source=/y", "--lcores=1,2,3", "--lcores=9", "-s", "/b");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_string_equal(o.opt.socket_path, "/b");
	assert_int_equal(o.opt.n_sources, 2);
	assert_string_equal(o.opt.sources[0], "/x");
	assert_string_equal(o.opt.sources[1], "/y");
	assert_int_equal(o.opt.n_lcores, 1);
	assert_int_equal(o.opt.lcores[0], 9);
	o = PARSE("-c", "2");
	assert_refusal(&o, "--socket-path", "is missing");
}

static void test_drbg_options(void **state)
{
	static const char *const needs_drbg[] = {
		"--source-mix", "--source-failure=stop", "--reseed-bytes=1M", "--reseed-time=5"};
	struct outcome o = PARSE("-s", "/a");

	assert_false(o.opt.drbg);
	assert_true(o.opt.source_entropy_abits == 0);
	o = PARSE("-s", "/a", "--source-mode", "drbg");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_true(o.opt.drbg);
	assert_false(o.opt.continue_unseeded);
	assert_false(o.opt.source_mix);
	assert_true(o.opt.reseed_bytes == 1 << 30);
	assert_int_equal(o.opt.reseed_s, 60);
	o = PARSE("-s", "/a", "--reseed-time=5", "--reseed-bytes=64Mi", "--source-mix",
		"--source-failure=continue", "--source-entropy=0.5", "--source-mode=drbg");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_silent(&o);
	assert_true(o.opt.continue_unseeded);
	assert_true(o.opt.source_mix);
	assert_true(o.opt.reseed_bytes == 64 << 20);
	assert_int_equal(o.opt.reseed_s, 5);
	assert_true(o.opt.source_entropy_abits == HEALTH_BIT / 2);

	for (unsigned i = 0; i < ARRAY_LEN(needs_drbg); i++) {
		o = PARSE("-s", "/a", needs_drbg[i]);
		assert_refusal(&o, "--source-mode drbg", "add that, or leave it out");
	}
}

static void test_drbg_values(void **state)
{
	static const char *const bad[][2] = {
		{"--source-entropy", "0"},
		{"--source-entropy", "0.09"},
		{"--source-entropy", "8.1"},
		{"--source-entropy", "-1"},
		{"--source-entropy", "4."},
		{"--source-entropy", ".5"},
		{"--source-entropy", "1e0"},
		{"--source-entropy", "nan"},
		{"--source-entropy", "0.1234567890123456789"}, /* 19 places */
		{"--source-entropy", "18446744073709551617"},
		{"--source-failure", "wait"},
		{"--source-mode", "DRBG"},
		{"--reseed-bytes", "0"},
		{"--reseed-bytes", "9223372036854775808"},
		{"--reseed-time", "0"},
		{"--reseed-time", "4294967296"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct outcome o = PARSE("-s", "/a", "--source-mode=drbg", bad[i][0], bad[i][1]);

		assert_refusal(&o, bad[i][0], bad[i][1]);
	}
}

static void test_sources_too_many(void **state)
{
	struct outcome o =
		PARSE("-s", "/a", "-f1", "-f2", "-f3", "-f4", "-f5", "-f6", "-f7", "-f8");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.n_sources, OPTIONS_SOURCES_MAX);
	o = PARSE("-s", "/a", "-f1", "-f2", "-f3", "-f4", "-f5", "-f6", "-f7", "-f8", "-fninth");
	assert_refusal(&o, "--filename", "ninth");
}

/* Client mode has more room, and no rights to give away. */
static void test_client(void **state)
{
	struct outcome o = PARSE("-s", "/a", "-c", "1023", "--client");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_true(o.opt.client);
	assert_int_equal(options_sockets_max(&o.opt), 1023);
	o = PARSE("-s", "/a");
	assert_false(o.opt.client);
	assert_int_equal(options_sockets_max(&o.opt), 511);
	o = PARSE("-s", "/a", "--client", "--socket-mode=0660");
	assert_refusal(&o, "--socket-mode", "--client");
	o = PARSE("-s", "/a", "--socket-group=kvm", "--client");
	assert_refusal(&o, "--socket-group", "--client");
}

/* A rule for a socket that there is not is a mistake, wherever --socket-count stands. */
static void test_guest_rules(void **state)
{
	struct outcome o = PARSE("-s", "/a", "--guest", "1-2,weight=3", "-c", "2");

	assert_refusal(&o, "socket 2", "only 2");
	o = PARSE("-s", "/a", "--guest", "1-2,weight=3", "-c", "3", "--guest", "1,cap=1k,burst=0");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.n_rules, 2);
	assert_int_equal(o.opt.rules[0].first, 1);
	assert_int_equal(o.opt.rules[0].last, 2);
	assert_int_equal(o.opt.rules[0].weight, 3);
	assert_true(o.opt.rules[0].cap == OPTIONS_AS_IT_WAS);
	assert_int_equal(o.opt.rules[1].cap, 1000);
	assert_int_equal(o.opt.rules[1].burst, 0);
	assert_true(o.opt.rules[1].weight == OPTIONS_AS_IT_WAS);
}

/* Whoever can be told of guests later needs none to begin with. */
static void test_control_socket(void **state)
{
	struct outcome o = PARSE("--control-socket", "/run/c");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_string_equal(o.opt.control_socket, "/run/c");
	assert_null(o.opt.socket_path);
	assert_int_equal(o.opt.socket_count, 0);
	o = PARSE("--control-socket", "/run/c", "-s", "/a");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.socket_count, 1);
	o = PARSE("--control-socket", "/run/c", "-c", "2");
	assert_refusal(&o, "--socket-count", "--socket-path");
	o = PARSE("--control-socket", "/run/c", "--guest", "0,weight=2");
	assert_refusal(&o, "--guest", "--socket-path");
	o = PARSE("-s", "/a", "--control-socket", "");
	assert_refusal(&o, "--control-socket", "empty");
}

/* Values on both sides of every bound. */
static void test_bounds(void **state)
{
	static const struct {
		const char *option, *value;
		bool good;
	} cases[] = {
		{"--socket-count", "1", true},
		{"--socket-count", "511", true},
		{"--socket-count", "4294967295", true}, /* main says what a process can serve */
		{"--socket-count", "0", false},
		{"--socket-count", "4294967296", false},
		{"--socket-count", "-1", false},
		{"--socket-count", "+1", false},
		{"--socket-count", "two", false},
		{"--socket-count", "2x", false},
		{"--socket-count", "1k", false},
		{"--socket-count", "99999999999999999999999", false},
		{"--socket-count", "", false},
		{"--max-bytes", "1", true},
		{"--max-bytes", "9223372036854775807", true},
		{"--max-bytes", "8388607Ti", true},
		{"--max-bytes", "0", false},
		{"--max-bytes", "0k", false},
		{"--max-bytes", "9223372036854775808", false},
		{"--max-bytes", "8388608Ti", false},
		{"--max-bytes", "18446744073709551615", false},
		{"--max-bytes", "99999999999999999999999", false},
		{"--max-bytes", "-5", false},
		{"--max-bytes", "lots", false},
		{"--max-bytes", "", false},
		{"--period", "1", true},
		{"--period", "4294967295", true},
		{"--period", "0", false},
		{"--period", "4294967296", false},
		{"--period", "1s", false},
		{"--period", "-1", false},
		{"--period", "", false},
		{"--socket-mode", "0", true},
		{"--socket-mode", "600", true},
		{"--socket-mode", "0777", true},
		{"--socket-mode", "1000", false},
		{"--socket-mode", "0800", false},
		{"--socket-mode", "77777777777777777777777777", false},
		{"--socket-mode", "-600", false},
		{"--socket-mode", "0x180", false},
		{"--socket-mode", "u=rw", false},
		{"--socket-mode", " 600", false},
		{"--socket-mode", "", false},
		{"--max-requests", "1", true},
		{"--max-requests", "9223372036854775807", true},
		{"--max-requests", "0", false},
		{"--max-requests", "1k", false},
		{"--sharing", "strict", true},
		{"--sharing", "fair", true},
		{"--sharing", "Fair", false},
		{"--refill", "period", true},
		{"--refill", "smooth", true},
		{"--refill", "", false},
		{"--burst", "0", true},
		{"--burst", "1Mi", true},
		{"--burst", "9223372036854775808", false},
		{"--burst-once", "0", true},
		{"--burst-once", "-1", false},
		{"--turn-bytes", "64", true},
		{"--turn-bytes", "1Gi", true},
		{"--turn-bytes", "63", false},
		{"--turn-bytes", "1073741825", false},
		{"--guest", "0,weight=1", true},
		{"--guest", "0,weight=1000", true},
		{"--guest", "0-0,cap=1,burst=0,burst-once=0,weight=2", true},
		{"--guest", "0,weight=0", false},
		{"--guest", "0,weight=1001", false},
		{"--guest", "0,weight=1k", false},
		{"--guest", "0,weight", false},
		{"--guest", "0,weight=", false},
		{"--guest", "0,cap=0", false},
		{"--guest", "0,height=2", false},
		{"--guest", "0,", false},
		{"--guest", "0", false},
		{"--guest", "1-0,weight=1", false},
		{"--guest", "x,weight=1", false},
		{"--guest", "", false},
		{"--source-mode", "passthrough", true},
		{"--source-mode", "pass", false},
		{"--source-mode", "", false},
		{"--reload", "1", true},
		{"--reload", "2147483647", true},
		{"--reload", "2147483648", false},
		{"--reload", "0", false},
		{"--reload", "-1", false},
		{"--reload", "", false},
		{"--log-level", "error", true},
		{"--log-level", "warning", true},
		{"--log-level", "notice", true},
		{"--log-level", "info", true},
		{"--log-level", "debug", true},
		{"--log-level", "Debug", false},
		{"--log-level", "8", false},
		{"--log-level", "", false},
		{"--socket-path", "", false},
		{"--filename", "", false},
		{"--socket-group", "", false},
		{"--idle", "poll", true},
		{"--idle", "pause", true},
		{"--idle", "adaptive", true},
		{"--idle", "Adaptive", false},
		{"--idle", "", false},
		{"--user", "", false},
		{"--user", "nobody:kvm", true},
		{"--sandbox", "on", true},
		{"--sandbox", "require,no-caps,no-seccomp", true},
		{"--sandbox", "no", false},
		{"--sandbox", "", false},
		{"--sandbox-dir", "", false},
		{"--sandbox-dir", "/run", true},
		{"--lcores", "0", true},
		{"--lcores", "0-127", true},
		{"--lcores", "1,2,3", true},
		{"--lcores", "5-5", true},
		{"--lcores", "65535", true},
		{"--lcores", "65536", false},
		{"--lcores", "0-128", false},
		{"--lcores", "0-18446744073709551615", false},
		{"--lcores", "4-2", false},
		{"--lcores", "1,1", false},
		{"--lcores", "1-3,2", false},
		{"--lcores", "1,", false},
		{"--lcores", ",1", false},
		{"--lcores", "1-", false},
		{"--lcores", "-1", false},
		{"--lcores", "1--2", false},
		{"--lcores", "1 2", false},
		{"--lcores", "(1,2)@3", false},
		{"--lcores", "", false},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char word[128];
		struct outcome o;

		snprintf(word, sizeof(word), "%s=%s", cases[i].option, cases[i].value);
		o = PARSE("--socket-path=/run/rng.sock", word);
		if (cases[i].good != (o.result == OPTIONS_RUN))
			fail_msg("%s: %s", word, o.why.text);
		if (cases[i].good)
			assert_silent(&o);
		else
			assert_refusal(&o, cases[i].option, cases[i].value);
	}
}

static void test_lists(void **state)
{
	static const unsigned expected[] = {2, 4, 5, 6, 1, 100};
	struct outcome o = PARSE("-s", "/s", "--lcores", "2,4-6,1,100");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.n_lcores, ARRAY_LEN(expected));
	assert_memory_equal(o.opt.lcores, expected, sizeof(expected));
	o = PARSE("-s", "/s", "--lcores", "0-127");
	assert_int_equal(o.opt.n_lcores, OPTIONS_LCORES_MAX);
	assert_int_equal(o.opt.lcores[127], 127);
}

static void test_log_levels(void **state)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		struct outcome o = PARSE("-s", "/s", "--log-level", names[i]);

		assert_int_equal(o.opt.log_level, 4 + i); /* as RTE_LOG_ERR ... RTE_LOG_DEBUG */
	}
}

/* Words that are no option, no value, or not one option alone. */
static void test_strange_words(void **state)
{
	static const struct {
		const char *words[3], *named;
	} cases[] = {
		{{"-s", "/s", "-x"}, "-x"},
		{{"-s", "/s", "--nonsense"}, "--nonsense"},
		{{"-s", "/s", "--nonsense=4"}, "--nonsense=4"},
		{{"-s", "/s", "--socket"}, "--socket"},
		{{"-s", "/s", "stray"}, "stray"},
		{{"stray", "-s", "/s"}, "stray"},
		{{"-s", "/s", "-c"}, "-c"},
		{{"-s", "/s", "--max-bytes"}, "--max-bytes"},
		{{"-s", NULL, NULL}, "-s"},
		{{"-c", "1", NULL}, "--socket-path"},
		{{NULL, NULL, NULL}, "--socket-path"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct outcome o = PARSE(cases[i].words[0], cases[i].words[1], cases[i].words[2]);

		assert_refusal(&o, cases[i].named, cases[i].named);
	}
}

/* A value for an option that takes none. */
static void test_values_too_many(void **state)
{
	struct outcome o = PARSE("-s", "/s", "--version=2");

	assert_refusal(&o, "--version=2", "");
	o = PARSE("-s", "/s", "--help=yes");
	assert_refusal(&o, "--help=yes", "");
}

static void test_help_and_version(void **state)
{
	static const char *const named[] = {"-s,", "-c,", "-m,", "-p,", "-f,", "-h,",
		"--socket-path", "--socket-count", "--max-bytes", "--period", "--filename",
		"--rng-source", "--source-mode", "--socket-mode", "--socket-group", "--lcores",
		"--log-level", "--client", "--help", "--version"};
	struct outcome o;

	for (unsigned i = 0; i < 2; i++) {
		o = PARSE(i == 0 ? "-h" : "--help");
		assert_int_equal(o.result, OPTIONS_EXIT);
		assert_string_equal(o.why.text, "");
		for (unsigned j = 0; j < ARRAY_LEN(named); j++)
			assert_non_null(strstr(o.out, named[j]));
	}
	o = PARSE("--version");
	assert_int_equal(o.result, OPTIONS_EXIT);
	assert_string_equal(o.why.text, "");
	assert_ptr_equal(strstr(o.out, "dpdk-vhost-rng "), o.out);
	assert_true(strlen(o.out) > strlen("dpdk-vhost-rng \n"));
}

static void test_separator(void **state)
{
	static const struct {
		const char *words[5];
		int at;
	} cases[] = {
		{{"d", "-l", "1", "--", "-s"}, 3}, {{"d", "--", "-s", "/s", "--"}, 1},
		{{"d", "-s", "/s", "--", NULL}, 3}, {{"d", "-s", "/s", NULL, NULL}, 0},
		{{"d", "---", "-", "--x", "x--"}, 0},
		{{"--", NULL, NULL, NULL, NULL}, 0}, /* the program's name */
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[6] = {0};
		int argc = 0;

		for (; argc < 5 && cases[i].words[argc] != NULL; argc++)
			argv[argc] = (char *)cases[i].words[argc];
		assert_int_equal(options_find_separator(argc, argv), cases[i].at);
	}
}

static void test_idle_times(void **state)
{
	static const char *const bad[] = {"", "-1", "1000001", "50us", "0.5"};
	struct outcome o = PARSE("-s/a", "--idle=adaptive");

	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.idle.policy, IDLE_ADAPTIVE);
	assert_int_equal(o.opt.idle.spin_ns, 50000);
	assert_int_equal(o.opt.idle.max_sleep_ns, 50000);

	o = PARSE("-s/a", "--idle-spin-us=0", "--idle-max-sleep-us=10000", "--idle=pause");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.idle.policy, IDLE_PAUSE);
	assert_int_equal(o.opt.idle.spin_ns, 0);
	assert_int_equal(o.opt.idle.max_sleep_ns, 10000000);

	o = PARSE("-s/a", "--idle-spin-us=1000000", "--idle-max-sleep-us=0", "--idle=adaptive");
	assert_int_equal(o.result, OPTIONS_RUN);
	assert_int_equal(o.opt.idle.spin_ns, 1000000000);
	assert_int_equal(o.opt.idle.max_sleep_ns, 0);

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		o = PARSE("-s/a", "--idle=adaptive", "--idle-spin-us", bad[i]);
		assert_refusal(&o, "--idle-spin-us", bad[i]);
		o = PARSE("-s/a", "--idle=adaptive", "--idle-max-sleep-us", bad[i]);
		assert_refusal(&o, "--idle-max-sleep-us", bad[i]);
	}
	o = PARSE("-s/a", "--idle=adaptive", "--idle-max-sleep-us=10001");
	assert_refusal(&o, "--idle-max-sleep-us", "from 0 to 10000");
	o = PARSE("-s/a", "--idle-spin-us=10");
	assert_refusal(&o, "--idle-spin-us", "--idle adaptive");
	o = PARSE("-s/a", "--idle=poll", "--idle-max-sleep-us=10");
	assert_refusal(&o, "--idle-max-sleep-us", "--idle adaptive");
}

/* Control characters are refused in each value; the error names option and character. */
static void test_control_characters(void **state)
{
	static const char *const options[] = {"--socket-path", "--socket-group", "--filename",
		"--sandbox-dir", "--user", "--control-socket", "--config", "--log-level", "--guest",
		"--period"};

	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		struct outcome o = PARSE(options[i], "/a\nvhost-rng: forged");

		assert_refusal(&o, options[i], "control character \\x0a after 2 bytes");
		assert_non_null(strstr(o.why.text, "symbolic link"));
		options_fini(&o.opt);
		o = PARSE(options[i], "\xc2\x9b"
				      "2J");
		assert_refusal(&o, options[i], "\\xc2\\x9b");
		options_fini(&o.opt);
	}
	/* Words that are refused for another reason */
	for (unsigned i = 0; i < 2; i++) {
		struct outcome o = PARSE(i == 0 ? "--no\nsuch" : "stray\nword");

		assert_refusal(&o, "\\x0a", "");
		options_fini(&o.opt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_short_options),
		cmocka_unit_test(test_long_options),
		cmocka_unit_test(test_mode_of_group),
		cmocka_unit_test(test_idle_times),
		cmocka_unit_test(test_repeated_options),
		cmocka_unit_test(test_drbg_options),
		cmocka_unit_test(test_drbg_values),
		cmocka_unit_test(test_sources_too_many),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_guest_rules),
		cmocka_unit_test(test_control_socket),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_log_levels),
		cmocka_unit_test(test_strange_words),
		cmocka_unit_test(test_values_too_many),
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_separator),
		cmocka_unit_test(test_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
