/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"

#include "budget.h"
#include "config/config_file.h"
#include "config/settings.h"
#include "config/spec.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

/* More than a line that is taken. */
#define SECTION_SIZE 256

struct reader {
	const char *path;
	FILE *file;
	struct options *opt;
	struct why *why;
	int err; /* the first one; nothing counts after it */
	unsigned line;
	bool has_daemon;		   /* [daemon] was there */
	const struct setting_table *table; /* of the section; NULL: there was none yet */
	char section[SECTION_SIZE];
	struct options_guest *guest; /* NULL: [daemon] */
	uint64_t said;		     /* in this section: a bit for each row */
	uint64_t on_line;	     /* of [daemon]: what the command line says, which wins */
	struct options ignored;	     /* takes what is said here of that, so that it is checked */
};

static const struct options_guest *find_guest(const struct options *opt, const char *name)
{
	for (unsigned i = 0; i < opt->n_guests; i++)
		if (strcmp(opt->guests[i].name, name) == 0)
			return &opt->guests[i];
	return NULL;
}

static struct options_guest *add_guest(struct options *opt, const char *name)
{
	struct options_guest *guests =
		realloc(opt->guests, (opt->n_guests + 1) * sizeof(guests[0]));
	struct options_guest *g;

	if (guests == NULL)
		return NULL;
	opt->guests = guests;
	g = &guests[opt->n_guests];
	*g = (struct options_guest){
		.name = options_keep(opt, name),
		.client = OPTIONS_CLIENT_AS_IT_WAS,
		.mode = OPTIONS_MODE_AS_IT_WAS,
		.weight = 1,
		.cap = BUDGET_UNLIMITED,
		.burst = OPTIONS_AS_IT_WAS,
		.burst_once = OPTIONS_AS_IT_WAS,
		.lcore = SPEC_ANY_LCORE,
	};
	if (g->name == NULL)
		return NULL;
	opt->n_guests++;
	return g;
}

static int refuse_twice(const struct reader *r)
{
	return why_set(r->why, -EINVAL, "%s:%u: section [%s] is there twice: put both together",
		r->path, r->line, r->section);
}

/* [guest NAME] begins. */
static int begin_guest(struct reader *r, const char *name)
{
	r->table = &settings_guest;
	if (!spec_name_is_valid(name))
		return why_set(r->why, -EINVAL,
			"%s:%u: section [%s]: a guest's name has 1 to %d letters, digits and . _ -",
			r->path, r->line, r->section, SPEC_NAME_SIZE - 1);
	if (find_guest(r->opt, name) != NULL)
		return refuse_twice(r);
	r->guest = add_guest(r->opt, name);
	return r->guest != NULL ? 0 : why_set(r->why, -ENOMEM, "%s: no memory", r->path);
}

/* A section begins. */
static int begin(struct reader *r, const char *section)
{
	static const char guest[] = "guest ";

	snprintf(r->section, sizeof(r->section), "%s", section);
	r->said = 0;
	r->guest = NULL;
	if (strncmp(section, guest, sizeof(guest) - 1) == 0) {
		section += sizeof(guest) - 1;
		return begin_guest(r, section + strspn(section, " \t"));
	}
	if (strcmp(section, "daemon") != 0)
		return why_set(r->why, -EINVAL,
			"%s:%u: section [%s] is neither [daemon] nor [guest NAME]", r->path,
			r->line, section);
	if (r->has_daemon)
		return refuse_twice(r);
	r->has_daemon = true;
	r->table = &settings_daemon;
	return 0;
}

/* Section names are taken from here: inih cuts them after 49 bytes. */
static void begin_if_section(struct reader *r, char *line)
{
	char *end = strchr(line, ']');

	if (line[0] != '[')
		return;
	if (end == NULL) {
		r->err = why_set(
			r->why, -EINVAL, "%s:%u: a section is written [NAME]", r->path, r->line);
		return;
	}
	*end = '\0';
	r->err = begin(r, line + 1);
	*end = ']';
}

/*
 * Is a line too long for inih, or does a byte 0 end it early? The last 0 in its 'size' bytes is the
 * one that fgets() has written.
 */
static int check_line(const struct reader *r, const char *line, size_t size)
{
	size_t len = (size_t)((const char *)memrchr(line, '\0', size) - line);

	if (strlen(line) != len)
		return why_set(r->why, -EINVAL,
			"%s:%u: the line has a byte 0, which no text has: write the file again",
			r->path, r->line);
	if (len == size - 1 && line[len - 1] != '\n')
		return why_set(r->why, -EINVAL, "%s:%u: the line has more than %zu bytes", r->path,
			r->line, size - 2);
	return 0;
}

/*
 * fgets() for inih: counts lines, and takes away the white space before them, which inih may take
 * for the continuation of the line before.
 */
static char *read_line(char *line, int size, void *arg)
{
	struct reader *r = arg;
	size_t blank;

	memset(line, 1, (size_t)size); /* see check_line() */
	if (r->err != 0 || fgets(line, size, r->file) == NULL)
		return NULL;
	r->line++;
	r->err = check_line(r, line, (size_t)size);
	if (r->err != 0)
		return NULL;
	blank = strspn(line, " \t\v\f\r");
	memmove(line, line + blank, strlen(line + blank) + 1);
	begin_if_section(r, line);
	return r->err == 0 ? line : NULL;
}

/* One key of the section that we are in. */
static int set(struct reader *r, const char *key, const char *value, struct why *why)
{
	const struct setting *s = setting_find(r->table, key);
	const char *kept;
	uint64_t bit;

	if (s == NULL)
		return why_set(why, -EINVAL, "%s", r->table->unknown);
	if (s->line_only)
		return why_set(why, -EINVAL, "is for the command line alone");
	bit = setting_bit(r->table, s);
	if ((r->said & bit) != 0 && !s->several)
		return why_set(why, -EINVAL, "is there twice");
	if (value[0] == '"')
		return why_set(why, -EINVAL, "needs no quotes: write the value as it is");
	if (value[0] == ';')
		return why_set(why, -EINVAL, "has a comment in the place of its value: give one");
	r->said |= bit;
	kept = options_keep(r->opt, value);
	if (kept == NULL)
		return why_set(why, -ENOMEM, "needs more memory than there is");
	if (r->guest != NULL)
		return setting_set(s, r->guest, kept, why);
	return settings_set((r->on_line & bit) != 0 ? &r->ignored : r->opt, s, kept, why);
}

/* For inih: a key and its value. @return 0 when it is wrong */
static int take(void *arg, const char *section, const char *key, const char *value)
{
	struct reader *r = arg;
	struct why reason;

	if (r->err != 0)
		return 0;
	if (r->table == NULL) {
		r->err = why_set(r->why, -EINVAL,
			"%s:%u: what comes before the first section belongs to none: begin with "
			"[daemon]",
			r->path, r->line);
		return 0;
	}
	r->err = set(r, key, value != NULL ? value : "", &reason);
	if (r->err != 0)
		why_set(r->why, r->err, "%s:%u: [%s] %s %s", r->path, r->line, r->section, key,
			reason.text);
	return r->err == 0;
}

static int read_all(struct reader *r)
{
	int bad_line = ini_parse_stream(read_line, r, take, r);

	if (r->err != 0)
		return r->err;
	if (ferror(r->file))
		return why_set(r->why, -errno, "cannot read %s: %s", r->path, strerror(errno));
	if (bad_line != 0)
		return why_set(r->why, -EINVAL, "%s:%d: neither a [section] nor KEY = VALUE",
			r->path, bad_line);
	for (unsigned i = 0; i < r->opt->n_guests; i++)
		if (r->opt->guests[i].socket == NULL)
			return why_set(r->why, -EINVAL,
				"%s: [guest %s] has no socket: add a line such as socket = "
				"/run/rng-%s.sock",
				r->path, r->opt->guests[i].name, r->opt->guests[i].name);
	return 0;
}

int config_read_stream(FILE *file, const char *path, struct options *opt, struct why *why)
{
	struct reader r = {
		.path = path, .file = file, .opt = opt, .why = why, .on_line = opt->given};

	options_init(&r.ignored);
	return read_all(&r);
}

static int read_file(const char *path, unsigned wait_ms, struct options *opt, struct why *why)
{
	struct config_file cf;
	int err = config_file_open(path, wait_ms, &cf, why);

	if (err == 0)
		err = config_read_stream(cf.file, path, opt, why);
	config_file_close(&cf);
	return err;
}

enum options_result config_load(
	int argc, char **argv, unsigned wait_ms, struct options *opt, struct why *why)
{
	enum options_result result;

	options_init(opt);
	result = options_apply(argc, argv, opt, why);
	if (result == OPTIONS_RUN && opt->config != NULL &&
		read_file(opt->config, wait_ms, opt, why) != 0)
		result = OPTIONS_REFUSED;
	if (result == OPTIONS_RUN && options_check(opt, why) != 0)
		result = OPTIONS_REFUSED;
	return result;
}

int config_print(const struct options *opt, FILE *file)
{
	fputs("[daemon]\n", file);
	setting_print_all(&settings_daemon, opt, file);
	for (unsigned i = 0; i < opt->n_guests; i++) {
		fprintf(file, "\n[guest %s]\n", opt->guests[i].name);
		setting_print_all(&settings_guest, &opt->guests[i], file);
	}
	return fflush(file) == 0 && !ferror(file) ? 0 : -EIO;
}
