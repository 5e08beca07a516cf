/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/telemetry.h"

#include "control/snapshot.h"
#include "latency.h"
#include "lcore/sleeper.h"
#include "lcore/worker.h"
#include "log.h"

#include <rte_config.h>
#include <rte_eal.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Their names from 23.03 on. */
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint  rte_tel_data_add_dict_u64
#define rte_tel_data_add_array_uint rte_tel_data_add_array_u64
#define RTE_TEL_UINT_VAL	    RTE_TEL_U64_VAL
#endif

/* Names in one answer: it has 16 KiB, and a name up to 66 bytes in it. */
#define NAMES_MAX 240

#define NAME_SIZE 32

/* The EAL's threads go on until the process ends; the daemon does not. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct daemon *subject; /* NULL: there is none (any more) */

/* Writing */

/* A path may have any bytes; not every version of DPDK makes JSON of that. */
static void add_text(struct rte_tel_data *t, const char *name, const char *value)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	snprintf(text, sizeof(text), "%s", value != NULL ? value : "");
	for (char *p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '?';
	rte_tel_data_add_dict_string(t, name, text);
}

static void add_field(struct rte_tel_data *t, const struct field *f, const void *value)
{
	char name[NAME_SIZE];

	/* It takes letters, digits, '_' and '/'. */
	snprintf(name, sizeof(name), "%s", f->name);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	switch (f->kind) {
	case FIELD_YES:
		rte_tel_data_add_dict_uint(t, name, *(const bool *)value);
		break;
	case FIELD_LIMIT:
		if (*(const uint64_t *)value == UINT64_MAX)
			break;
		/* fallthrough */
	case FIELD_NUMBER:
		rte_tel_data_add_dict_uint(t, name, *(const uint64_t *)value);
		break;
	case FIELD_TEXT:
	case FIELD_PATH:
		add_text(t, name, *(const char *const *)value);
		break;
	}
}

static void add_fields(struct rte_tel_data *t, const struct field *fields, const void *snapshot)
{
	for (; fields->name != NULL; fields++)
		add_field(t, fields, (const char *)snapshot + fields->at);
}

/* An object in an object. */
static int add_part(
	struct rte_tel_data *t, const char *name, const struct field *fields, const void *snapshot)
{
	struct rte_tel_data *part = rte_tel_data_alloc();

	if (part == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(part);
	add_fields(part, fields, snapshot);
	return rte_tel_data_add_dict_container(t, name, part, 0);
}

static int add_numbered(
	struct rte_tel_data *t, uint64_t number, const struct field *fields, const void *snapshot)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%u", (unsigned)number);
	return add_part(t, name, fields, snapshot);
}

/* Answers. Each has the daemon, and is under 'lock' */

static int tell_guests(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	unsigned long skip = params != NULL ? strtoul(params, NULL, 10) : 0;
	struct guest_table *table = guests_table(d->guests);

	rte_tel_data_start_array(t, RTE_TEL_STRING_VAL);
	guest_table_lock(table);
	for (unsigned long i = skip; i < table->n && i - skip < NAMES_MAX; i++)
		rte_tel_data_add_array_string(t, table->all[i]->spec.name);
	guest_table_unlock(table);
	return 0;
}

static int add_guest(const struct guest *g, struct rte_tel_data *t)
{
	struct guest_snapshot s;

	snapshot_guest(g, &s);
	rte_tel_data_start_dict(t);
	add_fields(t, guest_fields, &s);
	return add_part(t, "counters", guest_counter_fields, &s.counters);
}

static int tell_guest(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	struct guest_table *table = guests_table(d->guests);
	const struct guest *g;
	int err = -ENOENT;

	guest_table_lock(table);
	g = params != NULL ? guest_table_by_name(table, params) : NULL;
	if (g != NULL)
		err = add_guest(g, t);
	guest_table_unlock(table);
	return err;
}

static int tell_lcores(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	int err = 0;

	(void)params;
	rte_tel_data_start_dict(t);
	for (unsigned i = 0; i < service_n_workers(d->service) && err == 0; i++) {
		struct lcore_snapshot s;

		snapshot_lcore(d, i, &s);
		err = add_numbered(t, s.lcore, lcore_fields, &s);
	}
	return err;
}

static int tell_source(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	int err = 0;

	(void)params;
	rte_tel_data_start_dict(t);
	rte_tel_data_add_dict_string(t, "mode", d->opt.drbg ? "drbg" : "passthrough");
	for (unsigned i = 0; i < service_n_sources(d->service) && err == 0; i++) {
		struct source_snapshot s;

		snapshot_source(d, i, &s);
		err = add_numbered(t, i, source_fields, &s);
	}
	return err;
}

static int tell_budget(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	struct guest_table *table = guests_table(d->guests);
	struct budget_snapshot s;

	(void)params;
	guest_table_lock(table);
	snapshot_budget(d, &s);
	guest_table_unlock(table);
	rte_tel_data_start_dict(t);
	add_fields(t, budget_fields, &s);
	return 0;
}

/* Histograms */

static int add_latency(const struct latency *l, struct rte_tel_data *t)
{
	struct rte_tel_data *bounds = rte_tel_data_alloc(), *counts = rte_tel_data_alloc();
	uint64_t over = stats_read(&l->over), total = over;
	int err;

	if (bounds == NULL || counts == NULL) {
		rte_tel_data_free(bounds);
		rte_tel_data_free(counts);
		return -ENOMEM;
	}
	rte_tel_data_start_dict(t);
	rte_tel_data_start_array(bounds, RTE_TEL_UINT_VAL);
	rte_tel_data_start_array(counts, RTE_TEL_UINT_VAL);
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t n = stats_read(&l->counts[i]);

		rte_tel_data_add_array_uint(bounds, latency_bound_ns(i));
		rte_tel_data_add_array_uint(counts, n);
		total += n;
	}
	rte_tel_data_add_dict_string(t, "unit", "ns");
	rte_tel_data_add_dict_uint(t, "count", total);
	rte_tel_data_add_dict_uint(t, "sum", stats_read(&l->sum_ns));
	rte_tel_data_add_dict_uint(t, "over", over);
	err = rte_tel_data_add_dict_container(t, "le", bounds, 0);
	return err != 0 ? err : rte_tel_data_add_dict_container(t, "counts", counts, 0);
}

static int add_service(const struct daemon *d, const char *name, struct rte_tel_data *t)
{
	struct guest_table *table = guests_table(d->guests);
	const struct guest *g;
	int err = -ENOENT;

	guest_table_lock(table);
	g = guest_table_by_name(table, name);
	if (g != NULL)
		err = add_latency(&g->service, t);
	guest_table_unlock(table);
	return err;
}

static const struct sleeper_latency *find_latency(const struct daemon *d, const char *lcore)
{
	static const struct sleeper_latency none; /* of one that never sleeps */

	for (unsigned i = 0; i < service_n_workers(d->service); i++) {
		const struct worker *w = service_workers(d->service)[i];
		char name[NAME_SIZE];

		snprintf(name, sizeof(name), "%u", worker_lcore(w));
		if (strcmp(name, lcore) == 0)
			return worker_latency(w) != NULL ? worker_latency(w) : &none;
	}
	return NULL;
}

/* "service,GUEST", "wake,LCORE", "timer,LCORE" */
static int tell_histogram(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	const char *of = params != NULL ? strchr(params, ',') : NULL;
	const struct sleeper_latency *latency;
	size_t len;

	if (of == NULL)
		return -EINVAL;
	len = (size_t)(of++ - params);
	if (len == strlen("service") && memcmp(params, "service", len) == 0)
		return add_service(d, of, t);
	latency = find_latency(d, of);
	if (latency != NULL && len == strlen("wake") && memcmp(params, "wake", len) == 0)
		return add_latency(&latency->wake, t);
	if (latency != NULL && len == strlen("timer") && memcmp(params, "timer", len) == 0)
		return add_latency(&latency->timer, t);
	return -ENOENT;
}

/* All of them */

static const struct command {
	const char *name;
	int (*tell)(const struct daemon *d, const char *params, struct rte_tel_data *t);
	const char *help;
} commands[] = {
	{"/vhost_rng/guests", tell_guests,
		"Names of the guests, 240 at most. Parameter: how many to leave out first"},
	{"/vhost_rng/guest", tell_guest, "State and counters of a guest. Parameter: its name"},
	{"/vhost_rng/lcores", tell_lcores, "State and counters of each lcore that polls"},
	{"/vhost_rng/source", tell_source, "State and counters of each source"},
	{"/vhost_rng/budget", tell_budget, "What all guests together may have"},
	{"/vhost_rng/histogram", tell_histogram,
		"Latencies. Parameters: service,GUEST or wake,LCORE or timer,LCORE"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* Context: a thread of the EAL's. */
static int tell(const char *cmd, const char *params, struct rte_tel_data *t)
{
	int err = -ENOENT;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < N_COMMANDS && subject != NULL; i++) {
		if (strcmp(commands[i].name, cmd) == 0) {
			err = commands[i].tell(subject, params, t);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return err;
}

int telemetry_start(const struct daemon *d, struct why *why)
{
	pthread_mutex_lock(&lock);
	subject = d;
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < N_COMMANDS; i++) {
		int err = rte_telemetry_register_cmd(commands[i].name, tell, commands[i].help);

		if (err != 0)
			return why_set(why, err, "telemetry does not take command %s: %s",
				commands[i].name, strerror(-err));
	}
	if (d->opt.telemetry)
		LOG(NOTICE, "telemetry: in %s", rte_eal_get_runtime_dir());
	return 0;
}

void telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	subject = NULL;
	pthread_mutex_unlock(&lock);
}
