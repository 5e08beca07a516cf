/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#define GUESTS_SHOWN 16

const double report_percentiles[REPORT_PERCENTILES] = {50, 90, 99, 99.9, 100};
const char *const report_percentile_names[REPORT_PERCENTILES] = {
	"p50", "p90", "p99", "p99.9", "max"};

static void add(struct player_counts *sum, const struct player_counts *c)
{
	sum->requests += c->requests;
	sum->bytes += c->bytes;
	sum->shorts += c->shorts;
	sum->empties += c->empties;
	sum->kicks += c->kicks;
	sum->calls += c->calls;
}

int report_sum(const struct load *l, struct report_sum *sum)
{
	double total = 0, squares = 0;

	*sum = (struct report_sum){.seconds = (double)l->measured_ns / 1e9};
	sum->latency = calloc(1, sizeof(*sum->latency));
	if (sum->latency == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < l->nr_players; i++) {
		const struct player *p = &l->players[i];
		double bytes = (double)p->measured.bytes;

		add(&sum->counts, &p->measured);
		add(&sum->lifetime, &p->total);
		histogram_merge(sum->latency, p->latency);
		total += bytes;
		squares += bytes * bytes;
	}
	sum->jain = squares > 0 ? total * total / (l->nr_players * squares) : 1;
	return 0;
}

double report_rate(const struct report_sum *sum, uint64_t n)
{
	return sum->seconds > 0 ? (double)n / sum->seconds : 0;
}

static double ratio(uint64_t a, uint64_t b)
{
	return b > 0 ? (double)a / (double)b : 0;
}

/* A duration in a unit that suits it, with three digits at least. */
static void print_ns(FILE *to, uint64_t ns)
{
	static const struct {
		uint64_t least_ns, ns;
		const char *name;
	} units[] = {{1000000000, 1000000000, "s "}, {1000000, 1000000, "ms"}, {10000, 1000, "us"},
		{0, 1, "ns"}};
	unsigned i = 0;
	double n;

	while (ns < units[i].least_ns)
		i++;
	n = (double)ns / (double)units[i].ns;
	fprintf(to, " %9.*f %s", units[i].ns > 1 && n < 100 ? 2 : 0, n, units[i].name);
}

static void print_row(FILE *to, const char *name, const struct player_counts *c,
	const struct histogram *h, const struct report_sum *sum)
{
	fprintf(to, "%-8s %12.0f %10.2f", name, report_rate(sum, c->requests),
		report_rate(sum, c->bytes) / 1e6);
	for (unsigned i = 0; i < REPORT_PERCENTILES; i++)
		print_ns(to, histogram_percentile(h, report_percentiles[i]));
	fputc('\n', to);
}

static void print_rows(const struct report *r, const struct report_sum *sum, FILE *to)
{
	const struct load *l = r->load;
	unsigned shown = l->nr_players > 1 ? l->nr_players : 0;
	char name[16];

	fprintf(to, "\n%-8s %12s %10s", "guest", "requests/s", "MB/s");
	for (unsigned i = 0; i < REPORT_PERCENTILES; i++)
		fprintf(to, " %9s   ", report_percentile_names[i]);
	fputc('\n', to);
	for (unsigned i = 0; i < shown && i < GUESTS_SHOWN; i++) {
		snprintf(name, sizeof(name), "%u", i);
		print_row(to, name, &l->players[i].measured, l->players[i].latency, sum);
	}
	if (shown > GUESTS_SHOWN)
		fprintf(to, "... and %u more, which --json has\n", shown - GUESTS_SHOWN);
	print_row(to, "all", &sum->counts, sum->latency, sum);
}

static void print_work(const struct report *r, FILE *to)
{
	const struct args *a = r->args;
	const struct player *p = &r->load->players[0];

	fprintf(to,
		"%u guest%s, %s%u%s bytes, %u%s outstanding, %squeue of %u, %u descriptor%s%s, "
		"event index %s, %s",
		a->nr_guests, a->nr_guests > 1 ? "s" : "", a->sizes.n > 1 ? "from " : "",
		a->sizes.values[0], a->sizes.n > 1 ? " (a list)" : "", a->depths.values[0],
		a->depths.n > 1 ? " (a list)" : "", a->packed ? "packed " : "", p->cfg.queue_size,
		a->chain, a->chain > 1 ? "s" : "", a->indirect ? " indirect" : "",
		(p->features >> VIRTIO_RING_F_EVENT_IDX) & 1 ? "on"
		: a->event_idx				     ? "off (not offered)"
							     : "off",
		a->block ? "sleeps until called" : "polls");
	if (a->rate > 0)
		fprintf(to, ", %g requests/s", a->rate);
	fputc('\n', to);
}

static void print_periods(const struct report *r, FILE *to)
{
	uint64_t least, most, sum;
	unsigned n = periods_seen(&r->load->periods);

	if (r->args->period_ms == 0)
		return;
	if (n == 0) {
		fprintf(to, "periods of %g ms: none was seen to begin\n", r->args->period_ms);
		return;
	}
	periods_summary(&r->load->periods, &least, &most, &sum);
	fprintf(to,
		"%u periods of %g ms: %" PRIu64 " to %" PRIu64 " bytes in each, together %" PRIu64
		"\n",
		n, r->args->period_ms, least, most, sum);
}

static void print_backend(const struct report *r, const struct report_sum *sum, FILE *to)
{
	struct procstat_thread all;

	if (r->backend == NULL)
		return;
	all = procstat_sum(r->backend);
	fprintf(to,
		"back-end: %.1f %% of a CPU, %.0f ns a request; context switches: %.0f/s "
		"voluntary, %.0f/s involuntary\n",
		report_rate(sum, all.cpu_ns) / 1e7, ratio(all.cpu_ns, sum->counts.requests),
		report_rate(sum, all.voluntary), report_rate(sum, all.involuntary));
}

static void print_share(FILE *to, double reached, double limit)
{
	if (limit > 0)
		fprintf(to, "; reached: %.1f %%\n", reached / limit * 100);
	else
		fputc('\n', to);
}

static void print_limits(const struct report *r, const struct report_sum *sum, FILE *to)
{
	const struct limits *lim = r->limits;
	double mbps = report_rate(sum, sum->counts.bytes) / 1e6;

	if (lim == NULL)
		return;
	fprintf(to, "\nwhat CPU %d can do alone\n", lim->cpu);
	if (lim->source_error[0] != '\0') {
		fprintf(to, "  read %s: not measured: %s\n", lim->source, lim->source_error);
	} else {
		fprintf(to, "  read %s, %u bytes a call: %.1f MB/s", lim->source,
			args_size(r->args, 0), lim->source_mbps);
		print_share(to, mbps, lim->source_mbps);
		fprintf(to, "  read %s, %u bytes a call: %.1f MB/s", lim->source,
			(unsigned)LIMITS_BULK_BYTES, lim->source_bulk_mbps);
		print_share(to, mbps, lim->source_bulk_mbps);
	}
	fprintf(to, "  keystream, %s, %u bytes a call: %.1f MB/s", lim->cipher,
		lim->keystream_call_bytes, lim->keystream_mbps);
	print_share(to, mbps, lim->keystream_mbps);
	fprintf(to, "  copy, %u bytes a call: %.1f MB/s", args_size(r->args, 0), lim->copy_mbps);
	print_share(to, mbps, lim->copy_mbps);
	fprintf(to, "  write a call descriptor: %.0f /s", lim->calls_per_s);
	print_share(to, report_rate(sum, sum->counts.calls), lim->calls_per_s);
	fprintf(to, "  wake a thread that waits for an eventfd: p50 %.1f us, p99 %.1f us\n",
		(double)lim->wake_p50_ns / 1e3, (double)lim->wake_p99_ns / 1e3);
}

static void print_verify(const struct report *r, FILE *to)
{
	struct verify_counts v;

	if (r->load->verify == NULL)
		return;
	v = verify_counts(r->load->verify);
	fprintf(to,
		"verified: %" PRIu64 " answers, %" PRIu64 " words against poison (chance of a "
		"false alarm %.1g), %" PRIu64 " blocks of 32 bytes; in %" PRIu64
		" more was written than claimed\n",
		v.answers, v.words, (double)v.words * 0x1p-64, v.blocks, v.behind);
}

void report_table(const struct report *r, const struct report_sum *sum, FILE *to)
{
	const struct player_counts *c = &sum->counts;
	unsigned silent = 0;

	print_work(r, to);
	print_rows(r, sum, to);
	fprintf(to, "\n%.3f s: %" PRIu64 " answers, %" PRIu64 " bytes, %" PRIu64 " short",
		sum->seconds, c->requests, c->bytes, c->shorts);
	if (c->empties > 0)
		fprintf(to, ", of these %" PRIu64 " of no bytes", c->empties);
	fprintf(to, "; %.4f kicks and %.4f calls a request\n", ratio(c->kicks, c->requests),
		ratio(c->calls, c->requests));
	fprintf(to, "since the connection: %" PRIu64 " answers, %" PRIu64 " bytes\n",
		sum->lifetime.requests, sum->lifetime.bytes);
	if (r->args->nr_guests > 1)
		fprintf(to, "fairness (Jain's index of the bytes): %.4f\n", sum->jain);
	for (unsigned i = 0; i < r->load->nr_players; i++)
		silent += r->load->players[i].measured.requests == 0;
	if (silent > 0)
		fprintf(to, "no answer at all: %u guest%s\n", silent, silent > 1 ? "s" : "");
	if (r->load->unsent > 0)
		fprintf(to,
			"behind the rate: %" PRIu64 " requests were due and had no room in "
			"--depth; their wait is in no latency\n",
			r->load->unsent);
	print_periods(r, to);
	print_backend(r, sum, to);
	print_verify(r, to);
	print_limits(r, sum, to);
}
