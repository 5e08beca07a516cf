/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRNG_TEST_PROVIDERS_H
#define VRNG_TEST_PROVIDERS_H

#include "keystream.h"

#include "../unit/unit.h"

#include <errno.h>

/* A cmocka set-up: *state becomes a keystream of the provider. Skips where there is none. */
static inline int open_provider(void **state, enum keystream_provider provider)
{
	struct keystream *ks = NULL;
	int err = keystream_create(provider, &ks);

	*state = ks;
	return err == 0 || err == -ENOTSUP ? 0 : -1;
}

static inline int open_ipsec_mb(void **state)
{
	return open_provider(state, KEYSTREAM_IPSEC_MB);
}

static inline int open_libcrypto(void **state)
{
	return open_provider(state, KEYSTREAM_LIBCRYPTO);
}

static inline int close_provider(void **state)
{
	keystream_destroy(*state);
	return 0;
}

static inline struct keystream *the_provider(void **state)
{
	if (*state == NULL) {
		print_message("# this build or CPU has not this keystream provider\n");
		skip();
	}
	return *state;
}

/* What is not built in is left out; to skip it would fail with cmocka 1.1.5 in TAP. */
#ifdef HAVE_IPSEC_MB
#define FOR_EACH_PROVIDER(test)                                                  \
	{#test " (libipsec-mb)", test, open_ipsec_mb, close_provider, NULL},     \
	{                                                                        \
#test " (libcrypto)", test, open_libcrypto, close_provider, NULL \
	}
#else
#define FOR_EACH_PROVIDER(test)                                                  \
	{                                                                        \
#test " (libcrypto)", test, open_libcrypto, close_provider, NULL \
	}
#endif

#endif
