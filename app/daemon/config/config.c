/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"

#include "config/settings.h"
#include "config/spec.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

/* Of names that were given in one section, or of sections. */
#define NAMES_MAX 1200

struct reader {
	const char *path;
	FILE *file;
	struct options *opt;
	struct why *why;
	int err; /* the first one; nothing counts after it */
	unsigned line;
	const char *section;	     /* that 'guest' and 'keys' are about; NULL: none */
	struct options_guest *guest; /* NULL: [daemon] */
	unsigned n_sections, n_keys;
	const char *sections[NAMES_MAX], *keys[NAMES_MAX];
};

static int remember(struct reader *r, const char **list, unsigned *n, const char *name)
{
	for (unsigned i = 0; i < *n; i++)
		if (strcmp(list[i], name) == 0)
			return -EEXIST;
	if (*n == NAMES_MAX)
		return -E2BIG;
	list[*n] = options_keep(r->opt, name);
	return list[(*n)++] != NULL ? 0 : -ENOMEM;
}

/* A file's line is too long for inih, or has a byte that ends it early. */
static bool is_bad_line(const char *line, size_t size)
{
	size_t len = strlen(line);

	return len == size - 1 && line[len - 1] != '\n';
}

static struct options_guest *add_guest(struct options *opt, const char *name)
{
	struct options_guest *guests =
		realloc(opt->guests, (opt->n_guests + 1) * sizeof(guests[0]));
	struct options_guest *g;

	if (guests == NULL)
		return NULL;
	opt->guests = guests;
	g = &guests[opt->n_guests++];
	*g = (struct options_guest){
		.name = options_keep(opt, name),
		.client = OPTIONS_CLIENT_AS_IT_WAS,
		.mode = OPTIONS_MODE_AS_IT_WAS,
		.weight = 1,
		.cap = OPTIONS_AS_IT_WAS,
		.burst = OPTIONS_AS_IT_WAS,
		.burst_once = OPTIONS_AS_IT_WAS,
		.lcore = SPEC_ANY_LCORE,
	};
	return g->name != NULL ? g : NULL;
}

/* A section begins. */
static int begin(struct reader *r, const char *section)
{
	static const char guest[] = "guest ";
	const char *name = section + sizeof(guest) - 1;
	int err = remember(r, r->sections, &r->n_sections, section);

	if (err == -EEXIST)
		return why_set(r->why, -EINVAL,
			"%s:%u: section [%s] is there twice: put both together", r->path, r->line,
			section);
	if (err != 0)
		return why_set(r->why, err, "%s:%u: too many sections", r->path, r->line);
	r->section = r->sections[r->n_sections - 1];
	r->n_keys = 0;
	r->guest = NULL;
	if (strcmp(section, "daemon") == 0)
		return 0;
	if (strncmp(section, guest, sizeof(guest) - 1) != 0)
		return why_set(r->why, -EINVAL,
			"%s:%u: section [%s] is neither [daemon] nor [guest NAME]", r->path,
			r->line, section);
	name += strspn(name, " \t");
	if (!spec_name_is_valid(name))
		return why_set(r->why, -EINVAL,
			"%s:%u: section [%s]: a guest's name has 1 to %d letters, digits and . _ -",
			r->path, r->line, section, SPEC_NAME_SIZE - 1);
	r->guest = add_guest(r->opt, name);
	return r->guest != NULL ? 0 : why_set(r->why, -ENOMEM, "%s: no memory", r->path);
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
 * fgets() for inih: counts lines, and takes away the white space before them, which inih may take
 * for the continuation of the line before.
 */
static char *read_line(char *line, int size, void *arg)
{
	struct reader *r = arg;
	size_t blank;

	if (r->err != 0 || fgets(line, size, r->file) == NULL)
		return NULL;
	r->line++;
	if (is_bad_line(line, (size_t)size)) {
		r->err = why_set(r->why, -EINVAL, "%s:%u: the line has more than %d bytes", r->path,
			r->line, size - 2);
		return NULL;
	}
	blank = strspn(line, " \t");
	memmove(line, line + blank, strlen(line + blank) + 1);
	begin_if_section(r, line);
	return r->err == 0 ? line : NULL;
}

/* One option below [daemon]. */
static int set_option(struct reader *r, const char *key, const char *value, struct why *reason)
{
	const struct setting *s = settings_find(key);

	if (s == NULL)
		return why_set(reason, -ENOENT, "is no option of dpdk-vhost-rng");
	if (s->line_only)
		return why_set(reason, -EINVAL, "is for the command line alone");
	return settings_set(r->opt, s, value, reason);
}

static bool may_repeat(const struct reader *r, const char *key)
{
	const struct setting *s = r->guest == NULL ? settings_find(key) : NULL;

	return s != NULL && s->several;
}

static int set(struct reader *r, const char *key, const char *value)
{
	const char *kept = options_keep(r->opt, value);
	struct why reason;
	int err;

	if (kept == NULL)
		return why_set(r->why, -ENOMEM, "%s: no memory", r->path);
	if (remember(r, r->keys, &r->n_keys, key) != 0 && !may_repeat(r, key))
		return why_set(r->why, -EINVAL, "%s:%u: [%s] %s is there twice", r->path, r->line,
			r->section, key);
	if (r->guest != NULL)
		err = settings_set_guest(r->guest, key, kept, &reason);
	else
		err = set_option(r, key, kept, &reason);
	if (err == 0)
		return 0;
	return why_set(r->why, -EINVAL, "%s:%u: [%s] %s %s", r->path, r->line, r->section, key,
		reason.text);
}

/* For inih: a key and its value. @return 0 when it is wrong */
static int take(void *arg, const char *section, const char *key, const char *value)
{
	struct reader *r = arg;

	if (r->err == 0 && r->section == NULL)
		r->err = why_set(r->why, -EINVAL,
			"%s:%u: what comes before the first section belongs to none: begin with "
			"[daemon]",
			r->path, r->line);
	if (r->err == 0)
		r->err = set(r, key, value != NULL ? value : "");
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
	struct reader *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return why_set(why, -ENOMEM, "no memory to read %s", path);
	opt->layer++;
	r->path = path;
	r->file = file;
	r->opt = opt;
	r->why = why;
	err = read_all(r);
	free(r);
	return err;
}

int config_read(const char *path, struct options *opt, struct why *why)
{
	FILE *file = fopen(path, "re");
	int err;

	if (file == NULL)
		return why_set(why, -errno, "cannot open --config %s: %s", path, strerror(errno));
	err = config_read_stream(file, path, opt, why);
	fclose(file);
	return err;
}

enum options_result config_load(int argc, char **argv, struct options *opt, struct why *why)
{
	enum options_result result;
	const char *path;

	options_init(opt);
	result = options_apply(argc, argv, opt, why);
	path = opt->config;
	if (result == OPTIONS_RUN && path != NULL) {
		options_fini(opt);
		options_init(opt);
		if (config_read(path, opt, why) != 0)
			return OPTIONS_REFUSED;
		result = options_apply(argc, argv, opt, why);
	}
	if (result == OPTIONS_RUN && options_check(opt, why) != 0)
		result = OPTIONS_REFUSED;
	return result;
}

int config_print(const struct options *opt, FILE *file)
{
	fputs("[daemon]\n", file);
	settings_print(opt, file);
	for (unsigned i = 0; i < opt->n_guests; i++) {
		fprintf(file, "\n[guest %s]\n", opt->guests[i].name);
		settings_print_guest(opt, &opt->guests[i], file);
	}
	return fflush(file) == 0 && !ferror(file) ? 0 : -EIO;
}
