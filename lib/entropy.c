/* SPDX-License-Identifier: BSD-3-Clause */
#include "entropy.h"

#include "stats.h"
#include "wipe.h"

#include <errno.h>
#include <string.h>

/* Pieces that one Generate is scattered over at most; ENTROPY_DIRECT_BYTES fit the limit 64 times.
 */
#define PART_SEGS 64

static const struct drbg_input nothing = {NULL, 0};

int entropy_init(struct entropy *e, const struct entropy_config *cfg)
{
	memset(e, 0, sizeof(*e));
	e->cfg = *cfg;
	e->serving = cfg->ring;
	if (!entropy_is_drbg(e))
		return 0;
	if (cfg->seed_bytes < DRBG_ENTROPY_BYTES_MIN || cfg->seed_bytes > ENTROPY_SEED_BYTES_MAX)
		return -EINVAL;
	return drbg_self_test(&e->drbg, cfg->keystream);
}

void entropy_fini(struct entropy *e)
{
	if (entropy_is_drbg(e))
		drbg_uninstantiate(&e->drbg);
	explicit_bzero(e, sizeof(*e));
}

void entropy_want_reseed(struct entropy *e, bool due)
{
	e->reseed_wanted = true;
	e->reseed_due |= due;
}

/* Seed the DRBG from the ring, if the ring has a seed, after a self-test if 'test'. */
static bool try_seed(struct entropy *e, bool test)
{
	const struct entropy_config *cfg = &e->cfg;
	struct drbg_input seed = {e->seed, cfg->seed_bytes};
	size_t at_hand;
	int err;

	at_hand = byte_ring_avail(cfg->ring, SIZE_MAX);
	if (at_hand < cfg->seed_bytes || e->stats.failed != 0)
		return false;
	if (test && drbg_self_test(&e->drbg, cfg->keystream) != 0) {
		__atomic_store_n(&e->stats.failed, 1, __ATOMIC_RELAXED);
		return false;
	}
	/* Of what a start-up test has left there, the newest: nobody lives on old seeds for long.
	 */
	for (; at_hand >= 3 * cfg->seed_bytes; at_hand -= cfg->seed_bytes)
		byte_ring_read(cfg->ring, e->seed, cfg->seed_bytes);
	byte_ring_read(cfg->ring, e->seed, cfg->seed_bytes);
	byte_ring_release(cfg->ring);
	if (e->drbg.reseed_counter == 0)
		err = drbg_instantiate(&e->drbg, cfg->keystream, seed, cfg->nonce, cfg->person);
	else
		err = drbg_reseed(&e->drbg, seed, nothing);
	explicit_bzero(e->seed, cfg->seed_bytes);
	if (err != 0)
		return false;
	/* What was generated from the old seed goes: "reseed" means from now on. */
	explicit_bzero(e->pool, sizeof(e->pool));
	e->pool_left = 0;
	e->reseed_wanted = e->reseed_due = false;
	stats_add(&e->stats.reseeds, 1);
	__atomic_store_n(&e->stats.generated, 0, __ATOMIC_RELAXED);
	return true;
}

size_t entropy_drbg_avail(struct entropy *e, size_t want_bytes)
{
	bool unseeded = e->drbg.reseed_counter == 0;
	bool due = e->reseed_due || e->stats.generated >= e->cfg.reseed_bytes;

	if (__builtin_expect(!unseeded && !due && !e->reseed_wanted, 1))
		return want_bytes;
	/* Tested before each instantiation (SP 800-90A §11.3.2), and now and then; not when
	 * somebody merely wants a reseed: who could make others do so would take time. */
	if (try_seed(e, due || unseeded))
		due = false;
	unseeded = e->drbg.reseed_counter == 0; /* what fails leaves none */
	__atomic_store_n(&e->stats.overdue, due, __ATOMIC_RELAXED);
	return unseeded || (due && !e->cfg.continue_unseeded) ? 0 : want_bytes;
}

size_t entropy_own_avail(struct entropy *e, size_t want_bytes)
{
	const struct entropy_config *cfg = &e->cfg;
	size_t have = byte_ring_avail(cfg->own, want_bytes);

	if (have < want_bytes) {
		cfg->refill(cfg->refill_arg, want_bytes - have);
		have = byte_ring_avail(cfg->own, want_bytes);
	}
	e->serving = have > 0 ? cfg->own : cfg->ring;
	return have > 0 ? have : byte_ring_avail(cfg->ring, want_bytes);
}

bool entropy_is_dry(struct entropy *e)
{
	if (entropy_is_drbg(e))
		return entropy_drbg_avail(e, 1) == 0;
	return byte_ring_is_dry(e->cfg.ring);
}

static int generate(struct entropy *e, const struct iovec *segs, unsigned n_segs, size_t len_bytes)
{
	int err = drbg_generate(&e->drbg, segs, n_segs, nothing);

	stats_add(&e->stats.generated, len_bytes);
	/* 2^48 Generates without a reseed: there will be no more of this seed. */
	if (err == -EAGAIN)
		drbg_uninstantiate(&e->drbg);
	return err == 0 ? 0 : -EIO;
}

/* Small pieces: copy from the pool, and wipe there. */
static int fill_from_pool(struct entropy *e, const struct iovec *segs, unsigned n_segs)
{
	const struct iovec whole = {e->pool, sizeof(e->pool)};

	for (unsigned i = 0; i < n_segs; i++) {
		uint8_t *dst = segs[i].iov_base;
		size_t left = segs[i].iov_len;

		while (left > 0) {
			uint8_t *src;
			size_t n;

			if (e->pool_left == 0) {
				if (generate(e, &whole, 1, sizeof(e->pool)) != 0)
					return -EIO;
				e->pool_left = sizeof(e->pool);
			}
			n = left < e->pool_left ? left : e->pool_left;
			src = e->pool + sizeof(e->pool) - e->pool_left;
			move_and_wipe(dst, src, n);
			dst += n;
			left -= n;
			e->pool_left -= n;
		}
	}
	return 0;
}

/* Large pieces: generate into them, as much at a time as one Generate may write. */
static int fill_directly(struct entropy *e, const struct iovec *segs, unsigned n_segs)
{
	struct iovec part[PART_SEGS];
	size_t offset = 0; /* into *segs */

	while (n_segs > 0) {
		size_t total = 0;
		unsigned n = 0;

		while (n_segs > 0 && n < PART_SEGS && total < DRBG_REQUEST_BYTES_MAX) {
			size_t len = segs->iov_len - offset;

			if (len > DRBG_REQUEST_BYTES_MAX - total)
				len = DRBG_REQUEST_BYTES_MAX - total;
			part[n++] = (struct iovec){(uint8_t *)segs->iov_base + offset, len};
			total += len;
			offset += len;
			if (offset == segs->iov_len) {
				offset = 0;
				segs++;
				n_segs--;
			}
		}
		if (generate(e, part, n, total) != 0)
			return -EIO;
	}
	return 0;
}

int entropy_fill(struct entropy *e, const struct iovec *segs, unsigned n_segs, size_t len_bytes)
{
	if (!entropy_is_drbg(e)) {
		for (unsigned i = 0; i < n_segs; i++)
			byte_ring_read(e->serving, segs[i].iov_base, segs[i].iov_len);
		byte_ring_release(e->serving);
		return 0;
	}
	if (len_bytes < (size_t)n_segs * ENTROPY_DIRECT_BYTES)
		return fill_from_pool(e, segs, n_segs);
	return fill_directly(e, segs, n_segs);
}
