/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUZZ_OPTIONS_MODEL_H
#define FUZZ_OPTIONS_MODEL_H

/*
 * What holds for options that were taken, wherever they were said: the bounds that options.h
 * promises.
 */

#include "config/options.h"

/** What is wrong ends the process. */
void options_model_check(const struct options *opt);

#endif
