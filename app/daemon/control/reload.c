/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/reload.h"

#include "config/config.h"
#include "config/settings.h"
#include "config/spec.h"
#include "fd_limit.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is to be: read, but not yet true. */
struct plan {
	struct options opt;
	struct specs specs;
	struct sockets_lock lock;
	struct fd_reserve fds; /* for guests that come */
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
	for (unsigned i = 0; i < p->specs.n; i++)
		if (is_of(&p->specs.all[i], g))
			return &p->specs.all[i];
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
	unsigned n = p->specs.n, places = 0;

	for (unsigned k = 0; k < p->specs.n; k++)
		places += spec_places(&p->specs.all[k]);
	for (unsigned i = 0; i < t->n; i++) {
		const struct spec *other = &t->all[i]->spec;

		if (!t->all[i]->by_control)
			continue;
		n++;
		places += spec_places(other);
		for (unsigned k = 0; k < p->specs.n; k++)
			if (strcmp(p->specs.all[k].name, other->name) == 0 ||
				strcmp(p->specs.all[k].path, other->path) == 0)
				return why_set(why, -EEXIST,
					"guest %s, on %s, was added over the control socket, and is "
					"now in the configuration, too: remove it there first",
					other->name, other->path);
	}
	if (places > SPEC_PLACES_MAX)
		return why_set(why, -E2BIG,
			"%u guests, with those that were added over the control socket, are more "
			"than one process can serve: %d, or %d in client mode",
			n, OPTIONS_SOCKETS_MAX, OPTIONS_SOCKETS_MAX_CLIENT);
	return 0;
}

/* For a guest that takes another's path, too: the socket there goes only with the other one. */
static int check_new(const struct spec *spec, struct why *why)
{
	int err = sockets_check_directory(spec->path, why);

	return err == 0 ? sockets_check_rights(NULL, spec->gid, why) : err;
}

/* Sockets of new guests, and of those whose rights change. */
static int check_rights(const struct daemon *d, const struct plan *p, struct why *why)
{
	int err = 0;

	for (unsigned i = 0; i < p->specs.n && err == 0; i++) {
		const struct spec *spec = &p->specs.all[i];
		const struct guest *g = find_guest(guests_table(d->guests), spec);

		if (spec->client)
			continue;
		if (g == NULL)
			err = check_new(spec, why);
		else if (g->spec.mode != spec->mode || g->spec.gid != spec->gid)
			err = sockets_check_rights(spec->path, spec->gid, why);
	}
	return err;
}

/* The sockets of new guests; and a front-end may come meanwhile, and would have them. */
static int reserve_fds(const struct daemon *d, struct plan *p, struct why *why)
{
	unsigned n_new = 0, n;
	int err;

	for (unsigned i = 0; i < p->specs.n; i++)
		n_new += find_guest(guests_table(d->guests), &p->specs.all[i]) == NULL;
	if (n_new == 0)
		return 0;
	n = n_new + FD_LIMIT_PER_GUEST;
	err = fd_reserve(n, &p->fds);
	if (err == 0)
		return 0;
	return why_set(why, err,
		"%u new guest%s need%s %u open files: %s; raise the limit (prlimit, or LimitNOFILE "
		"in a systemd unit)",
		n_new, n_new > 1 ? "s" : "", n_new > 1 ? "" : "s", n, strerror(-err));
}

static int make_plan(const struct daemon *d, struct plan *p, struct why *why)
{
	int err;

	if (d->draining)
		return why_set(why, -ESHUTDOWN, "the daemon is being drained: no guest may come");
	if (config_load(d->argc, d->argv, 0, &p->opt, why) != OPTIONS_RUN)
		return -EINVAL;
	err = specs_make(&p->opt, &p->specs, why);
	if (err == 0)
		err = guests_check(d->guests, p->specs.all, p->specs.n, why);
	if (err == 0)
		err = check_others(d, p, why);
	if (err == 0)
		err = check_rights(d, p, why);
	if (err == 0)
		err = guests_prepare_sockets(
			d->guests, p->specs.all, p->specs.n, NULL, 0, &p->lock, why);
	if (err == 0)
		err = reserve_fds(d, p, why);
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

/* Apply to all guests what can be applied. @return 0, or the first error */
static int add_and_change_guests(struct daemon *d, const struct plan *p, struct why *why)
{
	int first = 0;

	for (unsigned i = 0; i < p->specs.n; i++) {
		struct guest *g = find_guest(guests_table(d->guests), &p->specs.all[i]);
		struct why reason;
		int err;

		if (g != NULL)
			err = guests_change(d->guests, g, &p->specs.all[i], &reason);
		else
			err = guests_add_prepared(d->guests, &p->specs.all[i], false, &reason);
		if (err == 0)
			continue;
		LOG(ERR, "reading the configuration again: %s", reason.text);
		if (first == 0)
			first = why_set(why, err, "guest %s: %.400s; all else was applied",
				p->specs.all[i].name, reason.text);
	}
	return first;
}

/* What others refer to stays as it is; what may change, they have of their own, and are told. */
static void take_over(struct daemon *d, const struct plan *p)
{
	const struct limits limits = {p->opt.max_bytes, p->opt.max_requests};

	guests_limit(d->guests, &limits);
	d->specs.otherwise = p->specs.otherwise;
	service_set_reseed_time(d->service, p->opt.reseed_s);
	d->opt.log_level = p->opt.log_level;
	log_set_level(p->opt.log_level);
}

int reload(struct daemon *d, bool *applied, struct why *why)
{
	struct plan *p = calloc(1, sizeof(*p));
	int err;

	*applied = false;
	if (p == NULL)
		return why_set(why, -ENOMEM, "no memory to read the configuration again");
	err = make_plan(d, p, why);
	if (err == 0) {
		*applied = true;
		remove_guests(d, p);
		fd_release(&p->fds);
		err = add_and_change_guests(d, p, why);
		take_over(d, p);
		say_what_stays(&d->opt, &p->opt);
		LOG(NOTICE, "read %s again: %u guests", d->opt.config, guests_table(d->guests)->n);
	}
	fd_release(&p->fds);
	sockets_unlock(&p->lock);
	specs_fini(&p->specs);
	options_fini(&p->opt);
	free(p);
	return err;
}
