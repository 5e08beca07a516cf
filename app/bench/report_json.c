/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include "bench_version.h"

#include <inttypes.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/utsname.h>

static void put_string(FILE *to, const char *s)
{
	fputc('"', to);
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(to, "\\%c", c);
		else if (c < 0x20)
			fprintf(to, "\\u%04x", c);
		else
			fputc(c, to);
	}
	fputc('"', to);
}

static double rate(const struct report_sum *sum, uint64_t n)
{
	return sum->seconds > 0 ? (double)n / sum->seconds : 0;
}

static void put_counts(FILE *to, const struct player_counts *c)
{
	fprintf(to,
		"{\"requests\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"short\": %" PRIu64
		", \"empty\": %" PRIu64 ", \"kicks\": %" PRIu64 ", \"calls\": %" PRIu64 "}",
		c->requests, c->bytes, c->shorts, c->empties, c->kicks, c->calls);
}

static void put_latency(FILE *to, const struct histogram *h)
{
	fprintf(to, "{\"samples\": %" PRIu64, h->count);
	for (unsigned i = 0; i < REPORT_PERCENTILES; i++)
		fprintf(to, ", \"%s\": %" PRIu64, report_percentile_names[i],
			histogram_percentile(h, report_percentiles[i]));
	fputc('}', to);
}

/* [[lowest, highest, count], ...] of the buckets that hold something. */
static void put_buckets(FILE *to, const struct histogram *h)
{
	const char *comma = "";
	uint64_t lowest, highest;

	fputc('[', to);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (h->buckets[i] == 0)
			continue;
		histogram_bucket_range(i, &lowest, &highest);
		fprintf(to, "%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", comma, lowest, highest,
			h->buckets[i]);
		comma = ", ";
	}
	fputc(']', to);
}

static void put_figures(FILE *to, const struct player_counts *c, const struct histogram *h,
	const struct report_sum *sum)
{
	fprintf(to, "\"requests_per_s\": %.3f, \"MB_per_s\": %.6f, \"measured\": ",
		rate(sum, c->requests), rate(sum, c->bytes) / 1e6);
	put_counts(to, c);
	fprintf(to, ", \"latency_ns\": ");
	put_latency(to, h);
}

static void put_machine(FILE *to)
{
	char line[256], *model = NULL;
	FILE *file = fopen("/proc/cpuinfo", "re");
	struct utsname name;

	while (model == NULL && file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "model name", 10) == 0)
			model = strchr(line, ':');
	if (file != NULL)
		fclose(file);
	if (model != NULL)
		model[strcspn(model, "\n")] = '\0';
	fprintf(to, "  \"machine\": {\"cpu\": ");
	put_string(to, model != NULL ? model + 2 : "");
	if (uname(&name) == 0) {
		fprintf(to, ", \"system\": ");
		put_string(to, name.sysname);
		fprintf(to, ", \"release\": ");
		put_string(to, name.release);
		fprintf(to, ", \"architecture\": ");
		put_string(to, name.machine);
	}
	fprintf(to, "},\n");
}

static void put_list(FILE *to, const char *name, const uint32_t *list, unsigned n)
{
	fprintf(to, ", \"%s\": [", name);
	for (unsigned i = 0; i < n; i++)
		fprintf(to, "%s%u", i > 0 ? ", " : "", list[i]);
	fputc(']', to);
}

static void put_work(FILE *to, const struct report *r)
{
	const struct args *a = r->args;
	const struct player *p = &r->load->players[0];

	fprintf(to, "  \"command\": [");
	for (int i = 0; i < r->argc; i++) {
		fputs(i > 0 ? ", " : "", to);
		put_string(to, r->argv[i]);
	}
	fprintf(to, "],\n  \"work\": {\"socket\": ");
	put_string(to, a->socket != NULL ? a->socket : "");
	fprintf(to, ", \"self\": %s, \"guests\": %u", a->self ? "true" : "false", a->nr_guests);
	put_list(to, "sizes", a->sizes, a->nr_sizes);
	put_list(to, "depths", a->depths, a->nr_depths);
	fprintf(to,
		", \"queue_size\": %u, \"chain\": %u, \"indirect\": %s, \"layout\": \"%s\", "
		"\"event_idx\": %s, \"wait\": \"%s\", \"rate\": %.3f, \"warm_up_s\": %.3f, "
		"\"duration_s\": %.3f, \"count\": %" PRIu64
		", \"timeout_s\": %.3f, \"pin\": %d, \"features\": \"0x%" PRIx64 "\"},\n",
		p->cfg.queue_size, a->chain, a->indirect ? "true" : "false",
		a->packed ? "packed" : "split",
		(p->features >> VIRTIO_RING_F_EVENT_IDX) & 1 ? "true" : "false",
		a->block ? "block" : "poll", a->rate, a->warm_up_s, a->duration_s, a->count,
		a->timeout_s, a->pin, p->features);
}

static void put_thread(FILE *to, const struct procstat_thread *t)
{
	fprintf(to,
		"\"cpu_ns\": %" PRIu64 ", \"voluntary\": %" PRIu64 ", \"involuntary\": %" PRIu64,
		t->cpu_ns, t->voluntary, t->involuntary);
}

static void put_backend(FILE *to, const struct report *r, const struct report_sum *sum)
{
	struct procstat_thread all = procstat_sum(r->backend);

	fprintf(to, "  \"backend\": {\"pid\": %d, \"cpu_percent\": %.3f, ", (int)r->args->pid,
		sum->seconds > 0 ? (double)all.cpu_ns / 1e7 / sum->seconds : 0);
	put_thread(to, &all);
	fprintf(to, ", \"threads\": [");
	for (unsigned i = 0; i < r->backend->nr_threads; i++) {
		const struct procstat_thread *t = &r->backend->threads[i];

		fprintf(to, "%s{\"tid\": %d, \"name\": ", i > 0 ? ", " : "", (int)t->tid);
		put_string(to, t->name);
		fprintf(to, ", \"cpu\": %d, ", t->cpu);
		put_thread(to, t);
		fputc('}', to);
	}
	fprintf(to, "]},\n");
}

static void put_limit(FILE *to, const char *name, const char *unit, double limit, double reached)
{
	fprintf(to, ", \"%s\": {\"%s\": %.3f, \"reached\": %.6f}", name, unit, limit,
		limit > 0 ? reached / limit : 0);
}

static void put_limits(FILE *to, const struct report *r, const struct report_sum *sum)
{
	const struct limits *lim = r->limits;
	double mbps = rate(sum, sum->counts.bytes) / 1e6;

	fprintf(to, "  \"limits\": {\"cpu\": %d, \"source_file\": ", lim->cpu);
	put_string(to, lim->source);
	fprintf(to, ", \"source_error\": ");
	put_string(to, lim->source_error);
	fprintf(to, ", \"cipher\": ");
	put_string(to, lim->cipher);
	fprintf(to, ", \"keystream_call_bytes\": %u", lim->keystream_call_bytes);
	put_limit(to, "source", "MB_per_s", lim->source_mbps, mbps);
	put_limit(to, "source_bulk", "MB_per_s", lim->source_bulk_mbps, mbps);
	put_limit(to, "keystream", "MB_per_s", lim->keystream_mbps, mbps);
	put_limit(to, "copy", "MB_per_s", lim->copy_mbps, mbps);
	put_limit(to, "call", "calls_per_s", lim->calls_per_s, rate(sum, sum->counts.calls));
	fprintf(to, ", \"wake_ns\": {\"p50\": %" PRIu64 ", \"p99\": %" PRIu64 "}},\n",
		lim->wake.p50_ns, lim->wake.p99_ns);
}

static void put_verify(FILE *to, const struct report *r)
{
	struct verify_counts v = verify_counts(r->load->verify);

	fprintf(to,
		"  \"verify\": {\"answers\": %" PRIu64 ", \"words\": %" PRIu64
		", \"false_alarm\": %.3g, \"blocks\": %" PRIu64 ", \"written_behind\": %" PRIu64
		"},\n",
		v.answers, v.words, (double)v.words * 0x1p-64, v.blocks, v.behind);
}

static void put_periods(FILE *to, const struct periods *p)
{
	fprintf(to, "  \"periods\": [");
	for (unsigned i = 0; i < periods_seen(p); i++)
		fprintf(to, "%s%" PRIu64, i > 0 ? ", " : "", p->bytes[i]);
	fprintf(to, "],\n");
}

static void put_guests(FILE *to, const struct report *r, const struct report_sum *sum)
{
	const struct load *l = r->load;

	fprintf(to, "  \"guests\": [");
	for (unsigned i = 0; i < l->nr_players; i++) {
		const struct player *p = &l->players[i];

		fprintf(to, "%s\n    {\"guest\": %u, \"size\": %u, \"depth\": %u, ",
			i > 0 ? "," : "", i, p->cfg.size_bytes, p->cfg.depth);
		put_figures(to, &p->measured, p->latency, sum);
		fprintf(to, ", \"lifetime\": ");
		put_counts(to, &p->total);
		fputc('}', to);
	}
	fprintf(to, "],\n");
}

void report_json(const struct report *r, const struct report_sum *sum, FILE *to)
{
	fprintf(to, "{\n  \"program\": \"dpdk-vhost-rng-bench\", \"version\": \"%s\",\n",
		BENCH_VERSION);
	put_machine(to);
	put_work(to, r);
	fprintf(to, "  \"clock\": \"%s\", \"latency_error\": %g,\n",
		r->load->ticks.tsc ? "tsc" : "CLOCK_MONOTONIC", 0.5 / HISTOGRAM_SUB);
	fprintf(to, "  \"bench\": {");
	put_thread(to, r->own);
	fprintf(to, "},\n");
	if (r->backend != NULL)
		put_backend(to, r, sum);
	if (r->limits != NULL)
		put_limits(to, r, sum);
	if (r->load->verify != NULL)
		put_verify(to, r);
	put_guests(to, r, sum);
	if (r->args->period_ms > 0)
		put_periods(to, &r->load->periods);
	fprintf(to, "  \"total\": {\"seconds\": %.6f, ", sum->seconds);
	put_figures(to, &sum->counts, sum->latency, sum);
	fprintf(to, ", \"lifetime\": ");
	put_counts(to, &sum->lifetime);
	fprintf(to, ", \"jain\": %.6f, \"unsent\": %" PRIu64 ", \"histogram_ns\": ", sum->jain,
		r->load->unsent);
	put_buckets(to, sum->latency);
	fprintf(to, "},\n  \"verdict\": ");
	put_string(to, r->verdict);
	fprintf(to, "\n}\n");
}
