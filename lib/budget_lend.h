/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_BUDGET_LEND_H
#define VRNG_BUDGET_LEND_H

/*
 * Fair sharing: what guests do not use of their shares goes to those who want more. For budget.c;
 * budget.h says how it is divided.
 */

#include "budget.h"

/** Lend what can be lent now. At the time that budget_advance() was told. */
void budget_lend(struct budget *b);

/** Give an account its share of the budget's current period, if it is still of an earlier one. */
void budget_refill(const struct budget *b, struct budget_account *a);

/** Such a part (of BUDGET_ONE) of an amount, rounded down. */
uint64_t budget_part(uint64_t amount, uint64_t part);

#endif
