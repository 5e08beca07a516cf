/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest_table.h"

#include <string.h>

void guest_table_put(struct guest_table *t, struct guest *g)
{
	guest_table_lock(t);
	t->all[t->n++] = g;
	guest_table_unlock(t);
}

void guest_table_take(struct guest_table *t, struct guest *g)
{
	unsigned i = 0;

	guest_table_lock(t);
	while (t->all[i] != g)
		i++;
	t->n--;
	memmove(&t->all[i], &t->all[i + 1], (t->n - i) * sizeof(t->all[0]));
	guest_table_unlock(t);
}

struct guest *guest_table_by_name(const struct guest_table *t, const char *name)
{
	for (unsigned i = 0; i < t->n; i++)
		if (strcmp(t->all[i]->spec.name, name) == 0)
			return t->all[i];
	return NULL;
}

struct guest *guest_table_by_path(const struct guest_table *t, const char *path)
{
	for (unsigned i = 0; i < t->n; i++)
		if (strcmp(t->all[i]->spec.path, path) == 0)
			return t->all[i];
	return NULL;
}
