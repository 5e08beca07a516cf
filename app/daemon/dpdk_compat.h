/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_DPDK_COMPAT_H
#define VRNG_DPDK_COMPAT_H

/*
 * What differs between the versions of DPDK that this compiles with, 22.11 to 25.11; the sources
 * use what all have, by its newest name. docs/compatibility.md says which versions were tested.
 *
 * Include this first: before 23.11, <rte_version.h> already decides about experimental functions.
 */

#include <rte_build_config.h> /* the version, and nothing else */

#define DPDK_BEFORE(year, month) \
	(RTE_VER_YEAR < (year) || (RTE_VER_YEAR == (year) && RTE_VER_MONTH < (month)))

/*
 * rte_vhost_vring_call_nonblock() is there from 22.11 on, and stable from 23.11 on. Nothing
 * experimental is used with the versions in which it is stable.
 */
#if DPDK_BEFORE(23, 11)
#define ALLOW_EXPERIMENTAL_API
#endif

#endif
