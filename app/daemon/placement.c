/* SPDX-License-Identifier: BSD-3-Clause */
#include "placement.h"

#include "lcore/worker.h"

#include <rte_config.h>
#include <rte_lcore.h>

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct workers *there; /* which there are */

void placement_init(const struct workers *workers)
{
	there = workers;
}

static unsigned count_on(const struct worker *w, const struct guest_table *guests)
{
	unsigned n = 0;

	for (unsigned i = 0; i < guests->n; i++)
		n += guest_lcore(guests->all[i]) == worker_lcore(w);
	return n;
}

void placement_join(struct guest *g, const struct guest_table *others)
{
	struct worker *best = there->all[0];

	for (unsigned i = 1; i < there->n; i++)
		if (count_on(there->all[i], others) < count_on(best, others))
			best = there->all[i];
	worker_join(g->pinned != NULL ? g->pinned : best, g);
}

/* The NUMA node of a page; -1: not known. */
static int node_of(void *page)
{
	int node;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0, page, MPOL_F_NODE | MPOL_F_ADDR) != 0)
		return -1;
	return node;
}

static bool is_on(const struct worker *w, int node)
{
	return (int)rte_lcore_to_socket_id(worker_lcore(w)) == node;
}

void placement_move(struct guest *g, struct worker *to)
{
	if (g->worker == to)
		return;
	worker_leave(g->worker, g);
	worker_join(to, g);
}

void placement_choose(struct guest *g)
{
	struct worker *best = g->worker;
	int node = -1;

	if (g->pinned != NULL) {
		placement_move(g, g->pinned);
		return;
	}
	if (there->n == 1)
		return;
	if (rte_socket_count() > 1 && g->dev.mem.n_regions > 0)
		node = node_of(g->dev.mem.regions[0].hva);
	for (unsigned i = 0; i < there->n; i++) {
		struct worker *w = there->all[i];
		bool near = is_on(w, node), best_near = is_on(best, node);

		if (near != best_near ? near : worker_load(w) < worker_load(best))
			best = w;
	}
	placement_move(g, best);
}
