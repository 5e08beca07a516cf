/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include "bench_version.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/utsname.h>

#define DIGITS 12 /* of a real number */

/* A path may hold what JSON cannot. */
static json_t *text(const char *s)
{
	json_t *string = json_string(s);

	return string != NULL ? string : json_string("(not UTF-8)");
}

static json_int_t number(uint64_t n)
{
	return (json_int_t)n;
}

static json_t *counts(const struct player_counts *c)
{
	return json_pack("{sI sI sI sI sI sI}", "requests", number(c->requests), "bytes",
		number(c->bytes), "short", number(c->shorts), "empty", number(c->empties), "kicks",
		number(c->kicks), "calls", number(c->calls));
}

static json_t *latency(const struct histogram *h)
{
	json_t *found = json_pack("{sI}", "samples", number(h->count));

	for (unsigned i = 0; i < REPORT_PERCENTILES; i++)
		json_object_set_new(found, report_percentile_names[i],
			json_integer(number(histogram_percentile(h, report_percentiles[i]))));
	return found;
}

/* [[lowest, highest, count], ...] of the buckets that hold something. */
static json_t *buckets(const struct histogram *h)
{
	json_t *array = json_array();
	uint64_t lowest, highest;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (h->buckets[i] == 0)
			continue;
		histogram_bucket_range(i, &lowest, &highest);
		json_array_append_new(array,
			json_pack("[III]", number(lowest), number(highest), number(h->buckets[i])));
	}
	return array;
}

static json_t *figures(const struct player_counts *measured, const struct player_counts *lifetime,
	const struct histogram *h, const struct report_sum *sum)
{
	return json_pack("{sf sf so so so}", "requests_per_s", report_rate(sum, measured->requests),
		"MB_per_s", report_rate(sum, measured->bytes) / 1e6, "measured", counts(measured),
		"latency_ns", latency(h), "lifetime", counts(lifetime));
}

static json_t *machine(void)
{
	struct utsname name = {.sysname = ""};
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256], model[256] = "";

	while (file != NULL && model[0] == '\0' && fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "model name : %255[^\n]", model);
	if (file != NULL)
		fclose(file);
	uname(&name);
	return json_pack("{so ss ss ss}", "cpu", text(model), "system", name.sysname, "release",
		name.release, "architecture", name.machine);
}

static json_t *list(const struct args_list *l)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < l->n; i++)
		json_array_append_new(array, json_integer(l->values[i]));
	return array;
}

static json_t *command(const struct report *r)
{
	json_t *words = json_array();

	for (int i = 0; i < r->argc; i++)
		json_array_append_new(words, text(r->argv[i]));
	return words;
}

static json_t *work(const struct report *r)
{
	const struct args *a = r->args;
	const struct player *p = &r->load->players[0];
	char features[32];

	snprintf(features, sizeof(features), "0x%" PRIx64, p->features);
	return json_pack("{so sb si so so si si sb ss sb ss sf sf sf sI sf si ss}", "socket",
		text(a->socket != NULL ? a->socket : ""), "self", a->self, "guests", a->nr_guests,
		"sizes", list(&a->sizes), "depths", list(&a->depths), "queue_size",
		p->cfg.queue_size, "chain", a->chain, "indirect", a->indirect, "layout",
		a->packed ? "packed" : "split", "event_idx",
		(int)(p->features >> VIRTIO_RING_F_EVENT_IDX & 1), "wait",
		a->block ? "block" : "poll", "rate", a->rate, "warm_up_s", a->warm_up_s,
		"duration_s", a->duration_s, "count", number(a->count), "timeout_s", a->timeout_s,
		"pin", a->pin, "features", features);
}

static json_t *thread(const struct procstat_thread *t)
{
	return json_pack("{sI sI sI}", "cpu_ns", number(t->cpu_ns), "voluntary",
		number(t->voluntary), "involuntary", number(t->involuntary));
}

static json_t *backend(const struct report *r, const struct report_sum *sum)
{
	struct procstat_thread all;
	json_t *found, *threads = json_array();

	if (r->backend == NULL)
		return NULL;
	all = procstat_sum(r->backend);
	found = json_pack("{si sf}", "pid", (int)r->args->pid, "cpu_percent",
		report_rate(sum, all.cpu_ns) / 1e7);
	json_object_update_new(found, thread(&all));
	for (unsigned i = 0; i < r->backend->nr_threads; i++) {
		const struct procstat_thread *t = &r->backend->threads[i];
		json_t *one = json_pack(
			"{si so si}", "tid", (int)t->tid, "name", text(t->name), "cpu", t->cpu);

		json_object_update_new(one, thread(t));
		json_array_append_new(threads, one);
	}
	json_object_set_new(found, "threads", threads);
	return found;
}

static json_t *share(const char *unit, double limit, double reached)
{
	return json_pack("{sf sf}", unit, limit, "reached", limit > 0 ? reached / limit : 0);
}

static json_t *limits(const struct report *r, const struct report_sum *sum)
{
	const struct limits *lim = r->limits;
	double mbps = report_rate(sum, sum->counts.bytes) / 1e6;

	if (lim == NULL)
		return NULL;
	return json_pack("{si so so so si so so so so so s{sI sI}}", "cpu", lim->cpu, "source_file",
		text(lim->source), "source_error", text(lim->source_error), "cipher",
		text(lim->cipher), "keystream_call_bytes", lim->keystream_call_bytes, "source",
		share("MB_per_s", lim->source_mbps, mbps), "source_bulk",
		share("MB_per_s", lim->source_bulk_mbps, mbps), "keystream",
		share("MB_per_s", lim->keystream_mbps, mbps), "copy",
		share("MB_per_s", lim->copy_mbps, mbps), "call",
		share("calls_per_s", lim->calls_per_s, report_rate(sum, sum->counts.calls)),
		"wake_ns", "p50", number(lim->wake_p50_ns), "p99", number(lim->wake_p99_ns));
}

static json_t *verified(const struct report *r)
{
	struct verify_counts v;

	if (r->load->verify == NULL)
		return NULL;
	v = verify_counts(r->load->verify);
	return json_pack("{sI sI sf sI sI}", "answers", number(v.answers), "words", number(v.words),
		"false_alarm", (double)v.words * 0x1p-64, "blocks", number(v.blocks),
		"written_behind", number(v.behind));
}

static json_t *guests(const struct report *r, const struct report_sum *sum)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < r->load->nr_players; i++) {
		const struct player *p = &r->load->players[i];
		json_t *one = json_pack(
			"{si si si}", "guest", i, "size", p->cfg.size_bytes, "depth", p->cfg.depth);

		json_object_update_new(one, figures(&p->measured, &p->total, p->latency, sum));
		json_array_append_new(array, one);
	}
	return array;
}

static json_t *periods(const struct report *r)
{
	const struct periods *p = &r->load->periods;
	json_t *array;

	if (r->args->period_ms == 0)
		return NULL;
	array = json_array();
	for (unsigned i = 0; i < periods_seen(p); i++)
		json_array_append_new(array, json_integer(number(p->bytes[i])));
	return array;
}

static json_t *total(const struct report *r, const struct report_sum *sum)
{
	json_t *found = json_pack("{sf}", "seconds", sum->seconds);

	json_object_update_new(found, figures(&sum->counts, &sum->lifetime, sum->latency, sum));
	json_object_update_new(
		found, json_pack("{sf sI so}", "jain", sum->jain, "unsent", number(r->load->unsent),
			       "histogram_ns", buckets(sum->latency)));
	return found;
}

int report_json(const struct report *r, const struct report_sum *sum, FILE *to)
{
	json_t *root = json_pack("{ss ss so so so ss sf so so* so* so* so so* so so}", "program",
		"dpdk-vhost-rng-bench", "version", BENCH_VERSION, "machine", machine(), "command",
		command(r), "work", work(r), "clock",
		r->load->ticks.tsc ? "tsc" : "CLOCK_MONOTONIC", "latency_error",
		0.5 / HISTOGRAM_SUB, "bench", thread(r->own), "backend", backend(r, sum), "limits",
		limits(r, sum), "verify", verified(r), "guests", guests(r, sum), "periods",
		periods(r), "total", total(r, sum), "verdict", text(r->verdict));
	int err = json_dumpf(root, to, JSON_REAL_PRECISION(DIGITS)) == 0 ? 0 : -ENOMEM;

	fputc('\n', to);
	json_decref(root);
	return err;
}
