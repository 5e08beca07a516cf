/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/options.h"

#include "budget.h"
#include "config/settings.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void print_help(void)
{
	fputs(before_options, stdout);
	settings_help(stdout);
	fputs(after_options, stdout);
}

bool options_guest_is_client(const struct options *opt, const struct options_guest *g)
{
	return g->client == OPTIONS_CLIENT_AS_IT_WAS ? opt->client : g->client != 0;
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

void options_init(struct options *opt)
{
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

static int refuse_unknown(const char *letters, char **argv, struct why *why)
{
	/* A letter that is known stands for its long name, with a value. */
	if (optopt > 0 && optopt < 256 && strchr(letters, optopt) == NULL)
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

/* An option that asks for an answer, and no more. */
static bool answer(const struct setting *s)
{
	if (s->set != NULL)
		return false;
	if (strcmp(s->name, "help") == 0)
		print_help();
	else
		puts("dpdk-vhost-rng " VRNG_VERSION);
	return true;
}

enum options_result options_apply(int argc, char **argv, struct options *opt, struct why *why)
{
	struct option names[SETTINGS_MAX + 1];
	char letters[SETTINGS_LETTERS_SIZE];
	int c, err = 0;

	settings_getopt(letters, names);
	opt->layer++;
	optind = 0; /* start anew (GNU) */
	opterr = 0;
	while (err == 0 && (c = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		const struct setting *s = settings_of_result(c);

		if (c == ':')
			err = why_set(why, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
		else if (s == NULL)
			err = refuse_unknown(letters, argv, why);
		else if (answer(s))
			return OPTIONS_EXIT;
		else
			err = apply_one(opt, s, optarg, why);
	}
	if (err == 0 && optind < argc)
		err = why_set(why, -EINVAL, "'%s' is not an option", argv[optind]);
	return err == 0 ? OPTIONS_RUN : OPTIONS_REFUSED;
}

static int check_sockets(struct options *opt, struct why *why)
{
	if (opt->socket_path == NULL && opt->control_socket == NULL && opt->n_guests == 0)
		return why_set(why, -EINVAL,
			"--socket-path is missing: give a path such as /run/rng.sock");
	if (opt->socket_path == NULL && opt->socket_count > 0)
		return why_set(why, -EINVAL,
			"--socket-count is for --socket-path: add that, or leave it out");
	if (opt->socket_path != NULL && opt->socket_count == 0)
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

/* Guests with a section of their own. */
static int check_guests(const struct options *opt, struct why *why)
{
	for (unsigned i = 0; i < opt->n_guests; i++) {
		const struct options_guest *g = &opt->guests[i];

		if (options_guest_is_client(opt, g) &&
			(g->mode != OPTIONS_MODE_AS_IT_WAS || g->group != NULL))
			return why_set(why, -EINVAL,
				"[guest %s] has rights for its socket, but its front-end makes "
				"that one (client): leave one of the two out",
				g->name);
		if (g->lcore != UINT32_MAX && !polls(opt, g->lcore))
			return why_set(why, -EINVAL,
				"[guest %s] lcore %" PRIu32
				" is not among those that poll: add it to lcores, or name one of "
				"them",
				g->name, g->lcore);
	}
	return 0;
}

int options_check(struct options *opt, struct why *why)
{
	int err = check_sockets(opt, why);

	if (err == 0)
		err = settings_check(opt, why);
	if (err == 0)
		err = check_guests(opt, why);
	if (err == 0 && opt->n_sources == 0)
		opt->sources[opt->n_sources++] = "/dev/urandom";
	return err;
}
