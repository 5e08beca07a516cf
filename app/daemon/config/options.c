/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/options.h"

#include "budget.h"
#include "config/settings.h"
#include "version.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Above every letter. */
#define RESULT_BASE 256

/* Of options, with other names for the same. */
#define NAMES_MAX 64

static const char before_options[] =
	"Usage: dpdk-vhost-rng [EAL options --] [options]\n"
	"\n"
	"Give virtual machines a virtio random number generator over vhost-user.\n"
	"\n";

static const char after_options[] =
	"\n"
	"BYTES takes k, M, G, T (powers of 1000) or Ki, Mi, Gi, Ti (powers of 1024).\n"
	"Without -- the EAL's options are worked out: no hugepages, one CPU\n"
	"for control. With -- the words before it go to the EAL as they are.\n";

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

void options_init(struct options *opt)
{
	*opt = (struct options){
		.period_ms = 65536,
		.max_bytes = BUDGET_UNLIMITED,
		.max_requests = BUDGET_UNLIMITED,
		.turn_bytes = 256 * 1024,
		.reseed_bytes = UINT64_C(1) << 30,
		.reseed_s = 60,
		.socket_mode = OPTIONS_MODE_AS_IT_WAS,
		.idle = {.policy = IDLE_POLL, .spin_ns = 50000, .max_sleep_ns = 50000},
		.log_level = 7,
	};
}

void options_fini(struct options *opt)
{
	while (opt->kept != NULL) {
		struct options_string *next = opt->kept->next;

		free(opt->kept);
		opt->kept = next;
	}
	free(opt->guests);
	opt->guests = NULL;
	opt->n_guests = 0;
}

const char *options_keep(struct options *opt, const char *text)
{
	size_t size = strlen(text) + 1;
	struct options_string *string = malloc(sizeof(*string) + size);

	if (string == NULL)
		return NULL;
	memcpy(string->text, text, size);
	string->next = opt->kept;
	opt->kept = string;
	return string->text;
}

/* --help and --version */

static void print_option(const struct setting *s)
{
	const char *rest = s->help, *value = s->takes != NULL ? s->takes : "";
	char letter[] = "-x, ", head[64];

	letter[1] = s->letter;
	snprintf(head, sizeof(head), "  %s--%s %s", s->letter != '\0' ? letter : "    ", s->name,
		value);
	for (unsigned line = 0; *rest != '\0'; line++) {
		int len = (int)strcspn(rest, "\n");

		printf("%-27s %.*s\n", head, len, rest);
		rest += len + (rest[len] == '\n');
		head[0] = '\0';
		if (line == 0 && s->alias != NULL)
			snprintf(head, sizeof(head), "      --%s %s", s->alias, value);
	}
}

/* An option that asks for an answer, and no more. */
static bool answer(const struct setting *s)
{
	if (s->set != NULL)
		return false;
	if (strcmp(s->name, "version") == 0) {
		puts("dpdk-vhost-rng " VRNG_VERSION);
		return true;
	}
	fputs(before_options, stdout);
	for (unsigned i = 0; i < settings_daemon.n; i++)
		if (settings_daemon.rows[i].help != NULL)
			print_option(&settings_daemon.rows[i]);
	fputs(after_options, stdout);
	return true;
}

/* The command line */

/* What getopt_long(3) wants to know; its results are RESULT_BASE + the number of the row. */
struct getopt_words {
	char letters[32];
	struct option names[NAMES_MAX + 1];
};

static void add_name(struct getopt_words *w, unsigned *n, const struct setting *s, const char *name)
{
	assert(*n < NAMES_MAX);
	w->names[(*n)++] = (struct option){name, s->takes != NULL ? required_argument : no_argument,
		NULL, RESULT_BASE + (int)(s - settings_daemon.rows)};
}

static void list_words(struct getopt_words *w)
{
	size_t len = 1;
	unsigned n = 0;

	memset(w, 0, sizeof(*w));
	w->letters[0] = ':'; /* tell of missing values, and print nothing */
	for (unsigned i = 0; i < settings_daemon.n; i++) {
		const struct setting *s = &settings_daemon.rows[i];

		if (s->help == NULL)
			continue;
		add_name(w, &n, s, s->name);
		if (s->alias != NULL)
			add_name(w, &n, s, s->alias);
		if (s->letter == '\0')
			continue;
		assert(len + 3 <= sizeof(w->letters));
		w->letters[len++] = s->letter;
		if (s->takes != NULL)
			w->letters[len++] = ':';
	}
}

/* The row of a result; NULL: none. */
static const struct setting *row_of(int result)
{
	for (unsigned i = 0; i < settings_daemon.n; i++)
		if (result == RESULT_BASE + (int)i || result == settings_daemon.rows[i].letter)
			return &settings_daemon.rows[i];
	return NULL;
}

static int refuse_unknown(const char *letters, char **argv, struct why *why)
{
	/* A letter that is known stands for its long name, with a value. */
	if (optopt > 0 && optopt < RESULT_BASE && strchr(letters, optopt) == NULL)
		return why_set(why, -EINVAL, "option '-%c' is not known", optopt);
	return why_set(why, -EINVAL,
		"option '%s' is not known, or has a value that it does not take, or is short for "
		"several",
		argv[optind - 1]);
}

/* An option without a value says yes. */
static int apply_one(
	struct options *opt, const struct setting *s, const char *value, struct why *why)
{
	struct why reason;
	int err = settings_set(opt, s, value != NULL ? value : "yes", &reason);

	return err == 0 ? 0 : why_set(why, err, "--%s %s", s->name, reason.text);
}

enum options_result options_apply(int argc, char **argv, struct options *opt, struct why *why)
{
	struct getopt_words words;
	int c, err = 0;

	list_words(&words);
	optind = 0; /* start anew (GNU) */
	opterr = 0;
	while (err == 0 && (c = getopt_long(argc, argv, words.letters, words.names, NULL)) != -1) {
		const struct setting *s = row_of(c);

		if (c == ':')
			err = why_set(why, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
		else if (s == NULL)
			err = refuse_unknown(words.letters, argv, why);
		else if (answer(s))
			return OPTIONS_EXIT;
		else
			err = apply_one(opt, s, optarg, why);
	}
	if (err == 0 && optind < argc)
		err = why_set(why, -EINVAL, "'%s' is not an option", argv[optind]);
	return err == 0 ? OPTIONS_RUN : OPTIONS_REFUSED;
}

/* When all was said */

static int check_sockets(struct options *opt, struct why *why)
{
	if (opt->socket_path == NULL && opt->control_socket == NULL && opt->n_guests == 0)
		return why_set(why, -EINVAL,
			"--socket-path is missing: give a path such as /run/rng.sock");
	if (opt->socket_path == NULL)
		return 0;
	if (opt->socket_count == 0)
		opt->socket_count = 1;
	for (unsigned i = 0; i < opt->n_rules; i++)
		if (opt->rules[i].last >= opt->socket_count)
			return why_set(why, -EINVAL,
				"--guest names socket %" PRIu64
				", but --socket-count has only %" PRIu32,
				opt->rules[i].last, opt->socket_count);
	return 0;
}

static bool polls(const struct options *opt, unsigned lcore)
{
	for (unsigned i = 0; i < opt->n_lcores; i++)
		if (opt->lcores[i] == lcore)
			return true;
	return opt->n_lcores == 0; /* that is seen when they are chosen */
}

/* Return 'mode' or, if none is given, the default for a socket with or without a group. */
static mode_t socket_mode_or_default(mode_t mode, const char *group)
{
	if (mode != OPTIONS_MODE_AS_IT_WAS)
		return mode;
	return group != NULL ? 0660 : 0600;
}

/* Of a guest with a section of its own; what that does not say is as for all. */
static int complete(const struct options *opt, struct options_guest *g, struct why *why)
{
	if (g->client == OPTIONS_CLIENT_AS_IT_WAS)
		g->client = opt->client;
	if (g->client != 0 && (g->mode != OPTIONS_MODE_AS_IT_WAS || g->group != NULL))
		return why_set(why, -EINVAL,
			"[guest %s] has rights for its socket, but its front-end makes that one "
			"(client): leave one of the two out",
			g->name);
	if (g->lcore != UINT32_MAX && !polls(opt, g->lcore))
		return why_set(why, -EINVAL,
			"[guest %s] lcore %" PRIu32
			" is not among those that poll: add it to lcores, or name one of them",
			g->name, g->lcore);
	if (g->mode == OPTIONS_MODE_AS_IT_WAS)
		g->mode = opt->socket_mode;
	if (g->group == NULL)
		g->group = opt->socket_group;
	g->mode = socket_mode_or_default(g->mode, g->group);
	if (g->burst == OPTIONS_AS_IT_WAS)
		g->burst = opt->burst;
	if (g->burst_once == OPTIONS_AS_IT_WAS)
		g->burst_once = opt->burst_once;
	return 0;
}

int options_check(struct options *opt, struct why *why)
{
	int err = check_sockets(opt, why);

	if (err == 0)
		err = settings_check(opt, why);
	for (unsigned i = 0; i < opt->n_guests && err == 0; i++)
		err = complete(opt, &opt->guests[i], why);
	/* Last: the default of [daemon] is not a mode that a guest with a group inherits. */
	opt->socket_mode = socket_mode_or_default(opt->socket_mode, opt->socket_group);
	if (err == 0 && opt->n_sources == 0)
		opt->sources[opt->n_sources++] = "/dev/urandom";
	return err;
}
