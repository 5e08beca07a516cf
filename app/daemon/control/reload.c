/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/reload.h"

#include "config/config.h"
#include "config/settings.h"
#include "config/specs.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is to be: read, but not yet true. */
struct plan {
	struct options opt;
	struct spec *specs;
	unsigned n_specs;
	struct sockets_lock lock;
};

/* Options that only a new start can change. */
static void say_what_stays(const struct options *was, const struct options *is)
{
	char names[256];
	unsigned n = settings_name_fixed(was, is, names, sizeof(names));

	if (n > 0)
		LOG(WARNING,
			"%s cannot change while the daemon runs, and %s: start it again for that",
			names, n > 1 ? "stay as they were" : "stays as it was");
}

/* Finding out whether it can be done */

/* Another name, another path or another side of it makes another guest. */
static bool is_of(const struct spec *spec, const struct guest *g)
{
	return strcmp(spec->name, g->spec.name) == 0 && strcmp(spec->path, g->spec.path) == 0 &&
	       spec->client == g->spec.client;
}

static const struct spec *find_spec(const struct plan *p, const struct guest *g)
{
	for (unsigned i = 0; i < p->n_specs; i++)
		if (is_of(&p->specs[i], g))
			return &p->specs[i];
	return NULL;
}

static struct guest *find_guest(const struct guest_table *t, const struct spec *spec)
{
	struct guest *g = guest_table_by_name(t, spec->name);

	return g != NULL && is_of(spec, g) ? g : NULL;
}

/* Those who came over the control socket stay, and keep their names and sockets. */
static int check_others(const struct daemon *d, const struct plan *p, struct why *why)
{
	const struct guest_table *t = guests_table(d->guests);
	unsigned n = p->n_specs, places = 0;

	for (unsigned k = 0; k < p->n_specs; k++)
		places += spec_places(&p->specs[k]);
	for (unsigned i = 0; i < t->n; i++) {
		const struct spec *other = &t->all[i]->spec;

		if (!t->all[i]->by_control)
			continue;
		n++;
		places += spec_places(other);
		for (unsigned k = 0; k < p->n_specs; k++)
			if (strcmp(p->specs[k].name, other->name) == 0 ||
				strcmp(p->specs[k].path, other->path) == 0)
				return why_set(why, -EEXIST,
					"guest %s, on %s, was added over the control socket, and is "
					"now in the configuration, too: remove it there first",
					other->name, other->path);
	}
	if (places > SPEC_PLACES_MAX)
		return why_set(why, -EMFILE,
			"%u guests, with those that were added over the control socket, are more "
			"than one process can serve: %d, or %d in client mode",
			n, OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
	return 0;
}

/* A guest of ours has it, until it is removed. */
static bool is_ours(const struct guest_table *t, const char *path)
{
	const struct guest *g = guest_table_by_path(t, path);

	return g != NULL && !g->spec.client;
}

/* The sockets of new guests, but for those that we have already. */
static int prepare_sockets(const struct daemon *d, struct plan *p, struct why *why)
{
	const struct guest_table *t = guests_table(d->guests);
	const char **paths = calloc(p->n_specs + 1, sizeof(paths[0]));
	unsigned n = 0;
	int err = 0;

	if (paths == NULL)
		return why_set(why, -ENOMEM, "no memory for %u guests", p->n_specs);
	for (unsigned i = 0; i < p->n_specs; i++)
		if (p->specs[i].client)
			err = err == 0 ? sockets_check(p->specs[i].path, why) : err;
		else if (!is_ours(t, p->specs[i].path))
			paths[n++] = p->specs[i].path;
	if (err == 0)
		err = sockets_prepare(paths, n, 0, &p->lock, why);
	free(paths);
	return err;
}

/* Sockets of new guests, and of those whose rights change. */
static int check_rights(const struct daemon *d, const struct plan *p, struct why *why)
{
	int err = 0;

	for (unsigned i = 0; i < p->n_specs && err == 0; i++) {
		const struct spec *spec = &p->specs[i];
		const struct guest *g = find_guest(guests_table(d->guests), spec);

		if (spec->client)
			continue;
		if (g == NULL)
			err = sockets_check_rights(NULL, spec->gid, why);
		else if (g->spec.mode != spec->mode || g->spec.gid != spec->gid)
			err = sockets_check_rights(spec->path, spec->gid, why);
	}
	return err;
}

static int make_plan(const struct daemon *d, struct plan *p, struct why *why)
{
	int err;

	if (d->draining)
		return why_set(why, -ESHUTDOWN, "the daemon is being drained: no guest may come");
	if (config_load(d->argc, d->argv, &p->opt, why) != OPTIONS_RUN)
		return -EINVAL;
	err = specs_make(&p->opt, &p->specs, &p->n_specs, why);
	if (err == 0)
		err = guests_check(d->guests, p->specs, p->n_specs, why);
	if (err == 0)
		err = check_others(d, p, why);
	if (err == 0)
		err = check_rights(d, p, why);
	if (err == 0)
		err = prepare_sockets(d, p, why);
	return err;
}

/* Doing it: nothing that can be known before goes wrong any more */

static void remove_guests(struct daemon *d, const struct plan *p)
{
	const struct guest_table *t = guests_table(d->guests);

	for (unsigned i = t->n; i > 0; i--)
		if (!t->all[i - 1]->by_control && find_spec(p, t->all[i - 1]) == NULL)
			guests_remove(d->guests, t->all[i - 1]);
}

static void add_and_change_guests(struct daemon *d, const struct plan *p)
{
	for (unsigned i = 0; i < p->n_specs; i++) {
		struct guest *g = find_guest(guests_table(d->guests), &p->specs[i]);
		struct why why;
		int err;

		if (g != NULL)
			err = guests_change(d->guests, g, &p->specs[i], &why);
		else
			err = guests_add_prepared(d->guests, &p->specs[i], false, &why);
		if (err != 0)
			LOG(ERR, "reading the configuration again: %s", why.text);
	}
}

/* What others refer to stays where it is; what may change is copied. */
static void take_over(struct daemon *d, const struct plan *p)
{
	const struct limits limits = {p->opt.max_bytes, p->opt.max_requests};
	struct options *opt = &d->opt;
	struct why why;

	guests_limit(d->guests, &limits);
	opt->max_bytes = p->opt.max_bytes;
	opt->max_requests = p->opt.max_requests;
	opt->burst = p->opt.burst;
	opt->burst_once = p->opt.burst_once;
	opt->client = p->opt.client;
	opt->socket_mode = p->opt.socket_mode;
	opt->socket_group =
		p->opt.socket_group != NULL ? options_keep(opt, p->opt.socket_group) : NULL;
	(void)specs_default(&p->opt, &d->otherwise, &why); /* it was found before */
	opt->reseed_s = p->opt.reseed_s;
	service_set_reseed_time(d->service, opt->reseed_s);
	opt->log_level = p->opt.log_level;
	log_set_level(opt->log_level);
}

int reload(struct daemon *d, struct why *why)
{
	struct plan *p = calloc(1, sizeof(*p));
	int err;

	if (p == NULL)
		return why_set(why, -ENOMEM, "no memory to read the configuration again");
	err = make_plan(d, p, why);
	if (err == 0) {
		remove_guests(d, p);
		add_and_change_guests(d, p);
		take_over(d, p);
		say_what_stays(&d->opt, &p->opt);
		LOG(NOTICE, "read %s again: %u guests", d->opt.config, guests_table(d->guests)->n);
	}
	sockets_unlock(&p->lock);
	free(p->specs);
	options_fini(&p->opt);
	free(p);
	return err;
}
