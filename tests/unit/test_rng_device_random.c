/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests that want anything, a source that comes and goes, a clock, stops: the promises must hold
 * after every single turn.
 */
#include "rng_device.h"

#include "host.h"

#define NR_RUNS	  120
#define NR_STEPS  1500
#define NR_GUESTS 3
#define SIZE	  16
#define TABLE	  4
#define SLOT	  500 /* bytes of room of a chain; some of the slots cross regions */

struct player {
	struct guest g;
	uint8_t shadow[VM_NR_DATA * VM_PAGE]; /* what its data regions must hold */
	uint8_t ring[16 * SIZE];	      /* what the device may write of it, before a turn */
	uint64_t room[32];		      /* of the outstanding chains, by cookie */
	uint32_t busy;			      /* cookies in use */
	uint64_t period_bytes, answered_bytes, short_reqs;
	uint64_t lost_bytes; /* in requests that were given back */
	bool running;
};

struct fixture {
	struct host host;
	struct player players[NR_GUESTS];
	uint64_t seed, now_ns, period;
	uint64_t n_shorts, n_waits; /* to see that the test does something */
};

static uint64_t below(struct fixture *fx, uint64_t n)
{
	return random_below(&fx->seed, n);
}

static void offer(struct fixture *fx, struct player *p)
{
	unsigned n_bufs = 1 + (unsigned)below(fx, TABLE), cookie = 0;
	struct driver_buf bufs[TABLE];
	uint64_t room = 0, at;

	while (cookie < 31 && (p->busy & 1u << cookie))
		cookie++;
	at = cookie * SLOT;
	for (unsigned i = 0; i < n_bufs; i++) {
		bufs[i] = (struct driver_buf){
			VM_DATA_GPA + at, (uint32_t)below(fx, SLOT / TABLE), below(fx, 5) != 0};
		at += SLOT / TABLE;
		room += bufs[i].writable ? bufs[i].len_bytes : 0;
	}
	if (driver_add(&p->g.vm.drv, bufs, n_bufs, vm_mix(n_bufs, (unsigned)below(fx, n_bufs + 1)),
		    cookie) != 0)
		return;
	p->room[cookie] = room;
	p->busy |= 1u << cookie;
	driver_publish(&p->g.vm.drv);
}

/* Promises 1 and 2 for all answers that came. */
static void take_answers(struct fixture *fx, struct player *p)
{
	enum driver_result r;
	struct driver_used used;

	while ((r = driver_take(&p->g.vm.drv, &used)) == DRIVER_OK) {
		uint64_t room = p->room[used.cookie];

		assert_true(used.len_bytes <= room);
		assert_true(used.len_bytes > 0 || room == 0);
		assert_true(p->busy & 1u << used.cookie);
		p->busy &= ~(1u << used.cookie);
		p->answered_bytes += used.len_bytes;
		p->short_reqs += used.len_bytes < room;
	}
	assert_int_equal(r, DRIVER_EMPTY);
}

static void check_guest(struct fixture *fx, struct player *p)
{
	const struct rng_stats *stats = &p->g.dev.stats;
	const struct virtq *vq = &p->g.dev.vq;

	for (unsigned i = 0; i < VM_NR_DATA; i++)
		assert_memory_equal(
			p->g.vm.ram.regions[1 + i].host, p->shadow + i * VM_PAGE, VM_PAGE);
	assert_int_equal(stats->bytes,
		p->answered_bytes + p->lost_bytes + (virtq_is_open(vq) ? vq->chain.written : 0));
	assert_int_equal(stats->short_reqs, p->short_reqs);
}

/* Where in the data regions is this? */
static uint8_t *shadow_of(struct player *p, const uint8_t *hva)
{
	for (unsigned i = 0; i < VM_NR_DATA; i++) {
		const uint8_t *host = p->g.vm.ram.regions[1 + i].host;

		if (hva >= host && hva < host + VM_PAGE)
			return p->shadow + i * VM_PAGE + (hva - host);
	}
	fail_msg("room that is not in a buffer");
	return NULL;
}

/* The bytes that a turn gave are the stream's next ones. */
static void follow_bytes(struct fixture *fx, struct player *p)
{
	const struct virtq_burst *b = &fx->host.supply.burst;

	for (unsigned i = 0; i < b->n_segs; i++) {
		uint8_t *shadow = shadow_of(p, seg_hva(b, i));

		for (unsigned j = 0; j < seg_len(b, i); j++)
			shadow[j] = stream_at(fx->host.taken++);
	}
}

static const void *ring_of(const struct player *p)
{
	const struct driver *drv = &p->g.vm.drv;

	return drv->packed ? (const void *)drv->ring : drv->used;
}

static size_t ring_len(const struct player *p)
{
	return p->g.vm.drv.packed ? sizeof(p->ring) : 6 + 8 * SIZE;
}

static void turn(struct fixture *fx, struct player *p)
{
	struct host *h = &fx->host;
	uint64_t before = p->g.dev.stats.bytes, requests = p->g.dev.stats.requests, given, share;
	enum rng_result r;

	if (fx->now_ns / HOST_PERIOD_NS > fx->period) {
		fx->period = fx->now_ns / HOST_PERIOD_NS;
		for (unsigned i = 0; i < NR_GUESTS; i++)
			fx->players[i].period_bytes = 0;
	}
	p->g.dev.call_owed = false;
	memcpy(p->ring, ring_of(p), ring_len(p));
	r = host_poll(h, &p->g, fx->now_ns);
	assert_int_not_equal(r, RNG_BROKEN);
	given = p->g.dev.stats.bytes - before;
	assert_true(given <= h->supply.turn_bytes);
	assert_true(p->g.dev.stats.requests - requests <= VIRTQ_BURST_REQS);
	assert_int_equal(p->g.dev.call_owed, p->g.dev.stats.requests != requests);

	p->period_bytes += given;
	share = budget_share(&p->g.dev.bytes.terms, fx->period);
	if (h->bytes.limited)
		assert_true(p->period_bytes <= share);
	if (given > 0)
		follow_bytes(fx, p);
	assert_int_equal(h->taken, h->made - byte_ring_fill(&h->ring));
	if (r == RNG_WAIT || r == RNG_IDLE) {
		assert_int_equal(given, 0);
		assert_memory_equal(ring_of(p), p->ring, ring_len(p));
	}
	/* It waits only when it must. */
	if (r == RNG_WAIT)
		assert_true(p->period_bytes == share || byte_ring_fill(&h->ring) == 0);
	if (r == RNG_IDLE)
		assert_int_equal(p->busy, 0);
	fx->n_waits += r == RNG_WAIT;
	take_answers(fx, p);
	check_guest(fx, p);
}

/* Stop, and perhaps go on at once from the base that it left. */
static void stop_device(struct fixture *fx, struct player *p)
{
	struct virtq *vq = &p->g.dev.vq;

	if (virtq_is_open(vq) && !rng_device_can_end(&p->g.dev))
		p->lost_bytes += vq->chain.written;
	rng_device_stop(&p->g.dev, &fx->host.supply);
	assert_false(virtq_is_open(&p->g.dev.vq));
	take_answers(fx, p);
	check_guest(fx, p);
	assert_int_equal(p->g.dev.vq.cfg.last_avail, p->g.dev.vq.cfg.last_used);
	p->running = false;
}

static void step(struct fixture *fx)
{
	struct player *p = &fx->players[below(fx, NR_GUESTS)];
	size_t room;

	switch (below(fx, 8)) {
	case 0:
		fx->now_ns += below(fx, 400);
		break;
	case 1:
		room = HOST_RING_BYTES - byte_ring_fill(&fx->host.ring);
		host_feed(&fx->host, below(fx, room < 300 ? room + 1 : 300));
		byte_ring_set_dry(&fx->host.ring, below(fx, 2));
		break;
	case 2:
	case 3:
		for (unsigned n = (unsigned)below(fx, 6); n > 0; n--)
			offer(fx, p);
		break;
	case 4:
		if (!p->running) {
			guest_start(&p->g, p->g.dev.vq.cfg.last_avail);
			p->running = true;
		} else if (below(fx, 10) == 0) {
			stop_device(fx, p);
		}
		break;
	default:
		if (p->running)
			turn(fx, p);
	}
}

static void run(struct fixture *fx)
{
	uint64_t bytes = below(fx, 6) == 0 ? BUDGET_UNLIMITED : 1 + random_magnitude(&fx->seed, 12);

	fx->now_ns = fx->period = 0;
	host_init(&fx->host, bytes, NR_GUESTS);
	fx->host.supply.turn_bytes = 1 + random_magnitude(&fx->seed, 12);
	for (unsigned i = 0; i < NR_GUESTS; i++) {
		struct player *p = &fx->players[i];
		struct driver_cfg cfg = {.size = SIZE,
			.table_entries = TABLE,
			.start_idx = (uint16_t)(65536 - below(fx, 40))};

		memset(p, 0, sizeof(*p));
		guest_init(&p->g, &fx->host, &cfg, i);
		memset(p->shadow, VM_POISON, sizeof(p->shadow));
		p->running = true;
		check_guest(fx, p);
	}
	for (unsigned i = 0; i < NR_STEPS; i++)
		step(fx);
	for (unsigned i = 0; i < NR_GUESTS; i++) {
		struct player *p = &fx->players[i];

		if (p->running)
			stop_device(fx, p);
		fx->n_shorts += p->short_reqs;
		guest_fini(&p->g);
	}
	host_fini(&fx->host);
}

static void test_promises_hold(void **state)
{
	static struct fixture fx;

	memset(&fx, 0, sizeof(fx));
	fx.seed = random_seed("promises_hold");
	for (unsigned i = 0; i < NR_RUNS; i++)
		run(&fx);
	print_message("# %llu short requests, %llu waits\n", (unsigned long long)fx.n_shorts,
		(unsigned long long)fx.n_waits);
	assert_true(fx.n_shorts > 0 && fx.n_waits > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_BOTH(test_promises_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
