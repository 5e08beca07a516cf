/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/telemetry.h"

#include "control/report.h"
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

/* The same of lcores: one is up to 650 bytes. */
#define LCORES_MAX 24

#define NAME_SIZE 32

/* The EAL's threads go on until the process ends; the daemon does not. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct daemon *subject; /* NULL: there is none (any more) */

/* From JSON to its own form */

/* A path may have any bytes; not every version of DPDK makes JSON of that. */
static void add_text(struct rte_tel_data *t, const char *name, const char *value)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	snprintf(text, sizeof(text), "%s", value);
	for (char *p = text; *p != '\0'; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '?';
	rte_tel_data_add_dict_string(t, name, text);
}

/* There is no null: a limit that there is not is left out, a text is empty. */
static void add_null(struct rte_tel_data *t, const char *name)
{
	static const char *const texts[] = {"broken", "waits_for"};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(name, texts[i]) == 0)
			add_text(t, name, "");
}

static int add_object(struct rte_tel_data *t, json_t *object);

/* An object in an object. */
static int add_part(struct rte_tel_data *t, const char *name, json_t *object)
{
	struct rte_tel_data *part = rte_tel_data_alloc();
	int err;

	if (part == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(part);
	err = add_object(part, object);
	if (err == 0)
		err = rte_tel_data_add_dict_container(t, name, part, 0);
	if (err != 0)
		rte_tel_data_free(part);
	return err;
}

static int add_value(struct rte_tel_data *t, const char *key, json_t *value)
{
	char name[NAME_SIZE];

	/* It takes letters, digits, '_' and '/'. */
	snprintf(name, sizeof(name), "%s", key);
	for (char *p = name; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	if (json_is_object(value))
		return add_part(t, name, value);
	if (json_is_string(value))
		add_text(t, name, json_string_value(value));
	else if (json_is_null(value))
		add_null(t, name);
	else
		rte_tel_data_add_dict_uint(t, name,
			json_is_boolean(value) ? json_is_true(value)
					       : (uint64_t)json_integer_value(value));
	return 0;
}

static int add_object(struct rte_tel_data *t, json_t *object)
{
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach(object, key, value)
	{
		if (err == 0)
			err = add_value(t, key, value);
	}
	return err;
}

/* @param report  taken over; NULL: no memory */
static int answer(struct rte_tel_data *t, json_t *report)
{
	int err = report != NULL ? 0 : -ENOMEM;

	rte_tel_data_start_dict(t);
	if (err == 0)
		err = add_object(t, report);
	json_decref(report);
	return err;
}

/* Answers. Each has the daemon, and is under 'lock' */

/* How many of a long list were in the answers before this one. */
static unsigned long to_skip(const char *params)
{
	return params != NULL ? strtoul(params, NULL, 10) : 0;
}

static int tell_guests(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	unsigned long skip = to_skip(params);
	struct guest_table *table = guests_table(d->guests);

	rte_tel_data_start_array(t, RTE_TEL_STRING_VAL);
	guest_table_lock(table);
	for (unsigned long i = skip; i < table->n && i - skip < NAMES_MAX; i++)
		rte_tel_data_add_array_string(t, table->all[i]->spec.name);
	guest_table_unlock(table);
	return 0;
}

static int tell_guest(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	struct guest_table *table = guests_table(d->guests);
	json_t *report = NULL;
	const struct guest *g;

	guest_table_lock(table);
	g = params != NULL ? guest_table_by_name(table, params) : NULL;
	if (g != NULL)
		report = report_guest(g);
	guest_table_unlock(table);
	return g != NULL ? answer(t, report) : -ENOENT;
}

/* @param all, report  taken over. @return 'all' with one more in it; NULL: no memory */
static json_t *with_numbered(json_t *all, unsigned number, json_t *report)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%u", number);
	if (json_object_set_new(all, name, report) == 0)
		return all;
	json_decref(all);
	return NULL;
}

static int tell_lcores(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	const struct workers *workers = service_workers(d->service);
	unsigned long skip = to_skip(params);
	json_t *all = json_object();

	for (unsigned long i = skip; i < workers->n && i - skip < LCORES_MAX; i++)
		all = with_numbered(
			all, worker_lcore(workers->all[i]), report_lcore(d, (unsigned)i));
	return answer(t, all);
}

static int tell_source(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	json_t *all = json_pack("{s:s}", "mode", report_source_mode(d));

	for (unsigned i = 0; i < d->opt.n_sources; i++)
		all = with_numbered(all, i, report_source(d, i));
	return answer(t, all);
}

static int tell_budget(const struct daemon *d, const char *params, struct rte_tel_data *t)
{
	struct guest_table *table = guests_table(d->guests);
	json_t *report;

	guest_table_lock(table);
	report = report_budget(d);
	guest_table_unlock(table);
	return answer(t, report);
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
	const struct workers *workers = service_workers(d->service);

	for (unsigned i = 0; i < workers->n; i++) {
		const struct worker *w = workers->all[i];
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
	{"/vhost_rng/lcores", tell_lcores,
		"State and counters of lcores that poll, 24 at most. Parameter: how many to leave "
		"out first"},
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
	json_object_seed(0); /* before threads make objects, and while /dev/urandom can be opened */
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
