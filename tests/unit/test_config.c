/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration file: what it says, what wins over it, and what is wrong with it. */
#include "config/config.h"

#include "budget.h"
#include "config/spec.h"
#include "directory.h"
#include "health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 16

static void write_config(const char *text)
{
	(void)unlink("f.conf");
	append("f.conf", text);
}

/* For a configuration that is no regular file */
static unsigned wait_ms;

static enum options_result load_with(struct options *opt, struct why *why, const char *const *words)
{
	char *argv[ARGS_MAX + 1] = {(char *)"dpdk-vhost-rng", (char *)"--config", (char *)"f.conf"};
	int argc = 3;

	for (; *words != NULL; words++)
		argv[argc++] = (char *)*words;
	why->text[0] = '\0';
	return config_load(argc, argv, wait_ms, opt, why);
}

#define LOAD(opt, why, ...) load_with(opt, why, (const char *const[]){__VA_ARGS__, NULL})

static void must_load(struct options *opt)
{
	static const char *const none[] = {NULL};
	struct why why;

	if (load_with(opt, &why, none) != OPTIONS_RUN)
		fail_msg("%s", why.text);
}

static void test_all_keys(void **state)
{
	struct options opt;

	write_config("# what is served\n"
		     "[daemon]\n"
		     "socket-path = /run/s\n"
		     "socket-count=3\n"
		     "  socket-mode =0660  \n"
		     "socket-group = root\n"
		     "guest = 0,weight=2\n"
		     "guest = 1-2,cap=1k\n"
		     "max-bytes = 1Mi ; a comment\n"
		     "\n"
		     "; another one\n"
		     "period = 100\n"
		     "max-requests = 7\n"
		     "sharing = fair\n"
		     "refill = smooth\n"
		     "burst = 1k\n"
		     "burst-once = 2k\n"
		     "turn-bytes = 64k\n"
		     "filename = /dev/hwrng\n"
		     "rng-source = /dev/urandom\n"
		     "source-mode = drbg\n"
		     "source-entropy = 0.5\n"
		     "source-mix = yes\n"
		     "source-failure = continue\n"
		     "reseed-bytes = 1M\n"
		     "reseed-time = 5\n"
		     "user = nobody\n"
		     "sandbox = require,no-caps\n"
		     "sandbox-dir = /run\n"
		     "sandbox-dir = /srv\n"
		     "core-dumps = yes\n"
		     "lcores = 2,4-5\n"
		     "idle = adaptive\n"
		     "idle-spin-us = 20\n"
		     "idle-max-sleep-us = 30\n"
		     "control-socket = /run/c\n"
		     "telemetry = yes\n"
		     "eal-options = -l 0,1 --in-memory\n"
		     "log-level = debug");
	must_load(&opt);
	assert_string_equal(opt.socket_path, "/run/s");
	assert_int_equal(opt.socket_count, 3);
	assert_int_equal(opt.socket_mode, 0660);
	assert_string_equal(opt.socket_group, "root");
	assert_int_equal(opt.n_rules, 2);
	assert_int_equal(opt.rules[0].weight, 2);
	assert_int_equal(opt.rules[1].cap, 1000);
	assert_int_equal(opt.max_bytes, 1 << 20);
	assert_int_equal(opt.period_ms, 100);
	assert_int_equal(opt.max_requests, 7);
	assert_true(opt.fair && opt.smooth && opt.drbg && opt.source_mix && opt.continue_unseeded);
	assert_int_equal(opt.burst, 1000);
	assert_int_equal(opt.burst_once, 2000);
	assert_int_equal(opt.turn_bytes, 64000);
	assert_int_equal(opt.n_sources, 2);
	assert_string_equal(opt.sources[0], "/dev/hwrng");
	assert_string_equal(opt.sources[1], "/dev/urandom");
	assert_true(opt.source_entropy_abits == HEALTH_BIT / 2);
	assert_int_equal(opt.reseed_bytes, 1000000);
	assert_int_equal(opt.reseed_s, 5);
	assert_string_equal(opt.sandbox.user, "nobody");
	assert_true(opt.sandbox.require && opt.sandbox.core_dumps);
	assert_int_equal(opt.sandbox.off, 1u << SANDBOX_CAPS);
	assert_int_equal(opt.sandbox.n_dirs, 2);
	assert_string_equal(opt.sandbox.dirs[1], "/srv");
	assert_int_equal(opt.n_lcores, 3);
	assert_int_equal(opt.idle.policy, IDLE_ADAPTIVE);
	assert_int_equal(opt.idle.spin_ns, 20000);
	assert_int_equal(opt.idle.max_sleep_ns, 30000);
	assert_string_equal(opt.control_socket, "/run/c");
	assert_true(opt.telemetry);
	assert_string_equal(opt.eal_options, "-l 0,1 --in-memory");
	assert_int_equal(opt.log_level, 8);
	assert_string_equal(opt.config, "f.conf");
	options_fini(&opt);
}

static void test_guests(void **state)
{
	struct options opt;
	struct specs specs;
	struct why why;

	write_config("[guest vm-1]\n"
		     "socket = /run/vm1\n"
		     "weight = 3\n"
		     "cap = 1k\n"
		     "burst = 5\n"
		     "burst-once = 6\n"
		     "lcore = 2\n"
		     "socket-mode = 0666\n"
		     "socket-group = 77\n"
		     "[daemon]\n"
		     "burst = 9\n"
		     "socket-path = /run/s\n"
		     "[guest vm.2]\n"
		     "mode = client\n"
		     "socket = /run/vm2\n");
	must_load(&opt);
	assert_int_equal(specs_make(&opt, &specs, &why), 0);
	assert_int_equal(specs.n, 3);
	assert_string_equal(specs.all[0].name, "0");
	assert_string_equal(specs.all[0].path, "/run/s0");
	assert_int_equal(specs.all[0].burst, 9);
	assert_string_equal(specs.all[1].name, "vm-1");
	assert_string_equal(specs.all[1].path, "/run/vm1");
	assert_int_equal(specs.all[1].weight, 3);
	assert_int_equal(specs.all[1].cap, 1000);
	assert_int_equal(specs.all[1].burst, 5);
	assert_int_equal(specs.all[1].burst_once, 6);
	assert_int_equal(specs.all[1].lcore, 2);
	assert_int_equal(specs.all[1].mode, 0666);
	assert_int_equal(specs.all[1].gid, 77);
	assert_string_equal(specs.all[2].name, "vm.2");
	assert_int_equal(specs.all[2].weight, 1);
	assert_false(specs.all[0].client || specs.all[1].client);
	assert_true(specs.all[2].client);
	assert_true(specs.all[2].cap == BUDGET_UNLIMITED);
	assert_int_equal(specs.all[2].burst, 9);
	assert_int_equal(specs.all[2].lcore, SPEC_ANY_LCORE);
	assert_int_equal(specs.all[2].mode, 0600);
	assert_true(specs.all[2].gid == (gid_t)-1);
	specs_fini(&specs);
	options_fini(&opt);
}

/* Load a file whose [daemon] has these lines; return the mode of guest 'a' with lines of its own.
 */
static mode_t mode_of_guest(const char *daemon, const char *guest)
{
	struct options opt;
	char text[256];
	mode_t mode;

	snprintf(text, sizeof(text), "[guest a]\nsocket = /a\n%s[daemon]\nsocket-path = /s\n%s",
		guest, daemon);
	write_config(text);
	must_load(&opt);
	mode = opt.guests[0].mode;
	options_fini(&opt);
	return mode;
}

/* A group without a mode means 0660, unless a mode is given: the guest's own first, then the common
 * one. */
static void test_mode_of_group(void **state)
{
	static const struct {
		const char *daemon, *guest;
		mode_t of_guest;
	} table[] = {
		{"", "", 0600},
		{"socket-group = 7\n", "", 0660},
		{"", "socket-group = 7\n", 0660},
		{"socket-group = 7\n", "socket-group = 8\n", 0660},
		{"socket-mode = 0600\n", "socket-group = 7\n", 0600},
		{"socket-mode = 0600\nsocket-group = 7\n", "", 0600},
		{"socket-group = 7\n", "socket-mode = 0600\n", 0600},
		{"socket-mode = 0640\n", "socket-mode = 0666\nsocket-group = 7\n", 0666},
	};

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(mode_of_guest(table[i].daemon, table[i].guest), table[i].of_guest);
}

/* What the command line says wins; of what may be given several times all of it. */
static void test_command_line_wins(void **state)
{
	struct options opt;
	struct why why;

	write_config("[daemon]\n"
		     "socket-path = /run/s\n"
		     "socket-count = 4\n"
		     "max-bytes = 5\n"
		     "filename = /dev/hwrng\n"
		     "filename = /dev/urandom\n"
		     "sandbox-dir = /a\n"
		     "guest = 3,weight=2\n"
		     "guest = 2,weight=2\n");
	assert_int_equal(LOAD(&opt, &why, "-m", "7", "-f", "/dev/random"), OPTIONS_RUN);
	assert_int_equal(opt.max_bytes, 7);
	assert_int_equal(opt.socket_count, 4);
	assert_int_equal(opt.n_sources, 1);
	assert_string_equal(opt.sources[0], "/dev/random");
	assert_int_equal(opt.n_rules, 2);
	options_fini(&opt);
	assert_int_equal(
		LOAD(&opt, &why, "--guest", "0,cap=1", "--guest", "1,cap=1", "--guest", "2,cap=1"),
		OPTIONS_RUN);
	assert_int_equal(opt.n_rules, 3);
	assert_int_equal(opt.n_sources, 2);
	assert_int_equal(opt.sandbox.n_dirs, 1);
	options_fini(&opt);
	/* By its other name, too. */
	assert_int_equal(LOAD(&opt, &why, "--rng-source", "/dev/random"), OPTIONS_RUN);
	assert_int_equal(opt.n_sources, 1);
	options_fini(&opt);
	/* What does not go together is seen over both. */
	assert_int_equal(LOAD(&opt, &why, "-c", "2"), OPTIONS_REFUSED);
	assert_non_null(strstr(why.text, "socket 3"));
	options_fini(&opt);
	/* What the file says is looked at all the same. */
	write_config("[daemon]\nsocket-path = /run/s\nmax-bytes = 0\n");
	assert_int_equal(LOAD(&opt, &why, "-m", "7"), OPTIONS_REFUSED);
	assert_non_null(strstr(why.text, "f.conf:3: [daemon] max-bytes '0'"));
	options_fini(&opt);
}

static void assert_file_refused(const char *where, const char *what)
{
	static const char *const none[] = {NULL};
	struct options opt;
	struct why why;

	assert_int_equal(load_with(&opt, &why, none), OPTIONS_REFUSED);
	if (strstr(why.text, where) == NULL || strstr(why.text, what) == NULL)
		fail_msg("'%s' does not name %s and %s", why.text, where, what);
	options_fini(&opt);
}

static void assert_refused(const char *text, const char *where, const char *what)
{
	write_config(text);
	assert_file_refused(where, what);
}

/* File, line, section, key and value, and what would be right. */
static void test_refusals(void **state)
{
	char long_line[512] = "[daemon]\nfilename = /", *end = long_line + strlen(long_line);
	char words[256] = "[daemon]\nsocket-path = /s\neal-options =";

	assert_refused("[daemon]\nperiod = 0\n", "f.conf:2: [daemon] period '0'", "4294967295");
	assert_refused("[daemon]\n\n\nmax-bytes = x\n", "f.conf:4: [daemon] max-bytes 'x'", "64k");
	assert_refused("[daemon]\nspeed = 1\n", "f.conf:2: [daemon] speed", "no option");
	assert_refused("[daemon]\nconfig = x\n", "f.conf:2: [daemon] config", "command line");
	assert_refused("[daemon]\nhelp = yes\n", "f.conf:2: [daemon] help", "command line");
	assert_refused("[daemon]\nfilename =\n", "f.conf:2: [daemon] filename is empty", "give");
	assert_refused("[daemon]\nfilename = \"/f\"\n", "f.conf:2: [daemon] filename", "quotes");
	assert_refused("[daemon]\nfilename =;/f\n", "f.conf:2: [daemon] filename", "comment");
	assert_refused("[daemon]\nsource-mix = maybe\n", "f.conf:2", "yes");
	assert_refused("[daemon]\nperiod\n", "f.conf:2", "KEY = VALUE");
	assert_refused("[daemon\nperiod = 1\n", "f.conf:1", "[NAME]");
	assert_refused("period = 1\n[daemon]\n", "f.conf:1", "[daemon]");
	assert_refused("[daemon]\nperiod = 1\nperiod = 2\n", "f.conf:3: [daemon] period", "twice");
	assert_refused("[daemon]\nperiod = 1\n[daemon]\n", "f.conf:3", "twice");
	assert_refused("[guest a]\nsocket = /a\n[guest a]\n", "f.conf:3", "twice");
	assert_refused("[guest a]\nsocket = /a\n[guest  a]\n", "f.conf:3", "twice");
	assert_refused(
		"[guest a]\nsocket = /a\nsocket = /b\n", "f.conf:3: [guest a] socket", "twice");
	assert_refused("[guest a]\nweight = 2\n", "[guest a]", "no socket");
	assert_refused("[guest a]\nsocket = /a\nweight = 1001\n",
		"f.conf:3: [guest a] weight '1001'", "1000");
	assert_refused("[guest a]\nsocket = /a\ncap = 0\n", "f.conf:3: [guest a] cap '0'", "bytes");
	assert_refused("[guest a]\nsocket = /a\nlcore = x\n", "f.conf:3: [guest a] lcore 'x'", "");
	assert_refused("[guest a]\nsocket = /a\ncolour = red\n", "f.conf:3: [guest a] colour",
		"there are");
	assert_refused("[guest a]\nsocket = /a\nmode = both\n", "f.conf:3: [guest a] mode 'both'",
		"server or client");
	assert_refused("[guest a]\nsocket = /a\nsource = /dev/hwrng\n",
		"f.conf:3: [guest a] source '/dev/hwrng'", "filename");
	assert_refused(
		"[guest a]\nsocket = /a\nname = b\n", "f.conf:3: [guest a] name 'b'", "[guest b]");
	assert_refused("[guest a]\nsocket = /a\nmode = client\nsocket-mode = 0660\n", "[guest a]",
		"client");
	assert_refused("[daemon]\nclient = yes\n[guest a]\nsocket = /a\nsocket-group = 0\n",
		"[guest a]", "client");
	assert_refused("[daemon]\nlcores = 1-3\n[guest a]\nsocket = /a\nlcore = 4\n",
		"[guest a] lcore 4", "lcores");
	assert_refused("[guest]\nsocket = /a\n", "f.conf:1: section [guest]", "[guest NAME]");
	assert_refused("[guest a b]\nsocket = /a\n", "f.conf:1", "letters");
	assert_refused("[guests]\n", "f.conf:1: section [guests]", "[daemon]");
	assert_refused("", "--socket-path", "missing");
	memset(end, 'x', 200);
	strcpy(end + 200, "\n");
	assert_refused(long_line, "f.conf:2", "bytes");
	for (unsigned i = 0; i < OPTIONS_EAL_WORDS_MAX + 1; i++)
		strcat(words, " x");
	assert_refused(words, "f.conf:3: [daemon] eal-options", "63 words");
	/* The first thing that is wrong is said. */
	assert_refused("[daemon]\nperiod = 0\nspeed = 1\nx\n", "f.conf:2", "period");
}

/* A line that begins with a blank does not go on the one before. */
static void test_no_continuation(void **state)
{
	assert_refused("[daemon]\nfilename = /a\n  filename2 = /b\n", "f.conf:3", "filename2");
	assert_refused("[daemon]\nfilename = /a\n  /b\n", "f.conf:3", "KEY = VALUE");
}

/* Bytes 0, as a file has them that was not written to its end: what is before them is not all. */
static void test_no_text(void **state)
{
	static const char text[] = "[daemon]\nsocket-path = /s\nperiod = 1\0000\n", zeros[1000];
	FILE *file = fopen("f.conf", "we");

	assert_non_null(file);
	fwrite(text, 1, sizeof(text) - 1, file);
	fclose(file);
	assert_file_refused("f.conf:3: ", "byte 0");
	write_config("[daemon]\nsocket-path = /s\n");
	file = fopen("f.conf", "ae");
	assert_non_null(file);
	fwrite(zeros, 1, sizeof(zeros), file);
	fclose(file);
	assert_file_refused("f.conf:3: ", "byte 0");
}

static void test_no_file(void **state)
{
	static const char *const none[] = {NULL};
	struct options opt;
	struct why why;

	assert_int_equal(load_with(&opt, &why, none), OPTIONS_REFUSED);
	assert_non_null(strstr(why.text, "f.conf"));
	options_fini(&opt);
	assert_int_equal(mkdir("f.conf", 0700), 0);
	assert_int_equal(load_with(&opt, &why, none), OPTIONS_REFUSED);
	assert_non_null(strstr(why.text, "f.conf"));
	options_fini(&opt);
}

static void assert_guests_refused(const char *text, int expected, const char *what)
{
	struct options opt;
	struct specs specs;
	struct why why;

	write_config(text);
	must_load(&opt);
	assert_int_equal(specs_make(&opt, &specs, &why), expected);
	specs_fini(&specs);
	if (strstr(why.text, what) == NULL)
		fail_msg("'%s' does not say %s", why.text, what);
	options_fini(&opt);
}

static void test_guests_that_clash(void **state)
{
	char text[512] = "[guest a]\nsocket = /", *end = text + strlen(text);

	assert_guests_refused(
		"[daemon]\nsocket-path = /s\n[guest 0]\nsocket = /a\n", -EEXIST, "two guests 0");
	assert_guests_refused("[guest a]\nsocket = /s\n[guest b]\nsocket = /s\n", -EEXIST, "/s");
	assert_guests_refused(
		"[daemon]\nsocket-path = /s\n[guest a]\nsocket = /s0\n", -EEXIST, "/s0");
	assert_guests_refused("[daemon]\nsocket-path = /s\nsocket-count = 512\n", -E2BIG, "511");
	assert_guests_refused(
		"[daemon]\nsocket-path = /s\nsocket-count = 511\n[guest a]\nsocket = /a\n", -E2BIG,
		"512");
	assert_guests_refused("[daemon]\nsocket-path = /s\nsocket-count = 511\n"
			      "[guest a]\nsocket = /a\nmode = client\n"
			      "[guest b]\nsocket = /b\nmode = client\n",
		-E2BIG, "513");
	assert_guests_refused("[daemon]\nclient = yes\nsocket-path = /s\nsocket-count = 1022\n"
			      "[guest a]\nsocket = /a\nmode = server\n",
		-E2BIG, "1023");
	assert_guests_refused("[guest a]\nsocket = /s\nsocket-group = no-such-group\n", -ENOENT,
		"[guest a] socket-group 'no-such-group'");
	assert_guests_refused("[daemon]\nsocket-path = /s\nsocket-group = no-such-group\n", -ENOENT,
		"--socket-group 'no-such-group'");
	memset(end, 'x', 120);
	assert_guests_refused(text, -ENAMETOOLONG, "107");
}

static void print(const struct options *opt, char *text, size_t size)
{
	FILE *file = fmemopen(text, size, "w");

	assert_non_null(file);
	assert_int_equal(config_print(opt, file), 0);
	fclose(file);
}

/* What is printed says the same when it is read. */
static void assert_round_trip(const char *text)
{
	static char first[8192], second[8192];
	struct options opt;

	write_config(text);
	must_load(&opt);
	print(&opt, first, sizeof(first));
	options_fini(&opt);
	write_config(first);
	must_load(&opt);
	print(&opt, second, sizeof(second));
	options_fini(&opt);
	assert_string_equal(first, second);
}

/* The command line and the file together make up the mode, and --check-config prints it. */
static void test_mode_of_group_is_printed(void **state)
{
	struct options opt;
	char text[8192];
	struct why why;

	write_config("[daemon]\nsocket-path = /s\n[guest a]\nsocket = /a\nsocket-group = 8\n");
	must_load(&opt);
	print(&opt, text, sizeof(text));
	assert_non_null(strstr(text, "\nsocket-mode = 0600\n# socket-group: the process's\n"));
	assert_non_null(strstr(text, "\nsocket-mode = 0660\nsocket-group = 8\n"));
	options_fini(&opt);
	assert_int_equal(LOAD(&opt, &why, "--socket-group=7"), OPTIONS_RUN);
	print(&opt, text, sizeof(text));
	assert_non_null(strstr(text, "\nsocket-mode = 0660\nsocket-group = 7\n"));
	options_fini(&opt);
	write_config("[daemon]\nsocket-path = /s\nsocket-group = 7\n");
	assert_int_equal(LOAD(&opt, &why, "--socket-mode=0600"), OPTIONS_RUN);
	print(&opt, text, sizeof(text));
	assert_non_null(strstr(text, "\nsocket-mode = 0600\nsocket-group = 7\n"));
	options_fini(&opt);
}

static void test_round_trip(void **state)
{
	char words[256] = "[daemon]\nsocket-path = /s\neal-options =";
	char longest[256] = "[daemon]\nsocket-path = /s\nfilename=/";
	struct options opt;
	char text[8192];

	for (unsigned i = 0; i < OPTIONS_EAL_WORDS_MAX; i++)
		strcat(words, " x");
	assert_round_trip(words);
	memset(longest + strlen(longest), 'x', 198 - strlen("filename=/"));
	assert_round_trip(longest);
	assert_round_trip("[daemon]\nsocket-path = /s\n");
	assert_round_trip("[daemon]\ncontrol-socket = /c\nsource-entropy = 0.1\nlcores = 1-3\n");
	/* Exact, and not the nearest binary number. */
	write_config("[daemon]\nsocket-path = /s\nsource-entropy = 00.30\n");
	must_load(&opt);
	print(&opt, text, sizeof(text));
	assert_non_null(strstr(text, "\nsource-entropy = 0.3\n"));
	options_fini(&opt);
	assert_round_trip("[daemon]\nsocket-path = /s\nsource-entropy = 7.050000000000000001\n");
	assert_round_trip("[daemon]\nsocket-path = /s\nlcores = 0-88,100\n");
	assert_round_trip("[daemon]\nsocket-path = /s\nsocket-group = 7\n[guest a]\nsocket = /a\n");
	assert_round_trip("[daemon]\nsocket-path = /s\n[guest a]\nsocket = /a\nsocket-group = 7\n");
	assert_round_trip(
		"[daemon]\nsocket-path = /s\nsocket-count = 9\nguest = 1-3,weight=7,cap=9\n"
		"guest = 4,burst=1,burst-once=2\nmax-bytes = 1T\nmax-requests = 9\n"
		"sharing = fair\nrefill = smooth\nsource-mode = drbg\nsource-mix = yes\n"
		"source-failure = continue\nreseed-time = 1\nidle = pause\n"
		"idle-spin-us = 7\nfilename = /a b\nfilename = /c\nsocket-mode = 0\n"
		"eal-options = -l 1,2\nlog-level = error\n"
		"user = nobody:kvm\nsandbox = off,require\nsandbox-dir = /a\nsandbox-dir = /b\n"
		"core-dumps = yes\n"
		"[guest a]\nsocket = /a\nweight = 5\ncap = 1\nlcore = 0\n"
		"socket-group = 0\nsocket-mode = 0777\n"
		"[guest b]\nsocket = /b\nburst = 0\n");
	assert_round_trip("[daemon]\nsocket-path = /s\nsandbox = require,no-caps,no-seccomp\n");
	assert_round_trip("[daemon]\nclient = yes\nsocket-path = /s\n[guest a]\nsocket = /a\n"
			  "[guest b]\nsocket = /b\nmode = server\nsocket-mode = 0660\n");
	/* Values as they are, and not as they were written. */
	write_config("[daemon]\nsocket-path = /s\nmax-bytes = 2Ki\n[guest x]\nsocket = /x\n");
	must_load(&opt);
	print(&opt, text, sizeof(text));
	assert_non_null(strstr(text, "\nmax-bytes = 2048\n"));
	assert_non_null(strstr(text, "\nperiod = 65536\n"));
	assert_non_null(strstr(text, "\n# max-requests: no limit\n"));
	assert_non_null(strstr(text, "\n[guest x]\nsocket = /x\n"));
	options_fini(&opt);
}

/* Control characters are refused in each value; no error shows one as it is. */
static void test_control_characters(void **state)
{
	static const struct {
		const char *config, *says;
	} table[] = {
		{"[daemon]\nsocket-path = /a\x1b[2J\n", ":2: [daemon] socket-path has the control"},
		{"[daemon]\nfilename = /a\tb\n", "control character \\x09 after 2 bytes"},
		{"[daemon]\nsocket-path = /s\n[guest a]\nsocket = /a\rb\n",
			":4: [guest a] socket has the control character \\x0d after 2 bytes"},
		{"[daemon]\nsocket-path = /s\n[guest a]\nsocket-group = a\x7f\n", "\\x7f"},
		{"[daemon]\nsocket-path = /s\n[guest a\x1b]\nsocket = /a\n", "\\x1b"},
		{"[daemon]\nsocket\x1bpath = /s\n", "\\x1b"},
		{"[dae\x1bmon]\n", "\\x1b"},
	};
	struct options opt;
	struct why why;

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		write_config(table[i].config);
		assert_int_equal(LOAD(&opt, &why, "-m", "1"), OPTIONS_REFUSED);
		if (strstr(why.text, table[i].says) == NULL)
			fail_msg("%s does not have %s", why.text, table[i].says);
		for (const char *c = why.text; *c != '\0'; c++)
			assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
		options_fini(&opt);
	}
	/* White space at a line's ends, and before a comment, is no part of a value. */
	write_config("[daemon]\r\n\tsocket-path = /s\t; comment\r\n");
	must_load(&opt);
	assert_string_equal(opt.socket_path, "/s");
	options_fini(&opt);
}

/* Fill a pipe, and name its other end as a shell does for "<(...)". */
static int pipe_with(const char *text, char *path, size_t size)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), strlen(text));
	close(fds[1]);
	snprintf(path, size, "/dev/fd/%d", fds[0]);
	return fds[0];
}

static void test_pipes(void **state)
{
	static char text[65536];
	char path[32];
	struct options opt;
	struct why why;
	size_t len;
	int fd;

	len = (size_t)sprintf(text, "[daemon]\nsocket-path = /s\n");
	for (unsigned i = 0; i < 300; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "[guest g%u]\nsocket = /g%u\n", i, i);
	fd = pipe_with(text, path, sizeof(path));
	wait_ms = 5000;
	assert_int_equal(LOAD(&opt, &why, "--config", path), OPTIONS_RUN);
	assert_string_equal(opt.socket_path, "/s");
	assert_int_equal(opt.n_guests, 300);
	options_fini(&opt);
	close(fd);
	/* A reload never waits, and takes nothing out of it. */
	wait_ms = 0;
	fd = pipe_with(text, path, sizeof(path));
	assert_int_equal(LOAD(&opt, &why, "--config", path), OPTIONS_REFUSED);
	assert_non_null(strstr(why.text, "is a FIFO or pipe"));
	options_fini(&opt);
	close(fd);
}

/* The whole configuration comes from another process, late and in pieces. */
static void test_fifo_with_a_writer(void **state)
{
	struct options opt;
	struct why why;
	pid_t pid;

	assert_int_equal(mkfifo("fifo", 0600), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open("fifo", O_WRONLY | O_CLOEXEC);

		usleep(20000);
		dprintf(fd, "[daemon]\nsocket-path");
		usleep(20000);
		dprintf(fd, " = /s\n");
		_exit(0);
	}
	wait_ms = 60000;
	assert_int_equal(LOAD(&opt, &why, "--config", "fifo"), OPTIONS_RUN);
	wait_ms = 0;
	assert_string_equal(opt.socket_path, "/s");
	options_fini(&opt);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What has no end in time, or at all, is refused, with the reason. */
static void test_files_without_an_end(void **state)
{
	static const struct {
		const char *path;
		unsigned wait_ms;
		const char *says;
	} table[] = {
		{"fifo", 0, "is a FIFO or pipe"},
		{"fifo", 30, "no end of the text within 30 ms (0 bytes came)"},
		{"stalled", 30, "no end of the text within 30 ms (8 bytes came)"},
		{"/dev/zero", 60000, "bytes or more: not a configuration"},
		{"/dev/null", 0, "is a device"},
		{"/dev/null", 60000, "--socket-path is missing"},
		{".", 0, "Is a directory"},
		{"none", 0, "No such file"},
	};
	struct options opt;
	struct why why;
	int fd;

	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkfifo("stalled", 0600), 0);
	fd = open("stalled", O_RDWR | O_CLOEXEC);
	assert_int_equal(write(fd, "[daemon]", 8), 8);
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		wait_ms = table[i].wait_ms;
		alarm(60); /* for one that blocks */
		assert_int_equal(LOAD(&opt, &why, "--config", table[i].path), OPTIONS_REFUSED);
		alarm(0);
		options_fini(&opt);
		if (strstr(why.text, table[i].says) == NULL)
			fail_msg("%s does not have %s", why.text, table[i].says);
	}
	wait_ms = 0;
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		directory_test(test_all_keys),
		directory_test(test_guests),
		directory_test(test_mode_of_group),
		directory_test(test_mode_of_group_is_printed),
		directory_test(test_command_line_wins),
		directory_test(test_refusals),
		directory_test(test_no_continuation),
		directory_test(test_no_text),
		directory_test(test_no_file),
		directory_test(test_guests_that_clash),
		directory_test(test_round_trip),
		directory_test(test_control_characters),
		directory_test(test_pipes),
		directory_test(test_fifo_with_a_writer),
		directory_test(test_files_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
